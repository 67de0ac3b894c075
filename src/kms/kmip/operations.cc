#include "kms/kmip/operations.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "base/random.h"
#include "base/status.h"
#include "crypto/aead.h"

namespace latchkey {
namespace {

using kmip::Operation;

constexpr size_t kPayloadRoom = 256;  // of Encrypt and Decrypt, beside data, AAD and identifier: 160 bytes
constexpr std::string_view kAttributes[] = {
    "State",       "Object Type", "Cryptographic Algorithm", "Cryptographic Length", "Cryptographic Usage Mask", "Deactivation Date",
    "Destroy Date"};

absl::Status Malformed(Operation operation, const absl::Status& fault) {
  return KmsError(FailureClass::kUnreachable,
                  absl::StrCat("KMIP ", ToAbsl(KmipOperationName(operation)), ": the answer is malformed: ", fault.message()));
}

// Fields that Encrypt and Decrypt begin with. The order of fields is part of the standard.
void WriteTarget(TtlvWriter& writer, const std::string& unique_identifier) {
  writer.Text(kmip::kUniqueIdentifier, unique_identifier);
  writer.Begin(kmip::kCryptographicParameters);
  writer.Enumeration(kmip::kBlockCipherMode, kmip::kGcm);
  writer.Enumeration(kmip::kCryptographicAlgorithm, kmip::kAes);
  writer.Integer(kmip::kTagLength, kGcmTagSize);
  writer.End();
}

// The answer is about the key that was asked for.
absl::Status CheckKey(Operation operation, const TtlvItem& payload, const std::string& unique_identifier) {
  const auto item = payload.Only(kmip::kUniqueIdentifier, "Unique Identifier");
  if (!item.ok()) return Malformed(operation, item.status());
  if ((*item)->Text() != unique_identifier) {
    return KmsError(FailureClass::kCorrupt, absl::StrCat("KMIP ", ToAbsl(KmipOperationName(operation)), ": the answer is of another key"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::span<const uint8_t>> BytesOf(Operation operation, const TtlvItem& payload, uint32_t tag, std::string_view name) {
  const auto item = payload.Only(tag, name);
  if (!item.ok()) return Malformed(operation, item.status());
  const auto bytes = (*item)->Bytes();
  if (!bytes) return Malformed(operation, InvalidArgument(ToAbsl(name), ": is not a byte string"));
  return *bytes;
}

absl::StatusOr<std::vector<uint8_t>> ReadEncrypted(const TtlvItem& payload, const std::string& unique_identifier,
                                                   std::span<const uint8_t> nonce, size_t plaintext_size) {
  RETURN_IF_ERROR(CheckKey(Operation::kEncrypt, payload, unique_identifier));
  if (payload.Find(kmip::kIvCounterNonce) != nullptr) {
    ASSIGN_OR_RETURN(const auto used, BytesOf(Operation::kEncrypt, payload, kmip::kIvCounterNonce, "IV/Counter/Nonce"));
    if (!std::ranges::equal(used, nonce)) return KmsError(FailureClass::kCorrupt, "KMIP Encrypt: the server took another nonce");
  }
  ASSIGN_OR_RETURN(const auto data, BytesOf(Operation::kEncrypt, payload, kmip::kData, "Data"));
  ASSIGN_OR_RETURN(const auto tag, BytesOf(Operation::kEncrypt, payload, kmip::kAuthenticationTag, "Authenticated Encryption Tag"));
  if (data.size() != plaintext_size || tag.size() != kGcmTagSize) {
    return KmsError(FailureClass::kCorrupt, "KMIP Encrypt: the answer is no AES-GCM ciphertext with a 16-byte tag");
  }
  std::vector<uint8_t> wrapped = {kKmipFormat};
  wrapped.insert(wrapped.end(), nonce.begin(), nonce.end());
  wrapped.insert(wrapped.end(), data.begin(), data.end());
  wrapped.insert(wrapped.end(), tag.begin(), tag.end());
  return wrapped;
}

absl::StatusOr<SecretBytes> ReadDecrypted(const TtlvItem& payload, const std::string& unique_identifier, size_t plaintext_size) {
  RETURN_IF_ERROR(CheckKey(Operation::kDecrypt, payload, unique_identifier));
  ASSIGN_OR_RETURN(const auto data, BytesOf(Operation::kDecrypt, payload, kmip::kData, "Data"));
  if (data.size() != plaintext_size) return KmsError(FailureClass::kCorrupt, "KMIP Decrypt: the answer has another length than the key");
  return SecretBytes::CopyOf(data);
}

// Sets what an Attribute says; attributes of the wrong type are malformed, unknown ones skipped.
absl::Status ReadAttribute(const TtlvItem& attribute, KmipAttributes& out) {
  ASSIGN_OR_RETURN(const TtlvItem* name, attribute.Only(kmip::kAttributeName, "Attribute Name"));
  ASSIGN_OR_RETURN(const TtlvItem* value, attribute.Only(kmip::kAttributeValue, "Attribute Value"));
  const std::string_view text = name->Text().value_or("");
  bool good = true;
  if (text == "State") {
    const auto state = value->Enumeration();
    if ((good = state.has_value())) out.state = static_cast<kmip::State>(*state);
  } else if (text == "Object Type") {
    good = (out.object_type = value->Enumeration()).has_value();
  } else if (text == "Cryptographic Algorithm") {
    good = (out.algorithm = value->Enumeration()).has_value();
  } else if (text == "Cryptographic Length") {
    good = (out.length = value->Integer()).has_value();
  } else if (text == "Cryptographic Usage Mask") {
    good = (out.usage_mask = value->Integer()).has_value();
  } else if (text == "Deactivation Date" || text == "Destroy Date") {
    const auto seconds = value->DateTime();
    if ((good = seconds.has_value())) {
      (text == "Destroy Date" ? out.destroy_date : out.deactivation_date) = absl::FromUnixSeconds(*seconds);
    }
  }
  return good ? absl::OkStatus() : InvalidArgument(ToAbsl(text), ": has another type");
}

}  // namespace

std::optional<std::vector<uint8_t>> KmipEncrypt(const KmipTarget& target, const SecretBytes& plaintext, std::string_view aad,
                                                const CallBudget& budget, KmipTrouble& trouble) {
  const std::vector<uint8_t> nonce = Random::System().Bytes(kGcmNonceSize);
  const std::string& id = target.unique_identifier;
  const auto request = KmipRequest(Operation::kEncrypt, kPayloadRoom + id.size() + plaintext.size() + aad.size(), [&](TtlvWriter& writer) {
    WriteTarget(writer, id);
    writer.Bytes(kmip::kData, plaintext.Reveal(SecretAccess{}));
    writer.Bytes(kmip::kIvCounterNonce, nonce);
    writer.Bytes(kmip::kAdditionalData, AsBytes(aad));
  });
  if (!request.ok()) {
    trouble = {.status = KmsError(FailureClass::kUnsuitable, FromAbsl(request.status().message()))};
    return std::nullopt;
  }
  KmipOutcome outcome = target.client.Call(Operation::kEncrypt, *request, target.fresh, budget, &plaintext);
  trouble = {.status = outcome.status, .reason = outcome.reason, .ask_state = outcome.ask_state};
  if (!outcome.reply) return std::nullopt;
  auto wrapped = ReadEncrypted(outcome.reply->payload, id, nonce, plaintext.size());
  if (wrapped.ok()) return *std::move(wrapped);
  trouble = {.status = wrapped.status()};
  return std::nullopt;
}

std::optional<SecretBytes> KmipDecrypt(const KmipTarget& target, std::span<const uint8_t> wrapped, std::string_view aad,
                                       const CallBudget& budget, KmipTrouble& trouble) {
  const std::span<const uint8_t> nonce = wrapped.subspan(1, kGcmNonceSize);
  const std::span<const uint8_t> data = wrapped.subspan(1 + kGcmNonceSize, wrapped.size() - kKmipOverhead);
  const std::span<const uint8_t> tag = wrapped.last(kGcmTagSize);
  const std::string& id = target.unique_identifier;
  const auto request = KmipRequest(Operation::kDecrypt, kPayloadRoom + id.size() + data.size() + aad.size(), [&](TtlvWriter& writer) {
    WriteTarget(writer, id);
    writer.Bytes(kmip::kData, data);
    writer.Bytes(kmip::kIvCounterNonce, nonce);
    writer.Bytes(kmip::kAdditionalData, AsBytes(aad));
    writer.Bytes(kmip::kAuthenticationTag, tag);
  });
  if (!request.ok()) {
    trouble = {.status = KmsError(FailureClass::kUnsuitable, FromAbsl(request.status().message()))};
    return std::nullopt;
  }
  KmipOutcome outcome = target.client.Call(Operation::kDecrypt, *request, target.fresh, budget);
  trouble = {.status = outcome.status, .reason = outcome.reason, .ask_state = outcome.ask_state};
  if (!outcome.reply) return std::nullopt;
  auto plaintext = ReadDecrypted(outcome.reply->payload, id, data.size());
  if (plaintext.ok()) return *std::move(plaintext);
  trouble = {.status = plaintext.status()};
  return std::nullopt;
}

absl::StatusOr<KmipAttributes> KmipGetAttributes(const KmipTarget& target, const CallBudget& budget) {
  const std::string& id = target.unique_identifier;
  ASSIGN_OR_RETURN(const SecretBytes request, KmipRequest(Operation::kGetAttributes, 2 * kPayloadRoom + id.size(), [&](TtlvWriter& writer) {
                     writer.Text(kmip::kUniqueIdentifier, id);
                     for (const std::string_view name : kAttributes) writer.Text(kmip::kAttributeName, name);
                   }));
  KmipOutcome outcome = target.client.Call(Operation::kGetAttributes, request, target.fresh, budget);
  if (!outcome.reply) return outcome.status;
  const TtlvItem& payload = outcome.reply->payload;
  RETURN_IF_ERROR(CheckKey(Operation::kGetAttributes, payload, id));
  KmipAttributes attributes;
  for (const TtlvItem& item : payload.items()) {
    if (item.tag() != kmip::kAttribute) continue;
    if (const absl::Status status = ReadAttribute(item, attributes); !status.ok()) return Malformed(Operation::kGetAttributes, status);
  }
  return attributes;
}

}  // namespace latchkey
