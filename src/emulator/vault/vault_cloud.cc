// HashiCorp Vault and OpenBao as a cloud of the emulator: routing, tokens and policies, and the form of answers. HTTP API v1.
#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "emulator/arn.h"
#include "emulator/cloud.h"
#include "emulator/vault/admin.h"
#include "emulator/vault/auth.h"
#include "emulator/vault/state.h"
#include "emulator/vault/transit.h"

namespace latchkey::emulator {
namespace vault {
namespace {

constexpr std::string_view kVersion = "0.1.0+latchkey-emulator";

enum class Endpoint {
  kUnknown,
  kHealth,
  kSealStatus,
  kAppRoleLogin,
  kKubernetesLogin,
  kLookupSelf,
  kRenewSelf,
  kRevokeSelf,
  kCapabilitiesSelf,
  kTransit
};

// Where a request goes.
struct Route {
  Endpoint endpoint = Endpoint::kUnknown;
  std::string path;   // below /v1/, as policies see it
  std::string mount;  // of a login or of Transit
  TransitRequest transit;
};

// GET with ?list=true is LIST.
std::string MethodOf(const HttpRequest& request) {
  return request.method == "GET" && request.Query("list") == "true" ? "LIST" : request.method;
}

Namespace NamespaceOf(const HttpRequest& request) {
  std::string name = request.Header("x-vault-namespace");
  while (!name.empty() && name.back() == '/') name.pop_back();
  while (!name.empty() && name.front() == '/') name.erase(0, 1);
  return name;
}

std::string TokenOf(const HttpRequest& request) {
  const std::string bearer = request.Header("authorization");
  if (const std::string token = request.Header("x-vault-token"); !token.empty()) return token;
  return bearer.compare(0, 7, "Bearer ") == 0 ? bearer.substr(7) : "";
}

// For paths that nothing answers.
std::string_view CapabilityOfMethod(std::string_view method) {
  if (method == "GET") return "read";
  if (method == "LIST") return "list";
  if (method == "DELETE") return "delete";
  return "update";
}

HttpResponse Errors(int status, std::string_view error) {
  json::array errors;
  if (!error.empty()) errors.emplace_back(error);
  json::object body;
  body["errors"] = std::move(errors);
  return HttpResponse::Json(status, json::serialize(body));
}

class VaultCloud : public Cloud {
 public:
  std::string_view name() const override { return "vault"; }

  OperationName NameOf(const HttpRequest& request) const override {
    const Route route = RouteOf(request);
    switch (route.endpoint) {
      case Endpoint::kHealth:
        return {"sys", "health"};
      case Endpoint::kSealStatus:
        return {"sys", "sealStatus"};
      case Endpoint::kCapabilitiesSelf:
        return {"sys", "capabilitiesSelf"};
      case Endpoint::kAppRoleLogin:
        return {"approle", "login"};
      case Endpoint::kKubernetesLogin:
        return {"kubernetes", "login"};
      case Endpoint::kLookupSelf:
        return {"token", "lookupSelf"};
      case Endpoint::kRenewSelf:
        return {"token", "renewSelf"};
      case Endpoint::kRevokeSelf:
        return {"token", "revokeSelf"};
      case Endpoint::kTransit:
        return {"transit", std::string(OperationText(route.transit.operation))};
      default:
        return {"vault", ""};
    }
  }

  HttpResponse Answer(CloudCall& call) override {
    const Reply reply = Decide(call);
    if (reply.status >= 400) {
      call.record.result = reply.error.empty() ? "not found" : Quotable(reply.error, 128);
      // The log shows the words, not the list that the service makes of them.
      if (reply.status == 403 && reply.error.find("permission denied") != std::string::npos) call.record.result = "permission denied";
    }
    HttpResponse response = Form(call, reply);
    response.headers["cache-control"] = "no-store";
    return response;
  }

  HttpResponse Throttled(const OperationName&) const override { return Errors(429, "rate limit quota exceeded"); }

  HttpResponse OrderedError(const OperationName&, const Fault& fault) const override {
    return Errors(fault.status, !fault.message.empty() ? fault.message : !fault.type.empty() ? fault.type : "internal error");
  }

