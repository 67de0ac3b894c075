#include "kms/azure/challenge.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "kms/azure/key_id.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

constexpr size_t kMaxHeader = 16 << 10, kMaxResource = 256, kMaxClaims = 4 << 10;

using Parameters = std::map<std::string, std::string, std::less<>>;

// Reads scheme SP name=value ("," name=value)*, and several of them one after the other (RFC 9110, 11.6.1).
class HeaderScanner {
 public:
  explicit HeaderScanner(std::string_view text) : text_(text) {}

  // The parameters of the first challenge of that scheme (lower case); nullopt when there is none or the header is malformed.
  std::optional<Parameters> Find(std::string_view scheme) {
    std::string current;
    Parameters found;
    bool seen = false;
    for (;;) {
      SkipSeparators();
      if (at_ == text_.size()) break;
      std::string word = Token();
      if (word.empty()) return std::nullopt;
      if (at_ == text_.size() || text_[at_] != '=') {
        if (seen) break;
        current = std::move(word);
        seen = current == scheme;
        continue;
      }
      ++at_;
      std::optional<std::string> value = Value();
      if (!value || current.empty()) return std::nullopt;
      // A parameter twice: no telling which one is meant.
      if (seen && !found.emplace(std::move(word), *std::move(value)).second) return std::nullopt;
    }
    return seen ? std::optional(std::move(found)) : std::nullopt;
  }

 private:
  void SkipSeparators() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == ',')) ++at_;
  }
  std::string Token() {
    const size_t begin = at_;
    while (at_ < text_.size() && (absl::ascii_isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_' || text_[at_] == '-')) {
      ++at_;
    }
    return absl::AsciiStrToLower(ToAbsl(text_.substr(begin, at_ - begin)));
  }
  std::optional<std::string> Value() {
    std::string out;
    if (at_ < text_.size() && text_[at_] == '"') {
      for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
        if (text_[at_] == '\\') {
          ++at_;
          if (at_ == text_.size()) return std::nullopt;
        }
        out.push_back(text_[at_]);
      }
      if (at_ == text_.size()) return std::nullopt;
      ++at_;
      return out;
    }
    while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != ' ' && text_[at_] != '\t' && text_[at_] != '"') {
      out.push_back(text_[at_++]);
    }
    return out;
  }

  std::string_view text_;
  size_t at_ = 0;
};

std::string Get(const Parameters& parameters, std::string_view name) {
  const auto it = parameters.find(name);
  return it == parameters.end() ? std::string() : it->second;
}

// "https://login.microsoftonline.com/<tenant>[/…]" → tenant.
absl::StatusOr<std::string> TenantOf(std::string_view url) {
  const size_t scheme = url.find("://");
  const size_t slash = scheme == std::string_view::npos ? scheme : url.find('/', scheme + 3);
  if (slash == std::string_view::npos) return InvalidArgument("no tenant");
  const std::string_view path = url.substr(slash + 1);
  return ParseAzureTenant(path.substr(0, path.find('/')));
}

// Either alphabet, with padding or without: both are seen.
absl::StatusOr<std::string> ReadClaims(std::string text) {
  while (!text.empty() && text.back() == '=') text.pop_back();
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, Base64UrlDecode(text));
  if (bytes.size() > kMaxClaims) return InvalidArgument("too long");
  RETURN_IF_ERROR(ParseJsonObject(AsText(bytes)).status());
  return std::string(AsText(bytes));
}

}  // namespace

absl::StatusOr<AzureChallenge> ParseAzureChallenge(std::string_view header) {
  if (header.size() > kMaxHeader) return InvalidArgument("the challenge is too long");
  const std::optional<Parameters> bearer = HeaderScanner(header).Find("bearer");
  if (!bearer) return InvalidArgument("there is no well-formed Bearer challenge");
  AzureChallenge challenge;
  std::string authorization = Get(*bearer, "authorization");
  if (authorization.empty()) authorization = Get(*bearer, "authorization_uri");
  auto tenant = TenantOf(authorization);
  if (!tenant.ok()) return InvalidArgument("the challenge names no tenant");
  challenge.tenant = *std::move(tenant);
  challenge.resource = Get(*bearer, "resource");
  while (challenge.resource.ends_with('/')) challenge.resource.pop_back();
  const bool printable = std::ranges::all_of(challenge.resource, [](unsigned char c) { return c > ' ' && c < 0x7f && c != '"'; });
  if (challenge.resource.empty() || challenge.resource.size() > kMaxResource || !printable) {
    return InvalidArgument("the challenge names no resource");
  }
  if (Get(*bearer, "error") == "insufficient_claims") {
    auto claims = ReadClaims(Get(*bearer, "claims"));
    if (!claims.ok()) return InvalidArgument("the challenge's claims are malformed");
    challenge.claims = *std::move(claims);
  }
  return challenge;
}

absl::Status CheckAzureChallenge(const AzureChallenge& challenge, std::string_view suffix, std::string_view tenant) {
  if (!suffix.empty() && challenge.resource != absl::StrCat("https://", ToAbsl(suffix))) {
    return KmsError(FailureClass::kUnreachable,
                    absl::StrCat("what answers asks for a token of another resource than ", ToAbsl(suffix), "; it gets none"));
  }
  if (!tenant.empty() && challenge.tenant != tenant) {
    return KmsError(FailureClass::kUnsuitable,
                    absl::StrCat("auth_principal: the vault belongs to the tenant ", challenge.tenant, ", not to ", ToAbsl(tenant)));
  }
  return absl::OkStatus();
}

}  // namespace latchkey
