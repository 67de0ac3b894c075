#include "emulator/azure/vault_api.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/status.h"
#include "emulator/arn.h"
#include "emulator/azure/roles.h"

namespace latchkey::emulator::azure {
namespace {

constexpr std::string_view kDefaultVault = "emulator.vault.azure.net";
constexpr std::string_view kVaultSuffix = ".vault.azure.net", kHsmSuffix = ".managedhsm.azure.net";

// What an operation is called by RBAC and in texts.
struct Operation {
  std::string_view name, action;
};
constexpr std::array kOperations = {
    Operation{"list", "keys/read"},
    Operation{"get", "keys/read"},
    Operation{"versions", "keys/read"},
    Operation{"create", "keys/create/action"},
    Operation{"update", "keys/update/action"},
    Operation{"delete", "keys/delete"},
    Operation{"rotate", "keys/rotate/action"},
    Operation{"getrotationpolicy", "keyrotationpolicies/read"},
    Operation{"setrotationpolicy", "keyrotationpolicies/write"},
    Operation{"wrapkey", "keys/wrap/action"},
    Operation{"unwrapkey", "keys/unwrap/action"},
    Operation{"encrypt", "keys/encrypt/action"},
    Operation{"decrypt", "keys/decrypt/action"},
    Operation{"listdeleted", "keys/read"},
    Operation{"getdeleted", "keys/read"},
    Operation{"recover", "keys/recover/action"},
    Operation{"purge", "keys/purge/action"},
};

bool UsesMaterial(std::string_view name) { return name == "wrapkey" || name == "unwrapkey" || name == "encrypt" || name == "decrypt"; }

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() > end.size() && text.substr(text.size() - end.size()) == end;
}

// The Host header without its port, in lower case.
std::string HostOf(const HttpRequest& request) {
  const std::string host = LowerCase(request.Header("host"));
  return host.substr(0, host.rfind(':') == std::string::npos ? host.size() : host.rfind(':'));
}

bool IsVersion(std::string_view text) { return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos; }

// "/keys/a//wrapkey/" → {"keys", "a", "", "wrapkey"}: libraries write an empty version so, and a slash behind the last segment.
std::vector<std::string> Segments(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    path.remove_prefix(1);
    const size_t end = std::min(path.find('/'), path.size());
    out.push_back(PercentDecode(path.substr(0, end)).value_or("?"));
    path.remove_prefix(end);
  }
  while (!out.empty() && out.back().empty()) out.pop_back();
  return out;
}

HttpResponse Unauthorized(CloudCall& call, const Vault& vault, std::string_view message, std::string_view more = "") {
  const std::string resource = vault.managed_hsm ? "https://managedhsm.azure.net" : "https://vault.azure.net";
  HttpResponse response = Refuse(call, 401, "Unauthorized", "", message);
  response.headers["www-authenticate"] = absl::StrCat("Bearer authorization=\"https://login.microsoftonline.com/", vault.tenant,
                                                      "\", resource=\"", resource, "\"", ToAbsl(more));
  return response;
}

// The versions of the interface that clients of these years ask for.
bool IsApiVersion(std::string_view text) {
  constexpr std::array<std::string_view, 9> kVersions = {"2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01"};
  const std::string_view plain = text.substr(0, text.find("-preview."));
  return std::find(kVersions.begin(), kVersions.end(), plain) != kVersions.end();
}

std::string CallerText(const Caller& caller) {
  return absl::StrCat("Caller: appid=", caller.client_id, ";oid=", caller.object_id, ";iss=", caller.issuer());
}

HttpResponse ForbiddenByRbac(CloudCall& call, const Vault& vault, const Caller& caller, std::string_view action, std::string_view key,
                             Access access) {
  const std::string scope = absl::StrCat(
      "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/emulator/providers/"
      "microsoft.keyvault/vaults/",
      vault.name);
  return Refuse(call, 403, "Forbidden", "ForbiddenByRbac",
                absl::StrCat("Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role "
                             "definitions were changed recently, please observe propagation time.\r\n",
                             CallerText(caller), "\r\nAction: 'Microsoft.KeyVault/vaults/", ToAbsl(action), "'\r\nResource: '", scope,
                             key.empty() ? "" : "/keys/", ToAbsl(key), "'\r\nAssignment: (not found)\r\nDenyAssignmentId: ",
                             access == Access::kDenied ? "'" + scope + "/denyassignments/emulator'" : "null",
                             "\r\nDecisionReason: ", access == Access::kDenied ? "'DeniedWithDenyAssignment'" : "'DeniedWithNoValidRBAC'",
                             " \r\nVault: ", vault.name, ";location=", vault.location, "\r\n"));
}

