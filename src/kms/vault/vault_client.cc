#include "kms/vault/vault_client.h"

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "kms/answer_fields.h"
#include "kms/vault/answers.h"
#include "kms/vault/errors.h"

namespace latchkey {
namespace {

KmsCallOptions WithCa(KmsCallOptions call, const std::string& ca_pem) {
  if (!ca_pem.empty()) call.ca_pem = ca_pem;
  return call;
}

std::string WithoutSlash(std::string text) {
  if (text.ends_with('/')) text.pop_back();
  return text;
}

std::string KeyPath(const VaultKeyName& name, std::string_view operation) {
  return absl::StrCat(name.mount, "/", ToAbsl(operation), "/", name.key);
}

void AppendField(std::string& body, std::string_view name, std::string_view json_text) {
  body.append(body.size() > 1 ? ",\"" : "\"").append(name).append("\":").append(json_text);
}

std::string Quoted(std::string_view text) { return json::serialize(json::string(text.data(), text.size())); }

// For bytes that need no escaping (base64, tokens); the result is the only copy.
std::string QuotedSecret(const SecretBytes& secret) {
  std::string out;
  out.reserve(2 * secret.size() + 16);
  out += '"';
  for (const char c : secret.RevealText(SecretAccess{})) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
  return out;
}

// What a header or a JSON text may carry as it is.
bool IsPrintable(const SecretBytes& secret) { return secret.size() <= kMostVaultToken && IsHeaderText(secret.RevealText(SecretAccess{})); }

// A server that quotes what it was sent does not get it into our messages.
void Redact(std::string& words, const SecretBytes& secret) {
  const std::string_view text = secret.RevealText(SecretAccess{});
  if (text.empty()) return;
  for (size_t at = words.find(text); at != std::string::npos; at = words.find(text, at)) words.replace(at, text.size(), "[secret]");
}

}  // namespace

struct VaultClient::Call {
  std::string what;
  std::string path;  // below /v1/
  std::string method = "GET";
  std::string body = {};
  SharedBearerToken token = {};
  std::vector<const SecretBytes*> secrets = {};  // in the body
  bool fresh = false;
  FailureClass (*classify)(const VaultError&) = ClassifyVaultKeyError;
};

VaultClient::VaultClient(const VaultConnection& connection, const KmsCallOptions& call)
    : base_(WithoutSlash(connection.address) + "/v1/"),
      namespace_(connection.namespace_path),
      transport_(WithCa(call, connection.ca_pem)) {}

// The body of an answer of 200, which may hold secrets: the caller wipes it.
absl::StatusOr<std::string> VaultClient::Send(Call call, const CallBudget& budget) {
  KmsExchange exchange{.what = call.what,
                       .url = base_ + call.path,
                       .request = {.method = call.method, .headers = {{"x-vault-request", "true"}}, .body = std::move(call.body)},
                       .fresh = call.fresh,
                       .configured = true};
  if (call.method != "GET") exchange.request.headers["content-type"] = "application/json";
  if (!namespace_.empty()) exchange.request.headers["x-vault-namespace"] = namespace_;
  if (call.token != nullptr) {
    if (!IsPrintable(call.token->token)) {
      Wipe(exchange.request.body);
      return KmsError(FailureClass::kIdentity, absl::StrCat(call.what, ": our token is not a text that a header can carry"));
    }
    exchange.request.headers["x-vault-token"] = std::string(call.token->token.RevealText(SecretAccess{}));
  }
  std::vector<const SecretBytes*> secrets = call.secrets;
  if (call.token != nullptr) secrets.push_back(&call.token->token);
  exchange.read_failure = [&call, &secrets](const HttpResponse& response) -> std::optional<KmsFailure> {
    if (response.status == 200) return std::nullopt;
    // Before its words are cut, which could leave a part of a secret.
    HttpResponse clean = response;
    for (const SecretBytes* secret : secrets) Redact(clean.body, *secret);
    std::optional<KmsFailure> failure = ReadVaultFailure(clean, call.classify);
    for (const SecretBytes* secret : secrets) {
      if (failure) Redact(failure->words, *secret);
    }
    return failure;
  };
  ASSIGN_OR_RETURN(HttpResponse response, transport_.Send(std::move(exchange), budget));
  return std::move(response.body);
}

absl::StatusOr<std::string> VaultClient::Encrypt(const VaultKeyName& name, const SecretBytes& plaintext, std::string_view associated_data,
                                                 const VaultCaller& caller, const CallBudget& budget) {
  Call call{.what = "Vault Transit encrypt", .path = KeyPath(name, "encrypt"), .method = "POST", .token = caller.token};
  call.fresh = caller.fresh;
  // Written by hand around the secret, so that it stands in one string that is wiped, and in no JSON tree.
  std::string encoded = Base64Encode(plaintext.Reveal(SecretAccess{}));
  call.body = "{";
  call.body.reserve(encoded.size() + 2 * associated_data.size() + 64);
  AppendField(call.body, "associated_data", Quoted(Base64Encode(AsBytes(associated_data))));
  call.body.append(",\"plaintext\":\"").append(encoded).append("\"}");
  const SecretBytes sent = SecretBytes::CopyOf(std::string_view(encoded));
  Wipe(encoded);
  call.secrets.push_back(&sent);
  ASSIGN_OR_RETURN(std::string answer, Send(std::move(call), budget));
  return ReadVaultEncrypted(answer);
}

absl::StatusOr<SecretBytes> VaultClient::Decrypt(const VaultKeyName& name, std::string_view ciphertext, std::string_view associated_data,
                                                 const VaultCaller& caller, const CallBudget& budget) {
  Call call{.what = "Vault Transit decrypt", .path = KeyPath(name, "decrypt"), .method = "POST", .token = caller.token};
  call.fresh = caller.fresh;
  call.body = "{";
  AppendField(call.body, "associated_data", Quoted(Base64Encode(AsBytes(associated_data))));
  AppendField(call.body, "ciphertext", Quoted(ciphertext));
  call.body += '}';
  ASSIGN_OR_RETURN(std::string answer, Send(std::move(call), budget));
  return ReadVaultDecrypted(answer);
}

absl::StatusOr<VaultKey> VaultClient::ReadKey(const VaultKeyName& name, const VaultCaller& caller, const CallBudget& budget) {
  Call call{.what = "Vault Transit read key", .path = KeyPath(name, "keys"), .token = caller.token};
  call.fresh = caller.fresh;
  ASSIGN_OR_RETURN(std::string answer, Send(std::move(call), budget));
  return ReadVaultKey(answer, name.key);
}

absl::Status VaultClient::LookupSelf(const VaultCaller& caller, const CallBudget& budget) {
  Call call{.what = "Vault token lookup-self", .path = "auth/token/lookup-self", .token = caller.token};
  call.fresh = caller.fresh;
  call.classify = ClassifyVaultLoginError;
  auto text = Send(std::move(call), budget);
  // The answer names the token.
  if (text.ok()) Wipe(*text);
  return text.status();
}

absl::StatusOr<VaultLoginAnswer> VaultClient::Login(std::string_view auth_mount, const std::map<std::string, const SecretBytes*>& fields,
                                                    bool fresh, const CallBudget& budget) {
  const std::string what = absl::StrCat("Vault login at auth/", ToAbsl(auth_mount));
  Call call{.what = what, .path = absl::StrCat("auth/", ToAbsl(auth_mount), "/login"), .method = "POST"};
  call.fresh = fresh;
  call.classify = ClassifyVaultLoginError;
  size_t size = 2;
  for (const auto& [name, secret] : fields) size += name.size() + 2 * secret->size() + 8;
  call.body.reserve(size);
  call.body = "{";
  for (const auto& [name, secret] : fields) {
    if (!IsPrintable(*secret)) {
      Wipe(call.body);
      return KmsError(FailureClass::kIdentity, absl::StrCat(what, ": our ", name, " is empty, too long or not one word"));
    }
    std::string quoted = QuotedSecret(*secret);
    AppendField(call.body, name, quoted);
    Wipe(quoted);
    call.secrets.push_back(secret);
  }
  call.body += '}';
  ASSIGN_OR_RETURN(std::string answer, Send(std::move(call), budget));
  return ReadVaultLogin(answer, what);
}

}  // namespace latchkey
