#include "base/status.h"
#include "protocol/fields.h"
#include "protocol/node.h"

namespace latchkey {

const WrappedKek* DesiredNode::CurrentKek() const {
  for (const WrappedKek& kek : wrapped_keks) {
    if (kek.context.generation == kek_generation) return &kek;
  }
  return nullptr;
}

const WrappedKek* DesiredNode::FindKek(const std::string& id) const {
  for (const WrappedKek& kek : wrapped_keks) {
    if (kek.id == id) return &kek;
  }
  return nullptr;
}

json::object DesiredNode::ToJson() const {
  return {
      {"node_id", node_id},
      {"node_name", node_name},
      {"organization", organization},
      {"cluster_id", cluster_id},
      {"cluster_name", cluster_name},
      {"region", region},
      {"volume_id", volume_id},
      {"engine", engine},
      {"generation", generation},
      {"paused", paused},
      {"revoked", revoked},
      {"revoked_by", revoked_by},
      {"revoked_at", revoked_at},
      {"deleted", deleted},
      {"root", root.ToJson()},
      {"root_is_escrow", root_is_escrow},
      {"kek_generation", kek_generation},
      {"wrapped_keks", ToArray(wrapped_keks)},
      {"dek_generation", dek_generation},
  };
}

absl::StatusOr<DesiredNode> DesiredNode::FromJson(const json::object& object, const std::string& path) {
  JsonReader reader(object, path);
  DesiredNode node;
  node.node_id = reader.String("node_id");
  node.node_name = reader.OptionalString("node_name");
  node.organization = reader.String("organization");
  node.cluster_id = reader.String("cluster_id");
  node.cluster_name = reader.OptionalString("cluster_name");
  node.region = reader.String("region");
  node.volume_id = reader.OptionalString("volume_id");
  node.engine = reader.String("engine");
  node.generation = reader.Int("generation");
  node.paused = reader.OptionalBool("paused", false);
  node.revoked = reader.OptionalBool("revoked", false);
  node.revoked_by = reader.OptionalString("revoked_by");
  node.revoked_at = reader.OptionalString("revoked_at");
  node.deleted = reader.OptionalBool("deleted", false);
  node.root_is_escrow = reader.OptionalBool("root_is_escrow", false);
  node.kek_generation = reader.Int("kek_generation");
  node.dek_generation = reader.Int("dek_generation");
  if (node.kek_generation < 1) reader.Fault("kek_generation", "must be 1 or more");
  if (node.dek_generation < 1) reader.Fault("dek_generation", "must be 1 or more");
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(node.root, ReadRecord<RootKey>(reader, "root"));
  ASSIGN_OR_RETURN(node.wrapped_keks, ReadRecords<WrappedKek>(reader, "wrapped_keks"));
  for (size_t i = 1; i < node.wrapped_keks.size(); ++i) {
    if (node.wrapped_keks[i].context.generation <= node.wrapped_keks[i - 1].context.generation) {
      return InvalidArgument(reader.PathOf("wrapped_keks"), "[", i, "].generation: must be above the one before it");
    }
  }
  return node;
}

}  // namespace latchkey
