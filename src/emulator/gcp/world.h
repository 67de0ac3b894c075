// What the Google cloud of the emulator remembers: projects, key rings and keys with their material, service accounts with their private
// keys, workload identity providers, denials. Key material and secrets go into the state file in the clear: development and tests only.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/secret_bytes.h"
#include "crypto/rsa.h"
#include "emulator/gcp/names.h"

namespace latchkey::emulator::gcp {

using Bindings = std::map<std::string, std::set<std::string>>;  // role → members

struct KeyVersion {
  int64_t number = 0;             // from 1
  std::string state = "ENABLED";  // the service's word: ENABLED, DISABLED, DESTROY_SCHEDULED, DESTROYED
  SecretBytes material;           // 32 bytes; empty when destroyed and for keys without cryptography here
  absl::Time created;
  std::optional<absl::Time> destroy_time;  // of the destruction ahead
  std::optional<absl::Time> destroyed;     // when it happened
};

struct CryptoKey {
  ResourceName name;
  std::string id;  // 32 hex digits, in ciphertexts: another key of the same name is another key
  std::string purpose = "ENCRYPT_DECRYPT";
  std::string algorithm = "GOOGLE_SYMMETRIC_ENCRYPTION";
  std::string protection = "SOFTWARE";
  std::map<std::string, std::string> labels;
  absl::Time created;
  std::optional<absl::Duration> rotation_period;
  std::optional<absl::Time> next_rotation;
  absl::Duration destroy_scheduled = absl::Hours(24 * 30);
  int64_t primary = 0;  // number of a version; 0: none
  std::vector<KeyVersion> versions;
  Bindings bindings;
  int64_t policy_revision = 0;

  bool symmetric() const { return purpose == "ENCRYPT_DECRYPT"; }
  // nullptr when there is none of that number.
  KeyVersion* Version(int64_t number);
  const KeyVersion* Version(int64_t number) const;
  std::string VersionName(const KeyVersion& version) const { return ResourceName::VersionName(name.Key(), version.number); }
};

struct Project {
  std::string number;  // 12 digits
  Bindings bindings;   // they hold for everything in the project
};

struct AccountKey {
  std::string id;  // private_key_id: 40 hex digits
  SecretBytes pem;
  std::shared_ptr<const RsaPublicKey> public_key;
};

struct ServiceAccount {
  std::string email, project, unique_id;  // 21 digits
  std::vector<AccountKey> keys;
  std::set<std::string> token_creators;  // members that may act as this account

  std::string member() const { return "serviceAccount:" + email; }
};

// A provider of a workload identity pool: whose tokens count, and for whom.
struct Provider {
  std::string project, number, pool, id;
  std::string issuer;
  std::set<std::string> audiences;  // what a token's "aud" may be; empty: the provider's own name, with or without "https:"
  std::set<std::string> subjects;   // empty: every subject
  std::string public_key_pem;       // of the issuer; empty: its JWTs are unsigned (alg none)
  std::shared_ptr<const RsaPublicKey> public_key;

  std::string Pool() const;      // "projects/NUMBER/locations/global/workloadIdentityPools/POOL"
  std::string Audience() const;  // "//iam.googleapis.com/" + Pool() + "/providers/ID": how STS is asked for it
  std::string Principal(const std::string& subject) const;
};

struct SubjectToken {
  std::string issuer, subject, audience;
};

// An explicit deny that goes before all bindings.
struct Denial {
  std::string member;  // "*": everybody
  std::string key;     // name; empty: every key
  bool operator==(const Denial&) const = default;
};

// The machine whose metadata server this is.
struct Machine {
  std::string account;  // e-mail address; empty: it has none
  std::vector<std::string> scopes;
};

// Not thread-safe; movable only. What has secrets (versions, account keys) is bounded by what the locked memory bears.
struct World {
  static constexpr size_t kMostKeys = 1000, kMostVersions = 2000, kMostIdentities = 200, kMostAccountKeys = 64, kMostMembers = 200,
                          kMostLabels = 64;

  std::map<std::string, Project> projects;             // by id
  std::map<std::string, absl::Time> key_rings;         // by name: when it was made
  std::map<std::string, CryptoKey> keys;               // by name
  std::map<std::string, ServiceAccount> accounts;      // by e-mail address
  std::map<std::string, Provider> providers;           // by Audience()
  std::map<std::string, SubjectToken> subject_tokens;  // by hex SHA-256 of the token
  std::vector<Denial> denials;
  Machine machine;
  SecretBytes token_key;  // 32 bytes; seals access tokens

  // Lets time pass: destroys versions that are due, rotates keys that are due. True when something changed.
  bool Settle(absl::Time now, Random& random);
  size_t Versions() const;

  // The project, made when it is not there. InvalidArgument that names the field "project", ResourceExhausted.
  absl::StatusOr<Project*> UseProject(const std::string& id, Random& random);
  // nullptr when there is none.
  const ServiceAccount* Account(const std::string& email_or_unique_id) const;

  boost::json::object ToJson() const;
  static absl::StatusOr<World> FromJson(const boost::json::object& object);
};

// A further version, ENABLED; ResourceExhausted when there are too many. The caller decides about the primary.
absl::StatusOr<KeyVersion*> AddVersion(World& world, CryptoKey& key, absl::Time now, Random& random);
// Destruction on its day.
void Destroy(KeyVersion& version, absl::Time now);

struct NewCryptoKey {
  ResourceName name;
  std::string purpose, algorithm, protection;  // empty: the default
  std::map<std::string, std::string> labels;
  std::optional<absl::Duration> rotation_period, destroy_scheduled;
  std::optional<absl::Time> next_rotation;
  bool without_version = false;
};
// Into a key ring that is there. Errors as on the wire: InvalidArgument, AlreadyExists, ResourceExhausted.
absl::StatusOr<CryptoKey*> AddCryptoKey(World& world, NewCryptoKey wanted, absl::Time now, Random& random);
// What a rotation must be like: 24 h to 876,000 h, with a next time that lies ahead. InvalidArgument otherwise.
absl::Status CheckRotation(const std::optional<absl::Duration>& period, const std::optional<absl::Time>& next, absl::Time now);
absl::Status CheckLabels(const std::map<std::string, std::string>& labels);

absl::StatusOr<AccountKey> NewAccountKey(Random& random);
// InvalidArgument when `pem` is no RSA key.
absl::StatusOr<AccountKey> ReadAccountKey(std::string id, SecretBytes pem);

}  // namespace latchkey::emulator::gcp
