// Google's cloud: which service a request is for, and the errors that faults order.
#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "emulator/arn.h"
#include "emulator/cloud.h"
#include "emulator/gcp/admin.h"
#include "emulator/gcp/crc32c.h"
#include "emulator/gcp/errors.h"
#include "emulator/gcp/identity_api.h"
#include "emulator/gcp/kms_api.h"
#include "emulator/gcp/route.h"
#include "emulator/gcp/wire.h"

namespace latchkey::emulator {
namespace gcp {
namespace {

// The status name of Google's errors that goes with an HTTP status.
std::string_view NameOfHttpStatus(int status) {
  switch (status) {
    case 400:
      return "INVALID_ARGUMENT";
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "PERMISSION_DENIED";
    case 404:
      return "NOT_FOUND";
    case 409:
      return "ABORTED";
    case 429:
      return "RESOURCE_EXHAUSTED";
    case 501:
      return "UNIMPLEMENTED";
    case 503:
      return "UNAVAILABLE";
    case 504:
      return "DEADLINE_EXCEEDED";
    default:
      return "INTERNAL";
  }
}

bool AnswersLikeOauth(const OperationName& name) { return name.service == "oauth2" || name.service == "sts"; }

absl::Status WrongLocation(const std::string& location) {
  return NotFound("The request concerns location '", Quotable(location), "' but was sent to location 'global'. Either Cloud KMS is not ",
                  "available in '", Quotable(location), "' or the request was misrouted. For gRPC, ensure that 'x-goog-request-params' is ",
                  "specified in request metadata. See https://cloud.google.com/kms/docs/grpc for more information.");
}

class GcpCloud final : public Cloud {
 public:
  std::string_view name() const override { return "gcp"; }

  OperationName NameOf(const HttpRequest& request) const override { return RouteOf(request.method, request.path).name; }
  HttpResponse Answer(CloudCall& call) override;
  HttpResponse Throttled(const OperationName& name) const override;
  HttpResponse OrderedError(const OperationName& name, const Fault& fault) const override;
  void ReplacePlaintext(const OperationName& name, HttpResponse& response, Random& random) const override;

  bool Settle(absl::Time now, Random& random) override { return world_.Settle(now, random); }
  json::object ToJson() const override { return world_.ToJson(); }
  absl::Status Restore(const json::object& state) override {
    // Emptied first: the locked memory need not hold all keys twice.
    world_ = World();
    ASSIGN_OR_RETURN(world_, World::FromJson(state));
    return absl::OkStatus();
  }
  absl::StatusOr<json::object> Admin(std::string_view path, const json::object& body, absl::Time now, Random& random) override {
    AdminCall call{.world = world_, .body = body, .now = now, .random = random};
    return Administer(call, path);
  }
  json::object State() const override;
  absl::StatusOr<json::object> Seed(const json::object& wanted, absl::Time now, Random& random) override {
    AdminCall call{.world = world_, .body = wanted, .now = now, .random = random};
    return SeedWorld(call);
  }

 private:
  KmsResult AnswerKms(CloudCall& call, const Route& route);

