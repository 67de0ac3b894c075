#include "emulator/gcp/access.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/aead.h"
#include "emulator/gcp/errors.h"

namespace latchkey::emulator::gcp {
namespace {

constexpr std::string_view kTokenAad = "latchkey kms-emulator access token 1";
constexpr std::string_view kTokenPrefix = "ya29.";
constexpr std::string_view kServiceAccountPrefix = "serviceAccount:";
constexpr absl::Duration kJwtSkew = absl::Minutes(5);

std::string TextClaim(const json::object& claims, std::string_view name) {
  const json::value* value = claims.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// Whole or fractional seconds since 1970; nullopt when absent or absurd.
std::optional<absl::Time> TimeClaim(const json::object& claims, std::string_view name) {
  const json::value* value = claims.if_contains(name);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  const double seconds = value->is_double() ? value->get_double() : value->is_int64() ? static_cast<double>(value->get_int64()) : 1e18;
  if (seconds < 0 || seconds > 1e11) return std::nullopt;
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

bool HoldsScopeFor(const std::vector<std::string>& scopes, std::string_view service) {
  const std::string_view own = service == "cloudkms" ? kCloudKmsScope : kIamScope;
  return std::any_of(scopes.begin(), scopes.end(), [&](const std::string& scope) { return scope == kCloudPlatformScope || scope == own; });
}

// A service account's own signature as a bearer token: for scopes, or for this one service by its address.
absl::StatusOr<Caller> SelfSigned(const World& world, const CloudCall& call, std::string_view service, std::string_view token) {
  const absl::StatusOr<DecodedJwt> jwt = DecodeJwt(token);
  if (!jwt.ok()) return BadCredentials();
  const absl::StatusOr<const ServiceAccount*> account = CheckAccountJwt(world, *jwt, call.wall);
  if (!account.ok() || TextClaim(jwt->claims, "sub") != (*account)->email) return BadCredentials();
  const std::string scope = TextClaim(jwt->claims, "scope");
  if (!scope.empty()) {
    if (!HoldsScopeFor(SplitScopes(scope), service)) return TooFewScopes();
    return Caller{(*account)->member()};
  }
  const std::string audience = TextClaim(jwt->claims, "aud");
  const std::string real = absl::StrCat("https://", ToAbsl(service), ".googleapis.com");
  for (const std::string& base : {real, call.base_url}) {
    if (!base.empty() && (audience == base || audience.compare(0, base.size() + 1, base + "/") == 0)) return Caller{(*account)->member()};
  }
  return BadCredentials();
}

using Permissions = std::vector<std::string_view>;

const std::vector<std::pair<std::string_view, Permissions>>& Roles() {
  static const auto* const kRoles = new std::vector<std::pair<std::string_view, Permissions>>{
      {"roles/cloudkms.cryptoKeyEncrypter", {"cloudkms.cryptoKeyVersions.useToEncrypt"}},
      {"roles/cloudkms.cryptoKeyDecrypter", {"cloudkms.cryptoKeyVersions.useToDecrypt"}},
      {"roles/cloudkms.cryptoKeyEncrypterDecrypter",
       {"cloudkms.cryptoKeyVersions.useToEncrypt", "cloudkms.cryptoKeyVersions.useToDecrypt"}},
      {"roles/cloudkms.viewer",
       {"cloudkms.keyRings.get", "cloudkms.keyRings.list", "cloudkms.cryptoKeys.get", "cloudkms.cryptoKeys.list",
        "cloudkms.cryptoKeyVersions.get", "cloudkms.cryptoKeyVersions.list"}},
      // Everything but the use of keys.
      {"roles/cloudkms.admin",
       {"cloudkms.keyRings.create", "cloudkms.keyRings.get", "cloudkms.keyRings.list", "cloudkms.cryptoKeys.create",
        "cloudkms.cryptoKeys.get", "cloudkms.cryptoKeys.list", "cloudkms.cryptoKeys.update", "cloudkms.cryptoKeys.getIamPolicy",
        "cloudkms.cryptoKeys.setIamPolicy", "cloudkms.cryptoKeyVersions.create", "cloudkms.cryptoKeyVersions.get",
        "cloudkms.cryptoKeyVersions.list", "cloudkms.cryptoKeyVersions.update", "cloudkms.cryptoKeyVersions.destroy",
        "cloudkms.cryptoKeyVersions.restore"}},
      {"roles/owner", {"*"}},
  };
  return *kRoles;
}

bool RoleHolds(std::string_view role, std::string_view permission) {
  for (const auto& [name, permissions] : Roles()) {
    if (name != role) continue;
    return permissions.front() == "*" || std::find(permissions.begin(), permissions.end(), permission) != permissions.end();
  }
  return false;
}

bool IsMeant(const std::string& member, const Caller& caller) {
  if (member == caller.member || member == "allAuthenticatedUsers") return true;
  // principalSet://…/workloadIdentityPools/POOL/*: every identity of the pool.
  constexpr std::string_view kSet = "principalSet://";
  constexpr std::string_view kOne = "principal://";
  if (member.compare(0, kSet.size(), kSet) != 0 || member.size() < kSet.size() + 2 || member.substr(member.size() - 2) != "/*")
    return false;
  const std::string pool = member.substr(kSet.size(), member.size() - kSet.size() - 1);
  return caller.member.compare(0, kOne.size(), kOne) == 0 && caller.member.compare(kOne.size(), pool.size(), pool) == 0;
}

bool BindingsAllow(const Bindings& bindings, const Caller& caller, std::string_view permission) {
  for (const auto& [role, members] : bindings) {
    if (!RoleHolds(role, permission)) continue;
    if (std::any_of(members.begin(), members.end(), [&](const std::string& member) { return IsMeant(member, caller); })) return true;
  }
  return false;
}

}  // namespace

std::string SealAccessToken(const AccessToken& token, const SecretBytes& key, Random& random) {
  const json::object record{{"member", token.member},
                            {"scopes", json::array(token.scopes.begin(), token.scopes.end())},
                            {"expires", absl::ToUnixMicros(token.expires)}};
  std::vector<uint8_t> sealed = random.Bytes(kGcmNonceSize);
  const absl::StatusOr<std::vector<uint8_t>> text = GcmSeal(key, sealed, kTokenAad, AsBytes(json::serialize(record)));
  if (!text.ok()) return "";
  sealed.insert(sealed.end(), text->begin(), text->end());
  return std::string(kTokenPrefix) + Base64UrlEncode(sealed);
}

std::optional<AccessToken> OpenAccessToken(std::string_view token, const SecretBytes& key) {
  if (token.size() > 8192 || token.substr(0, kTokenPrefix.size()) != kTokenPrefix) return std::nullopt;
  const absl::StatusOr<std::vector<uint8_t>> bytes = Base64UrlDecode(token.substr(kTokenPrefix.size()));
  if (!bytes.ok() || bytes->size() < kGcmNonceSize + kGcmTagSize) return std::nullopt;
  const std::span<const uint8_t> all(*bytes);
  const absl::StatusOr<SecretBytes> text = GcmOpen(key, all.first(kGcmNonceSize), kTokenAad, all.subspan(kGcmNonceSize));
  if (!text.ok()) return std::nullopt;
  const absl::StatusOr<json::object> record = ParseJsonObject(text->RevealText(SecretAccess{}));
  if (!record.ok()) return std::nullopt;
  JsonReader reader(*record);
  AccessToken out{.member = reader.String("member"), .scopes = {}, .expires = absl::FromUnixMicros(reader.Int("expires"))};
  if (const json::array* scopes = reader.Array("scopes")) {
    for (const json::value& scope : *scopes) {
      if (scope.is_string()) out.scopes.emplace_back(scope.get_string());
    }
  }
  if (!reader.status().ok()) return std::nullopt;
  return out;
}

std::vector<std::string> SplitScopes(std::string_view text) {
  std::vector<std::string> out;
  if (text.size() > 2048) return out;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(" ,"), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string Caller::Shown() const {
  return member.compare(0, kServiceAccountPrefix.size(), kServiceAccountPrefix) == 0 ? member.substr(kServiceAccountPrefix.size()) : member;
}

absl::StatusOr<Caller> Authenticate(const World& world, CloudCall& call, std::string_view service) {
  const std::string header = call.request.Header("authorization");
  constexpr std::string_view kBearer = "bearer ";
  if (header.empty()) return NoCredentials();
  std::string scheme = header.substr(0, kBearer.size());
  std::transform(scheme.begin(), scheme.end(), scheme.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (scheme != kBearer) return NoCredentials();
  const std::string_view token = std::string_view(header).substr(kBearer.size());
  Caller caller;
  if (token.substr(0, kTokenPrefix.size()) == kTokenPrefix) {
    std::optional<AccessToken> opened = OpenAccessToken(token, world.token_key);
    if (!opened || opened->expires <= call.now) return BadCredentials();
    caller.member = opened->member;
    // Tokens of an account end with it.
    if (caller.Shown() != caller.member && !world.accounts.contains(caller.Shown())) return BadCredentials();
    call.record.principal = caller.Shown();
    if (!HoldsScopeFor(opened->scopes, service)) return TooFewScopes();
  } else {
    ASSIGN_OR_RETURN(caller, SelfSigned(world, call, service, token));
    call.record.principal = caller.Shown();
  }
  return caller;
}

absl::StatusOr<const ServiceAccount*> CheckAccountJwt(const World& world, const DecodedJwt& token, absl::Time wall) {
  const auto account = world.accounts.find(TextClaim(token.claims, "iss"));
  if (account == world.accounts.end()) return NotFound("Invalid grant: account not found");
  if (TextClaim(token.header, "alg") != "RS256") return InvalidArgument("Invalid JWT Signature.");
  // Without a key id, any key of the account counts.
  const std::string key_id = TextClaim(token.header, "kid");
  const std::vector<AccountKey>& keys = account->second.keys;
  const bool signed_by_account = std::any_of(keys.begin(), keys.end(), [&](const AccountKey& key) {
    return (key_id.empty() || key.id == key_id) && VerifyJwt(token, *key.public_key);
  });
  if (!signed_by_account) return InvalidArgument("Invalid JWT Signature.");
  const std::optional<absl::Time> issued = TimeClaim(token.claims, "iat");
  const std::optional<absl::Time> expires = TimeClaim(token.claims, "exp");
  if (!issued || !expires || *issued > wall + kJwtSkew || *expires <= wall || *expires <= *issued ||
      *expires - *issued > absl::Hours(1) + kJwtSkew) {
    return InvalidArgument(
        "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the "
        "JWT claim.");
  }
  return &account->second;
}

bool IsRole(std::string_view role) {
  return std::any_of(Roles().begin(), Roles().end(), [&](const auto& item) { return item.first == role; });
}

bool MayDo(const World& world, const Caller& caller, std::string_view permission, const ResourceName& name) {
  const std::string key_name = name.key.empty() ? std::string() : name.Key();
  for (const Denial& denial : world.denials) {
    if (denial.member != "*" && !IsMeant(denial.member, caller)) continue;
    if (denial.key.empty() || denial.key == key_name) return false;
  }
  const auto project = world.projects.find(name.project);
  if (project != world.projects.end() && BindingsAllow(project->second.bindings, caller, permission)) return true;
  const auto key = world.keys.find(key_name);
  return key != world.keys.end() && BindingsAllow(key->second.bindings, caller, permission);
}

bool MayActAs(const Caller& caller, const ServiceAccount& account) {
  return std::any_of(account.token_creators.begin(), account.token_creators.end(),
                     [&](const std::string& member) { return IsMeant(member, caller); });
}

}  // namespace latchkey::emulator::gcp
