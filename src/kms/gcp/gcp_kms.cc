#include "kms/gcp/gcp_kms.h"

#include <algorithm>

#include "base/status.h"
#include "kms/bound_payload.h"
#include "kms/gcp/identity.h"
#include "kms/gcp/kms_client.h"
#include "kms/gcp/names.h"
#include "kms/gcp/token_request.h"

namespace latchkey {
namespace {

constexpr size_t kMaxPlaintext = 190;
constexpr std::string_view kKmsScope = "https://www.googleapis.com/auth/cloudkms";
// What the owner takes away lives no longer than that anywhere.
constexpr absl::Duration kOwnerTokenLifetime = absl::Minutes(15);

std::string EndpointOf(const std::string& configured, const char* real) { return configured.empty() ? real : configured; }

class GcpKms : public Kms {
 public:
  explicit GcpKms(GcpKmsOptions options)
      : options_(std::move(options)),
        clock_(*options_.call.clock),
        transport_(options_.call),
        identity_(options_, transport_),
        owners_(clock_) {}

  std::string_view type() const override { return "GCP_CLOUD_KMS"; }

  absl::Status Check(const RootKey& key) const override {
    if (const auto name = ParseGcpKeyName(key.uri); !name.ok()) {
      return KmsError(FailureClass::kUnsuitable, absl::StrCat("uri: ", name.status().message()));
    }
    if (key.auth_principal.empty()) return absl::OkStatus();
    const absl::Status account = CheckServiceAccount(key.auth_principal);
    if (account.ok()) return account;
    return KmsError(FailureClass::kUnsuitable, absl::StrCat("auth_principal: ", account.message()));
  }

  absl::StatusOr<KeyDescription> Describe(const RootKey& key, const KmsCall& call) override {
    return WithTarget<KeyDescription>(Use::kNone, key, call,
                                      [&](const GcpKmsTarget& target, const CallBudget& budget) -> absl::StatusOr<KeyDescription> {
                                        ASSIGN_OR_RETURN(const GcpKey found, GcpGetCryptoKey(transport_, target, key.uri, budget));
                                        return DescribeGcpKey(found);
                                      });
  }

