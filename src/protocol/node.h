// What the server wants of a node (DesiredNode) and what an agent says of it (ObservedNode). See docs/architecture.md, "Desired and
// observed".
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/failure_class.h"
#include "protocol/key_facts.h"
#include "protocol/root_key.h"

namespace latchkey {

struct DesiredNode {
  std::string node_id;    // UUID
  std::string node_name;  // "<cluster name>-<region>-1"
  std::string organization, cluster_id, cluster_name, region;
  std::string volume_id;   // empty only until the first creation was reported: nothing is created once it is set
  std::string engine;      // "postgresql"
  int64_t generation = 0;  // of the desired state; rises with every change to anything here

  // Independent facts: a node runs when none of the three holds and the KMS agrees.
  bool paused = false;
  bool revoked = false;
  std::string revoked_by, revoked_at;
  bool deleted = false;  // only together with node_id and volume_id does it delete anything

  RootKey root;  // the root key in force for the region
  bool root_is_escrow = false;
  int64_t kek_generation = 1;            // the generation that shall wrap every DEK
  std::vector<WrappedKek> wrapped_keks;  // by rising generation; the last is the one of kek_generation once one was minted and stored
  int64_t dek_generation = 1;            // the generation that new files shall use

  // The stored KEK of kek_generation, if its minting is done.
  const WrappedKek* CurrentKek() const;
  const WrappedKek* FindKek(const std::string& id) const;

  boost::json::object ToJson() const;
  static absl::StatusOr<DesiredNode> FromJson(const boost::json::object& object, const std::string& path);
};

enum class VolumeState {
  kNone,     // never created here
  kMissing,  // VOLUME_MISSING: it was created and its folder is not there; nothing is done about it
  kOpening,
  kOpen,
  kSealing,
  kSealed,  // keys wiped and no process holds plaintext
  kDeleted,
};
enum class EngineState {
  kNone,
  kInitializing,
  kStarting,
  kRunning,
  kStopping,
  kStopped,
  kDataMissing,  // ENGINE_DATA_MISSING: the volume is there and its data folder is empty; nothing is done about it
  kFailed,
};
std::string_view VolumeStateName(VolumeState s);  // "NONE", "VOLUME_MISSING", "OPENING", "OPEN", "SEALING", "SEALED", "DELETED"
std::string_view EngineStateName(
    EngineState s);  // "NONE", "INITIALIZING", "STARTING", "RUNNING", "STOPPING", "STOPPED", "ENGINE_DATA_MISSING", "FAILED"

// The health of a root key as one host sees it.
struct KeyHealth {
  bool ok = false;
  std::optional<FailureClass> failure;  // set when not ok and something was asked
  std::string message;                  // the provider's own words, no secrets
  std::string since;                    // RFC 3339: when this class was first seen in a row
  std::string last_success;             // RFC 3339 of the last successful unwrap; may be empty
  bool confirmed = false;               // a refusal that was repeated often enough to seal
  bool operator==(const KeyHealth&) const = default;
  boost::json::object ToJson() const;
  static absl::StatusOr<KeyHealth> FromJson(const boost::json::object& object, const std::string& path);
};

struct ObservedDek {
  std::string id;
  int64_t generation = 0;
  std::string kek_id;  // the KEK that wraps it in volume.json; one entry a wrapping
  bool current = false;
  int64_t bytes = -1;  // of file content under it (lower sizes); −1 when not counted yet
  bool operator==(const ObservedDek&) const = default;
  boost::json::object ToJson() const;
  static absl::StatusOr<ObservedDek> FromJson(const boost::json::object& object, const std::string& path);
};

struct ObservedNode {
  std::string node_id;
  std::string volume_id;           // empty until created
  int64_t applied_generation = 0;  // desired generation that this host has fully applied
  int64_t highest_generation = 0;  // highest that it ever accepted: a server with a lower one was restored from an old copy
  bool revoked_mark = false;       // the revoked mark that it stored
  VolumeState volume = VolumeState::kNone;
  int64_t volume_revision = 0;
  std::vector<ObservedDek> deks;
  std::string lease_end;    // RFC 3339; empty without a lease
  std::string seal_reason;  // why it sealed last: "REVOKED", "PAUSED", "KMS_REFUSED", "LEASE_ENDED", "DELETED", …; empty when open
  EngineState engine = EngineState::kNone;
  std::string engine_message;
  std::string host;  // endpoint for clients
  int64_t port = 0;
  KeyHealth key;
  RootKeyFacts key_facts;
  std::optional<WrappedKek> minted;  // a KEK that this host minted for kek_generation, until desired state names one
  std::string problem;               // "ROOT_REFUSED: …", "VOLUME_MISSING: …", …: what stops the node, for people; empty when none
  bool stray = false;                // the server did not name this node: left as it is and reported

  boost::json::object ToJson() const;
  static absl::StatusOr<ObservedNode> FromJson(const boost::json::object& object, const std::string& path);
};

}  // namespace latchkey
