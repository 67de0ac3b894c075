#include "store/database.h"

#include <fcntl.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/log.h"
#include "base/status.h"

namespace latchkey {
namespace {

// SOCI's text quotes the statement and its values: only the class of the failure goes on.
absl::Status Translate(const std::exception& error) {
  if (const auto* sqlite = dynamic_cast<const soci::sqlite3_soci_error*>(&error)) {
    switch (sqlite->result()) {
      case SQLITE_CONSTRAINT: {
        // The primary code is all that SOCI keeps; SQLite's message starts alike for every kind and tells it in fixed words.
        const std::string_view text = error.what();
        if (text.find("UNIQUE constraint failed") != std::string_view::npos)
          return absl::AlreadyExistsError("the store has such an entry already");
        return absl::FailedPreconditionError("the store refused the change: a constraint does not hold");
      }
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        return Unavailable("the store is locked by another process");
      case SQLITE_FULL:
        return absl::ResourceExhaustedError("the store's disk is full");
      case SQLITE_READONLY:
      case SQLITE_CANTOPEN:
      case SQLITE_PERM:
        return FailedPrecondition("the store's file cannot be opened for writing");
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        return DataLoss("the store's file is damaged or not a database");
      default:
        return Internal("the store failed (SQLite result ", sqlite->result(), ")");
    }
  }
  return Internal("the store failed");
}

// Runs `body`, which may throw, and returns what it returns or the translated exception.
template <typename F>
auto Guarded(F&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::exception& error) {
    return Translate(error);
  }
}

struct Bound {
  soci::indicator indicator = soci::i_ok;
  long long number = 0;
  std::string text;
};

SqlValue ColumnOf(const soci::row& row, size_t i) {
  if (row.get_indicator(i) == soci::i_null) return std::monostate{};
  switch (row.get_properties(i).get_data_type()) {
    case soci::dt_integer:
      return int64_t{row.get<int>(i)};
    case soci::dt_long_long:
      return int64_t{row.get<long long>(i)};
    case soci::dt_unsigned_long_long:
      return static_cast<int64_t>(row.get<unsigned long long>(i));
    case soci::dt_double:
      return static_cast<int64_t>(row.get<double>(i));
    default:
      return row.get<std::string>(i);
  }
}

void BindAll(soci::statement& statement, std::initializer_list<SqlParameter> parameters, std::deque<Bound>& bound) {
  for (const SqlParameter& parameter : parameters) {
    Bound& b = bound.emplace_back();
    const std::string name(parameter.name);
    if (const auto* number = std::get_if<int64_t>(&parameter.value)) {
      b.number = *number;
      statement.exchange(soci::use(b.number, b.indicator, name));
    } else {
      if (const auto* text = std::get_if<std::string>(&parameter.value))
        b.text = *text;
      else
        b.indicator = soci::i_null;
      statement.exchange(soci::use(b.text, b.indicator, name));
    }
  }
}

}  // namespace

class DatabaseImpl {
 public:
  explicit DatabaseImpl(DatabaseOptions options) : options_(std::move(options)) {}

  absl::Status Connect() {
    if (options_.path.empty() || options_.path.find_first_of("\"\n") != std::string::npos) {
      return InvalidArgument("database: the path must not be empty or contain quotes or line breaks");
    }
    if (options_.connections < 1 || options_.connections > 64) return InvalidArgument("database: 1 to 64 connections");
    // SQLite gives its log and shared memory the mode of the database file, so this makes all three private.
    const int fd = open(options_.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return ErrnoStatus(errno, absl::StrCat("cannot open the database ", options_.path));
    close(fd);
    return Guarded([&]() -> absl::Status {
      for (size_t i = 0; i < options_.connections; ++i) {
        auto session = std::make_unique<soci::session>(soci::sqlite3, absl::StrCat("dbname=\"", options_.path, "\""));
        *session << "PRAGMA busy_timeout = 10000";
        *session << "PRAGMA journal_mode = WAL";
        *session << "PRAGMA synchronous = FULL";
        *session << "PRAGMA foreign_keys = ON";
        sessions_.push_back(std::move(session));
        free_.push_back(i);
      }
      return absl::OkStatus();
    });
  }

  absl::StatusOr<size_t> Take() {
    std::unique_lock lock(mutex_);
    if (!returned_.wait_for(lock, absl::ToChronoNanoseconds(options_.patience), [&] { return !free_.empty(); })) {
      return Unavailable("the store is busy: no free connection");
    }
    const size_t connection = free_.back();
    free_.pop_back();
    return connection;
  }
  void Return(size_t connection) {
    {
      std::lock_guard lock(mutex_);
      free_.push_back(connection);
    }
    returned_.notify_one();
  }
  soci::session& session(size_t connection) { return *sessions_[connection]; }

  void RollBack(size_t connection) {
    const absl::Status status = Guarded([&]() -> absl::Status {
      session(connection) << "ROLLBACK";
      return absl::OkStatus();
    });
    if (!status.ok()) Log(LogLevel::kWarning, "store: rolling back failed", {{"error", std::string(status.message())}});
  }

 private:
  const DatabaseOptions options_;
  std::vector<std::unique_ptr<soci::session>> sessions_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<size_t> free_;
};

const SqlValue* Row::Find(std::string_view column) const {
  for (size_t i = 0; i < names_->size(); ++i) {
    if ((*names_)[i] == column) return &values_[i];
  }
  return nullptr;
}

int64_t Row::Int(std::string_view column) const {
  const SqlValue* value = Find(column);
  if (value == nullptr) return 0;
  if (const auto* number = std::get_if<int64_t>(value)) return *number;
  // Expressions have no declared type, and SQLite's driver then hands them over as text.
  if (const auto* text = std::get_if<std::string>(value)) return std::strtoll(text->c_str(), nullptr, 10);
  return 0;
}

std::string Row::Text(std::string_view column) const {
  const SqlValue* value = Find(column);
  if (value == nullptr) return "";
  if (const auto* text = std::get_if<std::string>(value)) return *text;
  if (const auto* number = std::get_if<int64_t>(value)) return absl::StrCat(*number);
  return "";
}

bool Row::IsNull(std::string_view column) const {
  const SqlValue* value = Find(column);
  return value == nullptr || std::holds_alternative<std::monostate>(*value);
}

std::optional<absl::Time> Row::OptionalTime(std::string_view column) const {
  if (IsNull(column)) return std::nullopt;
  return Time(column);
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)), connection_(other.connection_) {}

