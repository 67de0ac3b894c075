#include "agent/node_record.h"

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"

namespace latchkey {
namespace {

constexpr int kFormat = 1;
constexpr size_t kMostOwnerKeys = 256;

}  // namespace

bool NodeRecord::NamedAsOwnerKey(const std::string& uri) const {
  return owner_uris.size() >= kMostOwnerKeys || std::find(owner_uris.begin(), owner_uris.end(), uri) != owner_uris.end();
}

void NodeRecord::RememberOwnerKey() {
  if (desired && !desired->root_is_escrow && !NamedAsOwnerKey(desired->root.uri)) owner_uris.push_back(desired->root.uri);
}

json::object NodeRecord::ToJson() const {
  json::object object = {
      {"format", kFormat},
      {"node_id", node_id},
      {"volume_id", volume_id},
      {"volume_created", volume_created},
      {"engine_initialised", engine_initialised},
      {"deleting", deleting},
      {"keys_erased", keys_erased},
      {"deleted", deleted},
      {"highest_generation", highest_generation},
      {"revoked_mark", revoked_mark},
      {"owner_key_held", owner_key_held},
      {"escrow_uri", escrow_uri},
      {"volume_revision", volume_revision},
      {"port", port},
      {"seal_reason", seal_reason},
      {"owner_uris", json::array(owner_uris.begin(), owner_uris.end())},
  };
  if (minted) object["minted"] = minted->ToJson();
  if (desired) object["desired"] = desired->ToJson();
  return object;
}

absl::StatusOr<NodeRecord> NodeRecord::FromJson(const json::object& object) {
  JsonReader reader(object);
  NodeRecord record;
  if (const int64_t format = reader.Int("format"); format > kFormat) reader.Fault("format", "was written by a newer agent");
  record.node_id = reader.String("node_id");
  record.volume_id = reader.OptionalString("volume_id");
  record.volume_created = reader.OptionalBool("volume_created", false);
  record.engine_initialised = reader.OptionalBool("engine_initialised", false);
  record.deleting = reader.OptionalBool("deleting", false);
  record.keys_erased = reader.OptionalBool("keys_erased", false);
  record.deleted = reader.OptionalBool("deleted", false);
  record.highest_generation = reader.Int("highest_generation");
  record.revoked_mark = reader.OptionalBool("revoked_mark", false);
  record.owner_key_held = reader.OptionalBool("owner_key_held", false);
  record.escrow_uri = reader.OptionalString("escrow_uri");
  record.volume_revision = reader.OptionalInt("volume_revision", 0);
  record.port = static_cast<int>(reader.OptionalInt("port", 0));
  record.seal_reason = reader.OptionalString("seal_reason");
  if (const json::array* uris = reader.OptionalArray("owner_uris")) {
    for (const json::value& uri : *uris) {
      if (uri.is_string()) {
        record.owner_uris.emplace_back(uri.get_string());
      } else {
        reader.Fault("owner_uris", "must be a list of strings");
      }
    }
  }
  const json::object* minted = reader.OptionalObject("minted");
  const json::object* desired = reader.OptionalObject("desired");
  if (!IsUuid(record.node_id)) reader.Fault("node_id", "is not a UUID");
  RETURN_IF_ERROR(reader.status());
  if (minted != nullptr) {
    ASSIGN_OR_RETURN(record.minted, WrappedKek::FromJson(*minted, "minted"));
  }
  if (desired != nullptr) {
    ASSIGN_OR_RETURN(record.desired, DesiredNode::FromJson(*desired, "desired"));
    record.RememberOwnerKey();  // a record of an earlier version does not list it
  }
  return record;
}

absl::StatusOr<NodeRecord> LoadNodeRecord(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 4 << 20));
  const auto object = ParseJsonObject(text);
  if (!object.ok()) return DataLoss(path, ": ", object.status().message());
  auto record = NodeRecord::FromJson(*object);
  if (!record.ok()) return DataLoss(path, ": ", record.status().message());
  return record;
}

absl::Status StoreNodeRecord(const std::string& path, const NodeRecord& record) {
  return WriteFileAtomically(path, json::serialize(record.ToJson()) + "\n", 0600);
}

absl::Status Accept(const DesiredNode& desired, NodeRecord& record) {
  if (desired.node_id != record.node_id) return InvalidArgument("node_id: is another node's");
  if (desired.generation < record.highest_generation) {
    return FailedPrecondition("GENERATION_BEHIND: the server's generation ", desired.generation, " is lower than ",
                              record.highest_generation, ", which this host has accepted; was the server restored from an old copy?");
  }
  if (desired.generation == record.highest_generation && record.revoked_mark && !desired.revoked) {
    return FailedPrecondition("GENERATION_BEHIND: the server has lost the revocation of generation ", record.highest_generation,
                              ", which this host has accepted; was the server restored from an old copy?");
  }
  record.highest_generation = desired.generation;
  record.revoked_mark = desired.revoked;
  record.desired = desired;
  record.RememberOwnerKey();
  if (!record.deleted && !desired.volume_id.empty() && (record.volume_id.empty() || record.volume_id == desired.volume_id)) {
    // It was made before, whatever this host has forgotten or could not write down: nothing is made a second time.
    record.volume_id = desired.volume_id;
    record.volume_created = true;
    record.engine_initialised = true;
  }
  // One of another root key or generation would keep the wanted one from being minted.
  if (record.minted && (record.minted->context.generation != desired.kek_generation || desired.CurrentKek() != nullptr ||
                        record.minted->root != desired.root)) {
    record.minted.reset();
  }
  return absl::OkStatus();
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

}  // namespace latchkey
