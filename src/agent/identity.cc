#include "agent/identity.h"

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/certificate.h"
#include "protocol/sync.h"

namespace latchkey {
namespace {

std::string PathIn(const AgentConfig& config) { return config.state_dir + "/identity.json"; }

absl::Status Store(const AgentConfig& config, const Identity& identity) {
  const json::object object = {{"agent_id", identity.agent_id},
                               {"organization", identity.organization},
                               {"private_key_pem", identity.private_key_pem},
                               {"certificate_pem", identity.certificate_pem},
                               {"ca_pem", identity.ca_pem}};
  std::string text = json::serialize(object) + "\n";
  const absl::Status stored = WriteFileAtomically(PathIn(config), text, 0600);
  Wipe(text);
  return stored;
}

// The server's own words from {"message": …}, cut; they come from outside.
std::string MessageOf(const HttpResponse& response) {
  if (const auto object = ParseJsonObject(response.body); object.ok()) {
    JsonReader reader(*object);
    return reader.OptionalString("message").substr(0, 300);
  }
  return "";
}

absl::StatusOr<json::object> Post(const HttpClient& client, const std::string& url, const json::object& body) {
  HttpRequest request{.method = "POST"};
  request.headers["content-type"] = "application/json";
  request.body = json::serialize(body);
  ASSIGN_OR_RETURN(const HttpResponse response, client.Send(url, request));
  if (response.status == 200) return ParseJsonObject(response.body);
  const std::string what = absl::StrCat("the server answered ", response.status, ": ", MessageOf(response));
  if (response.status == 401 || response.status == 403) return PermissionDenied(what);
  if (response.status >= 400 && response.status < 500 && response.status != 429) return InvalidArgument(what);
  return Unavailable(what);
}

}  // namespace

absl::StatusOr<Identity> LoadIdentity(const AgentConfig& config) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(PathIn(config), 1 << 20));
  const auto object = ParseJsonObject(text);
  if (!object.ok()) return DataLoss(PathIn(config), " is damaged");
  JsonReader reader(*object);
  Identity identity{.agent_id = reader.String("agent_id"),
                    .organization = reader.OptionalString("organization"),
                    .private_key_pem = reader.String("private_key_pem"),
                    .certificate_pem = reader.String("certificate_pem"),
                    .ca_pem = reader.String("ca_pem")};
  if (!reader.status().ok()) return DataLoss(PathIn(config), ": ", reader.status().message());
  return identity;
}

absl::StatusOr<Identity> Join(const AgentConfig& config, const std::string& hostname) {
  auto parsed = JoinToken::Parse(config.join_token);
  if (!parsed.ok()) return Prefixed(parsed.status(), "join_token");
  const JoinToken token = *std::move(parsed);

  HttpClientOptions untrusting;
  untrusting.verify_peer = false;
  ASSIGN_OR_RETURN(const HttpResponse ca, HttpClient(untrusting).Send(config.server + std::string(kCaPath), {}));
  if (ca.status != 200) return Unavailable("the server answered ", ca.status, " when asked for its CA");
  const auto facts = ReadCertificate(ca.body);
  if (!facts.ok()) return DataLoss("the server's CA cannot be read: ", facts.status().message());
  if (facts->sha256_hex != token.ca_sha256) return DataLoss("the server's CA is not the one that the join token names");

  ASSIGN_OR_RETURN(KeyPair key, NewKeyPair());
  JoinRequest request{.token_id = token.id,
                      .token_secret = token.secret,
                      .region = config.region,
                      .hostname = hostname,
                      .advertise_host = config.advertise_host};
  ASSIGN_OR_RETURN(request.request_pem, NewRequest(key.private_key_pem, hostname));
  HttpClientOptions trusting;
  trusting.ca_pem = ca.body;
  ASSIGN_OR_RETURN(const json::object answer, Post(HttpClient(trusting), config.server + std::string(kJoinPath), request.ToJson()));
  ASSIGN_OR_RETURN(const JoinResponse joined, JoinResponse::FromJson(answer));
  // The CA that was compared with the token, not what the answer says.
  Identity identity{.agent_id = joined.agent_id,
                    .organization = joined.organization,
                    .private_key_pem = std::move(key.private_key_pem),
                    .certificate_pem = joined.certificate_pem,
                    .ca_pem = ca.body};
  ASSIGN_OR_RETURN(const CertificateFacts mine, ReadCertificate(identity.certificate_pem));
  if (mine.common_name != identity.agent_id) return DataLoss("the certificate from the server names another agent");
  RETURN_IF_ERROR(Store(config, identity));
  return identity;
}

bool RenewalIsDue(const Identity& identity, absl::Time now) {
  const auto facts = ReadCertificate(identity.certificate_pem);
  if (!facts.ok()) return false;
  return now >= facts->not_before + (facts->not_after - facts->not_before) * 2 / 3;
}

absl::StatusOr<Identity> Renew(const AgentConfig& config, const Identity& identity) {
  ASSIGN_OR_RETURN(KeyPair key, NewKeyPair());
  ASSIGN_OR_RETURN(const std::string request_pem, NewRequest(key.private_key_pem, identity.agent_id));
  ASSIGN_OR_RETURN(const json::object answer,
                   Post(HttpClient(ClientOptionsFor(identity)), config.server + std::string(kRenewPath), {{"request_pem", request_pem}}));
  JsonReader reader(answer);
  Identity renewed = identity;
  renewed.certificate_pem = reader.String("certificate_pem");
  RETURN_IF_ERROR(reader.status());
  renewed.private_key_pem = std::move(key.private_key_pem);
  ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(renewed.certificate_pem));
  if (facts.common_name != identity.agent_id) return DataLoss("the renewed certificate names another agent");
  RETURN_IF_ERROR(Store(config, renewed));
  return renewed;
}

HttpClientOptions ClientOptionsFor(const Identity& identity) {
  HttpClientOptions options;
  options.ca_pem = identity.ca_pem;
  options.client_certificate_pem = identity.certificate_pem;
  options.client_key_pem = identity.private_key_pem;
  return options;
}

}  // namespace latchkey
