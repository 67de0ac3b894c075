#include "emulator/azure/access_token.h"

#include "base/encoding.h"
#include "base/json.h"
#include "crypto/digest.h"
#include "crypto/jwt.h"

namespace latchkey::emulator::azure {
namespace {

std::string Encoded(const json::object& object) { return Base64UrlEncode(AsBytes(json::serialize(object))); }

}  // namespace

std::string IssueAccessToken(const SecretBytes& key, const Caller& caller, absl::Time now, Random& random) {
  const int64_t at = absl::ToUnixSeconds(now);
  const json::object header{{"alg", "HS256"}, {"typ", "JWT"}};
  const json::object claims{{"aud", caller.audience},
                            {"iss", caller.issuer()},
                            {"iat", at},
                            {"nbf", at},
                            {"exp", absl::ToUnixSeconds(caller.expires)},
                            {"appid", caller.client_id},
                            {"idtyp", "app"},
                            {"oid", caller.object_id},
                            {"sub", caller.object_id},
                            {"tid", caller.tenant},
                            {"uti", RandomAlphanumeric(random, 22)},
                            {"ver", "1.0"}};
  std::string token = Encoded(header) + "." + Encoded(claims);
  token += "." + Base64UrlEncode(HmacSha256(key, std::string_view(token)));
  return token;
}

std::optional<Caller> ReadAccessToken(const SecretBytes& key, std::string_view token) {
  const absl::StatusOr<DecodedJwt> decoded = DecodeJwt(token);
  if (!decoded.ok()) return std::nullopt;
  if (!EqualInConstantTime(HmacSha256(key, std::string_view(decoded->signed_part)), decoded->signature)) return std::nullopt;
  JsonReader reader(decoded->claims);
  Caller caller{.audience = reader.String("aud"),
                .tenant = reader.String("tid"),
                .client_id = reader.String("appid"),
                .object_id = reader.String("oid"),
                .expires = absl::FromUnixSeconds(reader.Int("exp"))};
  if (!reader.status().ok()) return std::nullopt;
  return caller;
}

}  // namespace latchkey::emulator::azure