  World world_;
};

KmsResult GcpCloud::AnswerKms(CloudCall& call, const Route& route) {
  ASSIGN_OR_RETURN(Caller caller, Authenticate(world_, call, "cloudkms"));
  const KmsOperation operation = FindKmsOperation(route.name.operation);
  if (operation == nullptr) return absl::UnimplementedError("The emulator has no such operation.");
  ASSIGN_OR_RETURN(ResourceName name, ParseResourceName(route.resource));
  call.record.region = name.location;
  if (!name.key.empty()) call.record.key = name.Key();
  if (!IsServedLocation(name.location)) return WrongLocation(name.location);
  ASSIGN_OR_RETURN(json::object body, ReadBody(call.request.body));
  KmsCall kms{.world = world_, .call = call, .caller = std::move(caller), .name = std::move(name), .body = std::move(body)};
  return operation(kms);
}

HttpResponse GcpCloud::Answer(CloudCall& call) {
  if (world_.token_key.empty()) {
    world_.token_key = call.random.Secret(32);
    call.changed = true;
  }
  const Route route = RouteOf(call.request.method, call.request.path);
  if (route.name.operation == "token") return OauthToken(world_, call);
  if (route.name.operation == "exchangeToken") return ExchangeToken(world_, call);
  if (route.name.service == "metadata" && !route.name.operation.empty()) return Metadata(world_, call, route.resource);
  KmsResult result = NotFound("Method not found.");
  if (route.name.operation == "generateAccessToken") {
    result = GenerateAccessToken(world_, call, route.resource);
  } else if (route.name.service == "cloudkms") {
    result = AnswerKms(call, route);
  }
  if (!result.ok()) {
    call.record.result = NameOfCode(result.status());
    return GoogleError(result.status());
  }
  json::value answer = *std::move(result);
  if (call.request.Query("$alt").find("enum-encoding=int") != std::string::npos) NumberEnums(answer);
  return HttpResponse::Json(200, json::serialize(answer));
}

HttpResponse GcpCloud::Throttled(const OperationName& name) const {
  if (AnswersLikeOauth(name)) return OauthError(429, "rate_limit_exceeded", "Rate limit exceeded.");
  if (name.service == "metadata") return HttpResponse::Text(429, "Too many requests.\n");
  json::object metadata{{"service", name.service + ".googleapis.com"}};
  return GoogleError(429, "RESOURCE_EXHAUSTED",
                     "Quota exceeded for quota metric 'Cryptographic requests' and limit 'Cryptographic requests per minute'.",
                     {json::object{{"@type", "type.googleapis.com/google.rpc.ErrorInfo"},
                                   {"reason", "RATE_LIMIT_EXCEEDED"},
                                   {"domain", "googleapis.com"},
                                   {"metadata", std::move(metadata)}}});
}

HttpResponse GcpCloud::OrderedError(const OperationName& name, const Fault& fault) const {
  if (AnswersLikeOauth(name)) return OauthError(fault.status, fault.type.empty() ? "server_error" : fault.type, fault.message);
  if (name.service == "metadata") return HttpResponse::Text(fault.status, fault.message + "\n");
  const std::string_view type = fault.type.empty() ? NameOfHttpStatus(fault.status) : std::string_view(fault.type);
  return GoogleError(fault.status, type, fault.message.empty() ? "An error on order." : std::string_view(fault.message));
}

void GcpCloud::ReplacePlaintext(const OperationName& name, HttpResponse& response, Random& random) const {
  if (name.operation != "Decrypt" || response.status != 200) return;
  absl::StatusOr<json::object> answer = ParseJsonObject(response.body);
  if (!answer.ok()) return;
  const json::value* plaintext = answer->if_contains("plaintext");
  if (plaintext == nullptr || !plaintext->is_string()) return;
  const absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(std::string_view(plaintext->get_string()));
  if (!bytes.ok()) return;
  const std::vector<uint8_t> other = random.Bytes(bytes->size());
  (*answer)["plaintext"] = Base64Encode(other);
  (*answer)["plaintextCrc32c"] = std::to_string(Crc32c(other));
  response.body = json::serialize(*answer);
}

json::object GcpCloud::State() const {
  json::array projects, keys, accounts, providers, denials;
  for (const auto& [id, project] : world_.projects) {
    projects.push_back(json::object{{"project", id}, {"number", project.number}, {"bindings", BindingsJson(project.bindings)}});
  }
  for (const auto& [key_name, key] : world_.keys) {
    json::object one = CryptoKeyJson(key);
    json::array versions;
    for (const KeyVersion& version : key.versions) versions.push_back(VersionJson(key, version));
    one["versions"] = std::move(versions);
    one["bindings"] = BindingsJson(key.bindings);
    keys.push_back(std::move(one));
  }
  for (const auto& [email, account] : world_.accounts) {
    accounts.push_back(json::object{{"email", email},
                                    {"project", account.project},
                                    {"unique_id", account.unique_id},
                                    {"token_creators", json::array(account.token_creators.begin(), account.token_creators.end())}});
  }
  for (const auto& [audience, provider] : world_.providers) {
    providers.push_back(json::object{{"audience", audience}, {"issuer", provider.issuer}});
  }
  for (const Denial& denial : world_.denials) denials.push_back(json::object{{"principal", denial.member}, {"key", denial.key}});
  return {{"projects", std::move(projects)},         {"keys", std::move(keys)},
          {"service_accounts", std::move(accounts)}, {"workload_pools", std::move(providers)},
          {"denials", std::move(denials)},           {"metadata", json::object{{"service_account", world_.machine.account}}}};
}

}  // namespace
}  // namespace gcp

std::unique_ptr<Cloud> NewGcpCloud() { return std::make_unique<gcp::GcpCloud>(); }

}  // namespace latchkey::emulator
