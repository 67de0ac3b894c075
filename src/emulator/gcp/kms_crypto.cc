// Encrypt and Decrypt. The ciphertext names the version that made it, as the service's does (whose form is secret):
//
//   "LKG1" │ id of the key, 16 bytes │ version, 4 bytes, big-endian │ nonce, 12 │ AES-256-GCM ciphertext ‖ tag
//
// What stands before the nonce, and the caller's additional authenticated data, is authenticated.
#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/aead.h"
#include "emulator/gcp/crc32c.h"
#include "emulator/gcp/errors.h"
#include "emulator/gcp/kms_api.h"
#include "emulator/gcp/wire.h"

namespace latchkey::emulator::gcp {
namespace {

constexpr std::string_view kMagic = "LKG1";
constexpr size_t kIdSize = 16;
constexpr size_t kHeadSize = kMagic.size() + kIdSize + 4;
constexpr size_t kMostBytes = 64 << 10;
constexpr size_t kMostHsmBytes = 8 << 10;  // plaintext and additional authenticated data together
constexpr size_t kMostCiphertext = kMostBytes + 1024;

std::string HeadOf(const CryptoKey& key, int64_t version) {
  std::string out(kMagic);
  if (const auto id = HexDecode(key.id); id.ok()) out += AsText(*id);
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>((version >> shift) & 0xff));
  return out;
}

// A field with the checksum that the client may send beside it.
struct Checked {
  SecretBytes bytes;
  bool verified = false;  // there was a checksum, and it fits
};
absl::StatusOr<Checked> ReadChecked(const json::object& body, std::string_view field, std::string_view checksum, std::string_view wire_name,
                                    size_t most) {
  Checked out;
  ASSIGN_OR_RETURN(out.bytes, BytesField(body, field, most));
  ASSIGN_OR_RETURN(const std::optional<int64_t> expected, Int64Field(body, checksum));
  if (!expected) return out;
  if (*expected != int64_t{Crc32c(out.bytes.Reveal(SecretAccess{}))}) {
    return InvalidArgument("The checksum in field ", ToAbsl(wire_name), "_crc32c did not match the data in field ", ToAbsl(wire_name), ".");
  }
  out.verified = true;
  return out;
}

std::string ChecksumText(std::span<const uint8_t> bytes) { return std::to_string(Crc32c(bytes)); }

absl::Status CheckPurpose(const CryptoKey& key) {
  if (key.symmetric()) return absl::OkStatus();
  return FailedPrecondition("The purpose of CryptoKey ", key.name.Key(), " is ", key.purpose, "; this operation needs ENCRYPT_DECRYPT.");
}

absl::Status InvalidCiphertext() { return InvalidArgument("Decryption failed: the ciphertext is invalid."); }

std::string AadWithHead(std::string_view head, const SecretBytes& aad) {
  return std::string(head) + std::string(aad.RevealText(SecretAccess{}));
}

}  // namespace

KmsResult Encrypt(KmsCall& call) {
  ASSIGN_OR_RETURN(const Checked plaintext, ReadChecked(call.body, "plaintext", "plaintextCrc32c", "plaintext", kMostBytes));
  ASSIGN_OR_RETURN(const Checked aad, ReadChecked(call.body, "additionalAuthenticatedData", "additionalAuthenticatedDataCrc32c",
                                                  "additional_authenticated_data", kMostBytes));
  ASSIGN_OR_RETURN(const CryptoKey* key, DemandKey(call, "cloudkms.cryptoKeyVersions.useToEncrypt"));
  RETURN_IF_ERROR(CheckPurpose(*key));
  if (key->protection == "HSM" && plaintext.bytes.size() + aad.bytes.size() > kMostHsmBytes) {
    return InvalidArgument("plaintext and additional_authenticated_data together have more than ", kMostHsmBytes, " bytes.");
  }
  if (call.name.version == 0 && key->primary == 0) {
    return FailedPrecondition("CryptoKey ", key->name.Key(), " has no primary version.");
  }
  const int64_t number = call.name.version == 0 ? key->primary : call.name.version;
  const KeyVersion* const version = key->Version(number);
  if (version == nullptr) return NotFound("CryptoKeyVersion ", call.name.Version(), " not found.");
  if (version->state != "ENABLED") return NotEnabled(key->VersionName(*version), version->state);

  const std::string head = HeadOf(*key, number);
  const std::vector<uint8_t> nonce = call.call.random.Bytes(kGcmNonceSize);
  ASSIGN_OR_RETURN(const std::vector<uint8_t> sealed,
                   GcmSeal(version->material, nonce, AadWithHead(head, aad.bytes), plaintext.bytes.Reveal(SecretAccess{})));
  std::vector<uint8_t> ciphertext(head.begin(), head.end());
  ciphertext.insert(ciphertext.end(), nonce.begin(), nonce.end());
  ciphertext.insert(ciphertext.end(), sealed.begin(), sealed.end());
  json::object out{{"name", key->VersionName(*version)},
                   {"ciphertext", Base64Encode(ciphertext)},
                   {"ciphertextCrc32c", ChecksumText(ciphertext)},
                   {"protectionLevel", key->protection}};
  if (plaintext.verified) out["verifiedPlaintextCrc32c"] = true;
  if (aad.verified) out["verifiedAdditionalAuthenticatedDataCrc32c"] = true;
  return out;
}

KmsResult Decrypt(KmsCall& call) {
  ASSIGN_OR_RETURN(const Checked ciphertext, ReadChecked(call.body, "ciphertext", "ciphertextCrc32c", "ciphertext", kMostCiphertext));
  ASSIGN_OR_RETURN(const Checked aad, ReadChecked(call.body, "additionalAuthenticatedData", "additionalAuthenticatedDataCrc32c",
                                                  "additional_authenticated_data", kMostBytes));
  ASSIGN_OR_RETURN(const CryptoKey* key, DemandKey(call, "cloudkms.cryptoKeyVersions.useToDecrypt"));
  RETURN_IF_ERROR(CheckPurpose(*key));
  const std::span<const uint8_t> bytes = ciphertext.bytes.Reveal(SecretAccess{});
  if (bytes.size() < kHeadSize + kGcmNonceSize + kGcmTagSize || AsText(bytes.first(kMagic.size())) != kMagic) return InvalidCiphertext();
  int64_t number = 0;
  for (size_t i = kHeadSize - 4; i < kHeadSize; ++i) number = number * 256 + bytes[i];
  const KeyVersion* const version = key->Version(number);
  if (version == nullptr || AsText(bytes.first(kHeadSize)) != HeadOf(*key, number)) {
    return InvalidArgument("Decryption failed: verify that 'name' refers to the correct CryptoKey.");
  }
  if (version->state != "ENABLED") return NotEnabled(key->VersionName(*version), version->state);
  const absl::StatusOr<SecretBytes> plaintext =
      GcmOpen(version->material, bytes.subspan(kHeadSize, kGcmNonceSize), AadWithHead(AsText(bytes.first(kHeadSize)), aad.bytes),
              bytes.subspan(kHeadSize + kGcmNonceSize));
  if (!plaintext.ok()) return InvalidCiphertext();
  json::object out{{"plaintextCrc32c", ChecksumText(plaintext->Reveal(SecretAccess{}))}, {"protectionLevel", key->protection}};
  // As proto3 has it, what is empty or false is left out.
  if (!plaintext->empty()) out["plaintext"] = Base64Encode(plaintext->Reveal(SecretAccess{}));
  if (number == key->primary) out["usedPrimary"] = true;
  return out;
}

}  // namespace latchkey::emulator::gcp
