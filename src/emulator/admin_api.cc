// Routing, and the calls on the emulator as a whole: state, log, faults, outage, clock.
#include "emulator/admin_api.h"

#include <absl/strings/str_join.h>

#include <algorithm>
#include <iterator>
#include <optional>
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
    case absl::StatusCode::kUnimplemented:
      return 501;
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

constexpr int64_t kLongestWait = 366LL * 86'400;
constexpr size_t kLongestPending = 64 << 10;

// "/_admin/<cloud>/<rest>".
struct CloudPath {
  std::string_view cloud, rest;
  static std::optional<CloudPath> Of(std::string_view path) {
    constexpr std::string_view kPrefix = "/_admin/";
    if (path.substr(0, kPrefix.size()) != kPrefix) return std::nullopt;
    path.remove_prefix(kPrefix.size());
    const size_t slash = path.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    return CloudPath{path.substr(0, slash), path.substr(slash + 1)};
  }
};

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
    {"/_admin/instance-role", nullptr, &EmulatorAdmin::SetInstanceRole},
    {"/_admin/container-credentials", nullptr, &EmulatorAdmin::AddContainer},
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
  const auto route =
      std::find_if(std::begin(kRoutes), std::end(kRoutes), [&](const Route& r) { return r.path == std::string_view(request.path); });
  const std::optional<CloudPath> cloud_path = CloudPath::Of(request.path);
  const bool of_cloud = cloud_path && emulator_.FindCloud(cloud_path->cloud) != nullptr;
  Result result;
  if (route == std::end(kRoutes) && !of_cloud) return ErrorAnswer(404, "there is no such path in the admin API");
  if (request.method == "GET" && !of_cloud && route->get != nullptr) {
    result = (this->*route->get)(request);
  } else if (request.method == "POST" && (of_cloud || route->post != nullptr)) {
    // A page in a browser cannot send this type to another origin without being asked first.
    const std::string type = request.Header("content-type");
    if (type.substr(0, type.find(';')) != "application/json") return ErrorAnswer(415, "content-type: must be application/json");
    const absl::StatusOr<json::object> body = ParseJsonObject(request.body.empty() ? "{}" : request.body);
    if (!body.ok()) return ErrorAnswer(400, FromAbsl(body.status().message()));
    if (body->contains("after_seconds")) {
      JsonReader reader(*body);
      const int64_t seconds = reader.Int("after_seconds");
      if (!reader.status().ok()) return ErrorAnswer(400, FromAbsl(reader.status().message()));
      Body rest = *body;
      rest.erase("after_seconds");
      result = Postpone(request.path, rest, seconds);
    } else {
      result = Change(request.path, *body);
    }
    if (result.ok()) {
      if (const absl::Status saved = emulator_.Save(); !saved.ok()) result = saved;
    }
  } else {
    return ErrorAnswer(405, "this path has another method");
  }
  if (!result.ok()) return ErrorAnswer(StatusOfError(result.status()), FromAbsl(result.status().message()));
  return HttpResponse::Json(200, json::serialize(*result));
}

EmulatorAdmin::Result EmulatorAdmin::Change(const std::string& path, const Body& body) {
  for (const Route& route : kRoutes) {
    if (route.path == path && route.post != nullptr) return (this->*route.post)(body);
  }
  if (const std::optional<CloudPath> of = CloudPath::Of(path)) {
    if (emulator::Cloud* cloud = emulator_.FindCloud(of->cloud)) {
      return cloud->Admin(of->rest, body, emulator_.Now(), *emulator_.options_.random);
    }
  }
  return NotFound("there is no such path in the admin API");
}

EmulatorAdmin::Result EmulatorAdmin::Postpone(const std::string& path, const Body& body, int64_t seconds) {
  if (path == "/_admin/seed" || path == "/_admin/clock/advance") return InvalidArgument("after_seconds: this call bites at once");
  if (seconds < 1 || seconds > kLongestWait) return InvalidArgument("after_seconds: must be 1 to ", kLongestWait);
  if (json::serialize(body).size() > kLongestPending)
    return InvalidArgument("after_seconds: the body is longer than ", kLongestPending, " bytes");

  const std::optional<CloudPath> of = CloudPath::Of(path);
  emulator::Cloud* cloud = of ? emulator_.FindCloud(of->cloud) : nullptr;
  const json::object before = cloud != nullptr ? cloud->ToJson() : world_.ToJson();
  const Result tried = Change(path, body);
  if (cloud != nullptr) {
    RETURN_IF_ERROR(cloud->Restore(before));
  } else {
    // Emptied first: the locked memory need not hold all keys twice.
    world_ = emulator::World();
    ASSIGN_OR_RETURN(world_, emulator::World::FromJson(before));
  }
  // A state that does not fit now may fit then.
  const bool may_fit_later = absl::IsFailedPrecondition(tried.status()) || absl::IsAlreadyExists(tried.status());
  if (!tried.ok() && !may_fit_later) return tried;
  const absl::Time due = emulator_.Now() + absl::Seconds(seconds);
  RETURN_IF_ERROR(world_.Postpone({.due = due, .path = path, .body = body}));
  return json::object{{"due", latchkey::FormatTime(due)}};
}

