#include "kms/aws/aws_kms.h"

#include <algorithm>

#include "base/status.h"
#include "kms/aws/arn.h"
#include "kms/aws/credentials.h"
#include "kms/aws/kms_client.h"
#include "kms/aws/sts.h"

namespace latchkey {
namespace {

constexpr size_t kMaxPlaintext = 190;
constexpr absl::Duration kRenewBefore = absl::Minutes(5);
// What a description waits for what is only good to know.
constexpr absl::Duration kRotationPatience = absl::Seconds(2);

class AwsKms : public Kms {
 public:
  explicit AwsKms(AwsKmsOptions options)
      : options_(std::move(options)),
        clock_(*options_.call.clock),
        transport_(options_.call),
        identity_({.profile = options_.profile,
                   .shared_credentials_file = options_.shared_credentials_file,
                   .config_file = options_.config_file,
                   .call = options_.call},
                  transport_),
        roles_(clock_) {}

  std::string_view type() const override { return "AWS_KMS"; }

  absl::Status Check(const RootKey& key) const override { return Parse(key).status(); }

  absl::StatusOr<KeyDescription> Describe(const RootKey& key, const KmsCall& call) override {
    return WithTarget<KeyDescription>(key, call, [&](const KmsTarget& target, const CallBudget& budget) -> absl::StatusOr<KeyDescription> {
      ASSIGN_OR_RETURN(const AwsKeyMetadata metadata, KmsDescribeKey(transport_, target, key.uri, budget));
      KeyDescription description = DescribeAwsKey(metadata);
      if (!description.usable) return description;
      // The owner may have left this right out, and key stores have no rotation: the description stands without.
      const CallBudget patience(std::min(kRotationPatience, budget.Remaining()));
      if (const auto rotation = KmsGetKeyRotationStatus(transport_, target, key.uri, patience); rotation.ok()) {
        description.rotation_enabled = rotation->enabled;
        description.next_rotation = rotation->next;
      }
      return description;
    });
  }

