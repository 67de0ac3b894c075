// Keys as the service's answers show them.
#pragma once

#include <boost/json.hpp>
#include <string>

#include "emulator/azure/world.h"

namespace latchkey::emulator::azure {

std::string KeyAddress(const std::string& base, const VaultKey& key);                                 // …/keys/<name>
std::string VersionAddress(const std::string& base, const VaultKey& key, const KeyVersion& version);  // …/keys/<name>/<version>

// KeyBundle: {"key": {"kid", "kty", "key_ops", "n", "e"}, "attributes", "tags"}; of a deleted key also "recoveryId", "deletedDate",
// "scheduledPurgeDate".
boost::json::object KeyBundle(const Vault& vault, const std::string& base, const VaultKey& key, const KeyVersion& version);
// KeyItem: {"kid", "attributes", "tags"}, and the same additions.
boost::json::object KeyItem(const Vault& vault, const std::string& base, const VaultKey& key, const KeyVersion& version, bool versioned);

}  // namespace latchkey::emulator::azure
