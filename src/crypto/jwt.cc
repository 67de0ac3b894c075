#include "crypto/jwt.h"

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"

namespace latchkey {
namespace {

constexpr size_t kMaxToken = 16 << 10;

std::string Part(const json::object& object) { return Base64UrlEncode(AsBytes(json::serialize(object))); }

absl::StatusOr<json::object> ReadPart(std::string_view part, const char* name) {
  const auto bytes = Base64UrlDecode(part);
  if (!bytes.ok()) return InvalidArgument("token: its ", name, " is not base64url");
  auto object = ParseJsonObject(AsText(*bytes));
  if (!object.ok()) return InvalidArgument("token: its ", name, " is not a JSON object");
  return object;
}

}  // namespace

absl::StatusOr<SecretBytes> SignJwt(json::object header, const json::object& claims, const RsaPrivateKey& key, RsaSignature scheme) {
  header["alg"] = scheme == RsaSignature::kPssSha256 ? "PS256" : "RS256";
  header["typ"] = "JWT";
  std::string token = absl::StrCat(Part(header), ".", Part(claims));
  ASSIGN_OR_RETURN(const std::vector<uint8_t> signature, key.Sign(scheme, token));
  absl::StrAppend(&token, ".", Base64UrlEncode(signature));
  SecretBytes out = SecretBytes::CopyOf(std::string_view(token));
  Wipe(token);
  return out;
}

absl::StatusOr<DecodedJwt> DecodeJwt(std::string_view token) {
  if (token.size() > kMaxToken) return InvalidArgument("token: is longer than ", kMaxToken, " bytes");
  const size_t first = token.find('.');
  const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return InvalidArgument("token: is not of three parts");
  }
  DecodedJwt out;
  ASSIGN_OR_RETURN(out.header, ReadPart(token.substr(0, first), "header"));
  ASSIGN_OR_RETURN(out.claims, ReadPart(token.substr(first + 1, second - first - 1), "claims"));
  out.signed_part = std::string(token.substr(0, second));
  auto signature = Base64UrlDecode(token.substr(second + 1));
  if (!signature.ok()) return InvalidArgument("token: its signature is not base64url");
  out.signature = *std::move(signature);
  return out;
}

bool VerifyJwt(const DecodedJwt& token, const RsaPublicKey& key) {
  const json::value* alg = token.header.if_contains("alg");
  if (alg == nullptr || !alg->is_string()) return false;
  if (alg->get_string() == "RS256") return key.Verify(RsaSignature::kPkcs1Sha256, token.signed_part, token.signature);
  if (alg->get_string() == "PS256") return key.Verify(RsaSignature::kPssSha256, token.signed_part, token.signature);
  return false;
}

}  // namespace latchkey
