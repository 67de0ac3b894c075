// Routing, and the calls on the emulator as a whole: state, log, faults, outage, clock.
#include "emulator/admin_api.h"

#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "emulator/kms_api.h"
#include "http/server.h"

namespace latchkey {
namespace {

HttpResponse ErrorAnswer(int status, std::string_view message) {
  json::object error{{"message", message}};
  json::object body;
  body["error"] = std::move(error);
  return HttpResponse::Json(status, json::serialize(body));
}

int StatusOfError(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    default:
      return 500;
  }
}

absl::StatusOr<int64_t> QueryNumber(const HttpRequest& request, const char* name, int64_t otherwise) {
  const std::string text = request.Query(name);
  if (text.empty()) return otherwise;
  if (text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos) return InvalidArgument(name, ": must be a number");
  return std::stoll(text);
}

}  // namespace

struct EmulatorAdmin::Route {
  std::string_view path;
  Result (EmulatorAdmin::*get)(const HttpRequest&);
  Result (EmulatorAdmin::*post)(const Body&);
};

const EmulatorAdmin::Route EmulatorAdmin::kRoutes[] = {
    {"/_admin/health", &EmulatorAdmin::Health, nullptr},
    {"/_admin/state", &EmulatorAdmin::State, nullptr},
    {"/_admin/calls", &EmulatorAdmin::Calls, nullptr},
    {"/_admin/seed", nullptr, &EmulatorAdmin::SeedFromBody},
    {"/_admin/accounts", nullptr, &EmulatorAdmin::CreateAccount},
    {"/_admin/users", nullptr, &EmulatorAdmin::CreateUser},
    {"/_admin/roles", nullptr, &EmulatorAdmin::CreateRole},
    {"/_admin/roles/trust", nullptr, &EmulatorAdmin::TrustRole},
    {"/_admin/roles/untrust", nullptr, &EmulatorAdmin::UntrustRole},
    {"/_admin/web-identity-tokens", nullptr, &EmulatorAdmin::RegisterToken},
    {"/_admin/keys", nullptr, &EmulatorAdmin::CreateKey},
    {"/_admin/keys/enable", nullptr, &EmulatorAdmin::EnableKey},
    {"/_admin/keys/disable", nullptr, &EmulatorAdmin::DisableKey},
    {"/_admin/keys/schedule-deletion", nullptr, &EmulatorAdmin::ScheduleDeletion},
    {"/_admin/keys/cancel-deletion", nullptr, &EmulatorAdmin::CancelDeletion},
    {"/_admin/keys/state", nullptr, &EmulatorAdmin::SetKeyState},
    {"/_admin/keys/policy", nullptr, &EmulatorAdmin::SetKeyPolicy},
    {"/_admin/keys/rotate", nullptr, &EmulatorAdmin::RotateKey},
    {"/_admin/denials", nullptr, &EmulatorAdmin::Deny},
    {"/_admin/denials/remove", nullptr, &EmulatorAdmin::Undeny},
    {"/_admin/faults", nullptr, &EmulatorAdmin::AddFault},
    {"/_admin/faults/clear", nullptr, &EmulatorAdmin::ClearFaults},
    {"/_admin/outage", nullptr, &EmulatorAdmin::SetOutage},
    {"/_admin/clock/advance", nullptr, &EmulatorAdmin::AdvanceClock},
};

HttpResponse EmulatorAdmin::Handle(const HttpRequest& request) {
  if (!IsLoopback(request.peer_address)) return ErrorAnswer(403, "the admin API answers loopback peers only");
  for (const Route& route : kRoutes) {
    if (route.path != request.path) continue;
    Result result;
    if (request.method == "GET" && route.get != nullptr) {
      result = (this->*route.get)(request);
    } else if (request.method == "POST" && route.post != nullptr) {
      // A page in a browser cannot send this type to another origin without being asked first.
      const std::string type = request.Header("content-type");
      if (type.substr(0, type.find(';')) != "application/json") return ErrorAnswer(415, "content-type: must be application/json");
      const absl::StatusOr<json::object> body = ParseJsonObject(request.body.empty() ? "{}" : request.body);
      if (!body.ok()) return ErrorAnswer(400, FromAbsl(body.status().message()));
      result = (this->*route.post)(*body);
      if (result.ok()) {
        if (const absl::Status saved = emulator_.Save(); !saved.ok()) result = saved;
      }
    } else {
      return ErrorAnswer(405, "this path has another method");
    }
    if (!result.ok()) return ErrorAnswer(StatusOfError(result.status()), FromAbsl(result.status().message()));
    return HttpResponse::Json(200, json::serialize(*result));
  }
  return ErrorAnswer(404, "there is no such path in the admin API");
}

