// What an owner does with keys, for tests: Latchkey itself never makes, revokes or destroys one.
#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "base/status.h"
#include "kms/kmip/client.h"

namespace latchkey {

// The Unique Identifier that the answer names.
inline absl::StatusOr<std::string> KmipCallForTesting(KmipClient& client, kmip::Operation operation,
                                                      const std::function<void(TtlvWriter&)>& payload) {
  ASSIGN_OR_RETURN(const SecretBytes request, KmipRequest(operation, 1024, payload));
  const KmipOutcome outcome = client.Call(operation, request, false, CallBudget(absl::Seconds(10)));
  if (!outcome.reply) return outcome.status;
  ASSIGN_OR_RETURN(const TtlvItem* id, outcome.reply->payload.Only(kmip::kUniqueIdentifier, "Unique Identifier"));
  return std::string(id->Text().value_or(""));
}

struct KmipKeyOptions {
  int32_t bits = 256;
  int32_t usage_mask = kmip::kUsageEncrypt | kmip::kUsageDecrypt;
  std::string policy;  // Operation Policy Name; "" = the server's default: only who made the key may use it
};
// A new AES key in the state Pre-Active.
inline absl::StatusOr<std::string> KmipCreateForTesting(KmipClient& client, const KmipKeyOptions& options) {
  return KmipCallForTesting(client, kmip::Operation::kCreate, [&](TtlvWriter& writer) {
    const auto attribute = [&](std::string_view name, const auto& value) {
      writer.Begin(kmip::kAttribute);
      writer.Text(kmip::kAttributeName, name);
      value();
      writer.End();
    };
    writer.Enumeration(kmip::kObjectType, kmip::kSymmetricKey);
    writer.Begin(kmip::kTemplateAttribute);
    attribute("Cryptographic Algorithm", [&] { writer.Enumeration(kmip::kAttributeValue, kmip::kAes); });
    attribute("Cryptographic Length", [&] { writer.Integer(kmip::kAttributeValue, options.bits); });
    attribute("Cryptographic Usage Mask", [&] { writer.Integer(kmip::kAttributeValue, options.usage_mask); });
    if (!options.policy.empty()) attribute("Operation Policy Name", [&] { writer.Text(kmip::kAttributeValue, options.policy); });
    writer.End();
  });
}

inline absl::Status KmipActivateForTesting(KmipClient& client, const std::string& id) {
  return KmipCallForTesting(client, kmip::Operation::kActivate, [&](TtlvWriter& writer) { writer.Text(kmip::kUniqueIdentifier, id); })
      .status();
}

inline constexpr uint32_t kKmipUnspecified = 1, kKmipKeyCompromise = 2;  // Revocation Reason Code

// Active to Deactivated, or any state to Compromised. There is no way back.
inline absl::Status KmipRevokeForTesting(KmipClient& client, const std::string& id, uint32_t reason = kKmipUnspecified) {
  return KmipCallForTesting(client, kmip::Operation::kRevoke,
                            [&](TtlvWriter& writer) {
                              writer.Text(kmip::kUniqueIdentifier, id);
                              writer.Begin(kmip::kRevocationReason);
                              writer.Enumeration(kmip::kRevocationReasonCode, reason);
                              writer.End();
                            })
      .status();
}

// Not while it is Active.
inline absl::Status KmipDestroyForTesting(KmipClient& client, const std::string& id) {
  return KmipCallForTesting(client, kmip::Operation::kDestroy, [&](TtlvWriter& writer) { writer.Text(kmip::kUniqueIdentifier, id); })
      .status();
}

}  // namespace latchkey