// The vault of a request; nullptr after `answer` was filled.
Vault* VaultOf(World& world, CloudCall& call, HttpResponse& answer) {
  const std::string host = HostOf(call.request);
  const bool official = EndsWith(host, kVaultSuffix) || EndsWith(host, kHsmSuffix);
  const auto found = world.vaults.find(official ? host : std::string(kDefaultVault));
  if (found != world.vaults.end()) return &found->second;
  call.record.result = "no such vault";
  // A vault that is not there has no name in the DNS either: nobody answers.
  if (official) {
    answer.status = 0;
  } else {
    answer = KeyVaultError(404, "VaultNotFound", "",
                           "this emulator has no vault named 'emulator', which is meant when the Host header names "
                           "none; make it with POST /_admin/azure/vaults");
  }
  return nullptr;
}

std::string BaseOf(const CloudCall& call, const Vault& vault) {
  return HostOf(call.request) == vault.Host() ? "https://" + vault.Host() : call.base_url;
}

// Who calls; nullopt after `answer` was filled.
std::optional<Caller> Authenticate(const World& world, CloudCall& call, const Vault& vault, HttpResponse& answer) {
  const std::string header = call.request.Header("authorization");
  if (header.size() <= 7 || LowerCase(header.substr(0, 7)) != "bearer ") {
    answer = Unauthorized(call, vault, "AKV10000: Request is missing a Bearer or PoP token.");
    return std::nullopt;
  }
  std::optional<Caller> caller = ReadAccessToken(world.token_key, std::string_view(header).substr(7));
  constexpr std::string_view kInvalid = ", error=\"invalid_token\"";
  if (!caller) {
    answer = Unauthorized(call, vault, "AKV10001: Error validating token: its signature or its form is not valid.", kInvalid);
    return std::nullopt;
  }
  call.record.principal = caller->client_id + "@" + caller->tenant;
  const std::string expected = vault.managed_hsm ? "https://managedhsm.azure.net" : "https://vault.azure.net";
  if (caller->expires <= call.now) {
    answer = Unauthorized(call, vault, "[TokenExpired] Error validating token: its lifetime is over.", kInvalid);
  } else if (caller->audience != expected) {
    answer = Unauthorized(call, vault, absl::StrCat("AKV10022: Invalid audience. Expected ", expected, ", found: ", caller->audience, "."),
                          kInvalid);
  } else if (caller->tenant != vault.tenant) {
    answer = Unauthorized(call, vault,
                          absl::StrCat("AKV10032: Invalid issuer. Expected one of https://sts.windows.net/", vault.tenant, "/, found ",
                                       caller->issuer(), "."),
                          kInvalid);
  } else {
    return caller;
  }
  return std::nullopt;
}

HttpResponse Carry(World& world, Vault& vault, CloudCall& call) {
  HttpResponse refusal;
  const std::optional<Caller> caller = Authenticate(world, call, vault, refusal);
  if (!caller) return refusal;
  const std::string version = call.request.Query("api-version");
  if (version.empty()) return BadParameter(call, "api-version must be specified");
  if (!IsApiVersion(version)) {
    return BadParameter(call, "The specified version (" + Quotable(version, 64) +
                                  ") is not recognized. Consider using the latest supported version (7.6).");
  }
  const VaultRoute route = RouteOf(call.request);
  const auto* operation =
      std::find_if(kOperations.begin(), kOperations.end(), [&](const Operation& o) { return o.name == route.operation; });
  if (operation == kOperations.end()) return Refuse(call, 404, "NotFound", "", "There is no such operation.");
  if (!route.key.empty() && !IsKeyName(route.key)) {
    return BadParameter(call, "The request URI contains an invalid name: " + Quotable(route.key, 127));
  }
  if (!route.key.empty()) {
    call.record.key = "https://" + vault.Host() + "/keys/" + route.key + (route.version.empty() ? "" : "/" + route.version);
  }
  if (vault.firewall_closed) {
    return Refuse(call, 403, "Forbidden", "ForbiddenByFirewall",
                  absl::StrCat("Client address is not authorized and caller is not a trusted service.\r\nClient address: ",
                               Quotable(call.request.peer_address, 64), "\r\n", CallerText(*caller), "\r\nVault: ", vault.name,
                               ";location=", vault.location));
  }
  const Access access = Decide(vault, caller->client_id, route.key, operation->action);
  if (access != Access::kGranted) return ForbiddenByRbac(call, vault, *caller, operation->action, route.key, access);
  VaultCall inner{.world = world, .vault = vault, .call = call, .route = route, .base = BaseOf(call, vault), .body = {}};
  if (!call.request.body.empty() && call.request.method != "GET" && call.request.method != "DELETE") {
    absl::StatusOr<json::object> body = ParseJsonObject(call.request.body);
    if (!body.ok()) return BadParameter(call, absl::StrCat("Request body: ", body.status().message()));
    inner.body = *std::move(body);
  }
  return UsesMaterial(route.operation) ? UseKey(inner) : ManageKey(inner);
}

}  // namespace

