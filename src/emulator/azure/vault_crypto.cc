// wrapkey, unwrapkey, encrypt, decrypt.
#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/aead.h"
#include "crypto/key_wrap.h"
#include "emulator/arn.h"
#include "emulator/azure/key_json.h"
#include "emulator/azure/vault_api.h"

namespace latchkey::emulator::azure {
namespace {

constexpr size_t kLongestValue = 64 << 10;  // of base64url

// As the service writes the operation: in key_ops and in its texts.
std::string_view WordFor(std::string_view operation) {
  if (operation == "wrapkey") return "wrapKey";
  if (operation == "unwrapkey") return "unwrapKey";
  return operation == "encrypt" ? "encrypt" : "decrypt";
}

// Whether the version's state lets it be used so; an answer when not. What was made under a key can be opened outside its window of
// validity, so that an expiry date is no way to lose data; a disabled key opens nothing.
std::optional<HttpResponse> CheckState(VaultCall& call, const KeyVersion& version, bool opens) {
  const std::string operation(WordFor(call.route.operation));
  const auto forbid = [&](std::string_view inner, const std::string& message) {
    return Refuse(call.call, 403, "Forbidden", inner, message);
  };
  if (!version.enabled && (opens || !call.world.wrap_on_disabled)) {
    return forbid("KeyDisabled", "Operation " + operation + " is not allowed on a disabled key.");
  }
  if (!opens && version.not_before && *version.not_before > call.call.now) {
    return forbid("KeyNotYetValid", "Operation " + operation + " is not allowed on a key that is not yet valid.");
  }
  if (!opens && version.expires && *version.expires <= call.call.now) {
    return forbid("KeyExpired", "Operation " + operation + " is not allowed on an expired key.");
  }
  if (std::find(version.operations.begin(), version.operations.end(), operation) == version.operations.end()) {
    return forbid("KeyOperationForbidden", "Operation " + operation + " is not permitted on this key.");
  }
  return std::nullopt;
}

// A member in base64url; nullopt when it is malformed, too long or (where `needed`) absent.
std::optional<std::vector<uint8_t>> Bytes(const json::object& body, std::string_view name, bool needed) {
  const json::value* value = body.if_contains(name);
  if (value == nullptr || value->is_null()) return needed ? std::nullopt : std::optional(std::vector<uint8_t>());
  if (!value->is_string() || value->get_string().size() > kLongestValue) return std::nullopt;
  absl::StatusOr<std::vector<uint8_t>> bytes = Base64UrlDecode(std::string_view(value->get_string()));
  if (!bytes.ok()) return std::nullopt;
  return *std::move(bytes);
}

HttpResponse Result(const VaultCall& call, const VaultKey& key, const KeyVersion& version, std::span<const uint8_t> value,
                    json::object more = {}) {
  more["kid"] = VersionAddress(call.base, key, version);
  more["value"] = Base64UrlEncode(value);
  return HttpResponse::Json(200, json::serialize(more));
}

// The text that the service has for ciphertexts, lengths and tags that do not fit the key.
HttpResponse Incorrect(VaultCall& call) { return BadParameter(call.call, "The parameter is incorrect.\r\n"); }

HttpResponse WithRsa(VaultCall& call, const VaultKey& key, const KeyVersion& version, const std::vector<uint8_t>& value, bool opens) {
  if (opens) {
    if (value.size() != static_cast<size_t>(key.bits) / 8) return Incorrect(call);
    const absl::StatusOr<SecretBytes> plaintext = version.rsa->DecryptOaepSha256(value);
    return plaintext.ok() ? Result(call, key, version, plaintext->Reveal(SecretAccess{})) : Incorrect(call);
  }
  // 66 bytes of padding; checked here because the text is copied to locked memory.
  if (value.empty() || value.size() > static_cast<size_t>(key.bits) / 8 - 66) return Incorrect(call);
  const absl::StatusOr<std::vector<uint8_t>> ciphertext = version.rsa->EncryptOaepSha256(SecretBytes::CopyOf(value));
  return ciphertext.ok() ? Result(call, key, version, *ciphertext) : Incorrect(call);
}

HttpResponse WithKeyWrap(VaultCall& call, const VaultKey& key, const KeyVersion& version, const std::vector<uint8_t>& value, bool opens) {
  if (opens) {
    const absl::StatusOr<SecretBytes> plaintext = AesKeyUnwrap(version.octets, value, /*padded=*/false);
    return plaintext.ok() ? Result(call, key, version, plaintext->Reveal(SecretAccess{})) : Incorrect(call);
  }
  const absl::StatusOr<std::vector<uint8_t>> wrapped = AesKeyWrap(version.octets, SecretBytes::CopyOf(value), /*padded=*/false);
  return wrapped.ok() ? Result(call, key, version, *wrapped) : Incorrect(call);
}

// The service chooses the nonce of a GCM encryption itself and gives it back as "iv".
HttpResponse WithGcm(VaultCall& call, const VaultKey& key, const KeyVersion& version, const std::vector<uint8_t>& value, bool opens) {
  const auto aad = Bytes(call.body, "aad", false), iv = Bytes(call.body, "iv", opens), tag = Bytes(call.body, "tag", opens);
  if (!aad || !iv || !tag) return BadParameter(call.call, "Property iv, aad or tag has invalid value\r\n");
  if (opens) {
    if (iv->size() != kGcmNonceSize || tag->size() != kGcmTagSize) return Incorrect(call);
    std::vector<uint8_t> sealed = value;
    sealed.insert(sealed.end(), tag->begin(), tag->end());
    const absl::StatusOr<SecretBytes> plaintext = GcmOpen(version.octets, *iv, AsText(*aad), sealed);
    return plaintext.ok() ? Result(call, key, version, plaintext->Reveal(SecretAccess{})) : Incorrect(call);
  }
  if (!iv->empty() || !tag->empty()) return BadParameter(call.call, "Property iv must not be set for this algorithm\r\n");
  const std::vector<uint8_t> nonce = call.call.random.Bytes(kGcmNonceSize);
  const absl::StatusOr<std::vector<uint8_t>> sealed = GcmSeal(version.octets, nonce, AsText(*aad), value);
  if (!sealed.ok()) return Incorrect(call);
  const std::span<const uint8_t> all(*sealed);
  json::object more{{"iv", Base64UrlEncode(nonce)}, {"tag", Base64UrlEncode(all.last(kGcmTagSize))}};
  if (!aad->empty()) more["aad"] = Base64UrlEncode(*aad);
  return Result(call, key, version, all.first(all.size() - kGcmTagSize), std::move(more));
}

}  // namespace

HttpResponse UseKey(VaultCall& call) {
  VaultKey* key = call.vault.Find(call.route.key);
  if (key == nullptr || key->deleted) return KeyNotFound(call.call, call.route.key);
  const KeyVersion* version = key->Version(call.route.version);
  if (version == nullptr) return KeyNotFound(call.call, call.route.key + "/" + call.route.version);
  call.call.record.key = VersionAddress("https://" + call.vault.Host(), *key, *version);
  const bool opens = call.route.operation == "unwrapkey" || call.route.operation == "decrypt";
  if (auto refusal = CheckState(call, *version, opens)) return *refusal;
  JsonReader reader(call.body);
  const std::string algorithm = reader.String("alg");
  if (!reader.status().ok()) return BadParameter(call.call, "Property alg has invalid value\r\n");
  const auto value = Bytes(call.body, "value", true);
  if (!value) return BadParameter(call.call, "Property value has invalid value\r\n");
  const bool wraps = call.route.operation == "wrapkey" || call.route.operation == "unwrapkey";
  if (version->rsa != nullptr && algorithm == "RSA-OAEP-256") return WithRsa(call, *key, *version, *value, opens);
  if (version->rsa == nullptr && algorithm == "A256KW" && wraps) return WithKeyWrap(call, *key, *version, *value, opens);
  if (version->rsa == nullptr && algorithm == "A256GCM" && !wraps) return WithGcm(call, *key, *version, *value, opens);
  return BadParameter(call.call, absl::StrCat("Algorithm ", Quotable(algorithm, 64), " is not supported for operation ",
                                              ToAbsl(WordFor(call.route.operation)), " on a key of type ", key->type,
                                              " (this emulator: RSA-OAEP-256, A256KW, A256GCM)"));
}

}  // namespace latchkey::emulator::azure