std::vector<std::string> EmulatorAdmin::EveryCloud() const {
  std::vector<std::string> all = emulator_.CloudNames();
  all.insert(all.begin(), std::string(emulator::kAws));
  return all;
}

std::vector<std::string> EmulatorAdmin::CloudsOf(JsonReader& reader, std::vector<std::string> otherwise) {
  const std::string name = reader.OptionalString("cloud");
  if (name.empty()) return otherwise;
  const std::vector<std::string> all = EveryCloud();
  if (std::find(all.begin(), all.end(), name) == all.end())
    reader.Fault("cloud", absl::StrCat("must be one of ", absl::StrJoin(all, ", ")));
  return {name};
}

EmulatorAdmin::Result EmulatorAdmin::Health(const HttpRequest&) {
  return json::object{{"status", "ok"}, {"outage", world_.outages.contains(emulator::kAws)}};
}

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
  json::object out{{"outage", world_.outages.contains(emulator::kAws)}, {"time", latchkey::FormatTime(emulator_.Now())}};
  out["outages"] = json::array(world_.outages.begin(), world_.outages.end());
  out["accounts"] = json::array(world_.accounts.begin(), world_.accounts.end());
  out["users"] = std::move(users);
  out["roles"] = std::move(roles);
  out["keys"] = std::move(keys);
  out["denials"] = std::move(denials);
  out["instance_role"] = world_.instance_role;
  json::object faults;
  for (const auto& [cloud, plan] : world_.faults) faults[cloud] = plan.ToJson();
  out["faults"] = std::move(faults);
  json::array pending;
  // Bodies may hold secrets.
  for (const emulator::PendingChange& p : world_.pending) {
    pending.push_back(json::object{{"due", latchkey::FormatTime(p.due)}, {"path", p.path}});
  }
  out["pending"] = std::move(pending);
  for (const auto& cloud : emulator_.clouds_) out[cloud->name()] = cloud->State();
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
  // These two belong to the request only: the plan knows them by where the fault lies.
  JsonReader reader(body);
  const bool standing = reader.OptionalBool("standing", false);
  const std::string cloud = CloudsOf(reader, {std::string(emulator::kAws)}).front();
  RETURN_IF_ERROR(reader.status());
  Body rest = body;
  rest.erase("standing");
  rest.erase("cloud");
  ASSIGN_OR_RETURN(emulator::Fault fault, emulator::Fault::FromJson(rest));
  json::object answer = fault.ToJson();
  answer["standing"] = standing;
  answer["cloud"] = cloud;
  emulator::FaultPlan& plan = world_.faults[cloud];
  RETURN_IF_ERROR(standing ? plan.Stand(std::move(fault)) : plan.Enqueue(std::move(fault)));
  return answer;
}

EmulatorAdmin::Result EmulatorAdmin::ClearFaults(const Body& body) {
  JsonReader reader(body);
  const std::vector<std::string> clouds = CloudsOf(reader, EveryCloud());
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  for (const std::string& cloud : clouds) {
    world_.faults.erase(cloud);
    world_.outages.erase(cloud);
  }
  return json::object{};
}

EmulatorAdmin::Result EmulatorAdmin::SetOutage(const Body& body) {
  JsonReader reader(body);
  const bool on = reader.OptionalBool("on", false);
  if (!body.contains("on")) reader.Fault("on", "is missing");
  const std::vector<std::string> clouds = CloudsOf(reader, EveryCloud());
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  for (const std::string& cloud : clouds) {
    if (on) {
      world_.outages.insert(cloud);
    } else {
      world_.outages.erase(cloud);
    }
  }
  json::object answer{{"outage", on}};
  answer["clouds"] = json::array(clouds.begin(), clouds.end());
  return answer;
}

EmulatorAdmin::Result EmulatorAdmin::AdvanceClock(const Body& body) {
  JsonReader reader(body);
  const int64_t seconds = reader.Int("seconds");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (seconds < 1 || seconds > 10LL * 365 * 86'400) return InvalidArgument("seconds: must be 1 to ten years");
  world_.clock_offset += absl::Seconds(seconds);
  emulator_.Settle();
  return json::object{{"time", latchkey::FormatTime(emulator_.Now())}};
}

}  // namespace latchkey
