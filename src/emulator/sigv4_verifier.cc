#include "emulator/sigv4_verifier.h"

#include <algorithm>
#include <optional>

#include "base/encoding.h"
#include "base/status.h"
#include "crypto/digest.h"
#include "emulator/arn.h"

namespace latchkey::emulator {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kTimeForm = "%Y%m%dT%H%M%SZ";

AwsError Bad(const SignedService& service, std::string message) {
  if (service.json) return {"InvalidSignatureException", std::move(message), 400};
  return {"SignatureDoesNotMatch", std::move(message), 403};
}

AwsError Incomplete(const SignedService& service, std::string message) {
  return {service.json ? "IncompleteSignatureException" : "IncompleteSignature", std::move(message), 400};
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> out;
  while (true) {
    const size_t at = text.find(separator);
    out.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

// Trimmed, with runs of blanks made one.
std::string CanonicalValue(std::string_view value) {
  std::string out;
  for (char c : Trim(value)) {
    if (c == ' ' && !out.empty() && out.back() == ' ') continue;
    out.push_back(c);
  }
  return out;
}

std::string FormatStamp(absl::Time t) { return absl::FormatTime(ToAbsl(kTimeForm), t, absl::UTCTimeZone()); }

// "kms.us-east-1.amazonaws.com:443" → "us-east-1"; empty for hosts that name no region (127.0.0.1, sts.amazonaws.com).
std::string RegionOfHost(std::string_view host) {
  const std::vector<std::string> labels = Split(host.substr(0, host.find(':')), '.');
  if (labels.size() < 4 || labels[2] != "amazonaws") return "";
  return IsRegion(labels[1]) ? labels[1] : "";
}

// "20150830T123600Z". Abseil's own %Y takes as many digits as there are, so the parts are set apart first.
std::optional<absl::Time> ParseStamp(const std::string& text) {
  if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return std::nullopt;
  const std::string spread = absl::StrCat(text.substr(0, 4), "-", text.substr(4, 2), "-", text.substr(6, 2), "T", text.substr(9, 2), ":",
                                          text.substr(11, 2), ":", text.substr(13));
  absl::Time t;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, spread, &t, &error)) return std::nullopt;
  return t;
}

Outcome<Done> CheckTime(const SignatureClaim& claim, const SignedService& service, absl::Time now) {
  const std::optional<absl::Time> signed_at = ParseStamp(claim.amz_date);
  if (!signed_at) {
    return Incomplete(service, absl::StrCat("Date must be in ISO-8601 'basic format'. Got '", claim.amz_date.substr(0, 64),
                                            "'. See http://en.wikipedia.org/wiki/ISO_8601"));
  }
  if (claim.date != claim.amz_date.substr(0, 8)) {
    return Bad(service, absl::StrCat("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '",
                                     claim.date, "' != '", claim.amz_date.substr(0, 8), "', from '", claim.amz_date, "'."));
  }
  const std::string window = absl::StrCat(absl::ToInt64Minutes(service.skew), " min.)");
  if (*signed_at < now - service.skew) {
    return Bad(service, absl::StrCat("Signature expired: ", claim.amz_date, " is now earlier than ", FormatStamp(now - service.skew), " (",
                                     FormatStamp(now), " - ", window));
  }
  if (*signed_at > now + service.skew) {
    return Bad(service, absl::StrCat("Signature not yet current: ", claim.amz_date, " is still later than ",
                                     FormatStamp(now + service.skew), " (", FormatStamp(now), " + ", window));
  }
  return Done{};
}

}  // namespace

SignedService KmsService() { return {"kms", true, absl::Minutes(5)}; }
SignedService StsService() { return {"sts", false, absl::Minutes(15)}; }

std::string CanonicalRequest(const HttpRequest& request, const std::vector<std::string>& signed_headers) {
  std::vector<std::pair<std::string, std::string>> query;
  for (const auto& [name, value] : request.query) query.emplace_back(PercentEncode(name), PercentEncode(value));
  std::sort(query.begin(), query.end());
  std::string query_text;
  for (const auto& [name, value] : query) {
    if (!query_text.empty()) query_text.push_back('&');
    query_text.append(name).append("=").append(value);
  }
  std::string headers, names;
  for (const std::string& name : signed_headers) {
    headers.append(name).append(":").append(CanonicalValue(request.Header(name))).append("\n");
    if (!names.empty()) names.push_back(';');
    names.append(name);
  }
  return absl::StrCat(request.method, "\n", request.path.empty() ? "/" : request.path, "\n", query_text, "\n", headers, "\n", names, "\n",
                      HexEncode(Sha256(request.body)));
}

