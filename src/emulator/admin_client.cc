#include "emulator/admin_client.h"

#include "base/json.h"
#include "base/status.h"

namespace latchkey {
namespace {

json::array Strings(const std::vector<std::string>& list) { return json::array(list.begin(), list.end()); }

absl::StatusCode CodeOf(int http_status) {
  switch (http_status) {
    case 400:
    case 415:
      return absl::StatusCode::kInvalidArgument;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
    case 405:
      return absl::StatusCode::kNotFound;
    case 409:
      return absl::StatusCode::kFailedPrecondition;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

EmulatorAdminClient::EmulatorAdminClient(std::string url, std::string ca_pem)
    : url_(std::move(url)), http_(HttpClientOptions{.ca_pem = std::move(ca_pem)}) {
  while (!url_.empty() && url_.back() == '/') url_.pop_back();
}

EmulatorAdminClient::Result EmulatorAdminClient::Read(const absl::StatusOr<HttpResponse>& answer) const {
  if (!answer.ok()) return Prefixed(answer.status(), absl::StrCat("KMS emulator at ", url_));
  const absl::StatusOr<json::object> body = ParseJsonObject(answer->body);
  if (answer->status == 200) return body.ok() ? body : Prefixed(body.status(), "KMS emulator");
  std::string message = absl::StrCat("KMS emulator answered ", answer->status);
  if (body.ok()) {
    JsonReader reader(*body);
    if (const json::object* error = reader.OptionalObject("error")) message = JsonReader(*error).OptionalString("message", message);
  }
  return absl::Status(CodeOf(answer->status), message);
}

EmulatorAdminClient::Result EmulatorAdminClient::Get(const std::string& path) const {
  return Read(http_.Send(url_ + path, {.method = "GET"}));
}

EmulatorAdminClient::Result EmulatorAdminClient::Post(const std::string& path, const json::object& body) const {
  HttpRequest request{.method = "POST", .headers = {{"content-type", "application/json"}}, .body = json::serialize(body)};
  return Read(http_.Send(url_ + path, request));
}

EmulatorAdminClient::Result EmulatorAdminClient::Health() const { return Get("/_admin/health"); }
EmulatorAdminClient::Result EmulatorAdminClient::State() const { return Get("/_admin/state"); }
EmulatorAdminClient::Result EmulatorAdminClient::Calls(int64_t since, int64_t limit) const {
  return Get(absl::StrCat("/_admin/calls?since=", since, "&limit=", limit));
}

EmulatorAdminClient::Result EmulatorAdminClient::Seed(const std::string& external_id, const std::vector<std::string>& regions) const {
  json::object body{{"external_id", external_id}};
  body["regions"] = Strings(regions);
  return Post("/_admin/seed", body);
}

EmulatorAdminClient::Result EmulatorAdminClient::CreateAccount(const std::string& id) const {
  return Post("/_admin/accounts", {{"id", id}});
}

EmulatorAdminClient::Result EmulatorAdminClient::CreateUser(const std::string& account, const std::string& name) const {
  return Post("/_admin/users", {{"account", account}, {"name", name}});
}

EmulatorAdminClient::Result EmulatorAdminClient::CreateRole(const std::string& account, const std::string& name,
                                                            const std::vector<std::string>& principals,
                                                            const std::string& external_id) const {
  json::object body{{"account", account}, {"name", name}, {"external_id", external_id}};
  body["principals"] = Strings(principals);
  return Post("/_admin/roles", body);
}

EmulatorAdminClient::Result EmulatorAdminClient::CreateKey(const std::string& account, const std::string& region,
                                                           const std::string& alias) const {
  return Post("/_admin/keys", {{"account", account}, {"region", region}, {"alias", alias}});
}

EmulatorAdminClient::Result EmulatorAdminClient::EnableKey(const std::string& key) const {
  return Post("/_admin/keys/enable", {{"key", key}});
}
EmulatorAdminClient::Result EmulatorAdminClient::DisableKey(const std::string& key) const {
  return Post("/_admin/keys/disable", {{"key", key}});
}

EmulatorAdminClient::Result EmulatorAdminClient::ScheduleDeletion(const std::string& key, int64_t days) const {
  return Post("/_admin/keys/schedule-deletion", {{"key", key}, {"days", days}});
}

EmulatorAdminClient::Result EmulatorAdminClient::ScheduleDeletionIn(const std::string& key, absl::Duration window) const {
  return Post("/_admin/keys/schedule-deletion", {{"key", key}, {"seconds", absl::ToInt64Seconds(window)}});
}

EmulatorAdminClient::Result EmulatorAdminClient::CancelDeletion(const std::string& key) const {
  return Post("/_admin/keys/cancel-deletion", {{"key", key}});
}

EmulatorAdminClient::Result EmulatorAdminClient::SetKeyState(const std::string& key, const std::string& state) const {
  return Post("/_admin/keys/state", {{"key", key}, {"state", state}});
}

EmulatorAdminClient::Result EmulatorAdminClient::SetKeyPolicy(const std::string& key, const json::object& policy) const {
  json::object body{{"key", key}};
  body["policy"] = policy;
  return Post("/_admin/keys/policy", body);
}

EmulatorAdminClient::Result EmulatorAdminClient::RotateKey(const std::string& key) const {
  return Post("/_admin/keys/rotate", {{"key", key}});
}

EmulatorAdminClient::Result EmulatorAdminClient::Deny(const std::string& principal, const std::string& key) const {
  return Post("/_admin/denials", {{"principal", principal}, {"key", key}});
}

EmulatorAdminClient::Result EmulatorAdminClient::Undeny(const std::string& principal, const std::string& key) const {
  return Post("/_admin/denials/remove", {{"principal", principal}, {"key", key}});
}

EmulatorAdminClient::Result EmulatorAdminClient::Untrust(const std::string& role) const {
  return Post("/_admin/roles/untrust", {{"role", role}});
}
EmulatorAdminClient::Result EmulatorAdminClient::Trust(const std::string& role) const {
  return Post("/_admin/roles/trust", {{"role", role}});
}

EmulatorAdminClient::Result EmulatorAdminClient::FaultOf(json::object fault, int64_t times) const {
  if (times == 0) {
    fault["standing"] = true;
  } else {
    fault["times"] = times;
  }
  return AddFault(fault);
}

EmulatorAdminClient::Result EmulatorAdminClient::Throttle(const std::string& operation, int64_t times) const {
  return FaultOf({{"operation", operation}, {"action", "throttle"}}, times);
}

EmulatorAdminClient::Result EmulatorAdminClient::Delay(const std::string& operation, absl::Duration delay, int64_t times) const {
  return FaultOf({{"operation", operation}, {"action", "delay"}, {"delay_ms", absl::ToInt64Milliseconds(delay)}}, times);
}

EmulatorAdminClient::Result EmulatorAdminClient::Drop(const std::string& operation, int64_t times) const {
  return FaultOf({{"operation", operation}, {"action", "drop"}}, times);
}

EmulatorAdminClient::Result EmulatorAdminClient::AddFault(const json::object& fault) const { return Post("/_admin/faults", fault); }
EmulatorAdminClient::Result EmulatorAdminClient::Outage(bool on, const std::string& cloud) const {
  return Post("/_admin/outage", {{"on", on}, {"cloud", cloud}});
}
EmulatorAdminClient::Result EmulatorAdminClient::ClearFaults(const std::string& cloud) const {
  return Post("/_admin/faults/clear", {{"cloud", cloud}});
}

EmulatorAdminClient::Result EmulatorAdminClient::AdvanceClock(absl::Duration by) const {
  return Post("/_admin/clock/advance", {{"seconds", absl::ToInt64Seconds(by)}});
}

EmulatorAdminClient::Result EmulatorAdminClient::Change(const std::string& cloud, const std::string& path, const json::object& body) const {
  return Post(cloud == "aws" ? "/_admin/" + path : "/_admin/" + cloud + "/" + path, body);
}

EmulatorAdminClient::Result EmulatorAdminClient::SeedCloud(const std::string& cloud, const json::object& wanted) const {
  json::object body = wanted;
  body["cloud"] = cloud;
  return Post("/_admin/seed", body);
}

}  // namespace latchkey
