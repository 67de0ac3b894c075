// The data plane of Key Vault and Managed HSM: keys. A call passes, in this order, its vault, its token (401), the api-version (400), the
// vault's firewall (403), its roles (403), and then the operation.
//
//   GET    /keys                                  list                 GET    /deletedkeys                   listdeleted
//   POST   /keys/{name}/create                    create               GET    /deletedkeys/{name}            getdeleted
//   GET    /keys/{name}[/{version}]               get                  POST   /deletedkeys/{name}/recover    recover
//   GET    /keys/{name}/versions                  versions             DELETE /deletedkeys/{name}            purge
//   PATCH  /keys/{name}[/{version}]               update               POST   /keys/{name}[/{version}]/wrapkey
//   DELETE /keys/{name}                           delete                      … /unwrapkey /encrypt /decrypt
//   POST   /keys/{name}/rotate                    rotate               GET    /keys/{name}/rotationpolicy    getrotationpolicy
//                                                                      PUT    …                              setrotationpolicy
//
// Wire: learn.microsoft.com/rest/api/keyvault/keys. Not there: import, backup, restore, release, sign, verify, elliptic curves.
#pragma once

#include <string>
#include <string_view>

#include "emulator/azure/access_token.h"
#include "emulator/azure/world.h"
#include "emulator/cloud.h"

namespace latchkey::emulator::azure {

struct VaultRoute {
  std::string operation;  // as above; "" when there is none
  std::string key, version;
};
VaultRoute RouteOf(const HttpRequest& request);
// Whether the request is for a vault at all, by its Host header or its path.
bool IsForVault(const HttpRequest& request);

HttpResponse AnswerVault(World& world, CloudCall& call);

// One call that got through to its operation.
struct VaultCall {
  World& world;
  Vault& vault;
  CloudCall& call;
  VaultRoute route;
  std::string base;          // of addresses in the answer: "https://<vault>.vault.azure.net", or where the caller reached us
  boost::json::object body;  // empty for GET and DELETE
};

// {"error": {"code", "message", "innererror": {"code"}}}
HttpResponse KeyVaultError(int status, std::string_view code, std::string_view inner, std::string_view message);
// The same, noted in the call's record.
HttpResponse Refuse(CloudCall& call, int status, std::string_view code, std::string_view inner, std::string_view message);
inline HttpResponse BadParameter(CloudCall& call, std::string_view message) { return Refuse(call, 400, "BadParameter", "", message); }
HttpResponse KeyNotFound(CloudCall& call, std::string_view key);

// The operations. Those of vault_crypto.cc use key material; those of vault_keys.cc are on the keys themselves.
HttpResponse UseKey(VaultCall& call);
HttpResponse ManageKey(VaultCall& call);

}  // namespace latchkey::emulator::azure