Outcome<SignatureClaim> ReadClaim(const HttpRequest& request, const SignedService& service, absl::Time now) {
  const std::string header = request.Header("authorization");
  if (header.empty()) {
    if (service.json) return AwsError{"MissingAuthenticationTokenException", "Missing Authentication Token", 400};
    return AwsError{"MissingAuthenticationToken", "Request is missing Authentication Token", 403};
  }
  std::string_view rest = header;
  const size_t space = rest.find(' ');
  if (rest.substr(0, space) != kAlgorithm) {
    return Incomplete(service,
                      absl::StrCat("Unsupported AWS 'algorithm': '", header.substr(0, std::min<size_t>(header.find(' '), 64)), "'."));
  }
  rest.remove_prefix(std::min(space + 1, rest.size()));
  std::string credential, names, signature;
  for (const std::string& part : Split(rest, ',')) {
    const std::string_view item = Trim(part);
    const size_t equals = item.find('=');
    const std::string_view name = item.substr(0, equals);
    const std::string value(equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1));
    std::string* into = name == "Credential" ? &credential : name == "SignedHeaders" ? &names : name == "Signature" ? &signature : nullptr;
    // A parameter twice could be read in two ways; the signer never writes it.
    if (into == nullptr || value.empty() || !into->empty()) {
      return Incomplete(service, "Authorization header is not of the form Credential=..., SignedHeaders=..., Signature=...");
    }
    *into = value;
  }
  std::string missing;
  if (credential.empty()) missing += "Authorization header requires 'Credential' parameter. ";
  if (signature.empty()) missing += "Authorization header requires 'Signature' parameter. ";
  if (names.empty()) missing += "Authorization header requires 'SignedHeaders' parameter. ";
  SignatureClaim claim;
  claim.amz_date = request.Header("x-amz-date");
  if (claim.amz_date.empty()) missing += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
  if (!missing.empty()) return Incomplete(service, missing);

  const std::vector<std::string> scope = Split(credential, '/');
  if (scope.size() != 5) {
    return Incomplete(service, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.");
  }
  claim.access_key_id = scope[0];
  claim.date = scope[1];
  claim.region = scope[2];
  claim.service = scope[3];
  claim.terminator = scope[4];
  claim.signature = signature;
  claim.signed_headers = Split(names, ';');
  claim.session_token = request.Header("x-amz-security-token");

  if (claim.terminator != "aws4_request") {
    return Bad(service, absl::StrCat("Credential should be scoped with a valid terminator: 'aws4_request', not '", claim.terminator, "'."));
  }
  if (claim.service != service.name)
    return Bad(service, absl::StrCat("Credential should be scoped to correct service: '", service.name, "'. "));
  const std::string host_region = RegionOfHost(request.Header("host"));
  if (!IsRegion(claim.region) || (!host_region.empty() && host_region != claim.region)) {
    return Bad(service, "Credential should be scoped to a valid region. ");
  }
  if (!std::is_sorted(claim.signed_headers.begin(), claim.signed_headers.end())) {
    return Bad(service, "SignedHeaders must be sorted and in lower case.");
  }
  for (const char* required : {"host", "x-amz-date", "x-amz-target", "x-amz-security-token", "x-amz-content-sha256"}) {
    const bool present = std::string_view(required) == "host" || !request.Header(required).empty();
    if (present && !std::binary_search(claim.signed_headers.begin(), claim.signed_headers.end(), std::string(required))) {
      return Bad(service, absl::StrCat("'", required, "' must be a 'SignedHeader' in the AWS Authorization."));
    }
  }
  AWS_TRY(CheckTime(claim, service, now));
  return claim;
}

Outcome<Done> VerifySignature(const HttpRequest& request, const SignatureClaim& claim, const SecretBytes& secret_access_key,
                              const SignedService& service) {
  const std::string scope = absl::StrCat(claim.date, "/", claim.region, "/", claim.service, "/", claim.terminator);
  const std::string to_sign = absl::StrCat(ToAbsl(kAlgorithm), "\n", claim.amz_date, "\n", scope, "\n",
                                           HexEncode(Sha256(CanonicalRequest(request, claim.signed_headers))));
  std::string first = absl::StrCat("AWS4", ToAbsl(secret_access_key.RevealText(SecretAccess{})));
  Sha256Digest key = HmacSha256(SecretBytes::CopyOf(std::string_view(first)), claim.date);
  Wipe(first);
  for (const std::string& step : {claim.region, claim.service, claim.terminator})
    key = HmacSha256(std::span<const uint8_t>(key), AsBytes(step));
  const std::string expected = HexEncode(HmacSha256(std::span<const uint8_t>(key), AsBytes(to_sign)));
  Wipe(key.data(), key.size());
  const std::string body_digest = request.Header("x-amz-content-sha256");
  const bool body_fits = body_digest.empty() || body_digest == HexEncode(Sha256(request.body));
  if (expected.size() != claim.signature.size() || !EqualInConstantTime(AsBytes(expected), AsBytes(claim.signature)) || !body_fits) {
    return Bad(
        service,
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing "
        "method. Consult the service documentation for details.");
  }
  return Done{};
}

}  // namespace latchkey::emulator
