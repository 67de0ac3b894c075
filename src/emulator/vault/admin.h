// Vault's part of the admin API: what an owner's administrator does there. docs/kms-emulator.md lists the paths.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <string_view>

#include "base/json.h"
#include "base/random.h"
#include "emulator/vault/state.h"

namespace latchkey::emulator::vault {

// Lives for one call.
class VaultAdmin {
 public:
  using Result = absl::StatusOr<boost::json::object>;
  using Body = boost::json::object;
  VaultAdmin(State& state, absl::Time now, Random& random) : state_(state), now_(now), random_(random) {}

  // `path` is the part after /_admin/vault/. Errors: NotFound, InvalidArgument that names the field, AlreadyExists, ResourceExhausted.
  Result Change(std::string_view path, const Body& body);
  // As Cloud::Seed; `wanted` may have "connection" (the name in URIs, default "vault") and "base_url".
  Result Seed(const Body& wanted);

 private:
  struct Route;
  static const Route kRoutes[];

  Result AddNamespace(const Body& body);
  Result AddMount(const Body& body);
  Result SetPolicy(const Body& body);
  Result RemovePolicy(const Body& body);
  Result DenyPath(const Body& body);
  Result UndenyPath(const Body& body);
  Result SetAppRole(const Body& body);
  Result RemoveAppRole(const Body& body);
  Result SetKubernetesRole(const Body& body);
  Result RegisterServiceAccount(const Body& body);
  Result AddToken(const Body& body);
  Result RevokeTokens(const Body& body);
  Result AddKey(const Body& body);
  Result RotateKey(const Body& body);
  Result ConfigureKey(const Body& body);
  Result SoftDeleteKey(const Body& body);
  Result RestoreKey(const Body& body);
  Result DeleteKey(const Body& body);
  Result SetSealed(const Body& body);

  // "namespace", which must be there.
  Namespace ReadNamespace(JsonReader& reader);
  // "namespace", "mount" (default "transit") and "name".
  KeyName ReadKeyName(JsonReader& reader);
  absl::StatusOr<TransitKey*> FindKey(const KeyName& name);
  Result SwitchSoftDeleted(const Body& body, bool deleted);
  Result SwitchDenied(const Body& body, bool denied);

  State& state_;
  absl::Time now_;
  Random& random_;
};

// For GET /_admin/state.
boost::json::object VisibleState(const State& state);

}  // namespace latchkey::emulator::vault
