#include "kms/azure/azure_kms.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "base/status.h"
#include "kms/azure/answers.h"
#include "kms/azure/identity.h"
#include "kms/azure/key_id.h"
#include "kms/azure/vault_client.h"
#include "kms/bound_payload.h"

namespace latchkey {
namespace {

constexpr size_t kMaxPlaintext = 190;
// OAEP with SHA-256: two hashes and two bytes (RFC 8017, 7.1.1).
constexpr size_t kOaepOverhead = 66;
constexpr size_t kBlock = 8;

// AES key wrap takes multiples of 8 bytes: payload ‖ 0x80 ‖ zeros, always at least the one byte, so that there is one way back
// (ISO/IEC 7816-4).
SecretBytes Pad(const SecretBytes& payload) {
  SecretBytes out((payload.size() / kBlock + 1) * kBlock);
  const std::span<uint8_t> bytes = out.RevealMutable(SecretAccess{});
  std::ranges::copy(payload.Reveal(SecretAccess{}), bytes.begin());
  bytes[payload.size()] = 0x80;
  return out;
}

absl::StatusOr<SecretBytes> Unpad(const SecretBytes& padded) {
  const std::span<const uint8_t> bytes = padded.Reveal(SecretAccess{});
  size_t size = bytes.size();
  while (size > 0 && bytes[size - 1] == 0) --size;
  if (size == 0 || bytes[size - 1] != 0x80 || bytes.size() - size >= kBlock) {
    return KmsError(FailureClass::kCorrupt, "what was unwrapped is not padded as Latchkey pads keys");
  }
  return SecretBytes::CopyOf(bytes.first(size - 1));
}

// Which algorithm made a wrapping of this size: an RSA key's are as long as its modulus (256 bytes and more), and padded payloads under AES
// are shorter than that.
std::optional<AzureAlgorithm> AlgorithmOf(size_t size) {
  if (size == 256 || size == 384 || size == 512) return AzureAlgorithm::kRsaOaep256;
  constexpr size_t kLeast = 5 * kBlock + kBlock, kMost = (kMaxPlaintext + kContextHashSize) / kBlock * kBlock + 2 * kBlock;
  if (size % kBlock == 0 && size >= kLeast && size <= kMost) return AzureAlgorithm::kA256Kw;
  return std::nullopt;
}

class AzureKms : public Kms {
 public:
  explicit AzureKms(AzureKmsOptions options)
      : options_(std::move(options)),
        clock_(*options_.call.clock),
        transport_(options_.call),
        identity_(options_, transport_),
        client_(options_, transport_, identity_) {}

  std::string_view type() const override { return "AZURE_KEY_VAULT"; }

  absl::Status Check(const RootKey& key) const override { return Parse(key).status(); }

  absl::StatusOr<KeyDescription> Describe(const RootKey& key, const KmsCall& call) override {
    const CallBudget budget(options_.call.call_budget);
    ASSIGN_OR_RETURN(const AzureTarget target, Target(key, call));
    const auto found = client_.GetKey(target, budget);
    if (FailureClassOf(found.status()) == FailureClass::kDestroyed) {
      const auto deleted = client_.GetDeletedKey(target, budget);
      if (!deleted.ok()) return Refined(found.status(), deleted.status());
      return KeyDescription{.resolved_uri = key.uri,
                            .state = "Deleted",
                            .failure = FailureClass::kPendingDeletion,
                            .unusable_because = DeletedWords(*deleted),
                            .deletion_date = deleted->purged};
    }
    RETURN_IF_ERROR(found.status());
    return DescribeAzureKey(*found, clock_.Now());
  }

  absl::Status TestIdentity(const RootKey& key, const KeyTestStepDone& done) override {
    ASSIGN_OR_RETURN(const AzureTarget target, Target(key, {.fresh = true}));
    done("credentials", identity_.IsManaged() ? "the managed identity of this machine" : "our application");
    return absl::OkStatus();
  }

  absl::StatusOr<KmsWrapped> Wrap(const RootKey& key, const SecretBytes& plaintext, const KmsContext& context,
                                  const KmsCall& call) override {
    if (plaintext.empty() || plaintext.size() > kMaxPlaintext) {
      return KmsError(FailureClass::kUnsuitable, absl::StrCat("plaintext: must be 1 to ", kMaxPlaintext, " bytes"));
    }
    const CallBudget budget(options_.call.call_budget);
    ASSIGN_OR_RETURN(AzureTarget target, Target(key, call));
    // The kind of the key decides the algorithm, and its version is what the wrapping is made with: both may change between two wrappings
    // under one name.
    const auto found = client_.GetKey(target, budget);
    if (!found.ok()) return Explained(target, found.status(), budget);
    target.key.version = found->version;
    SecretBytes payload = BindContext(plaintext, context);
    auto algorithm = AzureAlgorithm::kRsaOaep256;
    if (IsAesAzureKey(*found)) {
      algorithm = AzureAlgorithm::kA256Kw;
      payload = Pad(payload);
    } else if (!IsRsaAzureKey(*found)) {
      return KmsError(FailureClass::kUnsuitable, absl::StrCat("uri: a key of type ", found->kty, " does not wrap keys"));
    } else if (found->modulus_size != 0 && payload.size() + kOaepOverhead > found->modulus_size) {
      return KmsError(FailureClass::kUnsuitable,
                      absl::StrCat("plaintext: ", plaintext.size(), " bytes and their context are too long for an RSA key of ",
                                   found->modulus_size * 8, " bits"));
    }
    auto wrapped = client_.WrapKey(target, algorithm, payload, budget);
    if (!wrapped.ok()) return Explained(target, wrapped.status(), budget);
    if (AlgorithmOf(wrapped->size()) != algorithm) {
      return KmsError(FailureClass::kCorrupt, "the vault's wrapping has a length that this key does not make");
    }
    return KmsWrapped{.ciphertext = *std::move(wrapped), .key_version = found->version};
  }

