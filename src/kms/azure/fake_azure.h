// A vault, Entra ID and the machine's token services on one port.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/encoding.h"
#include "base/json.h"
#include "crypto/key_wrap.h"
#include "crypto/rsa.h"
#include "kms/fake_service.h"
#include "kms/kms.h"

namespace latchkey {

inline constexpr char kOwnersTenant[] = "0a1b2c3d-0000-4000-8000-00000000000a";
inline constexpr char kOurTenant[] = "0a1b2c3d-0000-4000-8000-00000000000b";
inline constexpr char kTestVault[] = "contoso.vault.azure.net";
inline constexpr char kTestAzureKey[] = "https://contoso.vault.azure.net/keys/owner-key";
inline constexpr char kVersionOne[] = "11111111111111111111111111111111";
inline constexpr char kVersionTwo[] = "22222222222222222222222222222222";

inline HttpResponse KeyVaultError(int status, const std::string& code, const std::string& message, const std::string& inner = "") {
  json::object error = {{"code", code}, {"message", message}};
  if (!inner.empty()) error["innererror"] = json::object{{"code", inner}};
  return HttpResponse::Json(status, json::serialize(json::object{{"error", error}}));
}
inline HttpResponse EntraAnswer(int status, const std::string& error, int64_t code, const std::string& text) {
  const json::object body = {
      {"error", error},
      {"error_description", "AADSTS" + std::to_string(code) + ": " + text +
                                "\r\nTrace ID: 69ade0e5-f089-4a9d-b55d-9089e07f6300\r\nTimestamp: 2020-04-13 19:49:19Z"},
      {"error_codes", json::array{code}},
      {"trace_id", "69ade0e5-f089-4a9d-b55d-9089e07f6300"}};
  return HttpResponse::Json(status, json::serialize(body));
}
inline std::string ChallengeHeader(const std::string& tenant, const std::string& resource, const std::string& more = "") {
  return "Bearer authorization=\"https://login.microsoftonline.com/" + tenant + "\", resource=\"" + resource + "\"" + more;
}

// Operations: "challenge" (any request to the vault without a token), "get", "wrapkey", "unwrapkey", "deleted", "token", "imds",
// "identity-endpoint".
class FakeAzure : public FakeService {
 public:
  FakeAzure() { Start(); }
  ~FakeAzure() override { Stop(); }

  // What the vault is and holds.
  struct Vault {
    std::string tenant = kOwnersTenant;
    std::string resource = "https://vault.azure.net";
    std::string kty = "RSA";
    std::string current = kVersionOne;
    json::object attributes = {{"enabled", true}, {"created", 1600000000}, {"recoveryLevel", "Recoverable"}, {"recoverableDays", 90}};
    json::array operations = {"wrapKey", "unwrapKey"};
    std::optional<json::object> deleted;
  };
  template <typename F>
  void Change(const F& change) {
    const std::lock_guard lock(mutex_);
    change(vault_);
  }

