// Answers in the form that the CockroachDB Cloud API gives its errors, and the headers that every answer carries.
#pragma once

#include <absl/status/status.h>

#include <boost/json.hpp>
#include <string_view>

#include "http/message.h"

namespace latchkey {

// {"code": gRPC code, "message": …, "details": []} under `http_status`. A 503 or 429 carries Retry-After, a 401 WWW-Authenticate.
HttpResponse ErrorReply(int http_status, int grpc_code, std::string_view message);

// The reply for a failed status of a service. gRPC code → HTTP as in grpc-gateway; a permanent fault of a key (KeyFaultOf) is 422 with
// code 3. The message of Unauthenticated is always "unauthenticated". Internal and unknown errors are logged under a reference; the reply
// tells the reference only. Precondition: !status.ok().
HttpResponse ErrorReply(const absl::Status& status);

// The reply for what fails before a handler sees the request (400, 413, 431, 503 from the HTTP server).
HttpResponse EarlyErrorReply(int http_status, std::string_view message);

// 200 with a JSON body.
HttpResponse JsonReply(const boost::json::object& object);

// Adds nosniff, a content security policy, Cache-Control: no-store; with `tls` also Strict-Transport-Security. Headers that are there are
// kept.
void AddSecurityHeaders(HttpResponse& response, bool tls);

}  // namespace latchkey
