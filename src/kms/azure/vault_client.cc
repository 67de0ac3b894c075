#include "kms/azure/vault_client.h"

#include <absl/strings/str_cat.h>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"

namespace latchkey {
namespace {

constexpr std::string_view kApiVersion = "?api-version=7.4";
constexpr size_t kMostChallenges = 256;

std::string_view NameOf(AzureAlgorithm algorithm) { return algorithm == AzureAlgorithm::kA256Kw ? "A256KW" : "RSA-OAEP-256"; }

std::string KeyPath(const AzureKeyId& key) {
  return key.version.empty() ? absl::StrCat("/keys/", key.name) : absl::StrCat("/keys/", key.name, "/", key.version);
}

std::string What(const AzureTarget& target, std::string_view operation) {
  const bool hsm = target.key.suffix.starts_with("managedhsm.");
  return absl::StrCat(hsm ? "Azure Managed HSM " : "Azure Key Vault ", ToAbsl(operation));
}

std::string WwwAuthenticate(const HttpResponse& response) {
  const auto it = response.headers.find("www-authenticate");
  return it == response.headers.end() ? std::string() : it->second;
}

}  // namespace

KmsExchange AzureVaultClient::NewExchange(const AzureTarget& target, const Request& request) const {
  std::string base = key_endpoint_.empty() ? absl::StrCat("https://", target.key.host) : key_endpoint_;
  while (base.ends_with('/')) base.pop_back();
  return {.what = request.what,
          .url = absl::StrCat(base, request.path, ToAbsl(kApiVersion)),
          .request = {.method = request.method, .headers = {{"host", target.key.host}, {"accept", "application/json"}}},
          .fresh = target.fresh,
          .configured = !key_endpoint_.empty()};
}

absl::Status AzureVaultClient::CheckChallenge(const AzureTarget& target, const std::string& what, const AzureChallenge& challenge) const {
  // Behind an endpoint of the configuration, that host is trusted to speak for the vault.
  return Prefixed(CheckAzureChallenge(challenge, key_endpoint_.empty() ? target.key.suffix : "", target.tenant), what);
}

void AzureVaultClient::Remember(const std::string& host, const AzureChallenge& challenge) {
  const std::lock_guard lock(mutex_);
  if (challenges_.size() >= kMostChallenges && !challenges_.contains(host)) challenges_.erase(challenges_.begin());
  challenges_[host] = {.tenant = challenge.tenant, .resource = challenge.resource};
}

absl::StatusOr<AzureChallenge> AzureVaultClient::Challenge(const AzureTarget& target, const Request& request, const CallBudget& budget) {
  {
    const std::lock_guard lock(mutex_);
    const auto it = challenges_.find(target.key.host);
    // One that does not fit any more is asked for anew: the owner may have moved the vault to another tenant.
    if (it != challenges_.end() && CheckChallenge(target, request.what, it->second).ok()) return it->second;
  }
  std::string header;
  KmsExchange exchange = NewExchange(target, request);
  exchange.read_failure = [&](const HttpResponse& response) -> std::optional<KmsFailure> {
    header = WwwAuthenticate(response);
    if (response.status == 401 && !header.empty()) return std::nullopt;
    if (response.status < 300) return KmsFailure{FailureClass::kUnreachable, "answered without asking who we are: it is not a vault"};
    return AzureVaultFailure(response, request.operation);
  };
  RETURN_IF_ERROR(transport_.Send(std::move(exchange), budget).status());
  auto challenge = ParseAzureChallenge(header);
  if (!challenge.ok()) {
    return KmsError(FailureClass::kUnreachable, absl::StrCat(request.what, ": ", challenge.status().message()));
  }
  RETURN_IF_ERROR(CheckChallenge(target, request.what, *challenge));
  Remember(target.key.host, *challenge);
  return challenge;
}

absl::StatusOr<std::string> AzureVaultClient::Call(const AzureTarget& target, Request request, const CallBudget& budget) {
  struct Wiper {
    explicit Wiper(std::string& t) : text(t) {}
    ~Wiper() { Wipe(text); }
    Wiper(const Wiper&) = delete;
    Wiper& operator=(const Wiper&) = delete;
    std::string& text;
  };
  const Wiper wiper(request.body);
  ASSIGN_OR_RETURN(AzureChallenge challenge, Challenge(target, request, budget));
  challenge.claims.clear();
  for (bool again = false;; again = true) {
    ASSIGN_OR_RETURN(const SharedBearerToken token, identity_.Token({.tenant = challenge.tenant,
                                                                     .authority = std::string(target.key.authority),
                                                                     .resource = challenge.resource,
                                                                     .claims = challenge.claims,
                                                                     .owners_tenant = target.owners_tenant,
                                                                     .fresh = target.fresh || again},
                                                                    budget));
    KmsExchange exchange = NewExchange(target, request);
    exchange.request.headers["authorization"] = absl::StrCat("Bearer ", ToAbsl(token->token.RevealText(SecretAccess{})));
    exchange.request.body = request.body;
    if (!request.body.empty()) exchange.request.headers["content-type"] = "application/json";
    bool token_refused = false;
    std::string header;
    exchange.read_failure = [&](const HttpResponse& response) -> std::optional<KmsFailure> {
      token_refused = response.status == 401;
      if (response.status == 200) return std::nullopt;
      header = WwwAuthenticate(response);
      return AzureVaultFailure(WithoutSecrets(response, {&token->token, &request.secret}), request.operation);
    };
    auto response = transport_.Send(std::move(exchange), budget);
    if (!response.ok()) {
      // The token is over, was revoked, or the vault asks for more than it says: one new token tells.
      if (!token_refused || again) return response.status();
      if (const auto next = ParseAzureChallenge(header); next.ok()) {
        RETURN_IF_ERROR(CheckChallenge(target, request.what, *next));
        Remember(target.key.host, *next);
        challenge = *next;
      }
      continue;
    }
    return std::move(response->body);
  }
}

AzureAsked AzureVaultClient::Asked(const AzureTarget& target, const std::string& what) const {
  return {.key = target.key, .any_host = !key_endpoint_.empty(), .what = what};
}

absl::StatusOr<AzureKey> AzureVaultClient::GetKey(const AzureTarget& target, const CallBudget& budget) {
  const std::string what = What(target, "get");
  ASSIGN_OR_RETURN(std::string answer, Call(target, {.what = what, .method = "GET", .path = KeyPath(target.key)}, budget));
  return ReadAzureKey(answer, Asked(target, what));
}

absl::StatusOr<AzureDeletedKey> AzureVaultClient::GetDeletedKey(const AzureTarget& target, const CallBudget& budget) {
  const std::string what = What(target, "get deleted key");
  auto answer = Call(target, {.what = what, .method = "GET", .path = absl::StrCat("/deletedkeys/", target.key.name)}, budget);
  if (FailureClassOf(answer.status()) == FailureClass::kDestroyed) return NotFound("no deleted key of that name");
  RETURN_IF_ERROR(answer.status());
  return ReadAzureDeletedKey(*answer, Asked(target, what));
}

absl::StatusOr<std::vector<uint8_t>> AzureVaultClient::WrapKey(const AzureTarget& target, AzureAlgorithm algorithm,
                                                               const SecretBytes& payload, const CallBudget& budget) {
  const std::string what = What(target, "wrapkey");
  // Written by hand around the secret, so that it stands in one string that is wiped, and in no JSON tree.
  std::string encoded = Base64UrlEncode(payload.Reveal(SecretAccess{}));
  SecretBytes secret = SecretBytes::CopyOf(std::string_view(encoded));
  std::string body;
  body.reserve(encoded.size() + 64);
  body.append("{\"alg\":\"").append(NameOf(algorithm)).append("\",\"value\":\"").append(encoded).append("\"}");
  Wipe(encoded);
  ASSIGN_OR_RETURN(std::string answer, Call(target,
                                            {.what = what,
                                             .method = "POST",
                                             .path = KeyPath(target.key) + "/wrapkey",
                                             .body = std::move(body),
                                             .secret = std::move(secret),
                                             .operation = AzureOperation::kWrap},
                                            budget));
  return ReadAzureWrapped(answer, Asked(target, what));
}

absl::StatusOr<SecretBytes> AzureVaultClient::UnwrapKey(const AzureTarget& target, AzureAlgorithm algorithm,
                                                        const std::vector<uint8_t>& wrapped, const CallBudget& budget) {
  const std::string what = What(target, "unwrapkey");
  const json::object body = {{"alg", std::string(NameOf(algorithm))}, {"value", Base64UrlEncode(wrapped)}};
  ASSIGN_OR_RETURN(std::string answer, Call(target,
                                            {.what = what,
                                             .method = "POST",
                                             .path = KeyPath(target.key) + "/unwrapkey",
                                             .body = json::serialize(body),
                                             .operation = AzureOperation::kUnwrap},
                                            budget));
  return ReadAzureUnwrapped(answer, Asked(target, what));
}

}  // namespace latchkey
