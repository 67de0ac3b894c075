// A Vault with one Transit engine, a token file's world and two ways to log in, for tests.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/encoding.h"
#include "base/json.h"
#include "kms/fake_service.h"

namespace latchkey {

inline HttpResponse VaultErrors(int status, const std::vector<std::string>& errors) {
  return HttpResponse::Json(status, json::serialize(json::object{{"errors", json::array(errors.begin(), errors.end())}}));
}
inline HttpResponse VaultData(json::object data) {
  return HttpResponse::Json(200, json::serialize(json::object{{"request_id", "r-1"}, {"lease_id", ""}, {"data", std::move(data)}}));
}
inline HttpResponse PolicyDenies() { return VaultErrors(403, {"1 error occurred:\n\t* permission denied\n\n"}); }

// Operations: "read", "encrypt", "decrypt", "lookup-self", "login".
class FakeVault : public FakeService {
 public:
  FakeVault() { Start(); }
  ~FakeVault() override { Stop(); }

  struct State {
    json::object key = {{"name", "db"},
                        {"type", "aes256-gcm96"},
                        {"derived", false},
                        {"deletion_allowed", false},
                        {"exportable", false},
                        {"latest_version", 3},
                        {"min_available_version", 0},
                        {"min_decryption_version", 1},
                        {"auto_rotate_period", 0},
                        {"keys", json::object{{"1", 1'600'000'000}, {"2", 1'650'000'000}, {"3", 1'690'000'000}}}};
    bool key_exists = true;
    bool policy_allows = true;      // on the engine; looking oneself up is always allowed
    bool tells_dead_tokens = true;  // as releases since 2024 do
    int lease_seconds = 3600;
    std::string role_id = "role-1", secret = "secret-1";  // secret id, or service account token
    std::set<std::string> good_tokens;
  };
  // The state, for as long as the result lives: vault.state()->key_exists = false;
  class Held {
   public:
    Held(std::mutex& mutex, State& state) : lock_(mutex), state_(state) {}
    State* operator->() { return &state_; }

   private:
    std::unique_lock<std::mutex> lock_;
    State& state_;
  };
  Held state() { return Held(mutex_, state_); }

 private:
  std::string OperationOf(const HttpRequest& request) const override {
    if (request.path.ends_with("/login")) return "login";
    if (request.path == "/v1/auth/token/lookup-self") return "lookup-self";
    for (const auto& [part, operation] :
         std::map<std::string, std::string>{{"keys", "read"}, {"encrypt", "encrypt"}, {"decrypt", "decrypt"}}) {
      if (request.path == "/v1/teams/transit/" + part + "/db") return operation;
    }
    return "other";
  }

  HttpResponse Right(const std::string& operation, const HttpRequest& request) override {
    const std::lock_guard lock(mutex_);
    if (operation == "login") return Login(request);
    if (!state_.good_tokens.contains(request.Header("x-vault-token"))) {
      return state_.tells_dead_tokens ? VaultErrors(403, {"2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"})
                                      : VaultErrors(403, {"permission denied"});
    }
    if (operation == "lookup-self") return VaultData({{"id", request.Header("x-vault-token")}, {"ttl", 60}});
    if (!state_.policy_allows) return PolicyDenies();
    if (operation == "read") return state_.key_exists ? VaultData(state_.key) : VaultErrors(404, {});
    if (operation == "other") return VaultErrors(404, {"no handler for route \"x\". route entry not found."});
    if (!state_.key_exists) return VaultErrors(400, {"encryption key not found"});
    return Crypto(operation, *ParseJsonObject(request.body));
  }

  HttpResponse Login(const HttpRequest& request) {
    const auto body = ParseJsonObject(request.body);
    const bool approle = request.path == "/v1/auth/approle/login";
    if (!body.ok() || body->at(approle ? "role_id" : "role").as_string() != state_.role_id ||
        body->at(approle ? "secret_id" : "jwt").as_string() != state_.secret) {
      return approle ? VaultErrors(400, {"invalid role or secret ID"}) : VaultErrors(403, {"permission denied"});
    }
    const std::string token = "hvs.token-" + std::to_string(++issued_);
    state_.good_tokens.insert(token);
    return HttpResponse::Json(
        200, json::serialize(json::object{
                 {"auth", json::object{{"client_token", token}, {"lease_duration", state_.lease_seconds}, {"renewable", true}}}}));
  }

  // The ciphertext is the request's associated data and plaintext, in base64: enough to give the one back only with the other.
  HttpResponse Crypto(const std::string& operation, const json::object& body) {
    const std::string bound = std::string(body.at("associated_data").as_string()) + "|";
    if (operation == "encrypt") {
      const std::string blob = bound + std::string(body.at("plaintext").as_string());
      return VaultData({{"ciphertext", "vault:v3:" + Base64Encode(AsBytes(blob))}, {"key_version", 3}});
    }
    const std::string ciphertext(body.at("ciphertext").as_string());
    const auto bytes = Base64Decode(ciphertext.substr(ciphertext.rfind(':') + 1));
    const std::string blob(bytes.ok() ? AsText(*bytes) : "");
    if (!blob.starts_with(bound)) return VaultErrors(400, {"invalid ciphertext: unable to decrypt"});
    return VaultData({{"plaintext", blob.substr(bound.size())}});
  }

  State state_;
  int issued_ = 0;
};

}  // namespace latchkey