  void ReplacePlaintext(const OperationName&, HttpResponse& response, Random& random) const override {
    absl::StatusOr<json::object> body = ParseJsonObject(response.body);
    if (!body.ok()) return;
    json::value* data = body->if_contains("data");
    if (data == nullptr || !data->is_object()) return;
    json::value* plaintext = data->get_object().if_contains("plaintext");
    if (plaintext == nullptr || !plaintext->is_string()) return;
    const absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(std::string_view(plaintext->get_string()));
    if (!bytes.ok()) return;
    *plaintext = Base64Encode(random.Bytes(bytes->size()));
    response.body = json::serialize(*body);
  }

  bool Settle(absl::Time now, Random& random) override { return state_.Settle(now, random); }
  json::object ToJson() const override { return state_.ToJson(); }
  absl::Status Restore(const json::object& document) override {
    // Emptied first: the locked memory need not hold all keys twice.
    state_ = vault::State();
    ASSIGN_OR_RETURN(state_, vault::State::FromJson(document));
    return absl::OkStatus();
  }

  absl::StatusOr<json::object> Admin(std::string_view path, const json::object& body, absl::Time now, Random& random) override {
    return VaultAdmin(state_, now, random).Change(path, body);
  }
  json::object State() const override { return VisibleState(state_); }
  absl::StatusOr<json::object> Seed(const json::object& wanted, absl::Time now, Random& random) override {
    return VaultAdmin(state_, now, random).Seed(wanted);
  }

 private:
  Route RouteOf(const HttpRequest& request) const {
    Route route;
    constexpr std::string_view kV1 = "/v1/";
    const std::optional<std::string> path = PercentDecode(request.path);
    if (!path || path->compare(0, kV1.size(), kV1) != 0) return route;
    route.path = path->substr(kV1.size());
    const std::string method = MethodOf(request);
    const bool write = method == "POST" || method == "PUT";
    if (route.path == "sys/health" && (method == "GET" || method == "HEAD")) route.endpoint = Endpoint::kHealth;
    if (route.path == "sys/seal-status" && method == "GET") route.endpoint = Endpoint::kSealStatus;
    if (route.path == "sys/capabilities-self" && write) route.endpoint = Endpoint::kCapabilitiesSelf;
    if (route.path == "auth/token/lookup-self" && method == "GET") route.endpoint = Endpoint::kLookupSelf;
    if (route.path == "auth/token/renew-self" && write) route.endpoint = Endpoint::kRenewSelf;
    if (route.path == "auth/token/revoke-self" && write) route.endpoint = Endpoint::kRevokeSelf;
    const Namespace name_space = NamespaceOf(request);
    for (const auto& [name, type] : state_.mounts) {
      if (name.first != name_space) continue;
      const std::string& mount = name.second;
      if (type == MountType::kTransit) {
        if (route.path.compare(0, mount.size() + 1, mount + "/") != 0) continue;
        std::optional<TransitRequest> transit = ParseTransit(method, std::string_view(route.path).substr(mount.size() + 1));
        if (!transit) continue;
        route.endpoint = Endpoint::kTransit;
        route.transit = *std::move(transit);
        route.mount = mount;
      } else if (write && route.path == "auth/" + mount + "/login") {
        route.endpoint = type == MountType::kAppRole ? Endpoint::kAppRoleLogin : Endpoint::kKubernetesLogin;
        route.mount = mount;
      }
    }
    return route;
  }

