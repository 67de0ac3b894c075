// What a request asks of which service, from its method and path alone. All services of this cloud stand on one port:
//
//   POST  /token                                                            OAuth
//   POST  /v1/token                                                         STS
//   POST  /v1/projects/-/serviceAccounts/{email}:generateAccessToken        IAM Credentials
//   …     /v1/projects/P/locations/L/keyRings…                              Cloud KMS
//   GET   /computeMetadata/v1/…, /                                          the metadata server
#pragma once

#include <string>
#include <string_view>

#include "emulator/cloud.h"

namespace latchkey::emulator::gcp {

struct Route {
  // service: "oauth2", "sts", "iamcredentials", "cloudkms", "metadata"; empty when nothing is known there.
  // operation: KMS operations have their RPC's name ("Decrypt"); the others are "token", "exchangeToken", "generateAccessToken",
  // "metadataToken", "metadataEmail", "metadataScopes", "metadataProject", "metadataOther". Empty when the service has no such thing.
  OperationName name;
  // KMS: the resource, for lists and creations the parent; IAM Credentials: project and account, "-/latchkey@…"; metadata: what stands
  // behind /computeMetadata/v1/.
  std::string resource;
};

Route RouteOf(std::string_view method, std::string_view encoded_path);

}  // namespace latchkey::emulator::gcp
