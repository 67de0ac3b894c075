// What the emulated Vault remembers: namespaces, mounts, keys, policies, roles, tokens. Not thread-safe; movable only.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/json.h"
#include "base/random.h"
#include "base/secret_bytes.h"
#include "emulator/vault/policy.h"

namespace latchkey::emulator::vault {

// "" is the root namespace; others are "teams/a", without slashes at the ends.
using Namespace = std::string;
// (namespace, name or path).
using Named = std::pair<Namespace, std::string>;

struct KeyVersion {
  SecretBytes bytes;  // 32
  absl::Time created;
};

// A Transit key of type aes256-gcm96.
struct TransitKey {
  std::map<int64_t, KeyVersion> versions;  // from 1
  int64_t min_decryption_version = 1, min_encryption_version = 0;
  int64_t auto_rotate_seconds = 0;  // 0: never
  bool deletion_allowed = false, soft_deleted = false;

  int64_t latest_version() const { return versions.rbegin()->first; }
};
struct KeyName {
  Namespace name_space;
  std::string mount, name;
  auto operator<=>(const KeyName&) const = default;
  std::string ToString() const { return (name_space.empty() ? "" : name_space + "/") + mount + "/" + name; }
};

enum class MountType { kTransit, kAppRole, kKubernetes };

struct AppRole {
  std::string role_id;
  SecretBytes secret_id;
  std::vector<std::string> policies;
  absl::Duration ttl, max_ttl;
};
struct KubernetesRole {
  std::string service_account;  // "namespace/name"
  std::vector<std::string> policies;
  absl::Duration ttl, max_ttl;
};
// What a registered service-account token (JWT) says.
struct ServiceAccountToken {
  std::string service_account;
  absl::Time expires;
};

struct Token {
  std::string accessor, display_name;  // "token", "approle", "kubernetes-default-latchkey"
  std::string path;                    // where it was made: "auth/approle/login"
  std::string role;                    // of the login; empty for tokens of the admin API
  Namespace name_space;
  std::vector<std::string> policies;  // {"root"}: everything
  bool renewable = false;
  absl::Time issued, expires = absl::InfiniteFuture();
  absl::Duration ttl, max_ttl = absl::InfiniteDuration();

  bool root() const { return policies == std::vector<std::string>{"root"}; }
};

struct State {
  static constexpr size_t kMostKeys = 1000, kMostVersions = 4000, kMostTokens = 10'000, kMostNames = 1000;

  std::set<Namespace> namespaces = {""};
  // "transit" → kTransit; authentication mounts without "auth/".
  std::map<Named, MountType> mounts;
  std::map<KeyName, TransitKey> keys;
  std::map<Named, PathPolicy> policies;
  std::map<std::tuple<Namespace, std::string, std::string>, AppRole> app_roles;  // namespace, mount, name
  std::map<std::tuple<Namespace, std::string, std::string>, KubernetesRole> kubernetes_roles;
  std::map<std::string, ServiceAccountToken> service_account_tokens;  // by hex SHA-256
  std::map<std::string, Token> tokens;                                // by hex SHA-256
  SecretBytes root_token, operator_token;                             // what the seed gave out
  bool sealed = false;

  size_t Versions() const;
  // Adds a version. ResourceExhausted at kMostVersions.
  absl::Status Rotate(TransitKey& key, absl::Time now, Random& random);
  // AlreadyExists, ResourceExhausted.
  absl::StatusOr<TransitKey*> AddKey(const KeyName& name, absl::Time now, Random& random);
  // Puts a token there and answers its secret form: `wanted`, or a new one when that is empty. ResourceExhausted.
  absl::StatusOr<SecretBytes> AddToken(Token token, std::string_view wanted, Random& random);
  // nullptr: none, or its time is over.
  const Token* FindToken(std::string_view secret, absl::Time now) const;
  bool Settle(absl::Time now, Random& random);

  boost::json::object ToJson() const;
  static absl::StatusOr<State> FromJson(const boost::json::object& object);
};

// Letters, digits, ".", "_" and "-", 1 to 128.
bool IsName(std::string_view text);
// Names with "/" between them, at most 256 bytes.
bool IsPath(std::string_view text);
std::string TokenDigest(std::string_view secret);

}  // namespace latchkey::emulator::vault
