// The Azure cloud of the emulator: Key Vault, Entra ID and managed identities on one port.
#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "emulator/azure/admin.h"
#include "emulator/azure/entra.h"
#include "emulator/azure/key_json.h"
#include "emulator/azure/managed_identity.h"
#include "emulator/azure/vault_api.h"
#include "emulator/azure/world.h"
#include "emulator/cloud.h"

namespace latchkey::emulator {
namespace azure {
namespace {

constexpr std::string_view kVaultService = "keyvault", kEntraService = "entra", kIdentityService = "managed-identity";

class AzureCloud : public Cloud {
 public:
  explicit AzureCloud(Random& random) : world_(random) {}

  std::string_view name() const override { return "azure"; }

  // A request to a vault without a token is "challenge" whatever it asks for: libraries send one to learn where tokens are had, and faults
  // that are ordered for an operation are not meant for it.
  OperationName NameOf(const HttpRequest& request) const override {
    if (IsForVault(request)) {
      const std::string operation = RouteOf(request).operation;
      const bool challenge = !operation.empty() && request.Header("authorization").empty();
      return {.service = std::string(kVaultService), .operation = challenge ? "challenge" : operation};
    }
    if (std::string operation = IdentityOperation(request); !operation.empty())
      return {std::string(kIdentityService), std::move(operation)};
    return {.service = std::string(kEntraService), .operation = EntraOperation(request)};
  }

  HttpResponse Answer(CloudCall& call) override {
    if (call.name.service == kVaultService) return AnswerVault(world_, call);
    if (call.name.service == kIdentityService) return AnswerIdentity(world_, call);
    if (!call.name.operation.empty()) return AnswerEntra(world_, call);
    call.record.result = "not found";
    return HttpResponse::Text(404, "latchkey kms-emulator, azure: keys under /keys, tokens at /{tenant}/oauth2/v2.0/token\n");
  }

  HttpResponse Throttled(const OperationName& name) const override {
    HttpResponse response;
    if (name.service == kVaultService) {
      response = KeyVaultError(429, "Throttled", "",
                               "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached");
    } else if (name.service == kIdentityService) {
      response = HttpResponse::Json(429, R"({"error":"too_many_requests","error_description":"Too many requests"})");
    } else {
      response = EntraError(429, "temporarily_unavailable", 90055, "There are too many incoming requests.", absl::UnixEpoch(), kNoTrace);
    }
    response.headers["retry-after"] = "1";
    return response;
  }

  // type "Forbidden/KeyDisabled" sets code and innererror; for Entra ID "unauthorized_client/700016" sets error and number.
  HttpResponse OrderedError(const OperationName& name, const Fault& fault) const override {
    const size_t slash = fault.type.find('/');
    const std::string first = fault.type.substr(0, slash), second = slash == std::string::npos ? "" : fault.type.substr(slash + 1);
    const std::string text = fault.message.empty() ? "Ordered from the emulator." : fault.message;
    if (name.service == kVaultService) {
      return KeyVaultError(fault.status, first.empty() ? "InternalServerError" : first, second, text);
    }
    if (name.service == kIdentityService) {
      const json::object body{{"error", first.empty() ? "unknown" : first}, {"error_description", text}};
      return HttpResponse::Json(fault.status, json::serialize(body));
    }
    const bool number = !second.empty() && second.size() < 12 && second.find_first_not_of("0123456789") == std::string::npos;
    return EntraError(fault.status, first.empty() ? "server_error" : first, number ? std::stoll(second) : 90033, text, absl::UnixEpoch(),
                      kNoTrace);
  }

  void ReplacePlaintext(const OperationName& name, HttpResponse& response, Random& random) const override {
    if ((name.operation != "unwrapkey" && name.operation != "decrypt") || response.status != 200) return;
    absl::StatusOr<json::object> body = ParseJsonObject(response.body);
    if (!body.ok()) return;
    const json::value* value = body->if_contains("value");
    if (value == nullptr || !value->is_string()) return;
    const absl::StatusOr<std::vector<uint8_t>> bytes = Base64UrlDecode(std::string_view(value->get_string()));
    if (!bytes.ok()) return;
    (*body)["value"] = Base64UrlEncode(random.Bytes(bytes->size()));
    response.body = json::serialize(*body);
  }

  bool Settle(absl::Time now, Random& random) override { return world_.Settle(now, random); }

  json::object ToJson() const override { return world_.ToJson(); }

  absl::Status Restore(const json::object& state) override {
    ASSIGN_OR_RETURN(world_, World::FromJson(state));
    return absl::OkStatus();
  }

  absl::StatusOr<json::object> Admin(std::string_view path, const json::object& body, absl::Time now, Random& random) override {
    return azure::Admin(world_, now, random).Do(path, body);
  }

  json::object State() const override;

  absl::StatusOr<json::object> Seed(const json::object& wanted, absl::Time now, Random& random) override {
    return azure::Admin(world_, now, random).Seed(wanted);
  }

 private:
  static constexpr std::string_view kNoTrace = "00000000-0000-0000-0000-000000000000";
  World world_;
};

json::object AzureCloud::State() const {
  json::array tenants, applications, principals, vaults;
  for (const auto& [id, domain] : world_.tenants) tenants.push_back(json::object{{"tenant", id}, {"domain", domain}});
  for (const auto& [id, a] : world_.applications) {
    applications.push_back(json::object{{"client_id", id},
                                        {"name", a.name},
                                        {"tenant", a.tenant},
                                        {"multi_tenant", a.multi_tenant},
                                        {"secrets", a.secrets.size()},
                                        {"certificates", a.certificates.size()},
                                        {"federated", a.federated.size()}});
  }
  for (const ServicePrincipal& p : world_.principals) {
    principals.push_back(
        json::object{{"tenant", p.tenant}, {"client_id", p.client_id}, {"object_id", p.object_id}, {"consented", p.consented}});
  }
  for (const auto& [host, vault] : world_.vaults) {
    json::object one{{"host", host},
                     {"tenant", vault.tenant},
                     {"location", vault.location},
                     {"recovery_level", vault.RecoveryLevel()},
                     {"firewall_closed", vault.firewall_closed}};
    json::array keys, roles, denials;
    for (const auto& [name, key] : vault.keys) {
      for (const KeyVersion& version : key.versions) keys.push_back(KeyItem(vault, "https://" + host, key, version, true));
    }
    for (const RoleAssignment& r : vault.roles) roles.push_back(json::object{{"role", r.role}, {"principal", r.client_id}, {"key", r.key}});
    for (const Denial& d : vault.denials) denials.push_back(json::object{{"principal", d.client_id}, {"key", d.key}});
    one["keys"] = std::move(keys);
    one["roles"] = std::move(roles);
    one["denials"] = std::move(denials);
    vaults.push_back(std::move(one));
  }
  json::object out;
  out["tenants"] = std::move(tenants);
  out["applications"] = std::move(applications);
  out["principals"] = std::move(principals);
  out["managed_identities"] = world_.identities.size();
  out["vaults"] = std::move(vaults);
  out["wrap_on_disabled"] = world_.wrap_on_disabled ? "allowed" : "refused";
  return out;
}

}  // namespace
}  // namespace azure

std::unique_ptr<Cloud> NewAzureCloud() { return std::make_unique<azure::AzureCloud>(Random::System()); }

}  // namespace latchkey::emulator