Transaction::~Transaction() {
  if (database_ == nullptr) return;
  database_->RollBack(connection_);
  database_->Return(connection_);
}

absl::StatusOr<int64_t> Transaction::Execute(std::string_view sql, std::initializer_list<SqlParameter> parameters) {
  return Guarded([&]() -> absl::StatusOr<int64_t> {
    std::deque<Bound> bound;
    soci::statement statement(database_->session(connection_));
    BindAll(statement, parameters, bound);
    statement.alloc();
    statement.prepare(std::string(sql));
    statement.define_and_bind();
    statement.execute(true);
    return int64_t{statement.get_affected_rows()};
  });
}

absl::StatusOr<std::vector<Row>> Transaction::Query(std::string_view sql, std::initializer_list<SqlParameter> parameters) {
  return Guarded([&]() -> absl::StatusOr<std::vector<Row>> {
    std::deque<Bound> bound;
    soci::row fetched;
    soci::statement statement(database_->session(connection_));
    BindAll(statement, parameters, bound);
    statement.exchange(soci::into(fetched));
    statement.alloc();
    statement.prepare(std::string(sql));
    statement.define_and_bind();
    std::vector<Row> rows;
    std::shared_ptr<std::vector<std::string>> names;
    for (bool more = statement.execute(true); more; more = statement.fetch()) {
      if (names == nullptr) {
        names = std::make_shared<std::vector<std::string>>();
        for (size_t i = 0; i < fetched.size(); ++i) names->push_back(fetched.get_properties(i).get_name());
      }
      Row& row = rows.emplace_back();
      row.names_ = names;
      row.values_.reserve(fetched.size());
      for (size_t i = 0; i < fetched.size(); ++i) row.values_.push_back(ColumnOf(fetched, i));
    }
    return rows;
  });
}

absl::StatusOr<std::optional<Row>> Transaction::QueryOne(std::string_view sql, std::initializer_list<SqlParameter> parameters) {
  auto rows = Query(sql, parameters);
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return std::optional<Row>();
  return std::optional<Row>(std::move(rows->front()));
}

absl::Status Transaction::Commit() {
  const absl::Status status = Guarded([&]() -> absl::Status {
    database_->session(connection_) << "COMMIT";
    return absl::OkStatus();
  });
  if (!status.ok()) database_->RollBack(connection_);
  std::exchange(database_, nullptr)->Return(connection_);
  return status;
}

Database::Database(std::unique_ptr<DatabaseImpl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;

absl::StatusOr<std::unique_ptr<Database>> Database::Open(DatabaseOptions options) {
  auto impl = std::make_unique<DatabaseImpl>(std::move(options));
  RETURN_IF_ERROR(impl->Connect());
  return std::unique_ptr<Database>(new Database(std::move(impl)));
}

absl::StatusOr<Transaction> Database::Begin(Mode mode) {
  ASSIGN_OR_RETURN(const size_t connection, impl_->Take());
  const absl::Status status = Guarded([&]() -> absl::Status {
    impl_->session(connection) << (mode == Mode::kWrite ? "BEGIN IMMEDIATE" : "BEGIN");
    return absl::OkStatus();
  });
  if (!status.ok()) {
    impl_->Return(connection);
    return status;
  }
  return Transaction(impl_.get(), connection);
}

absl::Status Database::Write(const std::function<absl::Status(Transaction&)>& body) {
  ASSIGN_OR_RETURN(Transaction transaction, Begin(Mode::kWrite));
  RETURN_IF_ERROR(body(transaction));
  return transaction.Commit();
}

absl::Status Database::Read(const std::function<absl::Status(Transaction&)>& body) {
  ASSIGN_OR_RETURN(Transaction transaction, Begin(Mode::kRead));
  return body(transaction);
}

}  // namespace latchkey
