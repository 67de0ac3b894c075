// What the owners of projects do, as the emulator's admin API has it: POST /_admin/gcp/<path>. Keys are named by resource name, or by the
// id of the key where that means one only; a version by its name, or by "version" beside the key.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "base/random.h"
#include "emulator/gcp/world.h"

namespace latchkey::emulator::gcp {

// What an admin call works on.
struct AdminCall {
  World& world;
  const boost::json::object& body;
  absl::Time now;
  Random& random;
};
using AdminResult = absl::StatusOr<boost::json::object>;

// NotFound for a path that is not known.
AdminResult Administer(AdminCall& call, std::string_view path);

// admin_keys.cc
AdminResult CreateKeyByAdmin(AdminCall& call);
AdminResult EnableByAdmin(AdminCall& call);
AdminResult DisableByAdmin(AdminCall& call);
AdminResult DestroyByAdmin(AdminCall& call);
AdminResult RestoreByAdmin(AdminCall& call);
AdminResult RotateByAdmin(AdminCall& call);
AdminResult GrantOnKey(AdminCall& call);
AdminResult RevokeOnKey(AdminCall& call);
AdminResult Deny(AdminCall& call);
AdminResult Undeny(AdminCall& call);
// Errors name the field "key".
absl::StatusOr<CryptoKey*> FindKeyForAdmin(World& world, const std::string& reference);

// admin_identities.cc
AdminResult CreateServiceAccount(AdminCall& call);
AdminResult DeleteServiceAccount(AdminCall& call);
AdminResult GrantTokenCreator(AdminCall& call);
AdminResult RevokeTokenCreator(AdminCall& call);
AdminResult GrantOnProject(AdminCall& call);
AdminResult RevokeOnProject(AdminCall& call);
AdminResult CreateWorkloadPool(AdminCall& call);
AdminResult DeleteWorkloadPool(AdminCall& call);
AdminResult RegisterSubjectToken(AdminCall& call);
AdminResult SetMachine(AdminCall& call);

// "name@project.iam.gserviceaccount.com" is the service account; whatever else IsMember takes is taken as it is. Empty: neither.
std::string MemberOf(const std::string& text);
// The account, with a key of its own when it is new.
absl::StatusOr<ServiceAccount*> UseServiceAccount(World& world, const std::string& project, const std::string& name, Random& random);
// The file that the account's owner downloads. A secret. `base_url` empty: addresses are Google's.
boost::json::object CredentialsFile(const ServiceAccount& account, const std::string& base_url);

// seed.cc: what Cloud::Seed makes.
AdminResult SeedWorld(AdminCall& call);

}  // namespace latchkey::emulator::gcp
