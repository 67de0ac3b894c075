#include "kms/vault/login.h"

#include <algorithm>

#include "base/file.h"
#include "base/status.h"

namespace latchkey {
namespace {

constexpr size_t kMaxFile = 16 << 10;
// How long before its end a token is replaced: a fifth of its life, and not more than this.
constexpr absl::Duration kMostMargin = absl::Minutes(1);

// A file of one word, as tools write tokens and secret ids.
absl::StatusOr<SecretBytes> ReadWord(const std::string& path, std::string_view what) {
  auto text = ReadFile(path, kMaxFile);
  if (!text.ok()) {
    return KmsError(FailureClass::kIdentity, absl::StrCat("our own Vault ", ToAbsl(what), ": ", path, ": ", text.status().message()));
  }
  std::string_view word = *text;
  while (!word.empty() && static_cast<unsigned char>(word.back()) <= ' ') word.remove_suffix(1);
  SecretBytes secret = SecretBytes::CopyOf(word);
  Wipe(*text);
  if (secret.empty()) return KmsError(FailureClass::kIdentity, absl::StrCat("our own Vault ", ToAbsl(what), ": ", path, ": is empty"));
  return secret;
}

}  // namespace

VaultLogin::VaultLogin(const VaultConnection& connection, const KmsCallOptions& call, VaultClient& client)
    : connection_(connection), most_age_(call.owner_credentials_age), clock_(*call.clock), client_(client) {}

absl::StatusOr<VaultLogin::Token> VaultLogin::Get(bool fresh, const CallBudget& budget) {
  if (is_static()) {
    ASSIGN_OR_RETURN(SecretBytes token, ReadWord(connection_.token_file, "token"));
    auto shared = std::make_shared<BearerToken>(BearerToken{.token = std::move(token), .expires = absl::InfiniteFuture()});
    return Token{.token = std::move(shared), .kept = false};
  }
  bool logged_in = false;
  const auto valid = [this](const SharedBearerToken& token) { return clock_.Now() < token->expires; };
  const auto fetch = [&] {
    logged_in = true;
    return LogIn(fresh, budget);
  };
  ASSIGN_OR_RETURN(SharedBearerToken token,
                   kept_.Get(fresh, valid, fetch, budget.end(), KmsError(FailureClass::kUnreachable, "Vault login: no answer in time")));
  return Token{.token = std::move(token), .kept = !fresh && !logged_in};
}

absl::StatusOr<SharedBearerToken> VaultLogin::LogIn(bool fresh, const CallBudget& budget) {
  SecretBytes first, second;
  std::map<std::string, const SecretBytes*> fields;
  std::string_view mount;
  if (!connection_.role_id.empty()) {
    mount = connection_.approle_mount;
    first = SecretBytes::CopyOf(std::string_view(connection_.role_id));
    ASSIGN_OR_RETURN(second, ReadWord(connection_.secret_id_file, "secret id"));
    fields = {{"role_id", &first}, {"secret_id", &second}};
  } else {
    mount = connection_.kubernetes_mount;
    first = SecretBytes::CopyOf(std::string_view(connection_.kubernetes_role));
    ASSIGN_OR_RETURN(second, ReadWord(connection_.kubernetes_token_file, "service account token"));
    fields = {{"role", &first}, {"jwt", &second}};
  }
  const absl::Time asked = clock_.Now();
  ASSIGN_OR_RETURN(VaultLoginAnswer answer, client_.Login(mount, fields, fresh, budget));
  absl::Duration life = most_age_;
  if (answer.lease > absl::ZeroDuration()) life = std::min(life, answer.lease - std::min(answer.lease / 5, kMostMargin));
  return SharedBearerToken(std::make_shared<BearerToken>(BearerToken{.token = std::move(answer.token), .expires = asked + life}));
}

}  // namespace latchkey
