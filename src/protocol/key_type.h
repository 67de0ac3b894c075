// The types of root keys, spelled as in the API, the configuration and the records.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace latchkey {

inline constexpr std::array<std::string_view, 7> kKeyTypes = {"AWS_KMS", "GCP_CLOUD_KMS", "AZURE_KEY_VAULT", "VAULT_TRANSIT", "PKCS11",
                                                              "KMIP",    "LOCAL"};

inline bool IsKeyType(std::string_view type) { return std::find(kKeyTypes.begin(), kKeyTypes.end(), type) != kKeyTypes.end(); }
inline std::vector<std::string> KeyTypeNames() { return {kKeyTypes.begin(), kKeyTypes.end()}; }
// "AWS_KMS, GCP_CLOUD_KMS, …", for messages.
inline std::string KeyTypeList() {
  std::string out;
  for (const std::string_view type : kKeyTypes) out.append(out.empty() ? "" : ", ").append(type);
  return out;
}

}  // namespace latchkey
