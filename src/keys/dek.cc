#include "keys/dek.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "keys/canonical.h"
#include "protocol/fields.h"

namespace latchkey {
namespace {

absl::Status CheckIdentity(const std::string& volume_id, const std::string& dek_id, int64_t generation) {
  if (!IsPlainText(volume_id)) return InvalidArgument("volume_id: must be 1 to 256 bytes without control characters");
  if (!IsKeyId(dek_id)) return InvalidArgument("id: must be 32 lower-case hex digits");
  if (generation < 1) return InvalidArgument("generation: must be 1 or more");
  return absl::OkStatus();
}

std::string DekAad(const std::string& volume_id, const std::string& dek_id, int64_t generation, const std::string& kek_id) {
  return absl::StrCat("latchkey dek\n", volume_id, "\n", dek_id, "\n", generation, "\n", kek_id);
}

}  // namespace

Dek Dek::Generate(std::string volume_id, int64_t generation, Random& random) {
  Dek dek;
  dek.bytes_ = random.Secret(kDekSize);
  dek.volume_id_ = std::move(volume_id);
  dek.id_ = RandomHex(random, 16);
  dek.generation_ = generation;
  return dek;
}

absl::StatusOr<Dek> Dek::FromBytes(SecretBytes bytes, std::string volume_id, std::string id, int64_t generation) {
  if (bytes.size() != kDekSize) return InvalidArgument("a DEK has ", kDekSize, " bytes, not ", bytes.size());
  RETURN_IF_ERROR(CheckIdentity(volume_id, id, generation));
  Dek dek;
  dek.bytes_ = std::move(bytes);
  dek.volume_id_ = std::move(volume_id);
  dek.id_ = std::move(id);
  dek.generation_ = generation;
  return dek;
}

SecretBytes Dek::Derive(std::span<const uint8_t> salt, std::string_view info, size_t size) const {
  return HkdfSha256(bytes_, salt, info, size);
}

json::object WrappedDek::ToJson() const { return {{"kek", kek_id}, {"nonce", nonce}, {"ciphertext", ciphertext}}; }

absl::StatusOr<WrappedDek> WrappedDek::FromJson(const json::object& object, const std::string& path) {
  JsonReader reader(object, path);
  WrappedDek wrapped;
  wrapped.kek_id = reader.String("kek");
  wrapped.nonce = reader.String("nonce");
  wrapped.ciphertext = reader.String("ciphertext");
  CheckHex(reader, "kek", wrapped.kek_id, 16);
  CheckBase64(reader, "nonce", wrapped.nonce, kGcmNonceSize, kGcmNonceSize);
  CheckBase64(reader, "ciphertext", wrapped.ciphertext, kDekSize + kGcmTagSize, kDekSize + kGcmTagSize);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  return wrapped;
}

absl::StatusOr<WrappedDek> WrapDek(const Kek& kek, const Dek& dek, Random& random) {
  RETURN_IF_ERROR(CheckIdentity(dek.volume_id(), dek.id(), dek.generation()));
  const std::vector<uint8_t> nonce = random.Bytes(kGcmNonceSize);
  ASSIGN_OR_RETURN(
      const std::vector<uint8_t> sealed,
      GcmSeal(kek.bytes(), nonce, DekAad(dek.volume_id(), dek.id(), dek.generation(), kek.id()), dek.bytes().Reveal(SecretAccess{})));
  return WrappedDek{.kek_id = kek.id(), .nonce = Base64Encode(nonce), .ciphertext = Base64Encode(sealed)};
}

absl::StatusOr<Dek> UnwrapDek(const Kek& kek, const WrappedDek& wrapped, const std::string& volume_id, const std::string& dek_id,
                              int64_t generation) {
  if (wrapped.kek_id != kek.id()) return DataLoss("DEK ", dek_id, " is wrapped by KEK ", wrapped.kek_id, ", not by ", kek.id());
  const auto nonce = Base64Decode(wrapped.nonce);
  const auto ciphertext = Base64Decode(wrapped.ciphertext);
  if (!nonce.ok() || nonce->size() != kGcmNonceSize || !ciphertext.ok() || ciphertext->size() != kDekSize + kGcmTagSize) {
    return DataLoss("the wrapping of DEK ", dek_id, " by KEK ", kek.id(), " is malformed");
  }
  auto bytes = GcmOpen(kek.bytes(), *nonce, DekAad(volume_id, dek_id, generation, kek.id()), *ciphertext);
  if (!bytes.ok()) return DataLoss("DEK ", dek_id, " does not open under KEK ", kek.id());
  auto dek = Dek::FromBytes(*std::move(bytes), volume_id, dek_id, generation);
  if (!dek.ok()) return DataLoss("DEK ", dek_id, ": ", dek.status().message());
  return dek;
}

}  // namespace latchkey
