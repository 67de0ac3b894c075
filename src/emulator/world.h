// Everything that the emulator remembers: accounts, users, roles, keys with their material, denials, faults. One JSON document carries it
// over a restart, key material and secrets in the clear: this is for development and tests.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/secret_bytes.h"
#include "emulator/faults.h"
#include "emulator/policy.h"

namespace latchkey::emulator {

struct KeyMaterial {
  std::string id;     // 64 hex digits
  SecretBytes bytes;  // 32
  absl::Time created;
  std::string rotation;  // "ON_DEMAND", "AUTOMATIC"; empty for the first
};

struct Key {
  std::string id, account, region, arn;
  std::string alias;  // "alias/…" or empty
  std::string description;
  std::string usage = "ENCRYPT_DECRYPT";
  std::string spec = "SYMMETRIC_DEFAULT";
  std::string origin = "AWS_KMS";
  // The service's word: Enabled, Disabled, PendingDeletion, PendingReplicaDeletion, PendingImport, Unavailable, Creating, Updating.
  std::string state = "Enabled";
  std::string policy_text;
  KeyPolicy policy;
  absl::Time created;
  std::optional<absl::Time> deletion_date;
  int64_t deletion_days = 0;
  bool rotates = false;
  int64_t rotation_days = 365;
  absl::Time next_rotation;
  std::vector<KeyMaterial> materials;  // oldest first, the last is current; empty while PendingImport and for specs without crypto here

  bool symmetric() const { return spec == "SYMMETRIC_DEFAULT"; }
  // Its window runs, or will once its replicas are gone.
  bool pending_deletion() const { return state == "PendingDeletion" || state == "PendingReplicaDeletion"; }
};

struct User {
  std::string account, name, user_id, access_key_id;
  SecretBytes secret_access_key;
};

struct WebIdentity {
  std::string subject, audience;
  bool operator==(const WebIdentity&) const = default;
};

struct Role {
  std::string account, name, role_id, arn;
  std::vector<std::string> principals;  // who may assume it
  std::string external_id;              // empty: none is asked for
  std::vector<WebIdentity> web_identities;
  bool trusted = true;  // false: the trust was taken away, what it was is kept to be given back
  int64_t max_session_seconds = 3600;
};

// An explicit Deny that stands beside the key policies.
struct Denial {
  std::string principal;
  std::string key;  // ARN; empty: every key
  bool operator==(const Denial&) const = default;
};

// A container that finds its credentials at /v2/credentials/<id>.
struct ContainerIdentity {
  std::string role;                  // ARN
  std::string authorization_sha256;  // hex, of the Authorization header that is asked for; empty: none is
};

// AWS's name where clouds are told apart.
inline constexpr std::string_view kAws = "aws";

// A call of the admin API that is to be carried out later.
struct PendingChange {
  absl::Time due;    // by the emulator's clock
  std::string path;  // "/_admin/keys/disable"
  boost::json::object body;
};

// AWS, and what the emulator knows beside the clouds: faults, outages, clock, pending changes. Not thread-safe; movable only.
struct World {
  static constexpr size_t kMostKeys = 1000, kMostIdentities = 1000, kMostMaterials = 4000, kMostPending = 1000;

  std::set<std::string> accounts;
  std::map<std::string, User> users;  // by access key id
  std::map<std::string, Role> roles;  // by ARN
  std::map<std::string, Key> keys;    // by ARN
  std::vector<Denial> denials;
  std::string instance_role;                             // ARN of the role that instance metadata gives out; empty: none
  std::map<std::string, ContainerIdentity> containers;   // by id
  std::map<std::string, WebIdentity> web_tokens;         // by hex SHA-256 of the token
  std::map<std::string, FaultPlan, std::less<>> faults;  // by cloud
  std::set<std::string, std::less<>> outages;            // clouds that answer nothing
  std::vector<PendingChange> pending;                    // in the order in which they fall due
  absl::Duration clock_offset;
  SecretBytes session_key;     // 32 bytes; seals session tokens
  int64_t calls_reserved = 0;  // call numbers below this may have been given out

  // Lets time pass: removes keys whose deletion date is over, rotates those that are due. True when something changed.
  bool Settle(absl::Time now, Random& random);

  // ResourceExhausted when kMostPending wait already.
  absl::Status Postpone(PendingChange change);
  // The first change that is due, taken out.
  std::optional<PendingChange> TakeDue(absl::Time now);

  // How many pieces of key material there are; kMostMaterials is what the locked memory bears.
  size_t Materials() const;

  // The key of an ARN, key id or alias; ids and aliases must be unambiguous over accounts and regions. Errors name the field "key".
  absl::StatusOr<Key*> FindKeyForAdmin(const std::string& reference);

  boost::json::object ToJson() const;
  static absl::StatusOr<World> FromJson(const boost::json::object& object);
};

KeyMaterial NewMaterial(absl::Time now, std::string rotation, Random& random);

struct NewKey {
  std::string account, region, id, alias, description, usage, spec, origin, policy;  // empty: the default; id empty: a new UUID
};
// Adds a key (and its account). Errors: InvalidArgument that names the field, AlreadyExists, ResourceExhausted.
absl::StatusOr<Key*> AddKey(World& world, NewKey wanted, absl::Time now, Random& random);

}  // namespace latchkey::emulator
