#include "kms/aws/sigv4.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/status.h"
#include "crypto/digest.h"

namespace latchkey {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::string CanonicalPath(std::string_view path) {
  std::vector<std::string_view> segments;
  const bool ends_open = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view segment = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
    } else if (!segment.empty() && segment != ".") {
      segments.push_back(segment);
    }
  }
  std::string out;
  for (const std::string_view segment : segments) out.append("/").append(PercentEncode(segment));
  if (out.empty() || ends_open) out.push_back('/');
  return out;
}

std::string CanonicalQuery(const std::vector<std::pair<std::string, std::string>>& query) {
  std::vector<std::pair<std::string, std::string>> encoded;
  for (const auto& [name, value] : query) encoded.emplace_back(PercentEncode(name), PercentEncode(value));
  std::sort(encoded.begin(), encoded.end());
  std::string out;
  for (const auto& [name, value] : encoded) {
    if (!out.empty()) out.push_back('&');
    out.append(name).append("=").append(value);
  }
  return out;
}

std::string CanonicalValue(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const bool blank = c == ' ' || c == '\t';
    if (!blank) {
      out.push_back(c);
    } else if (!out.empty() && out.back() != ' ') {
      out.push_back(' ');
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

}  // namespace

std::string AmzDate(absl::Time time) { return absl::FormatTime("%Y%m%dT%H%M%SZ", time, absl::UTCTimeZone()); }

std::string SignedHeaders(const HttpHeaders& headers) {
  std::string out;
  for (const auto& [name, value] : headers) {
    if (!out.empty()) out.push_back(';');
    out.append(name);
  }
  return out;
}

std::string CanonicalRequest(const SigningInput& input) {
  std::string out = input.method;
  out.append("\n").append(CanonicalPath(input.path)).append("\n").append(CanonicalQuery(input.query)).append("\n");
  for (const auto& [name, value] : input.headers) out.append(name).append(":").append(CanonicalValue(value)).append("\n");
  out.append("\n").append(SignedHeaders(input.headers)).append("\n").append(input.body_sha256);
  return out;
}

std::string StringToSign(std::string_view amz_date, const SigningScope& scope, std::string_view canonical_request) {
  return absl::StrCat(ToAbsl(kAlgorithm), "\n", ToAbsl(amz_date), "\n", scope.ToString(), "\n", HexEncode(Sha256(canonical_request)));
}

SecretBytes SigningKey(const SecretBytes& secret_access_key, const SigningScope& scope) {
  constexpr std::string_view kPrefix = "AWS4";
  SecretBytes key(kPrefix.size() + secret_access_key.size());
  const std::span<uint8_t> into = key.RevealMutable(SecretAccess{});
  std::copy(kPrefix.begin(), kPrefix.end(), into.begin());
  const std::span<const uint8_t> secret = secret_access_key.Reveal(SecretAccess{});
  std::copy(secret.begin(), secret.end(), into.begin() + kPrefix.size());
  for (const std::string_view step :
       {std::string_view(scope.date), std::string_view(scope.region), std::string_view(scope.service), std::string_view("aws4_request")}) {
    Sha256Digest digest = HmacSha256(key, step);
    key = SecretBytes::CopyOf(std::span<const uint8_t>(digest));
    Wipe(digest.data(), digest.size());
  }
  return key;
}

std::string Signature(const SecretBytes& signing_key, std::string_view string_to_sign) {
  return HexEncode(HmacSha256(signing_key, string_to_sign));
}

void SignRequest(SigningInput& input, const AwsCredentials& credentials, std::string_view region, std::string_view service,
                 absl::Time time) {
  const std::string amz_date = AmzDate(time);
  input.headers.insert_or_assign("x-amz-date", amz_date);
  if (!credentials.session_token.empty()) {
    input.headers.insert_or_assign("x-amz-security-token", std::string(credentials.session_token.RevealText(SecretAccess{})));
  }
  input.headers.erase("authorization");
  const SigningScope scope{.date = amz_date.substr(0, 8), .region = std::string(region), .service = std::string(service)};
  const std::string to_sign = StringToSign(amz_date, scope, CanonicalRequest(input));
  const std::string signature = Signature(SigningKey(credentials.secret_access_key, scope), to_sign);
  std::string authorization = absl::StrCat(ToAbsl(kAlgorithm), " Credential=", credentials.access_key_id, "/", scope.ToString(),
                                           ", SignedHeaders=", SignedHeaders(input.headers), ", Signature=", signature);
  input.headers.insert_or_assign("authorization", std::move(authorization));
}

}  // namespace latchkey
