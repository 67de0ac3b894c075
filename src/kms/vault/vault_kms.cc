#include "kms/vault/vault_kms.h"

#include <algorithm>
#include <thread>

#include "base/encoding.h"
#include "base/status.h"
#include "kms/bound_payload.h"
#include "kms/vault/login.h"
#include "kms/vault/uri.h"
#include "kms/vault/vault_client.h"

namespace latchkey {
namespace {

constexpr absl::Duration kClusterLag = absl::Milliseconds(500);
constexpr size_t kMaxPlaintext = 190;

class VaultKms : public Kms {
 public:
  VaultKms(const std::map<std::string, VaultConnection>& connections, const KmsCallOptions& call) : call_budget_(call.call_budget) {
    for (const auto& [name, connection] : connections) {
      const absl::Status good = CheckVaultConnection(connection);
      servers_.emplace(name, good.ok() ? std::make_unique<Server>(connection, call) : nullptr);
      if (!good.ok()) faults_.emplace(name, std::string(good.message()));
    }
  }

  std::string_view type() const override { return "VAULT_TRANSIT"; }

  absl::Status Check(const RootKey& key) const override { return Parse(key).status(); }

  absl::StatusOr<KeyDescription> Describe(const RootKey& key, const KmsCall& call) override {
    return WithToken<KeyDescription>(key, call, [&](const Target& target) -> absl::StatusOr<KeyDescription> {
      ASSIGN_OR_RETURN(const VaultKey found, target.client.ReadKey(target.name, target.caller, target.budget));
      return DescribeVaultKey(key.uri, found);
    });
  }

  absl::Status TestIdentity(const RootKey& key, const KeyTestStepDone& done) override {
    const CallBudget budget(call_budget_);
    ASSIGN_OR_RETURN(const VaultKeyName name, Parse(key));
    const auto server = servers_.find(name.connection);
    if (server->second == nullptr) return absl::OkStatus();  // the next call says what is wrong with the connection
    ASSIGN_OR_RETURN(const VaultLogin::Token token, server->second->login.Get(true, budget));
    if (server->second->login.is_static()) {
      // Without the right to look itself up, a denial cannot be told from a token that has ended: then a revocation would wait for the
      // lease.
      if (absl::Status self = server->second->client.LookupSelf({.token = token.token, .fresh = true}, budget); !self.ok()) {
        return Prefixed(self, "the token needs read on auth/token/lookup-self, as the policy \"default\" gives it");
      }
    }
    done("credentials", server->second->login.is_static() ? "the token file" : "logged in");
    return absl::OkStatus();
  }

  absl::StatusOr<KmsWrapped> Wrap(const RootKey& key, const SecretBytes& plaintext, const KmsContext& context,
                                  const KmsCall& call) override {
    if (plaintext.empty() || plaintext.size() > kMaxPlaintext) {
      return KmsError(FailureClass::kUnsuitable, absl::StrCat("plaintext: must be 1 to ", kMaxPlaintext, " bytes"));
    }
    return WithToken<KmsWrapped>(key, call, [&](const Target& target) -> absl::StatusOr<KmsWrapped> {
      // With a token that may create, encrypting under a name that does not exist makes a new key, and on an engine of another kind the
      // request would be stored as it is: so only what was seen to be a Transit key is encrypted with.
      ASSIGN_OR_RETURN(const VaultKey found, target.client.ReadKey(target.name, target.caller, target.budget));
      if (const KeyDescription seen = DescribeVaultKey(key.uri, found); !seen.usable) {
        return KmsError(*seen.failure, absl::StrCat("Vault Transit encrypt: the key cannot be used: ", seen.unusable_because));
      }
      ASSIGN_OR_RETURN(const std::string ciphertext,
                       target.client.Encrypt(target.name, plaintext, CanonicalContext(context), target.caller, target.budget));
      return KmsWrapped{.ciphertext = {ciphertext.begin(), ciphertext.end()},
                        .key_version = absl::StrCat(VaultCiphertextVersion(ciphertext).value_or(0))};
    });
  }