VaultRoute RouteOf(const HttpRequest& request) {
  const std::vector<std::string> parts = Segments(request.path);
  const std::string& method = request.method;
  const size_t n = parts.size();
  VaultRoute route;
  if (n == 0 || (n > 1 && parts[1].empty())) return route;
  if (n > 1) route.key = parts[1];
  if (parts[0] == "deletedkeys") {
    if (n == 1 && method == "GET") route.operation = "listdeleted";
    if (n == 2 && method == "GET") route.operation = "getdeleted";
    if (n == 2 && method == "DELETE") route.operation = "purge";
    if (n == 3 && method == "POST" && parts[2] == "recover") route.operation = "recover";
    return route;
  }
  if (parts[0] != "keys") return {};
  if (n == 1) {
    if (method == "GET") route.operation = "list";
    return route;
  }
  const std::string last = n > 2 ? LowerCase(parts.back()) : "";
  const bool versioned = n >= 3 && (IsVersion(parts[2]) || (parts[2].empty() && n == 4));
  if (versioned) route.version = parts[2];
  if (n == 2 || (n == 3 && versioned)) {
    if (method == "GET") route.operation = "get";
    if (method == "PATCH") route.operation = "update";
    if (method == "DELETE" && n == 2) route.operation = "delete";
  } else if (n == 3 && (last == "create" || last == "rotate") && method == "POST") {
    route.operation = last;
  } else if (n == 3 && last == "versions" && method == "GET") {
    route.operation = last;
  } else if (n == 3 && last == "rotationpolicy" && (method == "GET" || method == "PUT")) {
    route.operation = method == "GET" ? "getrotationpolicy" : "setrotationpolicy";
  } else if ((n == 3 || (n == 4 && versioned)) && UsesMaterial(last) && method == "POST") {
    route.operation = last;
  }
  return route;
}

bool IsForVault(const HttpRequest& request) {
  const std::string host = HostOf(request);
  if (EndsWith(host, kVaultSuffix) || EndsWith(host, kHsmSuffix)) return true;
  const std::vector<std::string> parts = Segments(request.path);
  return !parts.empty() && (parts[0] == "keys" || parts[0] == "deletedkeys");
}

HttpResponse AnswerVault(World& world, CloudCall& call) {
  HttpResponse answer;
  Vault* vault = VaultOf(world, call, answer);
  if (vault == nullptr) return answer;
  call.record.region = vault->location;
  answer = Carry(world, *vault, call);
  answer.headers["x-ms-keyvault-region"] = vault->location;
  answer.headers["x-ms-request-id"] = NewUuid(call.random);
  answer.headers["cache-control"] = "no-cache";
  return answer;
}

HttpResponse KeyVaultError(int status, std::string_view code, std::string_view inner, std::string_view message) {
  json::object error{{"code", code}, {"message", message}}, body;
  if (!inner.empty()) error["innererror"] = json::object{{"code", inner}};
  body["error"] = std::move(error);
  return HttpResponse::Json(status, json::serialize(body));
}

HttpResponse Refuse(CloudCall& call, int status, std::string_view code, std::string_view inner, std::string_view message) {
  call.record.result = std::string(inner.empty() ? code : inner);
  return KeyVaultError(status, code, inner, message);
}

HttpResponse KeyNotFound(CloudCall& call, std::string_view key) {
  return Refuse(call, 404, "KeyNotFound", "",
                "A key with (name/id) " + Quotable(key) +
                    " was not found in this key vault. If you recently deleted this key you may be able to recover it using the correct "
                    "recovery command.");
}

}  // namespace latchkey::emulator::azure
