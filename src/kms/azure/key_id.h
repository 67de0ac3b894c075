// The name of a key in a vault or a Managed HSM, and of the tenant that it belongs to.
//
//   https://<vault>.vault.azure.net/keys/<name>[/<version>]
//
// A key's name decides which host is spoken to: only the hosts of Key Vault and Managed HSM, in Azure's clouds, are accepted.
// Source: learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates (object identifiers, DNS suffixes).
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

namespace latchkey {

struct AzureKeyId {
  std::string host;            // "contoso.vault.azure.net", in lower case
  std::string_view suffix;     // "vault.azure.net": also the host of the resource that tokens are for
  std::string_view authority;  // of that cloud: "https://login.microsoftonline.com"
  std::string name;            // 1 to 127 of [0-9A-Za-z-]
  std::string version;         // 32 hexadecimal digits in lower case; empty: the current one
};

// InvalidArgument with what is wrong, without the name of the field.
absl::StatusOr<AzureKeyId> ParseAzureKeyId(std::string_view uri);
// 32 hexadecimal digits in lower case.
bool IsAzureKeyVersion(std::string_view text);
// The same key: names are compared without case, as the service does.
bool SameAzureKeyName(std::string_view a, std::string_view b);
// A UUID in lower case; InvalidArgument when `text` is no UUID.
absl::StatusOr<std::string> ParseAzureTenant(std::string_view text);

}  // namespace latchkey
