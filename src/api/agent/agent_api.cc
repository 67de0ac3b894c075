#include "api/agent/agent_api.h"

#include <algorithm>

#include "api/status_reply.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "crypto/certificate.h"
#include "protocol/fields.h"
#include "protocol/sync.h"

namespace latchkey {
namespace {

constexpr size_t kLongestRequestPem = 16 << 10;
constexpr size_t kTokenIdLength = 16;

HttpResponse WrongMethod(std::string_view allow) {
  HttpResponse response = ErrorReply(405, 12, "method not allowed");
  response.headers["allow"] = allow;
  return response;
}

// The host that the verified client certificate names; Unauthenticated without one.
absl::StatusOr<CertificateFacts> PeerOf(const HttpRequest& request) {
  if (request.peer_certificate_pem.empty()) return absl::UnauthenticatedError("no client certificate");
  absl::StatusOr<CertificateFacts> facts = ReadCertificate(request.peer_certificate_pem);
  if (!facts.ok() || facts->common_name.empty()) return absl::UnauthenticatedError("no name in the client certificate");
  return facts;
}

bool IsTokenId(std::string_view text) {
  return text.size() == kTokenIdLength &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// True when the body names a token that cannot exist. Everybody who reaches the listener can send one, so it must cost nothing: neither the
// store nor the audit log hear of it.
bool NamesNoToken(const json::object& body) {
  const json::value* id = body.if_contains("token_id");
  return id != nullptr && id->is_string() && !IsTokenId({id->get_string().data(), id->get_string().size()});
}

}  // namespace

AgentRoute AgentApi::RouteOf(const HttpRequest& request) {
  if (request.path == kSyncPath) return AgentRoute::kSync;
  if (request.path == kCaPath) return AgentRoute::kCa;
  if (request.path == kJoinPath) return AgentRoute::kJoin;
  if (request.path == kRenewPath) return AgentRoute::kRenew;
  return AgentRoute::kUnknown;
}

void AgentApi::Handle(HttpRequest request, HttpResponder respond) {
  const AgentRoute route = RouteOf(request);
  if (route == AgentRoute::kUnknown) return respond(ErrorReply(404, 5, "no such path"));
  if (route == AgentRoute::kCa) {
    if (request.method != "GET") return respond(WrongMethod("GET"));
    HttpResponse response{.headers = {{"content-type", "application/x-pem-file"}}, .body = control_.agents().ca_pem()};
    return respond(std::move(response));
  }
  if (request.method != "POST") return respond(WrongMethod("POST"));
  if (route == AgentRoute::kSync) return Sync(request, respond);
  if (request.body.size() > kMaxJoinBody) return respond(ErrorReply(413, 3, "the body is larger than 64 KiB"));
  respond(route == AgentRoute::kJoin ? Join(request) : Renew(request));
}

void AgentApi::Sync(const HttpRequest& request, const HttpResponder& respond) {
  const absl::StatusOr<CertificateFacts> peer = PeerOf(request);
  if (!peer.ok()) return respond(ErrorReply(peer.status()));
  const absl::StatusOr<json::object> object = ParseJsonObject(request.body);
  if (!object.ok()) return respond(ErrorReply(object.status()));
  absl::StatusOr<SyncRequest> sync = SyncRequest::FromJson(*object);
  if (!sync.ok()) {
    Log(LogLevel::kWarning, "malformed sync", {{"agent", peer->common_name}, {"error", std::string(sync.status().message())}});
    return respond(ErrorReply(sync.status()));
  }
  parked_->fetch_add(1);
  control_.agents().Sync(peer->common_name, peer->serial_hex, *std::move(sync),
                         [respond, parked = parked_](absl::StatusOr<SyncResponse> response) {
                           parked->fetch_sub(1);
                           respond(response.ok() ? JsonReply(response->ToJson()) : ErrorReply(response.status()));
                         });
}

HttpResponse AgentApi::Join(const HttpRequest& request) {
  const absl::StatusOr<json::object> object = ParseJsonObject(request.body);
  if (!object.ok()) return ErrorReply(object.status());
  if (NamesNoToken(*object)) return ErrorReply(absl::UnauthenticatedError("no such token"));
  const absl::StatusOr<JoinRequest> join = JoinRequest::FromJson(*object);
  if (!join.ok()) return ErrorReply(join.status());
  const absl::StatusOr<JoinResponse> joined = control_.agents().Join(*join, request.peer_address);
  Log(LogLevel::kInfo, "change",
      {{"operation", "agents.join"},
       {"subject", joined.ok() ? joined->agent_id : std::string()},
       {"hostname", join->hostname},
       {"region", join->region},
       {"remote", request.peer_address},
       {"outcome", absl::StatusCodeToString(joined.status().code())}});
  return joined.ok() ? JsonReply(joined->ToJson()) : ErrorReply(joined.status());
}

HttpResponse AgentApi::Renew(const HttpRequest& request) {
  const absl::StatusOr<CertificateFacts> peer = PeerOf(request);
  if (!peer.ok()) return ErrorReply(peer.status());
  const absl::StatusOr<json::object> object = ParseJsonObject(request.body);
  if (!object.ok()) return ErrorReply(object.status());
  JsonReader reader(*object);
  const std::string request_pem = reader.String("request_pem");
  if (request_pem.size() > kLongestRequestPem) reader.Fault("request_pem", "is longer than 16 KiB");
  if (!reader.status().ok()) return ErrorReply(reader.status());
  const absl::StatusOr<std::string> certificate = control_.agents().Renew(peer->common_name, peer->serial_hex, request_pem);
  Log(LogLevel::kInfo, "change",
      {{"operation", "agents.renew"},
       {"subject", peer->common_name},
       {"remote", request.peer_address},
       {"outcome", absl::StatusCodeToString(certificate.status().code())}});
  return certificate.ok() ? JsonReply({{"certificate_pem", *certificate}}) : ErrorReply(certificate.status());
}

}  // namespace latchkey
