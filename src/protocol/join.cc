#include <algorithm>

#include "base/encoding.h"
#include "base/status.h"
#include "protocol/fields.h"
#include "protocol/sync.h"

namespace latchkey {
namespace {

bool IsHex(std::string_view text, size_t digits) {
  return text.size() == digits &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

absl::StatusOr<JoinToken> JoinToken::Parse(std::string_view text) {
  const size_t first = text.find('.');
  const size_t second = first == std::string_view::npos ? first : text.find('.', first + 1);
  if (second == std::string_view::npos) return InvalidArgument("join token: must be id.secret.hash, as it was printed");
  JoinToken token;
  token.id = text.substr(0, first);
  token.secret = text.substr(first + 1, second - first - 1);
  token.ca_sha256 = text.substr(second + 1);
  if (!IsHex(token.id, 16)) return InvalidArgument("join token: the id before the first dot must be 16 hex digits");
  if (const auto secret = Base64UrlDecode(token.secret); !secret.ok() || secret->size() != 32) {
    return InvalidArgument("join token: the part between the dots must be 43 characters of base64url");
  }
  if (!IsHex(token.ca_sha256, 64)) return InvalidArgument("join token: the hash after the last dot must be 64 hex digits");
  return token;
}

json::object JoinRequest::ToJson() const {
  return {{"token_id", token_id}, {"token_secret", token_secret}, {"request_pem", request_pem},
          {"region", region},     {"hostname", hostname},         {"advertise_host", advertise_host}};
}

absl::StatusOr<JoinRequest> JoinRequest::FromJson(const json::object& object) {
  JsonReader reader(object);
  JoinRequest request;
  request.token_id = reader.String("token_id");
  request.token_secret = reader.String("token_secret");
  request.request_pem = reader.String("request_pem");
  request.region = reader.String("region");
  request.hostname = reader.String("hostname");
  request.advertise_host = reader.OptionalString("advertise_host");
  CheckText(reader, "region", request.region, 64);
  CheckText(reader, "hostname", request.hostname, 255);
  CheckText(reader, "advertise_host", request.advertise_host, 255);
  if (request.request_pem.size() > 16 << 10) reader.Fault("request_pem", "is longer than 16 KiB");
  RETURN_IF_ERROR(reader.status());
  return request;
}

json::object JoinResponse::ToJson() const {
  return {{"agent_id", agent_id}, {"organization", organization}, {"certificate_pem", certificate_pem}, {"ca_pem", ca_pem}};
}

absl::StatusOr<JoinResponse> JoinResponse::FromJson(const json::object& object) {
  JsonReader reader(object);
  JoinResponse response;
  response.agent_id = reader.String("agent_id");
  response.organization = reader.String("organization");
  response.certificate_pem = reader.String("certificate_pem");
  response.ca_pem = reader.String("ca_pem");
  RETURN_IF_ERROR(reader.status());
  return response;
}

}  // namespace latchkey