  absl::Status TestIdentity(const RootKey& key, const KeyTestStepDone& done) override {
    const CallBudget budget(options_.call.call_budget);
    ASSIGN_OR_RETURN(const AwsKeyArn arn, Parse(key));
    const StsTarget sts = StsOf(arn);
    ASSIGN_OR_RETURN(const SharedAwsCredentials own, identity_.Get(sts, true, budget));
    done("credentials", absl::StrCat("access key ", own->access_key_id));
    if (key.auth_principal.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(CredentialsFor(key, sts, true, false, budget).status());
    done("identity", key.auth_principal);
    return absl::OkStatus();
  }

  absl::StatusOr<KmsWrapped> Wrap(const RootKey& key, const SecretBytes& plaintext, const KmsContext& context,
                                  const KmsCall& call) override {
    if (plaintext.empty() || plaintext.size() > kMaxPlaintext) {
      return KmsError(FailureClass::kUnsuitable, absl::StrCat("plaintext: must be 1 to ", kMaxPlaintext, " bytes"));
    }
    return WithTarget<KmsWrapped>(key, call, [&](const KmsTarget& target, const CallBudget& budget) -> absl::StatusOr<KmsWrapped> {
      ASSIGN_OR_RETURN(auto ciphertext, KmsEncrypt(transport_, target, key.uri, plaintext, context, budget));
      return KmsWrapped{.ciphertext = std::move(ciphertext), .key_version = ""};
    });
  }

  absl::StatusOr<SecretBytes> Unwrap(const RootKey& key, const KmsWrapped& wrapped, const KmsContext& context,
                                     const KmsCall& call) override {
    const std::vector<uint8_t>& ciphertext = wrapped.ciphertext;
    if (ciphertext.empty() || ciphertext.size() > kMostAwsCiphertext) {
      return KmsError(FailureClass::kCorrupt, "the wrapped key has a length that AWS KMS does not make");
    }
    return WithTarget<SecretBytes>(key, call, [&](const KmsTarget& target, const CallBudget& budget) -> absl::StatusOr<SecretBytes> {
      ASSIGN_OR_RETURN(KmsPlaintext plaintext, KmsDecrypt(transport_, target, key.uri, ciphertext, context, budget));
      return std::move(plaintext.bytes);
    });
  }

 private:
  static absl::StatusOr<AwsKeyArn> Parse(const RootKey& key) {
    auto arn = ParseKeyArn(key.uri);
    if (!arn.ok()) return KmsError(FailureClass::kUnsuitable, absl::StrCat("uri: ", arn.status().message()));
    if (!key.auth_principal.empty()) {
      const absl::Status role = CheckRoleArn(key.auth_principal, arn->partition);
      if (!role.ok()) return KmsError(FailureClass::kUnsuitable, absl::StrCat("auth_principal: ", role.message()));
    }
    return arn;
  }

  StsTarget StsOf(const AwsKeyArn& arn) const {
    const std::string_view suffix = DnsSuffix(arn.partition);
    return {
        .endpoint = options_.sts_endpoint.empty() ? absl::StrCat("https://sts.", arn.region, ".", ToAbsl(suffix)) : options_.sts_endpoint,
        .region = arn.region,
        .configured = !options_.sts_endpoint.empty()};
  }

  // Runs one operation as the key's role. Once more with new credentials when those that were kept are not accepted any more: a role that
  // was deleted shows so, and only stepping into it anew tells the owner's no from trouble of our own.
  template <typename T, typename Operation>
  absl::StatusOr<T> WithTarget(const RootKey& key, const KmsCall& call, const Operation& operation) {
    const CallBudget budget(options_.call.call_budget);
    ASSIGN_OR_RETURN(const AwsKeyArn arn, Parse(key));
    const std::string_view suffix = DnsSuffix(arn.partition);
    KmsTarget target;
    target.endpoint = options_.kms_endpoint.empty() ? absl::StrCat("https://kms.", arn.region, ".", ToAbsl(suffix)) : options_.kms_endpoint;
    target.region = arn.region;
    target.configured = !options_.kms_endpoint.empty();
    target.fresh = call.fresh;
    const StsTarget sts = StsOf(arn);
    ASSIGN_OR_RETURN(target.credentials, CredentialsFor(key, sts, call.fresh, false, budget));
    absl::StatusOr<T> result = operation(target, budget);
    if (!result.ok() && !call.fresh && FailureClassOf(result.status()) == FailureClass::kIdentity) {
      target.fresh = true;
      ASSIGN_OR_RETURN(target.credentials, CredentialsFor(key, sts, true, true, budget));
      result = operation(target, budget);
    }
    if (!result.ok() && FailureClassOf(result.status()) == FailureClass::kAmbiguous) return Refined(key, target, result.status(), budget);
    return result;
  }

  // KMS does not tell a key that is gone from one that is denied; DescribeKey works in every state and may.
  absl::Status Refined(const RootKey& key, const KmsTarget& target, const absl::Status& ambiguous, const CallBudget& budget) {
    const auto metadata = KmsDescribeKey(transport_, target, key.uri, budget);
    if (metadata.ok()) {
      // The key is there and can be seen: what was refused is its use.
      const FailureClass c = FailureOfAwsState(metadata->key_state).value_or(FailureClass::kDenied);
      return WithFailureClass(Prefixed(ambiguous, absl::StrCat("the key's state is ", metadata->key_state)), c);
    }
    if (FailureClassOf(metadata.status()) == FailureClass::kDestroyed) return metadata.status();
    return ambiguous;
  }

  absl::StatusOr<SharedAwsCredentials> CredentialsFor(const RootKey& key, const StsTarget& sts, bool fresh, bool new_identity,
                                                      const CallBudget& budget) {
    if (key.auth_principal.empty()) return identity_.Get(sts, new_identity, budget);
    const auto fetch = [&]() -> absl::StatusOr<SharedAwsCredentials> {
      absl::StatusOr<SharedAwsCredentials> role = StepIn(key, sts, false, fresh, budget);
      // Our identity may have been replaced meanwhile.
      if (!role.ok() && FailureClassOf(role.status()) == FailureClass::kIdentity) role = StepIn(key, sts, true, true, budget);
      if (!role.ok()) return role;
      // Kept for a shorter time than STS allows, so that a role that was taken away is noticed.
      auto kept = std::make_shared<AwsCredentials>();
      kept->access_key_id = (*role)->access_key_id;
      kept->secret_access_key = (*role)->secret_access_key.Clone();
      kept->session_token = (*role)->session_token.Clone();
      kept->expires = std::min((*role)->expires - kRenewBefore, clock_.Now() + options_.call.owner_credentials_age);
      return SharedAwsCredentials(std::move(kept));
    };
    return roles_.Get(absl::StrCat(sts.region, "\n", key.auth_principal, "\n", key.external_id), fresh, fetch, budget,
                      KmsError(FailureClass::kUnreachable, "AWS STS AssumeRole: no answer in time"));
  }

  absl::StatusOr<SharedAwsCredentials> StepIn(const RootKey& key, const StsTarget& sts, bool new_identity, bool fresh,
                                              const CallBudget& budget) {
    ASSIGN_OR_RETURN(const SharedAwsCredentials identity, identity_.Get(sts, new_identity, budget));
    return AssumeRole(transport_, sts, *identity, key.auth_principal, key.external_id, fresh, budget);
  }

  const AwsKmsOptions options_;
  Clock& clock_;
  AwsTransport transport_;
  AwsIdentity identity_;
  CredentialCache<SharedAwsCredentials> roles_;
};

}  // namespace

std::unique_ptr<Kms> NewAwsKms(AwsKmsOptions options) { return std::make_unique<AwsKms>(std::move(options)); }

}  // namespace latchkey
