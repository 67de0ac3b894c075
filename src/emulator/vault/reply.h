// An answer of Vault before it becomes HTTP.
#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <utility>

namespace latchkey::emulator::vault {

struct Reply {
  int status = 200;
  std::string error;                         // the one text of "errors"; empty with a status of 400 or more: an empty list
  std::optional<boost::json::object> data;   // absent in a success: 204 without a body
  std::optional<boost::json::object> auth;   // what a login answers
  std::optional<boost::json::object> whole;  // the body as it is, for sys/health and its like, whatever the status
};

inline Reply Data(boost::json::object data) { return {.data = std::move(data)}; }
inline Reply NoContent() { return {}; }
inline Reply Refused(int status, std::string error) { return {.status = status, .error = std::move(error)}; }
// What the service says when policies do not allow a call, and when a token is none.
inline Reply Denied() { return Refused(403, "1 error occurred:\n\t* permission denied\n\n"); }
inline Reply BadToken() { return Refused(403, "permission denied"); }

}  // namespace latchkey::emulator::vault
