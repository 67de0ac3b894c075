// The names of Google Cloud that Latchkey accepts (docs.cloud.google.com/kms/docs/getting-resource-ids, iam/docs/service-account-overview).
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <string_view>

namespace latchkey {

// projects/<project>/locations/<location>/keyRings/<key ring>/cryptoKeys/<key>. The location says where the key lives; no host is made
// of it.
struct GcpKeyName {
  std::string project;  // an id ("my-project", "example.com:my-project") or a number
  std::string location, key_ring, crypto_key;
};
// InvalidArgument saying what is wrong. Versions are refused: a key's primary version is what wraps, and it changes.
absl::StatusOr<GcpKeyName> ParseGcpKeyName(std::string_view text);

// OK for the e-mail address of a service account: it ends in .gserviceaccount.com.
absl::Status CheckServiceAccount(std::string_view email);

// Whether `answered`, from an answer, names the key `asked`. A project's id and its number are taken for the same project: which of
// them Google answers with is not ours to say.
bool IsSameGcpKey(std::string_view asked, std::string_view answered);
// "3" of "<key>/cryptoKeyVersions/3" where <key> is the key `asked`; otherwise nullopt.
std::optional<std::string> VersionOfGcpKey(std::string_view asked, std::string_view answered);

}  // namespace latchkey
