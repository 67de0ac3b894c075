#include "api/cockroach/own.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/status.h"
#include "protocol/fields.h"

namespace latchkey::cockroach {

json::object AgentJson(const AgentView& agent) {
  json::array warnings;
  for (const std::string& warning : agent.warnings) warnings.emplace_back(warning);
  json::array strays(agent.strays.begin(), agent.strays.end());
  return {{"id", agent.id},
          {"hostname", agent.hostname},
          {"region", agent.region},
          {"advertise_host", agent.advertise_host},
          {"version", agent.version},
          {"joined_at", latchkey::FormatTime(agent.joined_at)},
          {"last_heard", agent.last_heard ? json::value(latchkey::FormatTime(*agent.last_heard)) : json::value(nullptr)},
          {"node_count", agent.node_count},
          {"warnings", std::move(warnings)},
          {"strays", std::move(strays)}};
}

json::object ApiKeyJson(const ApiKeyView& key) {
  return {{"id", key.id}, {"name", key.name}, {"created_at", latchkey::FormatTime(key.created_at)}};
}

json::object NewApiKeyJson(const NewApiKey& key, const std::string& name) {
  const std::string_view secret = key.secret.RevealText(SecretAccess{});
  return {{"api_key", json::object{{"id", key.id}, {"name", name}}}, {"secret", json::string_view(secret.data(), secret.size())}};
}

json::object JoinTokenJson(const JoinToken& token) { return {{"id", token.id}, {"token", token.ToString()}, {"valid_seconds", 3600}}; }

absl::StatusOr<std::string> ParseApiKeyName(std::string_view body) {
  ASSIGN_OR_RETURN(const json::object object, ParseJsonObject(body));
  JsonReader reader(object);
  std::string name = reader.String("name");
  CheckText(reader, "name", name, 100);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  return name;
}

absl::Status ParseEmptyBody(std::string_view body) {
  if (body.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const json::object object, ParseJsonObject(body));
  JsonReader reader(object);
  reader.RefuseUnknown();
  return reader.status();
}

}  // namespace latchkey::cockroach