  HttpResponse Challenge(const std::string& more = "") const {
    const Vault vault = Now();
    HttpResponse response = KeyVaultError(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.");
    response.headers["www-authenticate"] = ChallengeHeader(vault.tenant, vault.resource, more);
    return response;
  }
  // The form of the last request for a token.
  std::map<std::string, std::string> last_form() const {
    const auto form = ParseForm(last("token").body);
    return form ? std::map<std::string, std::string>(form->begin(), form->end()) : std::map<std::string, std::string>();
  }

 private:
  Vault Now() const {
    const std::lock_guard lock(mutex_);
    return vault_;
  }

  std::string OperationOf(const HttpRequest& request) const override {
    if (request.path.ends_with("/oauth2/v2.0/token")) return "token";
    if (request.path.starts_with("/metadata/")) return "imds";
    if (request.path == "/msi/token") return "identity-endpoint";
    if (request.Header("authorization").empty()) return "challenge";
    if (request.path.starts_with("/deletedkeys/")) return "deleted";
    if (request.path.ends_with("/unwrapkey")) return "unwrapkey";
    return request.path.ends_with("/wrapkey") ? "wrapkey" : "get";
  }
  HttpResponse Right(const std::string& operation, const HttpRequest& request) override {
    if (operation == "challenge") return Challenge();
    if (operation == "token") return Token(json::object{{"token_type", "Bearer"}, {"expires_in", 3599}});
    if (operation == "imds") return Token(json::object{{"token_type", "Bearer"}, {"expires_in", "3599"}});
    if (operation == "identity-endpoint") return Token(json::object{{"token_type", "Bearer"}, {"expires_on", "1700003600"}});
    const Vault vault = Now();
    if (operation == "deleted") {
      return vault.deleted ? HttpResponse::Json(200, json::serialize(*vault.deleted))
                           : KeyVaultError(404, "KeyNotFound", "Deleted Key not found: owner-key");
    }
    if (operation == "get") return Get(vault, request);
    return Crypt(vault, operation, request);
  }

  HttpResponse Token(json::object answer) {
    const std::lock_guard lock(mutex_);
    answer["access_token"] = "eyJ0b2tlbi" + std::to_string(++issued_);
    return HttpResponse::Json(200, json::serialize(answer));
  }

  // The version in /keys/<name>/<version>[/…], or the current one.
  static std::string VersionOf(const Vault& vault, const HttpRequest& request) {
    const size_t at = request.path.find('/', 6);
    return at == std::string::npos ? vault.current : request.path.substr(at + 1, 32);
  }
  static std::string Kid(const std::string& version) { return std::string(kTestAzureKey) + "/" + version; }

  static HttpResponse Get(const Vault& vault, const HttpRequest& request) {
    json::object key = {{"kid", Kid(VersionOf(vault, request))}, {"kty", vault.kty}, {"key_ops", vault.operations}};
    if (vault.kty.starts_with("RSA")) {
      key["n"] = Base64UrlEncode(Rsa(VersionOf(vault, request)).public_numbers().modulus);
      key["e"] = "AQAB";
    }
    return HttpResponse::Json(200, json::serialize(json::object{{"key", key}, {"attributes", vault.attributes}}));
  }

  static HttpResponse Crypt(const Vault& vault, const std::string& operation, const HttpRequest& request) {
    const auto body = ParseJsonObject(request.body);
    if (!body.ok()) return KeyVaultError(400, "BadParameter", "Property 'value' is required.");
    const auto value = Base64UrlDecode(body->at("value").as_string().c_str());
    const std::string algorithm = body->at("alg").as_string().c_str();
    const std::string version = VersionOf(vault, request);
    std::vector<uint8_t> out;
    if (algorithm == "RSA-OAEP-256" && vault.kty.starts_with("RSA")) {
      if (operation == "wrapkey") {
        out = Rsa(version).EncryptOaepSha256(SecretBytes::CopyOf(std::span<const uint8_t>(*value))).value();
      } else {
        const auto opened = Rsa(version).DecryptOaepSha256(*value);
        if (!opened.ok()) return KeyVaultError(400, "BadParameter", "Error occurred while decoding OAEP padding.");
        const auto bytes = opened->Reveal(SecretAccess{});
        out.assign(bytes.begin(), bytes.end());
      }
    } else if (algorithm == "A256KW" && vault.kty == "oct-HSM") {
      const SecretBytes kek = SecretBytes::CopyOf(std::string_view(version));
      if (operation == "wrapkey") {
        out = AesKeyWrap(kek, SecretBytes::CopyOf(std::span<const uint8_t>(*value)), false).value();
      } else {
        const auto opened = AesKeyUnwrap(kek, *value, false);
        if (!opened.ok()) return KeyVaultError(400, "BadParameter", "The operation could not be performed.");
        const auto bytes = opened->Reveal(SecretAccess{});
        out.assign(bytes.begin(), bytes.end());
      }
    } else {
      return KeyVaultError(400, "BadParameter", "Key and signing algorithm are incompatible.");
    }
    return HttpResponse::Json(200, json::serialize(json::object{{"kid", Kid(version)}, {"value", Base64UrlEncode(out)}}));
  }

  // One for each of two versions, made once for all tests: they take long.
  static const RsaPrivateKey& Rsa(const std::string& version) {
    static const RsaPrivateKey one = RsaPrivateKey::Generate(2048).value(), two = RsaPrivateKey::Generate(2048).value();
    return version == kVersionOne ? one : two;
  }

  Vault vault_;
  int issued_ = 0;
};

}  // namespace latchkey
