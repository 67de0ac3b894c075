// New keys and new versions of keys.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "emulator/azure/world.h"

namespace latchkey::emulator::azure {

struct NewVaultKey {
  std::string name;
  std::string type = "RSA";             // "RSA", "RSA-HSM", "oct-HSM"
  int64_t bits = 0;                     // 0: 2,048 for RSA, 256 for oct-HSM
  std::vector<std::string> operations;  // empty: all that the type is made for
  boost::json::object tags;
  bool enabled = true;
  std::optional<absl::Time> not_before, expires;
};

// What the type is made for.
std::vector<std::string> AllOperations(std::string_view type);

// At most 15 strings of at most 256 bytes.
absl::Status CheckTags(const boost::json::object& tags);

// The name's new key, or a new version of it when there is one of the same type. Errors: InvalidArgument that names the field,
// FailedPrecondition when the name belongs to a deleted key, ResourceExhausted.
absl::StatusOr<VaultKey*> CreateKey(World& world, Vault& vault, NewVaultKey wanted, absl::Time now, Random& random);

// A new version with everything but material and times from the current one. Its expiry follows the rotation policy.
absl::Status AddVersion(VaultKey& key, absl::Time now, Random& random);

// Moves a key among the deleted ones until its retention is over.
void DeleteKey(const Vault& vault, VaultKey& key, absl::Time now);

}  // namespace latchkey::emulator::azure
