// Tokens of managed identities, from the metadata server of a virtual machine and from the endpoint of App Service.
//
//   GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=…[&client_id=…]   Metadata: true
//   GET /msi/token?api-version=2019-08-01&resource=…[&client_id=…]                        X-IDENTITY-HEADER: <secret>
//
// Wire: learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token,
// …/azure/app-service/overview-managed-identity
#pragma once

#include "emulator/azure/world.h"
#include "emulator/cloud.h"

namespace latchkey::emulator::azure {

// "managed-identity-token"; "" when the request is not for it.
std::string IdentityOperation(const HttpRequest& request);
HttpResponse AnswerIdentity(World& world, CloudCall& call);

}  // namespace latchkey::emulator::azure