  absl::StatusOr<SecretBytes> Unwrap(const RootKey& key, const KmsWrapped& wrapped, const KmsContext& context,
                                     const KmsCall& call) override {
    const CallBudget budget(options_.call.call_budget);
    ASSIGN_OR_RETURN(AzureTarget target, Target(key, call));
    const std::optional<AzureAlgorithm> algorithm = AlgorithmOf(wrapped.ciphertext.size());
    if (!algorithm) return KmsError(FailureClass::kCorrupt, "the wrapped key has a length that Azure Key Vault does not make");
    if (!wrapped.key_version.empty() && !IsAzureKeyVersion(wrapped.key_version)) {
      return KmsError(FailureClass::kCorrupt, "the wrapped key names a version of another form than Azure Key Vault's");
    }
    if (target.key.version.empty()) {
      target.key.version = wrapped.key_version;
    } else if (!wrapped.key_version.empty() && wrapped.key_version != target.key.version) {
      return KmsError(FailureClass::kCorrupt, absl::StrCat("the wrapped key was made with the version ", wrapped.key_version,
                                                           " of the key, not with the one that the uri names"));
    }
    if (target.key.version.empty()) {
      // No version was kept with the wrapping: the current one may still be it.
      const auto found = client_.GetKey(target, budget);
      if (!found.ok()) return Explained(target, found.status(), budget);
      target.key.version = found->version;
    }
    auto payload = client_.UnwrapKey(target, *algorithm, wrapped.ciphertext, budget);
    if (!payload.ok()) return Explained(target, payload.status(), budget);
    if (*algorithm == AzureAlgorithm::kA256Kw) {
      ASSIGN_OR_RETURN(*payload, Unpad(*payload));
    }
    return CheckContext(*payload, context);
  }

 private:
  struct Parsed {
    AzureKeyId id;
    std::string owners_tenant;  // "" = not named
  };
  static absl::StatusOr<Parsed> Parse(const RootKey& key) {
    auto id = ParseAzureKeyId(key.uri);
    if (!id.ok()) return KmsError(FailureClass::kUnsuitable, absl::StrCat("uri: ", id.status().message()));
    Parsed out{.id = *std::move(id)};
    if (!key.auth_principal.empty()) {
      auto tenant = ParseAzureTenant(key.auth_principal);
      if (!tenant.ok()) return KmsError(FailureClass::kUnsuitable, absl::StrCat("auth_principal: ", tenant.status().message()));
      out.owners_tenant = *std::move(tenant);
    }
    return out;
  }

  absl::StatusOr<AzureTarget> Target(const RootKey& key, const KmsCall& call) const {
    ASSIGN_OR_RETURN(Parsed parsed, Parse(key));
    ASSIGN_OR_RETURN(const std::string own, identity_.OwnTenant());
    AzureTarget target{.key = std::move(parsed.id), .tenant = own, .fresh = call.fresh};
    if (!parsed.owners_tenant.empty()) {
      target.owners_tenant = parsed.owners_tenant != own;
      target.tenant = std::move(parsed.owners_tenant);
    } else if (own.empty() && !identity_.IsManaged()) {
      return KmsError(FailureClass::kIdentity,
                      "our own Azure credentials: tenant_id (AZURE_TENANT_ID) is not set, and the key names no tenant");
    }
    return target;
  }

  static std::string DeletedWords(const AzureDeletedKey& deleted) {
    std::string words = "it was deleted";
    if (deleted.deleted) absl::StrAppend(&words, " at ", latchkey::FormatTime(*deleted.deleted));
    absl::StrAppend(&words, " and can be recovered");
    if (deleted.purged) absl::StrAppend(&words, " until ", latchkey::FormatTime(*deleted.purged));
    return words;
  }

  // A key that is not found: gone for good as far as we can see.
  static absl::Status Refined(const absl::Status& not_found, const absl::Status& deleted) {
    if (absl::IsNotFound(deleted)) return Prefixed(not_found, "neither there nor among the deleted keys");
    // Whether it can be recovered is not shown to us; that it is not there, is.
    return not_found;
  }

  // The same status, unless the key turns out to be deleted and recoverable.
  absl::Status Explained(const AzureTarget& target, const absl::Status& status, const CallBudget& budget) {
    if (FailureClassOf(status) != FailureClass::kDestroyed) return status;
    const auto deleted = client_.GetDeletedKey(target, budget);
    if (!deleted.ok()) return Refined(status, deleted.status());
    return KmsError(FailureClass::kPendingDeletion,
                    absl::StrCat("the key cannot be used: ", DeletedWords(*deleted), "; ", status.message()));
  }

  const AzureKmsOptions options_;
  Clock& clock_;
  KmsTransport transport_;
  AzureIdentity identity_;
  AzureVaultClient client_;
};

}  // namespace

std::unique_ptr<Kms> NewAzureKms(AzureKmsOptions options) { return std::make_unique<AzureKms>(std::move(options)); }

}  // namespace latchkey
