// What this host remembers of a node: one JSON file a node, replaced durably BEFORE the agent acts on it. It is what stands between a
// confused server, or a disk that is not mounted, and the data.
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "protocol/node.h"

namespace latchkey {

struct NodeRecord {
  std::string node_id;
  // Chosen before the volume is made, so that a repeated creation makes the same volume.
  std::string volume_id;
  bool volume_created = false;      // volume.json was seen with this id: from now on a missing one is VOLUME_MISSING
  bool engine_initialised = false;  // the data folder is complete: from now on an empty one is ENGINE_DATA_MISSING
  bool deleting = false;            // deletion by order has begun: a missing volume.json is no longer VOLUME_MISSING
  bool keys_erased = false;         // volume.json is known to be gone: what is left of the volume can be read by nobody
  bool deleted = false;             // a tombstone: the data was deleted by order; never made again
  int64_t highest_generation = 0;
  bool revoked_mark = false;
  bool owner_key_held = false;  // an owner key was in force once: going back to escrow needs this host's permission
  std::string escrow_uri;       // the operator's key as the server named it while no owner key had been in force
  // URIs of the keys that accepted desired state ever named as an owner's: never again a reason for a volume without a lease.
  std::vector<std::string> owner_uris;
  int64_t volume_revision = 0;  // highest that was seen: an older volume.json put back is noticed
  int port = 0;
  std::string seal_reason;             // why it was sealed last
  std::optional<WrappedKek> minted;    // until desired state names a KEK of that generation
  std::optional<DesiredNode> desired;  // the last one that was accepted: what holds while the server is away

  // Also for every key once more owner keys were named than are remembered.
  bool NamedAsOwnerKey(const std::string& uri) const;
  // Remembers the root key of `desired` when it is an owner's.
  void RememberOwnerKey();

  boost::json::object ToJson() const;
  static absl::StatusOr<NodeRecord> FromJson(const boost::json::object& object);
};

// NotFound when there is none; DataLoss when it is malformed: then the node is left alone, never taken for a new one.
absl::StatusOr<NodeRecord> LoadNodeRecord(const std::string& path);
absl::Status StoreNodeRecord(const std::string& path, const NodeRecord& record);

// Whether desired state from the server may replace what the record holds. FailedPrecondition "GENERATION_BEHIND: …" when it would go back:
// a lower generation, or one that lost the revoked mark without a higher generation. On success the record is the one to store before
// anything is done.
absl::Status Accept(const DesiredNode& desired, NodeRecord& record);

// 8-4-4-4-12 lower-case hex: node ids become names of folders, so nothing else is taken.
bool IsUuid(std::string_view text);

}  // namespace latchkey
