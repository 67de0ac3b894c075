// The operations that use key material.
#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "emulator/arn.h"
#include "emulator/ciphertext.h"
#include "emulator/kms_common.h"

namespace latchkey::emulator {
namespace {

constexpr size_t kMaxPlaintext = 4096;
constexpr size_t kMaxBlob = 6144;

AwsError InvalidCiphertext() { return {"InvalidCiphertextException", "", 400}; }

AwsError IncorrectKey() {
  return {"IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.", 400};
}

// Symmetric encryption with this key, as far as its type goes; then its state.
Outcome<Done> CheckForCryptography(const Key& key, const KmsFields& fields, std::string_view algorithm_field, std::string_view operation) {
  if (key.usage != "ENCRYPT_DECRYPT") {
    return AwsError{"InvalidKeyUsageException",
                    absl::StrCat(key.arn, " key usage is ", key.usage, " which is not valid for ", ToAbsl(operation), "."), 400};
  }
  AWS_ASSIGN(std::string algorithm, fields.OptionalString(algorithm_field, 64));
  if (algorithm.empty()) algorithm = "SYMMETRIC_DEFAULT";
  if ((algorithm == "SYMMETRIC_DEFAULT") != key.symmetric()) {
    return AwsError{"InvalidKeyUsageException", absl::StrCat("Algorithm ", algorithm, " is incompatible with key spec ", key.spec, "."),
                    400};
  }
  if (!key.symmetric()) return AwsError{"UnsupportedOperationException", "The emulator has no cryptography for asymmetric keys.", 400};
  return CheckUsable(key);
}

Outcome<std::string> Sealed(KmsCallState& call, const Key& key, const EncryptionContext& context, const SecretBytes& plaintext) {
  if (key.materials.empty()) return AwsError{"KMSInternalException", "The key has no material.", 500};
  const std::vector<uint8_t> blob = SealBlob(key.arn, key.materials.back(), context, plaintext, call.random);
  if (blob.empty()) return AwsError{"KMSInternalException", "", 500};
  return Base64Encode(blob);
}

struct Opened {
  Key* key = nullptr;
  std::string material_id;
  SecretBytes plaintext;
};

// Decrypt's work, also the first half of ReEncrypt: `key_field` names the optional member with the key that the caller expects.
Outcome<Opened> Open(KmsCallState& call, const KmsFields& fields, std::string_view key_field, std::string_view context_field,
                     std::string_view algorithm_field, std::string_view action, std::string_view operation) {
  AWS_ASSIGN(const EncryptionContext context, fields.Context(context_field));
  AWS_ASSIGN(const std::string wanted, fields.OptionalString(key_field, 2048));
  AWS_ASSIGN(const SecretBytes blob, fields.Blob("CiphertextBlob", kMaxBlob));
  Opened opened;
  if (!wanted.empty()) {
    AWS_ASSIGN(opened.key, ResolveKey(call, wanted, action, context));
  }
  const std::optional<BlobHead> head = ReadBlobHead(blob.Reveal(SecretAccess{}));
  if (!head) return InvalidCiphertext();
  if (opened.key == nullptr) {
    call.key = Quotable(head->key_arn);
    const auto found = call.world.keys.find(head->key_arn);
    if (found == call.world.keys.end() || found->second.region != call.region) return NoSuchCiphertextKey(call, action);
    opened.key = &found->second;
    if (const Outcome<Done> may = Authorize(call, *opened.key, action, context); !may.ok()) {
      if (opened.key->account != call.caller.account) return NoSuchCiphertextKey(call, action);
      return may.error();
    }
  } else if (opened.key->arn != head->key_arn) {
    return IncorrectKey();
  }
  AWS_TRY(CheckForCryptography(*opened.key, fields, algorithm_field, operation));
  for (const KeyMaterial& material : opened.key->materials) {
    if (material.id != head->material_id) continue;
    std::optional<SecretBytes> plaintext = OpenBlob(blob.Reveal(SecretAccess{}), material, context);
    if (!plaintext) return InvalidCiphertext();
    opened.material_id = material.id;
    opened.plaintext = *std::move(plaintext);
    return opened;
  }
  return InvalidCiphertext();
}

// DryRunModifiers ["IGNORE_CIPHERTEXT"]: permission and state are asked of KeyId, and no ciphertext is needed.
Outcome<bool> IgnoresCiphertext(const KmsFields& fields, bool dry_run) {
  const json::value* modifiers = fields.object().if_contains("DryRunModifiers");
  if (modifiers == nullptr || modifiers->is_null()) return false;
  if (!modifiers->is_array()) return AwsError{"SerializationException", "", 400};
  bool ignores = false;
  for (const json::value& item : modifiers->get_array()) {
    if (!item.is_string() || item.get_string() != "IGNORE_CIPHERTEXT") return Validation("DryRunModifiers must be IGNORE_CIPHERTEXT.");
    ignores = true;
  }
  if (ignores && !dry_run) return Validation("DryRunModifiers can only be used with the DryRun option.");
  return ignores;
}

KmsResult DataKey(KmsCallState& call, const json::object& request, std::string_view operation, bool with_plaintext) {
  const KmsFields fields(request);
  AWS_TRY(RefuseUnsupported(fields));
  AWS_ASSIGN(const EncryptionContext context, fields.Context("EncryptionContext"));
  AWS_ASSIGN(const std::string spec, fields.OptionalString("KeySpec", 64));
  AWS_ASSIGN(const std::optional<int64_t> bytes, fields.Int("NumberOfBytes", 1, 1024));
  AWS_ASSIGN(const bool dry_run, fields.Bool("DryRun"));
  if (spec.empty() == !bytes.has_value()) return Validation("Please specify either number of bytes or key spec.");
  if (!spec.empty() && spec != "AES_256" && spec != "AES_128") {
    return Validation(absl::StrCat("1 validation error detected: Value '", spec,
                                   "' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [AES_256, AES_128]"));
  }
  AWS_ASSIGN(const Key* key, ResolveKeyId(call, fields, "kms:" + std::string(operation), context));
  AWS_TRY(CheckForCryptography(*key, fields, "-", operation));
  if (dry_run) return DryRunSucceeded();
  const SecretBytes plaintext = call.random.Secret(static_cast<size_t>(bytes.value_or(spec == "AES_128" ? 16 : 32)));
  AWS_ASSIGN(const std::string blob, Sealed(call, *key, context, plaintext));
  json::object answer{{"CiphertextBlob", blob}, {"KeyId", key->arn}, {"KeyMaterialId", key->materials.back().id}};
  if (with_plaintext) answer["Plaintext"] = Base64Encode(plaintext.Reveal(SecretAccess{}));
  return answer;
}

}  // namespace

KmsResult Encrypt(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  AWS_TRY(RefuseUnsupported(fields));
  AWS_ASSIGN(const EncryptionContext context, fields.Context("EncryptionContext"));
  AWS_ASSIGN(const bool dry_run, fields.Bool("DryRun"));
  AWS_ASSIGN(const SecretBytes plaintext, fields.Blob("Plaintext", kMaxPlaintext));
  AWS_ASSIGN(const Key* key, ResolveKeyId(call, fields, "kms:Encrypt", context));
  AWS_TRY(CheckForCryptography(*key, fields, "EncryptionAlgorithm", "Encrypt"));
  if (dry_run) return DryRunSucceeded();
  AWS_ASSIGN(const std::string blob, Sealed(call, *key, context, plaintext));
  return json::object{{"CiphertextBlob", blob}, {"EncryptionAlgorithm", "SYMMETRIC_DEFAULT"}, {"KeyId", key->arn}};
}

KmsResult Decrypt(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  AWS_TRY(RefuseUnsupported(fields));
  AWS_ASSIGN(const bool dry_run, fields.Bool("DryRun"));
  AWS_ASSIGN(const bool ignores_ciphertext, IgnoresCiphertext(fields, dry_run));
  if (ignores_ciphertext) {
    AWS_ASSIGN(const EncryptionContext context, fields.Context("EncryptionContext"));
    AWS_ASSIGN(const Key* key, ResolveKeyId(call, fields, "kms:Decrypt", context));
    AWS_TRY(CheckForCryptography(*key, fields, "EncryptionAlgorithm", "Decrypt"));
    return DryRunSucceeded();
  }
  AWS_ASSIGN(const Opened opened, Open(call, fields, "KeyId", "EncryptionContext", "EncryptionAlgorithm", "kms:Decrypt", "Decrypt"));
  if (dry_run) return DryRunSucceeded();
  return json::object{{"EncryptionAlgorithm", "SYMMETRIC_DEFAULT"},
                      {"KeyId", opened.key->arn},
                      {"KeyMaterialId", opened.material_id},
                      {"Plaintext", Base64Encode(opened.plaintext.Reveal(SecretAccess{}))}};
}

KmsResult GenerateDataKey(KmsCallState& call, const json::object& request) { return DataKey(call, request, "GenerateDataKey", true); }

KmsResult GenerateDataKeyWithoutPlaintext(KmsCallState& call, const json::object& request) {
  return DataKey(call, request, "GenerateDataKeyWithoutPlaintext", false);
}

KmsResult ReEncrypt(KmsCallState& call, const json::object& request) {
  const KmsFields fields(request);
  AWS_TRY(RefuseUnsupported(fields));
  AWS_ASSIGN(const bool dry_run, fields.Bool("DryRun"));
  AWS_ASSIGN(const bool ignores_ciphertext, IgnoresCiphertext(fields, dry_run));
  if (ignores_ciphertext) return AwsError{"UnsupportedOperationException", "The emulator has IGNORE_CIPHERTEXT for Decrypt only.", 400};
  AWS_ASSIGN(const EncryptionContext context, fields.Context("DestinationEncryptionContext"));
  AWS_ASSIGN(const std::string destination, fields.String("DestinationKeyId", 2048));
  AWS_ASSIGN(const Opened opened,
             Open(call, fields, "SourceKeyId", "SourceEncryptionContext", "SourceEncryptionAlgorithm", "kms:ReEncryptFrom", "ReEncrypt"));
  AWS_ASSIGN(const Key* key, ResolveKey(call, destination, "kms:ReEncryptTo", context));
  AWS_TRY(CheckForCryptography(*key, fields, "DestinationEncryptionAlgorithm", "ReEncrypt"));
  if (dry_run) return DryRunSucceeded();
  AWS_ASSIGN(const std::string blob, Sealed(call, *key, context, opened.plaintext));
  return json::object{{"CiphertextBlob", blob},
                      {"DestinationEncryptionAlgorithm", "SYMMETRIC_DEFAULT"},
                      {"DestinationKeyMaterialId", key->materials.back().id},
                      {"KeyId", key->arn},
                      {"SourceEncryptionAlgorithm", "SYMMETRIC_DEFAULT"},
                      {"SourceKeyId", opened.key->arn},
                      {"SourceKeyMaterialId", opened.material_id}};
}

}  // namespace latchkey::emulator
