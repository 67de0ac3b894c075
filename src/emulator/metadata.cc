#include "emulator/metadata.h"

#include <charconv>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "emulator/session.h"

namespace latchkey::emulator {
namespace {

constexpr std::string_view kTokenPath = "/latest/api/token";
constexpr std::string_view kRolePath = "/latest/meta-data/iam/security-credentials";
constexpr std::string_view kContainerPath = "/v2/credentials/";
constexpr const char* kTtlHeader = "x-aws-ec2-metadata-token-ttl-seconds";
constexpr int64_t kLongestToken = 21'600;
constexpr absl::Duration kSession = absl::Hours(6);
constexpr std::string_view kTokenAad = "latchkey emulator instance metadata token";

bool StartsWith(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

HttpResponse Refuse(CloudCall& call, int status, std::string result) {
  HttpResponse response = HttpResponse::Text(status, result + "\n");
  call.record.result = std::move(result);
  return response;
}

// token = base64(nonce(12) ‖ AES-256-GCM(session key, its end in seconds as text)): nothing is stored, and nobody can make one.
std::string SealToken(const World& world, absl::Time expires, Random& random) {
  std::vector<uint8_t> out = random.Bytes(kGcmNonceSize);
  const std::string text = std::to_string(absl::ToUnixSeconds(expires));
  const std::vector<uint8_t> sealed = GcmSeal(world.session_key, out, kTokenAad, AsBytes(text)).value();
  out.insert(out.end(), sealed.begin(), sealed.end());
  return Base64Encode(out);
}

bool TokenHolds(const World& world, std::string_view token, absl::Time now) {
  if (token.size() > 256) return false;
  const absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(token);
  if (!bytes.ok() || bytes->size() < kGcmNonceSize + kGcmTagSize) return false;
  const std::span<const uint8_t> all(*bytes);
  const absl::StatusOr<SecretBytes> text = GcmOpen(world.session_key, all.first(kGcmNonceSize), kTokenAad, all.subspan(kGcmNonceSize));
  if (!text.ok()) return false;
  int64_t seconds = 0;
  const std::string_view digits = text->RevealText(SecretAccess{});
  std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
  return absl::FromUnixSeconds(seconds) > now;
}

HttpResponse GiveToken(const World& world, CloudCall& call) {
  // A request that a proxy passed on is none of this machine's.
  if (!call.request.Header("x-forwarded-for").empty()) return Refuse(call, 403, "Forbidden");
  const std::string text = call.request.Header(kTtlHeader);
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 1 || seconds > kLongestToken)
    return Refuse(call, 400, "Bad Request");
  HttpResponse response = HttpResponse::Text(200, SealToken(world, call.now + absl::Seconds(seconds), call.random));
  response.headers[kTtlHeader] = std::to_string(seconds);
  return response;
}

json::object CredentialsOf(const World& world, const Role& role, const std::string& name, CloudCall& call) {
  Session session{.access_key_id = NewIdentifier("ASIA", call.random),
                  .secret_access_key = NewSecretAccessKey(call.random),
                  .role_arn = role.arn,
                  .role_id = role.role_id,
                  .name = name,
                  .expires = call.now + kSession};
  return {{"AccessKeyId", session.access_key_id},
          {"SecretAccessKey", session.secret_access_key.RevealText(SecretAccess{})},
          {"Token", SealSession(session, world.session_key, call.random)},
          {"Expiration", absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", session.expires, absl::UTCTimeZone())}};
}

HttpResponse InstanceCredentials(const World& world, CloudCall& call) {
  if (!TokenHolds(world, call.request.Header("x-aws-ec2-metadata-token"), call.now)) return Refuse(call, 401, "Unauthorized");
  const auto role = world.roles.find(world.instance_role);
  if (role == world.roles.end()) return Refuse(call, 404, "Not Found");
  call.record.key = role->first;
  std::string_view wanted = std::string_view(call.request.path).substr(kRolePath.size());
  if (StartsWith(wanted, "/")) wanted.remove_prefix(1);
  if (wanted.empty()) return HttpResponse::Text(200, role->second.name);
  const std::optional<std::string> name = PercentDecode(wanted);
  if (name != role->second.name) return Refuse(call, 404, "Not Found");
  json::object body;
  if (!role->second.trusted) {
    // The service answers 200 here.
    call.record.result = "AssumeRoleUnauthorizedAccess";
    body = {{"Code", "AssumeRoleUnauthorizedAccess"},
            {"Message", absl::StrCat("EC2 cannot assume the role ", role->second.name, ". Please see documentation.")}};
  } else {
    body = CredentialsOf(world, role->second, "i-0123456789abcdef0", call);
    body["Code"] = "Success";
    body["Type"] = "AWS-HMAC";
  }
  body["LastUpdated"] = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", call.now, absl::UTCTimeZone());
  HttpResponse response = HttpResponse::Text(200, json::serialize(body));
  return response;
}

HttpResponse ContainerRefusal(CloudCall& call, int status, const char* code, const char* message) {
  call.record.result = code;
  return HttpResponse::Json(status, json::serialize(json::object{{"Code", code}, {"Message", message}}));
}

HttpResponse ContainerCredentials(const World& world, CloudCall& call) {
  const auto container = world.containers.find(call.request.path.substr(kContainerPath.size()));
  if (container == world.containers.end()) return ContainerRefusal(call, 404, "InvalidIdInRequest", "Credentials not found");
  const ContainerIdentity& identity = container->second;
  if (!identity.authorization_sha256.empty() && HexEncode(Sha256(call.request.Header("authorization"))) != identity.authorization_sha256)
    return ContainerRefusal(call, 401, "AccessDenied", "The authorization token is not the one of this container");
  const auto role = world.roles.find(identity.role);
  if (role == world.roles.end() || !role->second.trusted)
    return ContainerRefusal(call, 400, "AssumeRoleUnauthorizedAccess", "The role cannot be assumed");
  call.record.key = role->first;
  json::object body = CredentialsOf(world, role->second, container->first.substr(0, 64), call);
  body["RoleArn"] = role->first;
  return HttpResponse::Json(200, json::serialize(body));
}

}  // namespace

std::optional<OperationName> MetadataOperation(const HttpRequest& request) {
  const std::string_view path = request.path;
  if (path == kTokenPath && request.method == "PUT") return OperationName{"imds", "token"};
  if (request.method != "GET") return std::nullopt;
  if (path == kRolePath || path == std::string(kRolePath) + "/") return OperationName{"imds", "roleName"};
  if (StartsWith(path, std::string(kRolePath) + "/")) return OperationName{"imds", "roleCredentials"};
  if (StartsWith(path, kContainerPath)) return OperationName{"ecs", "credentials"};
  return std::nullopt;
}

HttpResponse AnswerMetadata(const World& world, CloudCall& call) {
  if (call.name.service == "ecs") return ContainerCredentials(world, call);
  return call.name.operation == "token" ? GiveToken(world, call) : InstanceCredentials(world, call);
}

}  // namespace latchkey::emulator
