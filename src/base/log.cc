#include "base/log.h"

#include <fcntl.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <memory>
#include <mutex>

#include "base/clock.h"
#include "base/file.h"
#include "base/status.h"

namespace latchkey {
namespace {

namespace json = boost::json;

constexpr size_t kLongestValue = 2048;
constexpr std::string_view kCutMark = "…[cut]";

struct LogState {
  std::mutex mutex;
  std::string component;
  LogLevel least = LogLevel::kInfo;
  std::shared_ptr<spdlog::logger> logger;
};

std::shared_ptr<spdlog::logger> MakeLogger(spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("latchkey", std::move(sink));
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::trace);
  // The line is a finished JSON object: spdlog's own patterns do not escape.
  logger->set_pattern("%v");
  return logger;
}

LogState& State() {
  // Never destroyed: threads may log until the very end.
  static LogState* state = [] {
    auto* s = new LogState;
    s->logger = MakeLogger(std::make_shared<spdlog::sinks::stderr_sink_mt>());
    return s;
  }();
  return *state;
}

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "unknown";
}

// The length of the UTF-8 sequence that starts at s[at] (RFC 3629), or 0 when there is none.
size_t Utf8Length(std::string_view s, size_t at) {
  const auto byte = [&](size_t i) -> uint8_t { return at + i < s.size() ? static_cast<uint8_t>(s[at + i]) : 0; };
  const auto follows = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const uint8_t b = byte(0);
  if (b < 0x80) return 1;
  if (b >= 0xC2 && b <= 0xDF) return follows(1) ? 2 : 0;
  if (b >= 0xE0 && b <= 0xEF) {
    if (b == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
    if (b == 0xED && byte(1) > 0x9F) return 0;  // surrogate
    return follows(1) && follows(2) ? 3 : 0;
  }
  if (b >= 0xF0 && b <= 0xF4) {
    if (b == 0xF0 && byte(1) < 0x90) return 0;
    if (b == 0xF4 && byte(1) > 0x8F) return 0;
    return follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

// The same text with every byte that is not UTF-8 replaced, so that a line is JSON whatever a value contained.
std::string ValidUtf8(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t at = 0; at < s.size();) {
    const size_t n = Utf8Length(s, at);
    if (n == 0) {
      out += "\xEF\xBF\xBD";  // U+FFFD
      ++at;
    } else {
      out.append(s.substr(at, n));
      at += n;
    }
  }
  return out;
}

std::string Cut(std::string_view s) {
  if (s.size() <= kLongestValue) return std::string(s);
  size_t end = kLongestValue;
  while (end > kLongestValue - 4 && (static_cast<uint8_t>(s[end]) & 0xC0) == 0x80) --end;  // not inside a character
  return std::string(s.substr(0, end)) + std::string(kCutMark);
}

json::value Bounded(const json::value& value) {
  if (const json::string* s = value.if_string()) return json::value(Cut({s->data(), s->size()}));
  if (!value.is_structured()) return value;
  const std::string text = json::serialize(value);
  return text.size() <= kLongestValue ? value : json::value(Cut(text));
}

}  // namespace

absl::Status SetUpLog(const LogOptions& options) {
  spdlog::sink_ptr sink;
  if (options.file.empty()) {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    // Made here, so that nobody else may read it; the sink would leave that to the umask.
    const UniqueFd fd(open(options.file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    if (!fd.valid()) return ErrnoStatus(errno, "cannot open the log file " + options.file);
    try {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
    } catch (const spdlog::spdlog_ex&) {
      return Unavailable("cannot open the log file ", options.file);
    }
  }
  LogState& state = State();
  std::lock_guard lock(state.mutex);
  state.component = options.component;
  state.least = options.least;
  state.logger = MakeLogger(std::move(sink));
  return absl::OkStatus();
}

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  LogState& state = State();
  std::shared_ptr<spdlog::logger> logger;
  json::object line;
  {
    std::lock_guard lock(state.mutex);
    if (level < state.least) return;
    logger = state.logger;
    line["ts"] = latchkey::FormatTime(Clock::Real().Now());
    const std::string_view name = LevelName(level);
    line["level"] = json::string_view(name.data(), name.size());
    if (!state.component.empty()) line["component"] = state.component;
  }
  line["msg"] = Cut(message);
  // emplace keeps the first: a field cannot replace one of ours.
  for (const LogField& field : fields) line.emplace(json::string_view(field.first.data(), field.first.size()), Bounded(field.second));
  logger->log(spdlog::level::info, spdlog::string_view_t(ValidUtf8(json::serialize(line))));
}

}  // namespace latchkey