EmulatorAdmin::Result EmulatorAdmin::Health(const HttpRequest&) { return json::object{{"status", "ok"}, {"outage", world_.outage}}; }

EmulatorAdmin::Result EmulatorAdmin::State(const HttpRequest&) {
  json::array users, roles, keys, denials;
  for (const auto& [id, user] : world_.users) {
    users.push_back(json::object{{"account", user.account}, {"name", user.name}, {"access_key_id", user.access_key_id}});
  }
  for (const auto& [arn, role] : world_.roles) {
    json::object one{
        {"arn", arn}, {"external_id", role.external_id}, {"trusted", role.trusted}, {"max_session_seconds", role.max_session_seconds}};
    one["principals"] = json::array(role.principals.begin(), role.principals.end());
    roles.push_back(std::move(one));
  }
  for (const auto& [arn, key] : world_.keys) {
    json::object one = emulator::DescribeKeyMetadata(key);
    if (!key.alias.empty()) one["Alias"] = key.alias;
    keys.push_back(std::move(one));
  }
  for (const emulator::Denial& d : world_.denials) denials.push_back(json::object{{"principal", d.principal}, {"key", d.key}});
  json::object out{{"outage", world_.outage}, {"time", latchkey::FormatTime(emulator_.Now())}};
  out["accounts"] = json::array(world_.accounts.begin(), world_.accounts.end());
  out["users"] = std::move(users);
  out["roles"] = std::move(roles);
  out["keys"] = std::move(keys);
  out["denials"] = std::move(denials);
  out["faults"] = world_.faults.ToJson();
  return out;
}

EmulatorAdmin::Result EmulatorAdmin::Calls(const HttpRequest& request) {
  ASSIGN_OR_RETURN(const int64_t since, QueryNumber(request, "since", 0));
  ASSIGN_OR_RETURN(const int64_t limit, QueryNumber(request, "limit", 1000));
  if (limit < 1 || limit > static_cast<int64_t>(emulator::CallLog::kMost))
    return InvalidArgument("limit: must be 1 to ", emulator::CallLog::kMost);
  return emulator_.calls_.Since(since, static_cast<size_t>(limit));
}

EmulatorAdmin::Result EmulatorAdmin::AddFault(const Body& body) {
  // "standing" belongs to the request only: the plan knows it by where the fault lies.
  JsonReader reader(body);
  const bool standing = reader.OptionalBool("standing", false);
  RETURN_IF_ERROR(reader.status());
  Body rest = body;
  rest.erase("standing");
  ASSIGN_OR_RETURN(emulator::Fault fault, emulator::Fault::FromJson(rest));
  json::object answer = fault.ToJson();
  answer["standing"] = standing;
  RETURN_IF_ERROR(standing ? world_.faults.Stand(std::move(fault)) : world_.faults.Enqueue(std::move(fault)));
  return answer;
}

EmulatorAdmin::Result EmulatorAdmin::ClearFaults(const Body& body) {
  JsonReader reader(body);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  world_.faults.Clear();
  world_.outage = false;
  return json::object{};
}

EmulatorAdmin::Result EmulatorAdmin::SetOutage(const Body& body) {
  JsonReader reader(body);
  const bool on = reader.OptionalBool("on", false);
  if (!body.contains("on")) reader.Fault("on", "is missing");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  world_.outage = on;
  return json::object{{"outage", on}};
}

EmulatorAdmin::Result EmulatorAdmin::AdvanceClock(const Body& body) {
  JsonReader reader(body);
  const int64_t seconds = reader.Int("seconds");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (seconds < 1 || seconds > 10LL * 365 * 86'400) return InvalidArgument("seconds: must be 1 to ten years");
  world_.clock_offset += absl::Seconds(seconds);
  world_.Settle(emulator_.Now(), *emulator_.options_.random);
  return json::object{{"time", latchkey::FormatTime(emulator_.Now())}};
}

}  // namespace latchkey