  absl::StatusOr<SecretBytes> Unwrap(const RootKey& key, const KmsWrapped& wrapped, const KmsContext& context,
                                     const KmsCall& call) override {
    const std::string_view ciphertext = AsText(wrapped.ciphertext);
    const std::optional<int64_t> version =
        ciphertext.size() <= kMostVaultCiphertext ? VaultCiphertextVersion(ciphertext) : std::optional<int64_t>();
    if (!version) return KmsError(FailureClass::kCorrupt, "the wrapped key has a form that Vault Transit does not make");
    return WithToken<SecretBytes>(key, call, [&](const Target& target) -> absl::StatusOr<SecretBytes> {
      auto plaintext = target.client.Decrypt(target.name, ciphertext, CanonicalContext(context), target.caller, target.budget);
      if (!plaintext.ok() && FailureClassOf(plaintext.status()) == FailureClass::kDisabled) {
        // Too old: the bound can be lowered again, but not below what was trimmed away.
        const auto found = target.client.ReadKey(target.name, target.caller, target.budget);
        if (found.ok() && *version < found->min_available_version) {
          return KmsError(FailureClass::kDestroyed, absl::StrCat("Vault Transit decrypt: version ", *version,
                                                                 " of the key was trimmed away: ", plaintext.status().message()));
        }
      }
      return plaintext;
    });
  }

 private:
  struct Server {
    Server(const VaultConnection& connection, const KmsCallOptions& call) : client(connection, call), login(connection, call, client) {}
    VaultClient client;
    VaultLogin login;
  };
  struct Target {
    VaultClient& client;
    const VaultKeyName& name;
    VaultCaller caller;
    const CallBudget& budget;
  };

  absl::StatusOr<VaultKeyName> Parse(const RootKey& key) const {
    auto name = ParseVaultUri(key.uri);
    if (!name.ok()) return KmsError(FailureClass::kUnsuitable, absl::StrCat("uri: ", name.status().message()));
    if (!servers_.contains(name->connection)) {
      return KmsError(FailureClass::kUnsuitable,
                      absl::StrCat("uri: this host's configuration has no Vault connection named ", name->connection));
    }
    if (!key.auth_principal.empty()) {
      return KmsError(FailureClass::kUnsuitable, "auth_principal: must be empty: who we are at a Vault is its connection's");
    }
    return name;
  }

  // Runs one operation with our token. Vault answers 403 to a token that has ended as to one whose policies do not allow what was asked, so
  // a 403 is the owner's no only when the token is known to be good: one of a new login, or one that may look itself up.
  template <typename T, typename Operation>
  absl::StatusOr<T> WithToken(const RootKey& key, const KmsCall& call, const Operation& operation) {
    const CallBudget budget(call_budget_);
    ASSIGN_OR_RETURN(const VaultKeyName name, Parse(key));
    if (const auto fault = faults_.find(name.connection); fault != faults_.end()) {
      return KmsError(FailureClass::kIdentity,
                      absl::StrCat("Vault connection ", name.connection, " is configured wrongly: ", fault->second));
    }
    Server& server = *servers_.at(name.connection);
    ASSIGN_OR_RETURN(const VaultLogin::Token token, server.login.Get(call.fresh, budget));
    Target target{.client = server.client, .name = name, .caller = {.token = token.token, .fresh = call.fresh}, .budget = budget};
    absl::StatusOr<T> result = operation(target);
    if (token.kept && IsAboutToken(result.status())) {
      ASSIGN_OR_RETURN(const VaultLogin::Token renewed, server.login.Get(true, budget));
      target.caller = {.token = renewed.token, .fresh = true};
      result = operation(target);
    }
    if (!server.login.is_static() && FailureClassOf(result.status()) == FailureClass::kDenied) {
      // A node of a cluster that has not heard of a token made just now denies it as one whose policies do not allow.
      std::this_thread::sleep_for(absl::ToChronoMilliseconds(std::clamp(budget.Remaining(), absl::ZeroDuration(), kClusterLag)));
      result = operation(target);
    }
    if (server.login.is_static() && FailureClassOf(result.status()) == FailureClass::kDenied) {
      const absl::Status self = server.client.LookupSelf(target.caller, budget);
      if (!self.ok()) {
        return Prefixed(self, absl::StrCat(result.status().message(),
                                           "; whether the token itself is good (it needs read on "
                                           "auth/token/lookup-self)"));
      }
    }
    return result;
  }

  static bool IsAboutToken(const absl::Status& status) {
    const std::optional<FailureClass> c = FailureClassOf(status);
    return c == FailureClass::kDenied || c == FailureClass::kIdentity;
  }

  const absl::Duration call_budget_;
  std::map<std::string, std::unique_ptr<Server>> servers_;  // null where the connection is malformed
  std::map<std::string, std::string> faults_;
};

}  // namespace

std::unique_ptr<Kms> NewVaultKms(std::map<std::string, VaultConnection> connections, KmsCallOptions call) {
  return std::make_unique<VaultKms>(connections, call);
}

}  // namespace latchkey
