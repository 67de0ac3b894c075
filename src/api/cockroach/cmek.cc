#include "api/cockroach/cmek.h"

#include <set>

#include "base/json.h"
#include "base/status.h"
#include "protocol/fields.h"
#include "protocol/key_type.h"

namespace latchkey::cockroach {
namespace {

constexpr size_t kMostRegions = 100;
constexpr size_t kLongestRegion = 64;
constexpr size_t kLongestUri = 2048;
// What the dialect knows beside our own types.
constexpr std::string_view kNullKms = "NULL_KMS";

// A value that can never do, however often it is sent again; the official clients repeat what is answered 400 for minutes.
absl::Status Permanent(absl::Status status) { return status.ok() ? status : WithKeyFault(std::move(status), KeyFault::kPermanent); }

absl::StatusOr<RootKey> ParseKeySpec(const json::object& object, const std::string& path) {
  JsonReader reader(object, path);
  RootKey key;
  key.type = reader.String("type");
  key.uri = reader.String("uri");
  key.auth_principal = reader.OptionalString("auth_principal");
  RETURN_IF_ERROR(reader.status());
  if (!IsKeyType(key.type) && key.type != kNullKms) reader.Fault("type", "is not a type of key; known are " + KeyTypeList());
  CheckText(reader, "uri", key.uri, kLongestUri);
  CheckText(reader, "auth_principal", key.auth_principal, kLongestUri);
  RETURN_IF_ERROR(Permanent(reader.status()));
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  return key;
}

absl::StatusOr<RegionKeySpec> ParseRegionSpec(const json::object& object, const std::string& path) {
  JsonReader reader(object, path);
  RegionKeySpec spec;
  spec.region = reader.String("region");
  RETURN_IF_ERROR(reader.status());
  CheckText(reader, "region", spec.region, kLongestRegion);
  RETURN_IF_ERROR(Permanent(reader.status()));
  const json::object* key = reader.Object("key_spec");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(spec.key, ParseKeySpec(*key, reader.PathOf("key_spec")));
  return spec;
}

json::value OrNull(const std::string& text) { return text.empty() ? json::value(nullptr) : json::value(text); }
json::value CountOrNull(int64_t n) { return n < 0 ? json::value(nullptr) : json::value(n); }

json::string ClassWord(bool ok, const std::optional<FailureClass>& failure) {
  const std::string_view word = ok ? "OK" : failure ? FailureClassName(*failure) : "UNKNOWN";
  return json::string(word.data(), word.size());
}

json::object HealthJson(const KeyView& key) {
  return {{"class", ClassWord(key.health.ok, key.health.failure)},
          {"since", OrNull(key.health.since)},
          {"last_success", OrNull(key.health.last_success)},
          {"message", key.health.message},
          {"next_step", key.next_step}};
}

// Absent where nothing was read: a member that is there says something.
void AddFacts(const KeyView& key, json::object& object) {
  if (!key.facts.read_at.empty()) {
    json::object facts = key.facts.ToJson();
    facts["newer_version"] = key.facts.newer_version();
    object["facts"] = std::move(facts);
  }
  json::array warnings;
  for (const KeyWarning& warning : key.warnings) {
    warnings.push_back(json::object{{"code", warning.code},
                                    {"days", warning.stage < 0 ? json::value(nullptr) : json::value(warning.stage)},
                                    {"message", warning.message}});
  }
  object["warnings"] = std::move(warnings);
}

json::object KeyJson(const KeyView& key) {
  json::object object = {
      {"status", key.status},
      {"user_message", key.user_message},
      {"spec", json::object{{"type", key.spec.type}, {"uri", key.spec.uri}, {"auth_principal", key.spec.auth_principal}}},
      {"created_at", OrNull(key.created_at)},
      {"updated_at", OrNull(key.updated_at)},
      {"health", HealthJson(key)}};
  AddFacts(key, object);
  return object;
}

}  // namespace

absl::StatusOr<std::vector<RegionKeySpec>> ParseRegionSpecs(std::string_view body) {
  ASSIGN_OR_RETURN(const json::object object, ParseJsonObject(body));
  JsonReader reader(object);
  const json::array* list = reader.Array("region_specs");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (list->empty()) return InvalidArgument("region_specs: names no region");
  if (list->size() > kMostRegions) return InvalidArgument("region_specs: has more than ", kMostRegions, " elements");
  std::vector<RegionKeySpec> specs;
  std::set<std::string> regions;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string path = absl::StrCat("region_specs[", i, "]");
    const json::object* element = (*list)[i].if_object();
    if (element == nullptr) return InvalidArgument(path, ": must be an object");
    ASSIGN_OR_RETURN(RegionKeySpec spec, ParseRegionSpec(*element, path));
    if (!regions.insert(spec.region).second) {
      return Permanent(InvalidArgument(path, ".region: \"", spec.region, "\" is named twice"));
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

absl::StatusOr<RegionKeySpec> ParseKeyTest(std::string_view body) {
  ASSIGN_OR_RETURN(const json::object object, ParseJsonObject(body));
  return ParseRegionSpec(object, "");
}

absl::StatusOr<CmekAction> ParseCmekAction(std::string_view body) {
  ASSIGN_OR_RETURN(const json::object object, ParseJsonObject(body));
  JsonReader reader(object);
  const std::string action = reader.String("action");
  if (action != "REVOKE" && action != "RESTORE") reader.Fault("action", "must be REVOKE or RESTORE");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  return action == "REVOKE" ? CmekAction::kRevoke : CmekAction::kRestore;
}

json::object CmekJson(const CmekView& view) {
  json::array regions;
  regions.reserve(view.regions.size());
  for (const CmekRegionView& region : view.regions) {
    json::array keys;
    keys.reserve(region.keys.size());
    for (const KeyView& key : region.keys) keys.push_back(KeyJson(key));
    json::array waiting;
    for (const std::string& host : region.waiting_for) waiting.emplace_back(host);
    regions.push_back(json::object{{"region", region.region},
                                   {"status", region.status},
                                   {"key_infos", std::move(keys)},
                                   {"bytes_under_former_keys", CountOrNull(region.bytes_under_former_keys)},
                                   {"bytes_total", CountOrNull(region.bytes_total)},
                                   {"waiting_for", std::move(waiting)}});
  }
  return {{"status", view.status}, {"region_infos", std::move(regions)}};
}

json::object KeyTestJson(const KeyTestView& view) {
  json::array steps;
  steps.reserve(view.steps.size());
  for (const KeyVerdictStep& step : view.steps) {
    steps.push_back(json::object{
        {"step", step.name}, {"ok", step.ok}, {"milliseconds", static_cast<double>(step.microseconds) / 1000}, {"found", step.found}});
  }
  return {{"ok", view.ok},           {"host", view.host},          {"steps", std::move(steps)}, {"class", ClassWord(view.ok, view.failure)},
          {"message", view.message}, {"next_step", view.next_step}};
}

}  // namespace latchkey::cockroach
