// Cloud KMS v1, the operations (googleapis google/cloud/kms/v1/service.proto, google/iam/v1/iam_policy.proto). What stands before each: the
// caller is known; the name is well formed. Errors are worded as on the wire.
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "emulator/cloud.h"
#include "emulator/gcp/access.h"
#include "emulator/gcp/world.h"

namespace latchkey::emulator::gcp {

struct KmsCall {
  World& world;
  CloudCall& call;
  Caller caller;
  ResourceName name;  // of the resource; of the parent for lists and creations
  boost::json::object body;

  std::string Query(std::string_view parameter) const { return call.request.Query(parameter); }
};
using KmsResult = absl::StatusOr<boost::json::object>;
using KmsOperation = KmsResult (*)(KmsCall& call);

// nullptr when there is none of that name.
KmsOperation FindKmsOperation(std::string_view operation);

KmsResult CreateKeyRing(KmsCall& call);
KmsResult GetKeyRing(KmsCall& call);
KmsResult ListKeyRings(KmsCall& call);
KmsResult CreateCryptoKey(KmsCall& call);
KmsResult GetCryptoKey(KmsCall& call);
KmsResult ListCryptoKeys(KmsCall& call);
KmsResult UpdateCryptoKey(KmsCall& call);
KmsResult UpdateCryptoKeyPrimaryVersion(KmsCall& call);
KmsResult CreateCryptoKeyVersion(KmsCall& call);
KmsResult GetCryptoKeyVersion(KmsCall& call);
KmsResult ListCryptoKeyVersions(KmsCall& call);
KmsResult UpdateCryptoKeyVersion(KmsCall& call);
KmsResult DestroyCryptoKeyVersion(KmsCall& call);
KmsResult RestoreCryptoKeyVersion(KmsCall& call);
KmsResult Encrypt(KmsCall& call);
KmsResult Decrypt(KmsCall& call);
KmsResult GetIamPolicy(KmsCall& call);
KmsResult SetIamPolicy(KmsCall& call);
KmsResult TestIamPermissions(KmsCall& call);

// The resources as the wire shows them.
boost::json::object CryptoKeyJson(const CryptoKey& key);
boost::json::object VersionJson(const CryptoKey& key, const KeyVersion& version);
boost::json::array BindingsJson(const Bindings& bindings);

// PermissionDenied unless the caller may do `permission` on the name.
absl::Status Demand(const KmsCall& call, std::string_view permission);
// Demand, and the key of the name; NotFound when it is not there and the caller would be allowed to see it.
absl::StatusOr<CryptoKey*> DemandKey(KmsCall& call, std::string_view permission);
struct KeyAndVersion {
  CryptoKey* key;
  KeyVersion* version;
};
absl::StatusOr<KeyAndVersion> DemandVersion(KmsCall& call, std::string_view permission);

}  // namespace latchkey::emulator::gcp
