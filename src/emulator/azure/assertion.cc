#include "emulator/azure/assertion.h"

#include <algorithm>

#include "base/clock.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/digest.h"
#include "crypto/jwt.h"
#include "emulator/arn.h"

namespace latchkey::emulator::azure {
namespace {

constexpr absl::Duration kClockSkew = absl::Minutes(5);

std::string TextOf(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

// "aud" is a string or a list of them.
bool IsAddressedTo(const json::object& claims, const std::vector<std::string>& audiences) {
  const auto known = [&](const json::value& v) {
    return v.is_string() && std::find(audiences.begin(), audiences.end(), std::string_view(v.get_string())) != audiences.end();
  };
  const json::value* audience = claims.if_contains("aud");
  if (audience == nullptr) return false;
  if (audience->is_array()) return std::any_of(audience->get_array().begin(), audience->get_array().end(), known);
  return known(*audience);
}

std::optional<Refusal> CheckTimes(const json::object& claims, absl::Time wall) {
  const auto time_of = [&](const char* name) -> std::optional<absl::Time> {
    const json::value* value = claims.if_contains(name);
    if (value == nullptr || !(value->is_int64() || value->is_uint64())) return std::nullopt;
    boost::system::error_code error;
    const auto seconds = value->to_number<int64_t>(error);
    if (error) return std::nullopt;
    return absl::FromUnixSeconds(seconds);
  };
  const std::optional<absl::Time> expires = time_of("exp"), from = time_of("nbf");
  if (!expires || *expires + kClockSkew <= wall || (from && *from - kClockSkew > wall)) {
    return Refusal{700024, absl::StrCat("Client assertion is not within its valid time range. Current time: ", latchkey::FormatTime(wall),
                                        expires ? ", expiry time of assertion " + latchkey::FormatTime(*expires) : "", ".")};
  }
  return std::nullopt;
}

std::optional<Refusal> CheckByCertificate(const Application& application, const DecodedJwt& token,
                                          const std::vector<std::string>& audiences, absl::Time wall) {
  const std::string sha256 = TextOf(token.header, "x5t#S256"), sha1 = TextOf(token.header, "x5t");
  if (sha256.empty() && sha1.empty()) {
    return Refusal{700027, "Client assertion failed signature validation: its header names no certificate (x5t or x5t#S256)."};
  }
  const auto certificate = std::find_if(application.certificates.begin(), application.certificates.end(), [&](const ClientCertificate& c) {
    return (sha256.empty() || sha256 == c.thumbprint_sha256) && (sha1.empty() || sha1 == c.thumbprint_sha1);
  });
  if (certificate == application.certificates.end()) {
    return Refusal{700027,
                   absl::StrCat("The certificate with identifier used to sign the client assertion is not registered on application. "
                                "[Reason - The key was not found., Thumbprint of key used by client: '",
                                Quotable(sha256.empty() ? sha1 : sha256, 64), "']")};
  }
  if (certificate->not_after <= wall || certificate->not_before > wall) {
    return Refusal{700027,
                   "The certificate used to sign the client assertion is not within its validity period. "
                   "[Reason - The key used is expired.]"};
  }
  const absl::StatusOr<RsaPublicKey> key = RsaPublicKey::FromPem(certificate->pem);
  if (!key.ok() || !VerifyJwt(token, *key)) {
    return Refusal{700027,
                   "Client assertion failed signature validation. [Reason - The provided signature value did not match the expected "
                   "signature value.]"};
  }
  if (TextOf(token.claims, "sub") != application.client_id) {
    return Refusal{700027, "Client assertion contains an invalid subject: 'sub' must be the identifier of the application."};
  }
  if (!IsAddressedTo(token.claims, audiences)) {
    return Refusal{700023,
                   "Client assertion audience claim does not match Realm issuer. Review the documentation at "
                   "https://learn.microsoft.com/entra/identity-platform/certificate-credentials."};
  }
  return CheckTimes(token.claims, wall);
}

// The three parts of a federated credential fail with a code each, the first that no credential shares with the token.
std::optional<Refusal> CheckByFederation(const Application& application, const DecodedJwt& token, absl::Time wall) {
  const std::string issuer = TextOf(token.claims, "iss"), subject = TextOf(token.claims, "sub");
  bool issuer_known = false, subject_known = false;
  for (const FederatedCredential& credential : application.federated) {
    if (!credential.token_sha256.empty() || credential.issuer != issuer) continue;
    issuer_known = true;
    if (credential.subject != subject) continue;
    subject_known = true;
    if (!IsAddressedTo(token.claims, {credential.audience})) continue;
    if (credential.key_pem.empty()) {
      if (TextOf(token.header, "alg") != "none" || !token.signature.empty()) {
        return Refusal{700027, "Client assertion failed signature validation: no key of its issuer is registered with this emulator."};
      }
    } else {
      const absl::StatusOr<RsaPublicKey> key = RsaPublicKey::FromPem(credential.key_pem);
      if (!key.ok() || !VerifyJwt(token, *key)) return Refusal{700027, "Client assertion failed signature validation."};
    }
    return CheckTimes(token.claims, wall);
  }
  const std::string start = "No matching federated identity record found for presented assertion ";
  if (!issuer_known) return Refusal{700211, absl::StrCat(start, "issuer '", Quotable(issuer), "'."), "invalid_client", 401};
  if (!subject_known) return Refusal{700213, absl::StrCat(start, "subject '", Quotable(subject), "'."), "invalid_client", 401};
  return Refusal{700212, start + "audience.", "invalid_client", 401};
}

}  // namespace

std::optional<Refusal> CheckClientAssertion(const Application& application, std::string_view assertion,
                                            const std::vector<std::string>& audiences, absl::Time wall) {
  const std::string digest = HexEncode(Sha256(assertion));
  for (const FederatedCredential& credential : application.federated) {
    if (credential.token_sha256 == digest) return std::nullopt;
  }
  const absl::StatusOr<DecodedJwt> token = DecodeJwt(assertion);
  if (!token.ok()) {
    return Refusal{50027, absl::StrCat("JWT token is invalid or malformed (", token.status().message(), ")."), "invalid_request", 400};
  }
  if (TextOf(token->claims, "iss") == application.client_id) return CheckByCertificate(application, *token, audiences, wall);
  return CheckByFederation(application, *token, wall);
}

}  // namespace latchkey::emulator::azure
