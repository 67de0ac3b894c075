#include "emulator/ciphertext.h"

#include "base/encoding.h"
#include "base/status.h"
#include "crypto/aead.h"

namespace latchkey::emulator {
namespace {

constexpr std::string_view kMagic = "LKE1";
constexpr size_t kMaterialSize = 32;

void AppendBigEndian(std::string& out, size_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out.push_back(static_cast<char>((value >> shift) & 0xff));
}

// Every part with its length before it, so that no two contexts have one form.
std::string Aad(std::string_view head, const EncryptionContext& context) {
  std::string out(head);
  AppendBigEndian(out, context.size(), 4);
  for (const auto& [key, value] : context) {
    AppendBigEndian(out, key.size(), 4);
    out += key;
    AppendBigEndian(out, value.size(), 4);
    out += value;
  }
  return out;
}

// Length of what stands before the nonce; 0 when the blob is malformed.
size_t HeadSize(std::span<const uint8_t> blob) {
  if (blob.size() < kMagic.size() + 2 || AsText(blob.first(kMagic.size())) != kMagic) return 0;
  const size_t arn = (size_t{blob[4]} << 8) | blob[5];
  const size_t head = kMagic.size() + 2 + arn + kMaterialSize;
  return blob.size() < head + kGcmNonceSize + kGcmTagSize ? 0 : head;
}

}  // namespace

std::optional<BlobHead> ReadBlobHead(std::span<const uint8_t> blob) {
  const size_t head = HeadSize(blob);
  if (head == 0) return std::nullopt;
  const size_t arn = head - kMaterialSize - kMagic.size() - 2;
  return BlobHead{std::string(AsText(blob.subspan(kMagic.size() + 2, arn))), HexEncode(blob.subspan(head - kMaterialSize, kMaterialSize))};
}

std::vector<uint8_t> SealBlob(const std::string& key_arn, const KeyMaterial& material, const EncryptionContext& context,
                              const SecretBytes& plaintext, Random& random) {
  std::string head(kMagic);
  AppendBigEndian(head, key_arn.size(), 2);
  head += key_arn;
  const absl::StatusOr<std::vector<uint8_t>> id = HexDecode(material.id);
  if (!id.ok()) return {};
  head += AsText(*id);
  const std::vector<uint8_t> nonce = random.Bytes(kGcmNonceSize);
  const absl::StatusOr<std::vector<uint8_t>> sealed = GcmSeal(material.bytes, nonce, Aad(head, context), plaintext.Reveal(SecretAccess{}));
  if (!sealed.ok()) return {};
  std::vector<uint8_t> blob(head.begin(), head.end());
  blob.insert(blob.end(), nonce.begin(), nonce.end());
  blob.insert(blob.end(), sealed->begin(), sealed->end());
  return blob;
}

std::optional<SecretBytes> OpenBlob(std::span<const uint8_t> blob, const KeyMaterial& material, const EncryptionContext& context) {
  const size_t head = HeadSize(blob);
  if (head == 0) return std::nullopt;
  absl::StatusOr<SecretBytes> plaintext = GcmOpen(material.bytes, blob.subspan(head, kGcmNonceSize), Aad(AsText(blob.first(head)), context),
                                                  blob.subspan(head + kGcmNonceSize));
  if (!plaintext.ok()) return std::nullopt;
  return *std::move(plaintext);
}

}  // namespace latchkey::emulator
