#include <array>

#include "base/status.h"
#include "protocol/fields.h"
#include "protocol/node.h"

namespace latchkey {
namespace {

// In the order of the enumerations.
constexpr std::array<std::string_view, 7> kVolumeStates = {"NONE", "VOLUME_MISSING", "OPENING", "OPEN", "SEALING", "SEALED", "DELETED"};
constexpr std::array<std::string_view, 8> kEngineStates = {"NONE",    "INITIALIZING",        "STARTING", "RUNNING", "STOPPING",
                                                           "STOPPED", "ENGINE_DATA_MISSING", "FAILED"};

template <typename E, size_t N>
E ReadState(JsonReader& reader, std::string_view name, const std::array<std::string_view, N>& names) {
  const std::string text = reader.String(name);
  for (size_t i = 0; i < N; ++i) {
    if (names[i] == text) return static_cast<E>(i);
  }
  reader.Fault(name, "is not a known state");
  return static_cast<E>(0);
}

}  // namespace

std::string_view VolumeStateName(VolumeState s) { return kVolumeStates.at(static_cast<size_t>(s)); }
std::string_view EngineStateName(EngineState s) { return kEngineStates.at(static_cast<size_t>(s)); }

json::object KeyHealth::ToJson() const {
  json::object object = {{"ok", ok}};
  if (failure) object["failure"] = FailureClassName(*failure);
  object["message"] = message;
  object["since"] = since;
  object["last_success"] = last_success;
  object["confirmed"] = confirmed;
  return object;
}

absl::StatusOr<KeyHealth> KeyHealth::FromJson(const json::object& object, const std::string& path) {
  JsonReader reader(object, path);
  KeyHealth health;
  health.ok = reader.OptionalBool("ok", false);
  if (const std::string name = reader.OptionalString("failure"); !name.empty()) {
    health.failure = FailureClassFromName(name);
    if (!health.failure) reader.Fault("failure", "is not a known class of failure");
  }
  health.message = reader.OptionalString("message");
  health.since = reader.OptionalString("since");
  health.last_success = reader.OptionalString("last_success");
  health.confirmed = reader.OptionalBool("confirmed", false);
  RETURN_IF_ERROR(reader.status());
  return health;
}

json::object ObservedDek::ToJson() const {
  return {{"id", id}, {"generation", generation}, {"kek_id", kek_id}, {"current", current}, {"bytes", bytes}};
}

absl::StatusOr<ObservedDek> ObservedDek::FromJson(const json::object& object, const std::string& path) {
  JsonReader reader(object, path);
  ObservedDek dek;
  dek.id = reader.String("id");
  dek.generation = reader.Int("generation");
  dek.kek_id = reader.String("kek_id");
  dek.current = reader.OptionalBool("current", false);
  dek.bytes = reader.OptionalInt("bytes", -1);
  RETURN_IF_ERROR(reader.status());
  return dek;
}

json::object ObservedNode::ToJson() const {
  json::object object = {
      {"node_id", node_id},
      {"volume_id", volume_id},
      {"applied_generation", applied_generation},
      {"highest_generation", highest_generation},
      {"revoked_mark", revoked_mark},
      {"volume", VolumeStateName(volume)},
      {"volume_revision", volume_revision},
      {"deks", ToArray(deks)},
      {"lease_end", lease_end},
      {"seal_reason", seal_reason},
      {"engine", EngineStateName(engine)},
      {"engine_message", engine_message},
      {"host", host},
      {"port", port},
      {"key", key.ToJson()},
      {"key_facts", key_facts.ToJson()},
      {"problem", problem},
      {"stray", stray},
  };
  if (minted) object["minted"] = minted->ToJson();
  return object;
}

absl::StatusOr<ObservedNode> ObservedNode::FromJson(const json::object& object, const std::string& path) {
  JsonReader reader(object, path);
  ObservedNode node;
  node.node_id = reader.String("node_id");
  node.volume_id = reader.OptionalString("volume_id");
  node.applied_generation = reader.Int("applied_generation");
  node.highest_generation = reader.Int("highest_generation");
  node.revoked_mark = reader.OptionalBool("revoked_mark", false);
  node.volume = ReadState<VolumeState>(reader, "volume", kVolumeStates);
  node.volume_revision = reader.OptionalInt("volume_revision", 0);
  node.lease_end = reader.OptionalString("lease_end");
  node.seal_reason = reader.OptionalString("seal_reason");
  node.engine = ReadState<EngineState>(reader, "engine", kEngineStates);
  node.engine_message = reader.OptionalString("engine_message");
  node.host = reader.OptionalString("host");
  node.port = reader.OptionalInt("port", 0);
  node.problem = reader.OptionalString("problem");
  node.stray = reader.OptionalBool("stray", false);
  if (node.port < 0 || node.port > 65535) reader.Fault("port", "must be 0 to 65535");
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(node.deks, ReadRecords<ObservedDek>(reader, "deks"));
  ASSIGN_OR_RETURN(node.key, ReadRecord<KeyHealth>(reader, "key"));
  if (const json::object* facts = reader.OptionalObject("key_facts")) {
    ASSIGN_OR_RETURN(node.key_facts, RootKeyFacts::FromJson(*facts, reader.PathOf("key_facts")));
  }
  if (const json::object* minted = reader.OptionalObject("minted")) {
    ASSIGN_OR_RETURN(node.minted, WrappedKek::FromJson(*minted, reader.PathOf("minted")));
  }
  RETURN_IF_ERROR(reader.status());
  return node;
}

}  // namespace latchkey
