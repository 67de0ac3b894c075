// What the KMS operations share: reading fields, finding keys, deciding, states. Used by the kms_*.cc files only.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/kms_api.h"

namespace latchkey::emulator {

// Reads members of a request with the service's own complaints. Unknown members are ignored, as there.
class KmsFields {
 public:
  explicit KmsFields(const boost::json::object& object) : object_(object) {}

  Outcome<std::string> String(std::string_view name, size_t most) const;          // required, 1 to `most` bytes
  Outcome<std::string> OptionalString(std::string_view name, size_t most) const;  // "" when absent
  Outcome<std::optional<int64_t>> Int(std::string_view name, int64_t least, int64_t most) const;
  Outcome<bool> Bool(std::string_view name) const;                      // false when absent
  Outcome<SecretBytes> Blob(std::string_view name, size_t most) const;  // required, base64 of 1 to `most` bytes
  Outcome<EncryptionContext> Context(std::string_view name) const;      // empty when absent
  bool Has(std::string_view name) const;
  const boost::json::object& object() const { return object_; }

 private:
  const boost::json::value* Find(std::string_view name) const;
  const boost::json::object& object_;
};

AwsError Validation(std::string message);
// "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null"
AwsError MissingField(std::string_view name);

// The key that `reference` (id, ARN, alias, alias ARN) means to this caller in this region, once the caller may do `action` with it.
Outcome<Key*> ResolveKey(KmsCallState& call, const std::string& reference, std::string_view action, const EncryptionContext& context = {});
// ResolveKey of the member KeyId.
Outcome<Key*> ResolveKeyId(KmsCallState& call, const KmsFields& fields, std::string_view action, const EncryptionContext& context = {});
Outcome<Done> Authorize(const KmsCallState& call, const Key& key, std::string_view action, const EncryptionContext& context);

// How the service refuses a ciphertext whose key it cannot, or will not, show to the caller.
AwsError NoSuchCiphertextKey(const KmsCallState& call, std::string_view action);

// OK when the key's state allows cryptography.
Outcome<Done> CheckUsable(const Key& key);
// "<arn> is pending deletion." and its like, for states other than Enabled and Disabled.
AwsError InvalidState(const Key& key);
AwsError DryRunSucceeded();
// For members that change the meaning of a call and are not built here (grants, enclaves).
Outcome<Done> RefuseUnsupported(const KmsFields& fields);

// The operations, by file.
using KmsResult = Outcome<boost::json::object>;
KmsResult Encrypt(KmsCallState& call, const boost::json::object& request);
KmsResult Decrypt(KmsCallState& call, const boost::json::object& request);
KmsResult GenerateDataKey(KmsCallState& call, const boost::json::object& request);
KmsResult GenerateDataKeyWithoutPlaintext(KmsCallState& call, const boost::json::object& request);
KmsResult ReEncrypt(KmsCallState& call, const boost::json::object& request);
KmsResult CreateKey(KmsCallState& call, const boost::json::object& request);
KmsResult DescribeKey(KmsCallState& call, const boost::json::object& request);
KmsResult EnableKey(KmsCallState& call, const boost::json::object& request);
KmsResult DisableKey(KmsCallState& call, const boost::json::object& request);
KmsResult ScheduleKeyDeletion(KmsCallState& call, const boost::json::object& request);
KmsResult CancelKeyDeletion(KmsCallState& call, const boost::json::object& request);
KmsResult PutKeyPolicy(KmsCallState& call, const boost::json::object& request);
KmsResult GetKeyPolicy(KmsCallState& call, const boost::json::object& request);
KmsResult ListKeys(KmsCallState& call, const boost::json::object& request);
KmsResult GetKeyRotationStatus(KmsCallState& call, const boost::json::object& request);
KmsResult EnableKeyRotation(KmsCallState& call, const boost::json::object& request);
KmsResult DisableKeyRotation(KmsCallState& call, const boost::json::object& request);
KmsResult RotateKeyOnDemand(KmsCallState& call, const boost::json::object& request);
KmsResult ListKeyRotations(KmsCallState& call, const boost::json::object& request);

double EpochSeconds(absl::Time t);

}  // namespace latchkey::emulator
