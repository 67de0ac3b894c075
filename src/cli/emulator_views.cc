#include "cli/emulator_views.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/time/time.h>

#include <utility>
#include <vector>

#include "base/clock.h"
#include "cli/api_client.h"
#include "cli/table.h"

namespace latchkey {
namespace {

using Facts = std::vector<std::pair<std::string, std::string>>;

// "a, b" of a list, else the text of the scalar.
std::string Joined(const json::value& value) {
  if (value.is_string()) return std::string(value.get_string());
  if (!value.is_array()) return value.is_null() ? "" : json::serialize(value);
  std::string out;
  for (const json::value& item : value.get_array()) absl::StrAppend(&out, out.empty() ? "" : ", ", Joined(item));
  return out;
}

// The value at "a.b", "" when it is not there; of a list its items' values, joined.
std::string At(const json::value& value, std::string_view path) {
  if (path.empty()) return Joined(value);
  if (const json::array* array = value.if_array()) {
    std::string out;
    for (const json::value& item : *array) {
      const std::string text = At(item, path);
      if (!text.empty()) absl::StrAppend(&out, out.empty() ? "" : ", ", text);
    }
    return out;
  }
  const json::object* object = value.if_object();
  if (object == nullptr) return "";
  const std::string_view name = path.substr(0, path.find('.'));
  const json::value* inner = object->if_contains(json::string_view(name.data(), name.size()));
  if (inner == nullptr) return "";
  return At(*inner, name.size() == path.size() ? "" : path.substr(name.size() + 1));
}

// AWS counts seconds since 1970, with a fraction that is exact to the millisecond.
std::string TimeAt(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(json::string_view(name.data(), name.size()));
  if (value == nullptr || !value->is_number()) return "";
  return latchkey::FormatTime(absl::UnixEpoch() +
                              absl::Trunc(absl::Seconds(value->to_number<double>()) + absl::Microseconds(500), absl::Milliseconds(1)));
}

struct Section {
  std::string title, path;  // of a list
  std::vector<std::pair<std::string, std::string>> columns;
};

const std::vector<Section>& Sections() {
  static const std::vector<Section> kSections = {
      {"AWS users", "users", {{"NAME", "name"}, {"ACCOUNT", "account"}, {"ACCESS KEY", "access_key_id"}}},
      {"AWS roles", "roles", {{"ROLE", "arn"}, {"TRUSTED", "trusted"}, {"EXTERNAL ID", "external_id"}, {"PRINCIPALS", "principals"}}},
      {"AWS keys", "keys", {{"ALIAS", "Alias"}, {"STATE", "KeyState"}, {"ARN", "Arn"}}},
      {"AWS denials", "denials", {{"PRINCIPAL", "principal"}, {"KEY", "key"}}},
      {"Google Cloud keys", "gcp.keys", {{"KEY", "name"}, {"STATE", "primary.state"}}},
      {"Google Cloud service accounts", "gcp.service_accounts", {{"EMAIL", "email"}, {"TOKEN CREATORS", "token_creators"}}},
      {"Azure applications", "azure.applications", {{"NAME", "name"}, {"CLIENT ID", "client_id"}, {"TENANT", "tenant"}}},
      {"Azure vaults",
       "azure.vaults",
       {{"VAULT", "host"}, {"CLOSED", "firewall_closed"}, {"KEYS", "keys.kid"}, {"ENABLED", "keys.attributes.enabled"}}},
      {"Vault keys", "vault.keys", {{"KEY", "key"}, {"VERSION", "latest_version"}, {"DELETED", "soft_deleted"}}},
      {"Vault policies", "vault.policies", {{"POLICY", "name"}, {"DENIED", "denied"}}},
      {"To come", "pending", {{"DUE", "due"}, {"CALL", "path"}}}};
  return kSections;
}

const json::array* ListAt(const json::object& object, std::string_view path) {
  const json::object* at = &object;
  const std::vector<std::string> names = absl::StrSplit(std::string(path), '.');
  for (size_t i = 0; i + 1 < names.size() && at != nullptr; ++i) at = ObjectOf(*at, names[i]);
  return at == nullptr ? nullptr : &ArrayOf(*at, names.back());
}

void Flatten(const json::value& value, const std::string& name, Facts& out) {
  if (const json::object* object = value.if_object()) {
    for (const auto& [key, inner] : *object) Flatten(inner, absl::StrCat(name, name.empty() ? "" : ".", std::string(key)), out);
    return;
  }
  const json::array* array = value.if_array();
  const bool holds_objects = array != nullptr && !array->empty() && !array->front().is_primitive();
  if (!holds_objects) {
    out.emplace_back(name, Joined(value));
    return;
  }
  for (size_t i = 0; i < array->size(); ++i) Flatten((*array)[i], absl::StrCat(name, ".", i + 1), out);
}

std::string Faults(const json::object& state) {
  std::string out;
  const json::object* clouds = ObjectOf(state, "faults");
  if (clouds == nullptr) return out;
  for (const auto& [cloud, plan] : *clouds) {
    if (!plan.is_object()) continue;
    for (const std::string_view kind : {"queue", "standing"}) {
      for (const json::value& v : ArrayOf(plan.get_object(), kind)) {
        if (!v.is_object()) continue;
        json::object fault = v.get_object();
        fault["cloud"] = cloud;
        fault["standing"] = kind == "standing";
        out += DescribeEmulatorFault(fault);
      }
    }
  }
  return out;
}

}  // namespace

std::string DescribeEmulatorKey(const json::object& key) {
  return RenderFacts({{"alias", TextOf(key, "Alias")},
                      {"key", TextOf(key, "Arn")},
                      {"state", TextOf(key, "KeyState")},
                      {"deletion", TimeAt(key, "DeletionDate")},
                      {"material", TextOf(key, "CurrentKeyMaterialId")}});
}

std::string DescribeEmulatorRole(const json::object& role) {
  const bool trusted = TextOf(role, "trusted") == "true";
  return RenderFacts({{"role", TextOf(role, "arn")},
                      {"may be assumed by", trusted ? At(role, "principals") : "nobody: its trust is withdrawn"},
                      {"external id", TextOf(role, "external_id")}});
}

std::string DescribeEmulatorFault(const json::object& fault) {
  const std::string operation = TextOf(fault, "operation"), action = TextOf(fault, "action");
  std::string out = absl::StrCat(TextOf(fault, "cloud"), ": ", operation == "*" ? "every call" : operation, " → ", action);
  if (action == "delay") absl::StrAppend(&out, " of ", TextOf(fault, "delay_ms"), " ms");
  if (action == "error") {
    const std::string type = TextOf(fault, "type");
    absl::StrAppend(&out, " ", TextOf(fault, "status"), type.empty() ? "" : " ", type);
  }
  const std::string times = TextOf(fault, "times");
  const bool standing = TextOf(fault, "standing") == "true";
  absl::StrAppend(&out, standing ? ", until cleared" : absl::StrCat(", ", times, times == "1" ? " time" : " times"));
  return Printable(out) + "\n";
}

std::string DescribeEmulatorDenial(const json::object& denial, const std::string& word) {
  const std::string key = TextOf(denial, "key");
  return Printable(absl::StrCat(TextOf(denial, "principal"), " is ", word, ": ", key.empty() ? "every key" : key)) + "\n";
}

std::string DescribeEmulatorOutage(const json::object& outage) {
  const bool on = TextOf(outage, "outage") == "true";
  return Printable(absl::StrCat(At(outage, "clouds"), on ? ": no answers until `outage off` or `fault clear`" : ": no outage")) + "\n";
}

std::string DescribeEmulatorState(const json::object& state) {
  const std::string outages = At(state, "outages");
  std::string out = RenderFacts({{"time", TextOf(state, "time")}, {"accounts", At(state, "accounts")}, {"outages", outages}});
  if (const std::string faults = Faults(state); !faults.empty()) out += "\nFaults\n" + faults;
  for (const Section& section : Sections()) {
    const json::array* items = ListAt(state, section.path);
    if (items == nullptr || items->empty()) continue;
    std::vector<std::string> header;
    for (const auto& [title, path] : section.columns) header.push_back(title);
    std::vector<std::vector<std::string>> rows;
    for (const json::value& item : *items) {
      std::vector<std::string>& row = rows.emplace_back();
      for (const auto& [title, path] : section.columns) row.push_back(At(item, path));
    }
    absl::StrAppend(&out, "\n", section.title, "\n", RenderTable(header, rows));
  }
  return out;
}

std::string DescribeEmulatorCalls(const json::object& calls) {
  std::vector<std::vector<std::string>> rows;
  for (const json::value& v : ArrayOf(calls, "calls")) {
    if (!v.is_object()) continue;
    const json::object& c = v.get_object();
    rows.push_back({TextOf(c, "number"), TextOf(c, "time"), TextOf(c, "cloud"), TextOf(c, "service"), TextOf(c, "operation"),
                    TextOf(c, "result"), TextOf(c, "principal"), TextOf(c, "key")});
  }
  return RenderTable({"#", "TIME", "CLOUD", "SERVICE", "OPERATION", "RESULT", "PRINCIPAL", "KEY"}, rows);
}

std::string DescribeEmulatorAnswer(const json::object& answer) {
  Facts facts;
  Flatten(answer, "", facts);
  for (auto& [name, value] : facts) name = Printable(name);
  const std::string out = RenderFacts(facts);
  return out.empty() ? "done\n" : out;
}

}  // namespace latchkey
