// KEK: one per cluster region and generation, 256 bit. At rest it exists only wrapped by a root key (WrappedKek); in memory it lives for
// the length of one use. Minting, opening and checking KEKs happens here; which KEK should be used is the server's decision and the agent's
// check.
//
// Everything here is stateless: the functions may run on any thread, as often at once as the Kms allows.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "base/secret_bytes.h"
#include "kms/kms.h"
#include "protocol/root_key.h"

namespace latchkey {

inline constexpr size_t kKekSize = 32;

// Plaintext KEK. Move-only; wipes itself. Confined to keys/, volume/, agent/ and backup/.
class Kek {
 public:
  // Takes 32 bytes; the id is derived: hex of 16 bytes of HKDF-SHA256(KEK, salt "", info "latchkey kek id\n" ‖ context.Canonical()).
  // InvalidArgument on another length, or a context whose names are empty, longer than 256 bytes or hold control characters, or whose
  // generation is below 1.
  static absl::StatusOr<Kek> FromBytes(SecretBytes bytes, KekContext context);
  const std::string& id() const { return id_; }
  const KekContext& context() const { return context_; }
  const SecretBytes& bytes() const { return bytes_; }

 private:
  Kek(SecretBytes bytes, KekContext context, std::string id) : bytes_(std::move(bytes)), context_(std::move(context)), id_(std::move(id)) {}
  SecretBytes bytes_;
  KekContext context_;
  std::string id_;
};

// The four pairs bound into every KMS call for a KEK: "latchkey:organization", "latchkey:cluster", "latchkey:region",
// "latchkey:generation".
KmsContext ToKmsContext(const KekContext& context);

// Makes a KEK, wraps it with `root`, unwraps the wrapped form once (with KmsCall{fresh = true}) and compares. Generation 1 takes no
// `previous`; from generation 2 `previous` (generation − 1, same organization, cluster and region) is required and sealed into the record,
// with the link MAC. The new KEK is wiped before this returns, whatever happens: whoever wants to use it unwraps the record. Errors: the
// KMS's own, with their class; kCorrupt when the comparison fails; InvalidArgument, before any KMS call, when the context is malformed or
// `previous` does not fit it.
absl::StatusOr<WrappedKek> MintKek(const KmsSet& kms, const RootKey& root, const KekContext& context, const Kek* previous, Random& random,
                                   Clock& clock);

// Unwraps through the KMS and checks length, id and context: anything unexpected is kCorrupt. `expected_root` is what desired state or the
// person named: a record that names another root key (in any of the four fields) is refused with FailedPrecondition, without a failure
// class, before any KMS call. The record's context is what the KEK is bound to; that it is the context of the caller's own cluster and
// region is the caller's check.
absl::StatusOr<Kek> UnwrapKek(const KmsSet& kms, const WrappedKek& wrapped, const RootKey& expected_root, const KmsCall& call);

// Opens the sealed KEK g−1 inside the record of KEK g: AES-256-GCM(KEK g, KEK g−1) under a random nonce, with AAD
// "latchkey kek previous\n" ‖ id of g ‖ "\n" ‖ id of g−1. NotFound when the record carries none; DataLoss when it does not open, or opens
// to another KEK than it names, or when `newer_record` is not the record of `newer`.
absl::StatusOr<Kek> OpenPrevious(const Kek& newer, const WrappedKek& newer_record);

// True evidence that whoever minted `newer` held `previous`: link = HMAC-SHA256(HKDF-SHA256(previous, info "latchkey kek link"),
// newer.LinkedBytes()). DataLoss when the MAC does not verify or is absent, or when `newer` is not the next generation of `previous`.
absl::Status VerifyLink(const Kek& previous, const WrappedKek& newer);

}  // namespace latchkey
