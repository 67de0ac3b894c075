#include "kms/vault/vault_client.h"

#include <charconv>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "kms/vault/errors.h"

namespace latchkey {
namespace {

constexpr size_t kMaxToken = 8192;

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

absl::Status Incomplete(std::string_view what, std::string_view field) {
  return KmsError(FailureClass::kUnreachable, absl::StrCat(ToAbsl(what), ": the answer has no ", ToAbsl(field)));
}

// An object inside an answer, or nullptr.
json::object* Inside(json::object& object, std::string_view name) {
  json::value* value = object.if_contains({name.data(), name.size()});
  return value == nullptr ? nullptr : value->if_object();
}

std::string Text(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

// The text of a field, moved to where secrets live; it is wiped where it was.
SecretBytes TakeSecret(json::object& object, std::string_view name) {
  json::value* value = object.if_contains({name.data(), name.size()});
  json::string* text = value == nullptr ? nullptr : value->if_string();
  if (text == nullptr) return {};
  SecretBytes secret = SecretBytes::CopyOf(std::string_view(text->data(), text->size()));
  Wipe(text->data(), text->size());
  return secret;
}

std::optional<int64_t> Int(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  if (value == nullptr || !value->is_int64()) return std::nullopt;
  return value->get_int64();
}

bool Bool(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  return value != nullptr && value->is_bool() && value->get_bool();
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

// Printable ASCII: what a header or a JSON text may carry as it is.
bool IsPrintable(const SecretBytes& secret) {
  for (const uint8_t b : secret.Reveal(SecretAccess{})) {
    if (b <= 0x20 || b >= 0x7f) return false;
  }
  return !secret.empty() && secret.size() <= kMaxToken;
}

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
  ASSIGN_OR_RETURN(std::string text, Send(std::move(call), budget));
  absl::StatusOr<json::object> answer = ParseJsonObject(text);
  json::object* data = answer.ok() ? Inside(*answer, "data") : nullptr;
  if (data == nullptr) return Incomplete("Vault Transit encrypt", "data");
  std::string ciphertext = Text(*data, "ciphertext");
  const std::optional<int64_t> version = VaultCiphertextVersion(ciphertext);
  // Older releases do not tell the version beside the ciphertext.
  if (!version || Int(*data, "key_version").value_or(*version) != *version) return Incomplete("Vault Transit encrypt", "ciphertext");
  return ciphertext;
}

absl::StatusOr<SecretBytes> VaultClient::Decrypt(const VaultKeyName& name, std::string_view ciphertext, std::string_view associated_data,
                                                 const VaultCaller& caller, const CallBudget& budget) {
  Call call{.what = "Vault Transit decrypt", .path = KeyPath(name, "decrypt"), .method = "POST", .token = caller.token};
  call.fresh = caller.fresh;
  call.body = "{";
  AppendField(call.body, "associated_data", Quoted(Base64Encode(AsBytes(associated_data))));
  AppendField(call.body, "ciphertext", Quoted(ciphertext));
  call.body += '}';
  ASSIGN_OR_RETURN(std::string text, Send(std::move(call), budget));
  absl::StatusOr<json::object> answer = ParseJsonObject(text);
  Wipe(text);
  json::object* data = answer.ok() ? Inside(*answer, "data") : nullptr;
  if (data == nullptr) return Incomplete("Vault Transit decrypt", "data");
  const SecretBytes encoded = TakeSecret(*data, "plaintext");
  auto bytes = Base64Decode(encoded.RevealText(SecretAccess{}));
  if (!bytes.ok() || bytes->empty()) return Incomplete("Vault Transit decrypt", "plaintext");
  SecretBytes plaintext = SecretBytes::CopyOf(std::span<const uint8_t>(*bytes));
  Wipe(bytes->data(), bytes->size());
  return plaintext;
}

absl::StatusOr<VaultKey> VaultClient::ReadKey(const VaultKeyName& name, const VaultCaller& caller, const CallBudget& budget) {
  Call call{.what = "Vault Transit read key", .path = KeyPath(name, "keys"), .token = caller.token};
  call.fresh = caller.fresh;
  ASSIGN_OR_RETURN(const std::string text, Send(std::move(call), budget));
  absl::StatusOr<json::object> answer = ParseJsonObject(text);
  json::object* data = answer.ok() ? Inside(*answer, "data") : nullptr;
  if (data == nullptr) return Incomplete("Vault Transit read key", "data");
  VaultKey key;
  key.type = Text(*data, "type");
  const std::optional<int64_t> latest = Int(*data, "latest_version");
  if (key.type.empty() || !latest || *latest < 1) return Incomplete("Vault Transit read key", "type and latest_version");
  if (Text(*data, "name") != name.key) return KmsError(FailureClass::kCorrupt, "Vault Transit read key: the answer is of another key");
  key.latest_version = *latest;
  key.derived = Bool(*data, "derived");
  key.soft_deleted = Bool(*data, "soft_deleted");
  key.deletion_allowed = Bool(*data, "deletion_allowed");
  key.min_decryption_version = Int(*data, "min_decryption_version").value_or(0);
  key.min_available_version = Int(*data, "min_available_version").value_or(0);
  if (const auto seconds = Int(*data, "auto_rotate_period"); seconds && *seconds >= 0) key.auto_rotate_period = absl::Seconds(*seconds);
  if (const json::object* versions = Inside(*data, "keys")) {
    if (const auto made = Int(*versions, absl::StrCat(key.latest_version)); made && *made > 0) {
      key.latest_version_made = absl::FromUnixSeconds(*made);
    }
  }
  return key;
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
  ASSIGN_OR_RETURN(std::string text, Send(std::move(call), budget));
  absl::StatusOr<json::object> answer = ParseJsonObject(text);
  Wipe(text);
  json::object* auth = answer.ok() ? Inside(*answer, "auth") : nullptr;
  if (auth == nullptr) return Incomplete(what, "auth");
  VaultLoginAnswer login{.token = TakeSecret(*auth, "client_token"), .lease = absl::ZeroDuration()};
  const std::optional<int64_t> seconds = Int(*auth, "lease_duration");
  if (!IsPrintable(login.token) || !seconds || *seconds < 0) return Incomplete(what, "client_token and lease_duration");
  login.lease = absl::Seconds(*seconds);
  return login;
}

std::optional<int64_t> VaultCiphertextVersion(std::string_view ciphertext) {
  constexpr std::string_view kPrefix = "vault:v";
  if (!ciphertext.starts_with(kPrefix)) return std::nullopt;
  ciphertext.remove_prefix(kPrefix.size());
  int64_t version = 0;
  const auto [at, error] = std::from_chars(ciphertext.data(), ciphertext.data() + ciphertext.size(), version);
  if (error != std::errc() || version < 1) return std::nullopt;
  ciphertext.remove_prefix(static_cast<size_t>(at - ciphertext.data()));
  if (!ciphertext.starts_with(':')) return std::nullopt;
  const auto bytes = Base64Decode(ciphertext.substr(1));
  return bytes.ok() && !bytes->empty() ? std::optional(version) : std::nullopt;
}

}  // namespace latchkey
