#include "kms/kmip/kmip_kms.h"

#include <algorithm>

#include "base/random.h"
#include "base/status.h"
#include "kms/bound_payload.h"
#include "kms/kmip/operations.h"

namespace latchkey {
namespace {

constexpr std::string_view kScheme = "kmip://";
constexpr size_t kMaxPlaintext = 190;
constexpr size_t kProbeSize = 32;
constexpr int32_t kBits = 256;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

struct KmipUri {
  std::string connection, unique_identifier;
};

absl::StatusOr<KmipUri> ParseUri(std::string_view uri) {
  const absl::Status malformed = KmsError(FailureClass::kUnsuitable, "uri: must be kmip://<connection>/<unique identifier of the key>");
  if (!uri.starts_with(kScheme)) return malformed;
  uri.remove_prefix(kScheme.size());
  const size_t slash = uri.find('/');
  if (slash == std::string_view::npos) return malformed;
  const std::string_view connection = uri.substr(0, slash), id = uri.substr(slash + 1);
  if (connection.empty() || connection.size() > 63 || !std::ranges::all_of(connection, IsNameCharacter)) return malformed;
  const bool good = std::ranges::all_of(id, [](char c) { return IsNameCharacter(c) || c == ':' || c == '~'; });
  if (id.empty() || id.size() > 128 || !good) return malformed;
  return KmipUri{std::string(connection), std::string(id)};
}

std::string StateText(const KmipAttributes& attributes) {
  return attributes.state ? std::string(KmipStateName(*attributes.state)) : std::string("Unknown");
}

// Why the key is none for encryption and decryption with AES-256; empty when it is.
std::string Unfit(const KmipAttributes& attributes) {
  if (attributes.object_type && *attributes.object_type != kmip::kSymmetricKey) return "it is not a symmetric key";
  if (attributes.algorithm && *attributes.algorithm != kmip::kAes) return "its algorithm is not AES";
  if (attributes.length && *attributes.length != kBits) return absl::StrCat("its length is ", *attributes.length, " bits, not 256");
  constexpr int32_t kBoth = kmip::kUsageEncrypt | kmip::kUsageDecrypt;
  if (attributes.usage_mask && (*attributes.usage_mask & kBoth) != kBoth) return "its usage mask does not have both Encrypt and Decrypt";
  return "";
}

KeyDescription ToDescription(const std::string& uri, const KmipAttributes& attributes) {
  KeyDescription description{.resolved_uri = uri,
                             .state = StateText(attributes),
                             .deletion_date = attributes.destroy_date,
                             .expires_at = attributes.deactivation_date};
  if (!attributes.state) {
    description.failure = FailureClass::kUnsuitable;
    description.unusable_because = "the server does not tell its state";
  } else if (std::string unfit = Unfit(attributes); !unfit.empty()) {
    description.failure = FailureClass::kUnsuitable;
    description.unusable_because = std::move(unfit);
  } else if ((description.failure = FailureOfKmipState(*attributes.state))) {
    description.unusable_because = absl::StrCat("its state is ", description.state);
  }
  description.usable = !description.failure;
  return description;
}

class KmipKms : public Kms {
 public:
  KmipKms(std::map<std::string, KmipConnection> connections, const KmsCallOptions& call) : call_(call) {
    for (auto& [name, connection] : connections) clients_[name] = std::make_unique<KmipClient>(std::move(connection), call);
  }

  std::string_view type() const override { return "KMIP"; }

  absl::Status Check(const RootKey& key) const override { return Parse(key).status(); }

  absl::StatusOr<KeyDescription> Describe(const RootKey& key, const KmsCall& call) override {
    ASSIGN_OR_RETURN(const KmipUri uri, Parse(key));
    const CallBudget budget(call_.call_budget);
    ASSIGN_OR_RETURN(const KmipAttributes attributes, KmipGetAttributes(Target(uri, call.fresh), budget));
    return ToDescription(key.uri, attributes);
  }

  absl::StatusOr<KmsWrapped> Wrap(const RootKey& key, const SecretBytes& plaintext, const KmsContext& context,
                                  const KmsCall& call) override {
    ASSIGN_OR_RETURN(const KmipUri uri, Parse(key));
    if (plaintext.empty() || plaintext.size() > kMaxPlaintext) {
      return KmsError(FailureClass::kUnsuitable, absl::StrCat("plaintext: must be 1 to ", kMaxPlaintext, " bytes"));
    }
    const CallBudget budget(call_.call_budget);
    const KmipTarget target = Target(uri, call.fresh);
    KmipTrouble trouble;
    auto wrapped = KmipEncrypt(target, plaintext, CanonicalContext(context), budget, trouble);
    if (!wrapped) return Refined(key, target, trouble, budget);
    return KmsWrapped{.ciphertext = *std::move(wrapped)};
  }

