#include "keys/kek.h"

#include <absl/strings/str_cat.h>

#include <optional>
#include <utility>

#include "base/encoding.h"
#include "base/status.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "keys/canonical.h"

namespace latchkey {
namespace {

constexpr size_t kLongestVersion = 128;

absl::Status CheckContext(const KekContext& context) {
  if (!IsPlainText(context.organization)) return InvalidArgument("organization: must be 1 to 256 bytes without control characters");
  if (!IsPlainText(context.cluster)) return InvalidArgument("cluster: must be 1 to 256 bytes without control characters");
  if (!IsPlainText(context.region)) return InvalidArgument("region: must be 1 to 256 bytes without control characters");
  if (context.generation < 1) return InvalidArgument("generation: must be 1 or more");
  return absl::OkStatus();
}

bool IsNextGeneration(const KekContext& older, const KekContext& newer) {
  return newer.organization == older.organization && newer.cluster == older.cluster && newer.region == older.region &&
         newer.generation - 1 == older.generation;
}

std::string PreviousAad(std::string_view newer_id, std::string_view previous_id) {
  return absl::StrCat("latchkey kek previous\n", ToAbsl(newer_id), "\n", ToAbsl(previous_id));
}

Sha256Digest LinkMac(const Kek& previous, const WrappedKek& newer) {
  const SecretBytes key = HkdfSha256(previous.bytes(), {}, "latchkey kek link", 32);
  return HmacSha256(key, newer.LinkedBytes());
}

absl::StatusOr<WrappedKek::Previous> SealPrevious(const Kek& newer, const Kek& previous, Random& random) {
  const std::vector<uint8_t> nonce = random.Bytes(kGcmNonceSize);
  ASSIGN_OR_RETURN(const std::vector<uint8_t> sealed,
                   GcmSeal(newer.bytes(), nonce, PreviousAad(newer.id(), previous.id()), previous.bytes().Reveal(SecretAccess{})));
  return WrappedKek::Previous{.id = previous.id(), .nonce = Base64Encode(nonce), .ciphertext = Base64Encode(sealed)};
}

}  // namespace

absl::StatusOr<Kek> Kek::FromBytes(SecretBytes bytes, KekContext context) {
  if (bytes.size() != kKekSize) return InvalidArgument("a KEK has ", kKekSize, " bytes, not ", bytes.size());
  RETURN_IF_ERROR(CheckContext(context));
  const SecretBytes id = HkdfSha256(bytes, {}, "latchkey kek id\n" + context.Canonical(), 16);
  std::string hex = HexEncode(id.Reveal(SecretAccess{}));
  return Kek(std::move(bytes), std::move(context), std::move(hex));
}

KmsContext ToKmsContext(const KekContext& context) {
  return {{"latchkey:organization", context.organization},
          {"latchkey:cluster", context.cluster},
          {"latchkey:region", context.region},
          {"latchkey:generation", std::to_string(context.generation)}};
}

absl::StatusOr<WrappedKek> MintKek(const KmsSet& kms, const RootKey& root, const KekContext& context, const Kek* previous, Random& random,
                                   Clock& clock) {
  RETURN_IF_ERROR(CheckContext(context));
  if (context.generation == 1 && previous != nullptr) return InvalidArgument("generation: a KEK of generation 1 has no previous one");
  if (context.generation > 1 && previous == nullptr) return InvalidArgument("generation: from 2 on, the previous KEK is needed");
  if (previous != nullptr && !IsNextGeneration(previous->context(), context)) {
    return InvalidArgument("generation: the previous KEK is not generation ", context.generation - 1, " of the same cluster region");
  }
  ASSIGN_OR_RETURN(Kms * provider, kms.For(root));
  ASSIGN_OR_RETURN(const Kek kek, Kek::FromBytes(random.Secret(kKekSize), context));
  ASSIGN_OR_RETURN(const KmsWrapped wrapped, provider->Wrap(root, kek.bytes(), ToKmsContext(context), KmsCall{}));

  WrappedKek record;
  record.id = kek.id();
  record.context = context;
  record.created_at = latchkey::FormatTime(clock.Now());
  record.root = root;
  record.key_version = wrapped.key_version;
  if (record.key_version.empty()) {
    // Some KMSs tell the version only when described. For people: a rotation between the two calls would show a version too new.
    const auto description = provider->Describe(root, KmsCall{});
    const auto is_plain = [](char c) { return c > 0x20 && c < 0x7f; };
    if (description.ok() && description->key_version.size() <= kLongestVersion && std::ranges::all_of(description->key_version, is_plain)) {
      record.key_version = description->key_version;
    }
  }
  record.ciphertext = Base64Encode(wrapped.ciphertext);
  if (previous != nullptr) {
    ASSIGN_OR_RETURN(record.previous, SealPrevious(kek, *previous, random));
    record.link = HexEncode(LinkMac(*previous, record));
  }

  ASSIGN_OR_RETURN(const Kek opened, UnwrapKek(kms, record, root, KmsCall{.fresh = true}));
  if (!opened.bytes().Equals(kek.bytes())) return KmsError(FailureClass::kCorrupt, "the KMS unwrapped other bytes than it had wrapped");
  // What the KMS answered is kept for years: a record that nobody could read back must not leave here.
  const auto read_back = WrappedKek::FromJson(record.ToJson(), "kek");
  if (!read_back.ok()) return KmsError(FailureClass::kCorrupt, absl::StrCat("unusable answer of the KMS: ", read_back.status().message()));
  return record;
}

absl::StatusOr<Kek> UnwrapKek(const KmsSet& kms, const WrappedKek& wrapped, const RootKey& expected_root, const KmsCall& call) {
  if (wrapped.root != expected_root) {
    return FailedPrecondition("root: KEK ", wrapped.id, " is wrapped by ", wrapped.root.type, " ", wrapped.root.uri, " as \"",
                              wrapped.root.auth_principal, "\", and not by the expected ", expected_root.type, " ", expected_root.uri,
                              " as \"", expected_root.auth_principal, "\"");
  }
  const auto ciphertext = Base64Decode(wrapped.ciphertext);
  if (!ciphertext.ok() || ciphertext->empty()) {
    return KmsError(FailureClass::kCorrupt, absl::StrCat("the wrapped form of KEK ", wrapped.id, " is not base64"));
  }
  ASSIGN_OR_RETURN(Kms * provider, kms.For(expected_root));
  ASSIGN_OR_RETURN(SecretBytes bytes,
                   provider->Unwrap(expected_root, {*ciphertext, wrapped.key_version}, ToKmsContext(wrapped.context), call));
  const size_t size = bytes.size();
  if (size != kKekSize) {
    return KmsError(FailureClass::kCorrupt, absl::StrCat("the KMS unwrapped ", size, " bytes for KEK ", wrapped.id, ", not ", kKekSize));
  }
  auto kek = Kek::FromBytes(std::move(bytes), wrapped.context);
  if (!kek.ok()) {
    return KmsError(FailureClass::kCorrupt, absl::StrCat("the record of KEK ", wrapped.id, " is malformed: ", kek.status().message()));
  }
  if (kek->id() != wrapped.id) {
    return KmsError(FailureClass::kCorrupt, absl::StrCat("the KMS unwrapped other bytes than KEK ", wrapped.id));
  }
  return kek;
}

absl::StatusOr<Kek> OpenPrevious(const Kek& newer, const WrappedKek& newer_record) {
  if (newer.id() != newer_record.id || newer.context() != newer_record.context) {
    return DataLoss("KEK ", newer.id(), " is not the one of record ", newer_record.id);
  }
  if (!newer_record.previous) return NotFound("the record of KEK ", newer.id(), " carries no previous KEK");
  const WrappedKek::Previous& sealed = *newer_record.previous;
  const auto nonce = Base64Decode(sealed.nonce);
  const auto ciphertext = Base64Decode(sealed.ciphertext);
  if (!nonce.ok() || nonce->size() != kGcmNonceSize || !ciphertext.ok() || newer.context().generation < 2) {
    return DataLoss("the previous KEK inside the record of KEK ", newer.id(), " is malformed");
  }
  auto bytes = GcmOpen(newer.bytes(), *nonce, PreviousAad(newer.id(), sealed.id), *ciphertext);
  if (!bytes.ok()) return DataLoss("the previous KEK inside the record of KEK ", newer.id(), " does not open");
  KekContext context = newer.context();
  --context.generation;
  auto kek = Kek::FromBytes(*std::move(bytes), std::move(context));
  if (!kek.ok() || kek->id() != sealed.id) {
    return DataLoss("the previous KEK inside the record of KEK ", newer.id(), " is not KEK ", sealed.id);
  }
  return kek;
}

absl::Status VerifyLink(const Kek& previous, const WrappedKek& newer) {
  if (newer.link.empty()) return DataLoss("KEK ", newer.id, " carries no link to the KEK before it");
  if (!IsNextGeneration(previous.context(), newer.context) || !newer.previous || newer.previous->id != previous.id()) {
    return DataLoss("KEK ", newer.id, " does not follow KEK ", previous.id());
  }
  const auto link = HexDecode(newer.link);
  if (!link.ok() || !EqualInConstantTime(*link, LinkMac(previous, newer))) {
    return DataLoss("the link of KEK ", newer.id, " was not made by a holder of KEK ", previous.id());
  }
  return absl::OkStatus();
}

}  // namespace latchkey