  absl::Status TestIdentity(const RootKey& key, const KeyTestStepDone& done) override {
    const CallBudget budget(options_.call.call_budget);
    RETURN_IF_ERROR(identity_.Get(true, budget).status());
    done("credentials", "a token of our own account");
    if (key.auth_principal.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(TokenFor(key, true, false, budget).status());
    done("identity", key.auth_principal);
    return absl::OkStatus();
  }

  absl::StatusOr<KmsWrapped> Wrap(const RootKey& key, const SecretBytes& plaintext, const KmsContext& context,
                                  const KmsCall& call) override {
    if (plaintext.empty() || plaintext.size() > kMaxPlaintext) {
      return KmsError(FailureClass::kUnsuitable, absl::StrCat("plaintext: must be 1 to ", kMaxPlaintext, " bytes"));
    }
    const std::string aad = CanonicalContext(context);
    return WithTarget<KmsWrapped>(
        Use::kOfKey, key, call, [&](const GcpKmsTarget& target, const CallBudget& budget) -> absl::StatusOr<KmsWrapped> {
          ASSIGN_OR_RETURN(GcpEncrypted encrypted, GcpEncrypt(transport_, target, key.uri, plaintext, aad, budget));
          return KmsWrapped{.ciphertext = std::move(encrypted.ciphertext), .key_version = std::move(encrypted.version)};
        });
  }

  absl::StatusOr<SecretBytes> Unwrap(const RootKey& key, const KmsWrapped& wrapped, const KmsContext& context,
                                     const KmsCall& call) override {
    if (wrapped.ciphertext.empty() || wrapped.ciphertext.size() > kMostGcpCiphertext) {
      return KmsError(FailureClass::kCorrupt, "the wrapped key has a length that Google Cloud KMS does not make");
    }
    const std::string aad = CanonicalContext(context);
    return WithTarget<SecretBytes>(Use::kOfKey, key, call, [&](const GcpKmsTarget& target, const CallBudget& budget) {
      return GcpDecrypt(transport_, target, key.uri, wrapped.ciphertext, aad, budget);
    });
  }

 private:
  // Whether an operation uses the key or only looks at it: looking again tells nothing new.
  enum class Use { kNone, kOfKey };

  // Runs one operation as the owner's account, or as ourselves. Once more with a new token when one that was kept is not accepted any
  // more: an account that was disabled shows so, and only stepping into it anew tells the owner's no from trouble of our own.
  template <typename T, typename Operation>
  absl::StatusOr<T> WithTarget(Use use, const RootKey& key, const KmsCall& call, const Operation& operation) {
    const CallBudget budget(options_.call.call_budget);
    RETURN_IF_ERROR(Check(key));
    GcpError refusal;
    GcpKmsTarget target{.endpoint = EndpointOf(options_.kms_endpoint, "https://cloudkms.googleapis.com"),
                        .configured = !options_.kms_endpoint.empty(),
                        .token = nullptr,
                        .actor = key.auth_principal.empty() ? GcpActor::kSelf : GcpActor::kOwner,
                        .fresh = call.fresh,
                        .refusal = &refusal};
    ASSIGN_OR_RETURN(target.token, TokenFor(key, call.fresh, false, budget));
    absl::StatusOr<T> result = operation(target, budget);
    // With `fresh` the owner's token is new already.
    const bool kept = !call.fresh || target.actor == GcpActor::kSelf;
    if (!result.ok() && refusal.http_status == 401 && kept) {
      target.fresh = true;
      ASSIGN_OR_RETURN(target.token, TokenFor(key, true, true, budget));
      result = operation(target, budget);
    }
    if (use == Use::kOfKey && !result.ok() && FailureClassOf(result.status()) == FailureClass::kAmbiguous) {
      return Refined(key, target, result.status(), budget);
    }
    return result;
  }

  // Cloud KMS does not tell a key that is gone from one that is denied. Reading the key is a right of its own, and may.
  absl::Status Refined(const RootKey& key, GcpKmsTarget target, const absl::Status& ambiguous, const CallBudget& budget) {
    const bool was_denied = target.refusal->status == "PERMISSION_DENIED";
    target.refusal = nullptr;
    const auto found = GcpGetCryptoKey(transport_, target, key.uri, budget);
    if (!found.ok()) return FailureClassOf(found.status()) == FailureClass::kDestroyed ? found.status() : ambiguous;
    const KeyDescription description = DescribeGcpKey(*found);
    // The key is there and can be seen: what was refused is its use.
    const FailureClass c = description.failure.value_or(was_denied ? FailureClass::kDenied : FailureClass::kAmbiguous);
    const std::string seen = description.failure ? description.unusable_because : "its primary version is ENABLED";
    return WithFailureClass(Prefixed(ambiguous, absl::StrCat("the key exists and ", seen)), c);
  }

  absl::StatusOr<SharedBearerToken> TokenFor(const RootKey& key, bool fresh, bool new_identity, const CallBudget& budget) {
    if (key.auth_principal.empty()) return identity_.Get(new_identity, budget);
    const auto fetch = [&]() -> absl::StatusOr<SharedBearerToken> {
      GcpError refusal;
      absl::StatusOr<SharedBearerToken> token = StepIn(key, false, fresh, budget, refusal);
      // Our identity may have been replaced meanwhile.
      if (!token.ok() && refusal.http_status == 401) token = StepIn(key, true, true, budget, refusal);
      if (!token.ok()) return token;
      // Kept for a shorter time than it is good for, so that an account that was taken away is noticed.
      auto kept = std::make_shared<BearerToken>();
      kept->token = (*token)->token.Clone();
      kept->expires = std::min((*token)->expires, clock_.Now() + options_.call.owner_credentials_age);
      return SharedBearerToken(std::move(kept));
    };
    return owners_.Get(key.auth_principal, fresh, fetch, budget,
                       KmsError(FailureClass::kUnreachable, "Google IAM Credentials generateAccessToken: no answer in time"));
  }

  absl::StatusOr<SharedBearerToken> StepIn(const RootKey& key, bool new_identity, bool fresh, const CallBudget& budget, GcpError& refusal) {
    ASSIGN_OR_RETURN(SharedBearerToken identity, identity_.Get(new_identity, budget));
    const ImpersonationRequest request{.endpoint = EndpointOf(options_.iam_credentials_endpoint, "https://iamcredentials.googleapis.com"),
                                       .configured = !options_.iam_credentials_endpoint.empty(),
                                       .service_account = key.auth_principal,
                                       .scope = kKmsScope,
                                       .lifetime = kOwnerTokenLifetime,
                                       .as = std::move(identity),
                                       .fresh = fresh,
                                       .own_account = false};
    return GenerateAccessToken(transport_, request, clock_, budget, &refusal);
  }

  const GcpKmsOptions options_;
  Clock& clock_;
  KmsTransport transport_;
  GcpIdentity identity_;
  CredentialCache<SharedBearerToken> owners_;
};

}  // namespace

std::unique_ptr<Kms> NewGcpKms(GcpKmsOptions options) { return std::make_unique<GcpKms>(std::move(options)); }

}  // namespace latchkey
