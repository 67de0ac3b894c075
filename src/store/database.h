// Transactions and rows over a SQL database, so that repositories never see the library below (SOCI) nor its exceptions.
//
// SQL is written to mean the same on SQLite and PostgreSQL: BIGINT and TEXT only, ON CONFLICT, named placeholders (":id", each once in a
// statement), bytes as base64 TEXT, times as BIGINT microseconds since 1970. Only SQLite is linked today; Dialect is where a second engine
// enters.
//
// SQLite: one connection writes at a time. A write transaction begins with BEGIN IMMEDIATE: a deferred one that reads before it writes
// fails at once when another has written meanwhile. Write-ahead log, synchronous=FULL (what Commit acknowledged survives a power cut),
// foreign keys on, 10 s of patience.
//
// Errors: AlreadyExists (a unique key is taken) · FailedPrecondition (another constraint, or a trigger that refuses) · Unavailable (locked,
// no free connection) · Internal. Their messages never hold SQL or values, which the library's own do.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace latchkey {

enum class Dialect { kSqlite };

// NULL, an integer or text.
using SqlValue = std::variant<std::monostate, int64_t, std::string>;
struct SqlParameter {
  std::string_view name;  // as in the statement, without the colon
  SqlValue value;
};

// One row of an answer. Columns are read by name; a name that is not there, or a NULL where a value is asked for, is a fault of the program
// that Query's caller sees as zero or empty: schema and statements are ours, and contract tests read every column.
class Row {
 public:
  int64_t Int(std::string_view column) const;
  bool Bool(std::string_view column) const { return Int(column) != 0; }
  std::string Text(std::string_view column) const;
  bool IsNull(std::string_view column) const;
  absl::Time Time(std::string_view column) const { return absl::FromUnixMicros(Int(column)); }
  std::optional<absl::Time> OptionalTime(std::string_view column) const;

 private:
  friend class Transaction;
  const SqlValue* Find(std::string_view column) const;
  std::shared_ptr<const std::vector<std::string>> names_;
  std::vector<SqlValue> values_;
};

// A time as it is stored, and an absent one as NULL.
inline SqlValue SqlTime(absl::Time t) { return absl::ToUnixMicros(t); }
inline SqlValue SqlTime(const std::optional<absl::Time>& t) { return t ? SqlValue(absl::ToUnixMicros(*t)) : SqlValue(std::monostate{}); }
inline SqlValue SqlBool(bool b) { return int64_t{b ? 1 : 0}; }

class DatabaseImpl;

// One transaction on one connection, for one thread. Rolled back when it goes without Commit.
class Transaction {
 public:
  Transaction(Transaction&&) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  // Number of rows that were inserted, updated or deleted.
  absl::StatusOr<int64_t> Execute(std::string_view sql, std::initializer_list<SqlParameter> parameters = {});
  absl::StatusOr<std::vector<Row>> Query(std::string_view sql, std::initializer_list<SqlParameter> parameters = {});
  // The first row, or none.
  absl::StatusOr<std::optional<Row>> QueryOne(std::string_view sql, std::initializer_list<SqlParameter> parameters = {});
  // After it nothing else may be asked of this object. A failed commit has rolled back.
  absl::Status Commit();
  Dialect dialect() const { return Dialect::kSqlite; }

 private:
  friend class Database;
  Transaction(DatabaseImpl* database, size_t connection) : database_(database), connection_(connection) {}
  DatabaseImpl* database_;  // null once moved from or done
  size_t connection_;
};

struct DatabaseOptions {
  std::string path;                             // of the SQLite file; made with mode 0600
  size_t connections = 4;                       // 1 to 64
  absl::Duration patience = absl::Seconds(10);  // for a free connection
};

// Thread-safe.
class Database {
 public:
  static absl::StatusOr<std::unique_ptr<Database>> Open(DatabaseOptions options);
  ~Database();

  enum class Mode { kRead, kWrite };
  absl::StatusOr<Transaction> Begin(Mode mode);

  // Runs `body` in a write transaction and commits when it returned OK; otherwise everything is rolled back and its status returned.
  absl::Status Write(const std::function<absl::Status(Transaction&)>& body);
  // Runs `body` on one consistent view.
  absl::Status Read(const std::function<absl::Status(Transaction&)>& body);

 private:
  explicit Database(std::unique_ptr<DatabaseImpl> impl);
  std::unique_ptr<DatabaseImpl> impl_;
};

}  // namespace latchkey
