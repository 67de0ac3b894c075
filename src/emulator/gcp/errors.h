// Errors as Google's services word them. A google.rpc.Code is what an absl::StatusCode was made from, so errors travel as absl::Status:
// code and message are those of the wire, and a payload holds the entries of `details` (googleapis google/rpc/status.proto,
// error_details.proto).
#pragma once

#include <absl/status/status.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "http/message.h"

namespace latchkey::emulator::gcp {

// "Permission 'p' denied on resource 'r' (or it may not exist)."; absent and denied look alike.
absl::Status Denied(std::string_view permission, const std::string& resource);
// Without a token, and with one that does not count.
absl::Status NoCredentials();
absl::Status BadCredentials();
absl::Status TooFewScopes();
// "<version> is not enabled, current state is: DISABLED."
absl::Status NotEnabled(const std::string& version, const std::string& state);
// The state of a version does not allow a change.
absl::Status WrongState(const std::string& version, const std::string& state);

// {"error": {"code", "message", "status", "details"}}
HttpResponse GoogleError(const absl::Status& status);
HttpResponse GoogleError(int http_status, std::string_view name, std::string_view message, boost::json::array details = {});
// {"error", "error_description"} (RFC 6749, 5.2), of the OAuth and STS endpoints.
HttpResponse OauthError(int http_status, std::string_view error, std::string_view description);
// The word for the log: "PERMISSION_DENIED".
std::string NameOfCode(const absl::Status& status);

}  // namespace latchkey::emulator::gcp
