#include "api/status_reply.h"

#include "base/log.h"
#include "base/random.h"
#include "base/status.h"
#include "control/services.h"

namespace latchkey {
namespace {

namespace json = boost::json;

// Seconds. Official clients follow it for GET only; short, because what makes a cluster busy is often over in seconds.
constexpr std::string_view kRetryAfter = "2";

int HttpStatusOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:  // the server is stopping
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

}  // namespace

HttpResponse ErrorReply(int http_status, int grpc_code, std::string_view message) {
  const json::object body = {
      {"code", grpc_code}, {"message", json::string_view(message.data(), message.size())}, {"details", json::array()}};
  HttpResponse response = HttpResponse::Json(http_status, json::serialize(body));
  if (http_status == 503 || http_status == 429) response.headers["retry-after"] = kRetryAfter;
  if (http_status == 401) response.headers["www-authenticate"] = "Bearer";
  return response;
}

HttpResponse ErrorReply(const absl::Status& status) {
  const int http_status = HttpStatusOf(status.code());
  if (http_status == 401) return ErrorReply(401, 16, "unauthenticated");
  if (http_status == 500) {
    const std::string reference = RandomHex(Random::System(), 6);
    Log(LogLevel::kError, "request failed", {{"reference", reference}, {"cause", status.ToString()}});
    return ErrorReply(500, 13, absl::StrCat("internal error; the server's log has its cause under reference ", reference));
  }
  const std::string message(status.message());
  if (KeyFaultOf(status) == KeyFault::kPermanent) return ErrorReply(422, 3, message);
  if (http_status == 503) return ErrorReply(503, 14, message);
  if (http_status == 501 && message.rfind("UNIMPLEMENTED", 0) != 0) return ErrorReply(501, 12, absl::StrCat("UNIMPLEMENTED: ", message));
  return ErrorReply(http_status, static_cast<int>(status.code()), message);
}

HttpResponse EarlyErrorReply(int http_status, std::string_view message) {
  const int code = http_status == 503 ? 14 : http_status == 500 ? 13 : 3;
  return ErrorReply(http_status, code, message);
}

HttpResponse JsonReply(const json::object& object) { return HttpResponse::Json(200, json::serialize(object)); }

void AddSecurityHeaders(HttpResponse& response, bool tls) {
  response.headers.try_emplace("x-content-type-options", "nosniff");
  response.headers.try_emplace("content-security-policy", "default-src 'none'; frame-ancestors 'none'; sandbox");
  response.headers.try_emplace("cache-control", "no-store");
  if (tls) response.headers.try_emplace("strict-transport-security", "max-age=31536000");
}

}  // namespace latchkey
