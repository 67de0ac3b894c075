// libFuzzer: a key's name comes from strangers and decides which host is spoken to. What is accepted has one spelling, and is made of
// characters that can stand in a host name or a path as they are.
#include <absl/strings/ascii.h>

#include <cstdlib>

#include "base/status.h"
#include "kms/aws/arn.h"
#include "kms/azure/key_id.h"
#include "kms/gcp/credentials_file.h"
#include "kms/gcp/names.h"
#include "kms/vault/uri.h"

namespace latchkey {
namespace {

void Must(bool holds) {
  if (!holds) std::abort();
}

constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz0123456789-";
constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";

bool AllOf(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}
bool IsHost(std::string_view host) {
  return AllOf(host, "abcdefghijklmnopqrstuvwxyz0123456789-.") && host.front() != '.' && host.back() != '.' &&
         host.find("..") == std::string_view::npos;
}

void CheckAws(std::string_view text) {
  const auto arn = ParseKeyArn(text);
  if (arn.ok()) {
    Must(text == absl::StrCat("arn:", arn->partition, ":kms:", arn->region, ":", arn->account, ":key/", arn->key_id));
    Must(IsHost(absl::StrCat("kms.", arn->region, ".", ToAbsl(DnsSuffix(arn->partition)))) && AllOf(arn->region, kLower));
    Must(AllOf(arn->key_id, kLower) && arn->account.size() == 12);
  }
  if (CheckRoleArn(text, "aws").ok())
    Must(text.starts_with("arn:aws:iam::") && text.find_first_of(" \r\n&#?%\"<>") == std::string_view::npos);
}

void CheckGcp(std::string_view text) {
  const auto name = ParseGcpKeyName(text);
  if (name.ok()) {
    Must(text == absl::StrCat("projects/", name->project, "/locations/", name->location, "/keyRings/", name->key_ring, "/cryptoKeys/",
                              name->crypto_key));
    Must(AllOf(name->location, kLower) && AllOf(name->key_ring, kPlain) && AllOf(name->crypto_key, kPlain));
    Must(text.find("..") == std::string_view::npos && text.find_first_of("?#%@\\ ") == std::string_view::npos);
    Must(IsSameGcpKey(text, text));
    const std::string version = absl::StrCat(ToAbsl(text), "/cryptoKeyVersions/7");
    Must(VersionOfGcpKey(text, version) == "7" && !ParseGcpKeyName(version).ok());
  }
  if (CheckServiceAccount(text).ok()) {
    Must(IsHost(text.substr(text.find('@') + 1)) && text.ends_with(".gserviceaccount.com") && text.rfind('@') == text.find('@'));
  }
  if (CheckGoogleUrl(text).ok()) {
    constexpr size_t kScheme = std::string_view("https://").size();
    const std::string_view host = text.substr(kScheme, text.find_first_of("/?#\\@", kScheme) - kScheme);
    Must(host.ends_with(".googleapis.com") || host == "accounts.google.com");
  }
}

void CheckAzure(std::string_view text) {
  if (const auto id = ParseAzureKeyId(text); id.ok()) {
    const std::string version = id->version.empty() ? "" : "/" + id->version;
    Must(absl::AsciiStrToLower(ToAbsl(text)) == absl::AsciiStrToLower(absl::StrCat("https://", id->host, "/keys/", id->name, version)));
    Must(IsHost(id->host) && id->host.ends_with("." + std::string(id->suffix)) &&
         id->suffix.starts_with(id->suffix.find("vault") == 0 ? "vault." : "managedhsm."));
    Must(id->version.empty() || IsAzureKeyVersion(id->version));
    Must(SameAzureKeyName(id->name, absl::AsciiStrToUpper(id->name)));
  }
  if (const auto tenant = ParseAzureTenant(text); tenant.ok())
    Must(ParseAzureTenant(*tenant).value_or("") == *tenant && AllOf(*tenant, kLower));
}

void CheckVault(std::string_view text) {
  const auto name = ParseVaultUri(text);
  if (!name.ok()) return;
  Must(text == absl::StrCat("vault://", name->connection, "/", name->mount, "/", name->key) && text.size() <= 512);
  Must(IsVaultPathPart(name->key) && AllOf(name->key, kPlain) && AllOf(name->connection, kPlain));
  Must(AllOf(name->mount, std::string(kPlain) + "/") && name->mount.find("//") == std::string::npos);
  // No part leads upwards.
  const std::string path = absl::StrCat("/", name->mount, "/", name->key, "/");
  Must(path.find("/../") == std::string::npos && path.find("/./") == std::string::npos);
  for (const char* kept : {"sys", "auth", "identity", "cubbyhole"}) Must(!path.starts_with(absl::StrCat("/", kept, "/")));
}

}  // namespace
}  // namespace latchkey

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace latchkey;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CheckAws(text);
  CheckGcp(text);
  CheckAzure(text);
  CheckVault(text);
  return 0;
}