  absl::StatusOr<SecretBytes> Unwrap(const RootKey& key, const KmsWrapped& wrapped, const KmsContext& context,
                                     const KmsCall& call) override {
    ASSIGN_OR_RETURN(const KmipUri uri, Parse(key));
    const std::vector<uint8_t>& bytes = wrapped.ciphertext;
    if (bytes.size() <= kKmipOverhead || bytes.size() > kKmipOverhead + kMaxPlaintext || bytes.front() != kKmipFormat) {
      return KmsError(FailureClass::kCorrupt, "the wrapped key has a form that KMIP keys do not make");
    }
    const CallBudget budget(call_.call_budget);
    const KmipTarget target = Target(uri, call.fresh);
    const std::string aad = CanonicalContext(context);
    KmipTrouble trouble;
    auto plaintext = KmipDecrypt(target, bytes, aad, budget, trouble);
    if (!plaintext && trouble.reason == kmip::Reason::kGeneralFailure) {
      RETURN_IF_ERROR(Probe(key, target, budget));
      plaintext = KmipDecrypt(target, bytes, aad, budget, trouble);
      if (!plaintext && trouble.reason == kmip::Reason::kGeneralFailure) {
        return KmsError(
            FailureClass::kCorrupt,
            absl::StrCat(trouble.status.message(),
                         "; the server decrypts other things under the key: key, context and wrapped key do not belong together"));
      }
    }
    if (!plaintext) return Refined(key, target, trouble, budget);
    RETURN_IF_ERROR(StillActive(key, target, budget));
    return *std::move(plaintext);
  }

 private:
  absl::StatusOr<KmipUri> Parse(const RootKey& key) const {
    ASSIGN_OR_RETURN(KmipUri uri, ParseUri(key.uri));
    if (!key.auth_principal.empty()) return KmsError(FailureClass::kUnsuitable, "auth_principal: must be empty for a KMIP key");
    if (!clients_.contains(uri.connection)) {
      return KmsError(FailureClass::kUnsuitable,
                      absl::StrCat("uri: no KMIP connection \"", uri.connection, "\" is configured on this host"));
    }
    return uri;
  }

  KmipTarget Target(const KmipUri& uri, bool fresh) const {
    return {.client = *clients_.at(uri.connection), .unique_identifier = uri.unique_identifier, .fresh = fresh};
  }

  // A refusal as such does not tell a key that is off from one that we may not use; its attributes may.
  absl::Status Refined(const RootKey& key, const KmipTarget& target, const KmipTrouble& trouble, const CallBudget& budget) const {
    if (!trouble.ask_state) return trouble.status;
    const auto attributes = KmipGetAttributes(target, budget);
    if (!attributes.ok()) {
      return FailureClassOf(attributes.status()) == FailureClass::kDestroyed ? attributes.status() : trouble.status;
    }
    if (!attributes->state) return trouble.status;
    const KeyDescription description = ToDescription(key.uri, *attributes);
    // The key is there, is active and is of the right kind: what was refused is our use of it.
    return WithFailureClass(Prefixed(trouble.status, absl::StrCat("the key's state is ", description.state)),
                            description.failure.value_or(FailureClass::kDenied));
  }

  // Whether the server does decrypt under this key at all, if it is asked for something that it has just encrypted.
  absl::Status Probe(const RootKey& key, const KmipTarget& target, const CallBudget& budget) const {
    const SecretBytes probe = Random::System().Secret(kProbeSize);
    constexpr std::string_view kAad = "latchkey probe";
    KmipTrouble trouble;
    const auto wrapped = KmipEncrypt(target, probe, kAad, budget, trouble);
    if (!wrapped) return Refined(key, target, trouble, budget);
    const auto opened = KmipDecrypt(target, *wrapped, kAad, budget, trouble);
    if (!opened) return Refined(key, target, trouble, budget);
    return opened->Equals(probe) ? absl::OkStatus() : KmsError(FailureClass::kCorrupt, "KMIP Decrypt: other bytes than were encrypted");
  }

  // The standard lets a server decrypt under keys that are deactivated or compromised (KMIP 1.4, section 3.22). An owner who has revoked
  // the key means no. A server that does not let us see the state decides alone.
  absl::Status StillActive(const RootKey& key, const KmipTarget& target, const CallBudget& budget) const {
    const auto attributes = KmipGetAttributes(target, budget);
    if (!attributes.ok()) {
      // The key has just decrypted: that its state is refused to us, in whatever words, is no word about the key.
      const std::optional<FailureClass> c = FailureClassOf(attributes.status());
      const bool hidden = c && (IsRefusal(*c) || *c == FailureClass::kUnsuitable);
      return hidden ? absl::OkStatus() : attributes.status();
    }
    const std::optional<FailureClass> failure = attributes->state ? FailureOfKmipState(*attributes->state) : std::nullopt;
    return failure ? KmsError(*failure, absl::StrCat(key.uri, ": the key's state is ", StateText(*attributes))) : absl::OkStatus();
  }

  const KmsCallOptions call_;
  std::map<std::string, std::unique_ptr<KmipClient>> clients_;
};

}  // namespace

absl::Status CheckKmipConnection(const KmipConnection& connection) {
  const auto is_host = [](std::string_view name) {
    return !name.empty() && name.size() <= 253 && name.front() != '-' &&
           std::ranges::all_of(name, [](char c) { return IsNameCharacter(c) || c == ':'; });
  };
  if (!is_host(connection.host)) return InvalidArgument("host: must be a host name or an IP address");
  if (connection.port < 1 || connection.port > 65535) return InvalidArgument("port: must be 1 to 65535");
  if (!connection.server_name.empty() && !is_host(connection.server_name)) {
    return InvalidArgument("server_name: must be a host name or an IP address");
  }
  if (connection.ca_file.empty()) return InvalidArgument("ca_file: is needed");
  if (connection.client_certificate_file.empty()) return InvalidArgument("client_certificate_file: is needed");
  if (connection.client_key_file.empty()) return InvalidArgument("client_key_file: is needed");
  return absl::OkStatus();
}

std::unique_ptr<Kms> NewKmipKms(std::map<std::string, KmipConnection> connections, KmsCallOptions call) {
  return std::make_unique<KmipKms>(std::move(connections), call);
}

}  // namespace latchkey