  Reply Decide(CloudCall& call) {
    const Route route = RouteOf(call.request);
    const Namespace name_space = NamespaceOf(call.request);
    call.record.region = Quotable(name_space, 128);
    if (route.endpoint == Endpoint::kHealth) return Health(call);
    if (route.endpoint == Endpoint::kSealStatus) return SealStatus();
    if (state_.sealed) return Refused(503, "Vault is sealed");
    if (!state_.namespaces.contains(name_space)) return NoHandler(route);

    json::object body;
    if (!call.request.body.empty()) {
      absl::StatusOr<json::object> parsed = ParseJsonObject(call.request.body);
      if (!parsed.ok()) return Refused(400, "failed to parse JSON input");
      body = *std::move(parsed);
    }
    AuthCall auth{.state = state_, .name_space = name_space, .body = body, .now = call.now, .random = call.random, .principal = {}};
    const auto finish = [&](Reply reply) {
      call.changed |= auth.changed;
      if (!auth.principal.empty()) call.record.principal = auth.principal;
      return reply;
    };
    if (route.endpoint == Endpoint::kAppRoleLogin) return finish(LoginAppRole(auth, route.mount));
    if (route.endpoint == Endpoint::kKubernetesLogin) return finish(LoginKubernetes(auth, route.mount));

    const SecretBytes secret = SecretBytes::CopyOf(std::string_view(TokenOf(call.request)));
    const std::string_view text = secret.RevealText(SecretAccess{});
    const Token* token = state_.FindToken(text, call.now);
    if (token == nullptr || !ReachesNamespace(token->name_space, name_space)) return BadToken();
    call.record.principal = PrincipalOf(*token);
    // What the policy "default", which every token has, allows.
    if (route.endpoint == Endpoint::kLookupSelf) return finish(LookupSelf(auth, text));
    if (route.endpoint == Endpoint::kRenewSelf) return finish(RenewSelf(auth, text));
    if (route.endpoint == Endpoint::kRevokeSelf) return finish(RevokeSelf(auth, text));
    if (route.endpoint == Endpoint::kCapabilitiesSelf) return finish(CapabilitiesSelf(auth, *token));

    const Capabilities may = TokenCapabilities(state_, *token, name_space, route.path);
    const auto allows = [&](std::string_view capability) { return may.contains("root") || may.contains(std::string(capability)); };
    if (route.endpoint != Endpoint::kTransit) {
      return allows(CapabilityOfMethod(MethodOf(call.request))) ? NoHandler(route) : Denied();
    }
    TransitCall transit{
        .state = state_, .key = {name_space, route.mount, route.transit.name}, .body = body, .now = call.now, .random = call.random};
    call.record.key = transit.key.ToString();
    if (!allows(NeededCapability(route.transit.operation, state_.keys.contains(transit.key)))) return Denied();
    Reply reply = AnswerTransit(transit, route.transit.operation);
    call.changed |= transit.changed;
    return reply;
  }

  static Reply NoHandler(const Route& route) {
    return Refused(404, absl::StrCat("no handler for route \"", Quotable(route.path), "\". route entry not found."));
  }

  Reply Health(const CloudCall& call) const {
    json::object body{{"initialized", true},
                      {"sealed", state_.sealed},
                      {"standby", false},
                      {"performance_standby", false},
                      {"replication_performance_mode", "disabled"},
                      {"replication_dr_mode", "disabled"},
                      {"server_time_utc", absl::ToUnixSeconds(call.now)},
                      {"version", kVersion},
                      {"cluster_name", "latchkey-emulator"}};
    return {.status = state_.sealed ? 503 : 200, .error = state_.sealed ? "sealed" : "", .whole = std::move(body)};
  }

  Reply SealStatus() const {
    return {.whole = json::object{{"type", "shamir"},
                                  {"initialized", true},
                                  {"sealed", state_.sealed},
                                  {"t", 1},
                                  {"n", 1},
                                  {"progress", 0},
                                  {"nonce", ""},
                                  {"version", kVersion},
                                  {"migration", false},
                                  {"recovery_seal", false},
                                  {"storage_type", "inmem"}}};
  }

  static HttpResponse Form(CloudCall& call, const Reply& reply) {
    if (reply.whole) return HttpResponse::Json(reply.status, json::serialize(*reply.whole));
    if (reply.status >= 400) return Errors(reply.status, reply.error);
    if (!reply.data && !reply.auth) return {.status = 204, .headers = {}, .body = ""};
    json::object body{{"request_id", NewUuid(call.random)}, {"lease_id", ""}, {"renewable", false}, {"lease_duration", 0}};
    body["data"] = reply.data ? json::value(*reply.data) : json::value(nullptr);
    body["wrap_info"] = nullptr;
    body["warnings"] = nullptr;
    body["auth"] = reply.auth ? json::value(*reply.auth) : json::value(nullptr);
    // The list of a single path's capabilities stands outside of "data" too.
    if (reply.data && reply.data->contains("capabilities")) body["capabilities"] = reply.data->at("capabilities");
    return HttpResponse::Json(reply.status, json::serialize(body));
  }

  vault::State state_;
};

}  // namespace
}  // namespace vault

std::unique_ptr<Cloud> NewVaultCloud() { return std::make_unique<vault::VaultCloud>(); }

}  // namespace latchkey::emulator
