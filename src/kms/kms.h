// One interface to every KMS. A provider lives in a folder of its own (aws/, gcp/, azure/, vault/, pkcs11/, kmip/, local/): a client that
// talks the wire, and an adapter that fits it to this interface. The key hierarchy is not known here: what is wrapped are anonymous secret
// bytes.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/secret_bytes.h"
#include "protocol/failure_class.h"
#include "protocol/root_key.h"

namespace latchkey {

// Attaches a failure class to a status, as a payload; code and message stay. Reading one that has none gives nullopt.
absl::Status WithFailureClass(absl::Status status, FailureClass c);
std::optional<FailureClass> FailureClassOf(const absl::Status& status);
// A status of that class: the code is PermissionDenied for refusals, Unavailable for outages, DataLoss for kCorrupt, InvalidArgument for
// kUnsuitable.
absl::Status KmsError(FailureClass c, std::string_view message);

// Pairs that the KMS binds to the ciphertext (encryption context, AAD). Not secret: it appears in the KMS's own logs.
using KmsContext = std::map<std::string, std::string>;

struct KmsCall {
  // Use a new connection and owner-side credentials fetched anew: a refusal is confirmed so. Our own identity's credentials may be cached.
  bool fresh = false;
};

struct KeyDescription {
  std::string resolved_uri;             // as the KMS names it
  std::string state;                    // the provider's word: "Enabled", "Disabled", "PendingDeletion", …
  bool usable = false;                  // enabled, symmetric, for encryption and decryption
  std::optional<FailureClass> failure;  // when not usable: the class that its use would fail with
  std::string unusable_because;         // when not usable: one clause for people
  std::string key_version;              // current one, where the KMS tells
  std::optional<absl::Time> deletion_date;
  std::optional<absl::Time> expires_at;
  std::optional<bool> rotation_enabled;  // the KMS makes new versions by itself
  std::optional<absl::Time> next_rotation;
  std::string protection_level;         // the provider's word: "SOFTWARE", "HSM", "RSA-HSM", …; empty where it does not tell
  std::optional<bool> purge_protected;  // a deleted key can be brought back during its window, whoever deletes it
};

struct KmsWrapped {
  std::vector<uint8_t> ciphertext;
  // Of the key that wrapped, as Unwrap needs it back (Azure) and as people compare it with KeyDescription's. Empty where the KMS does not
  // tell.
  std::string key_version = {};
};

// Called for each step of a test of a key that was done: its name, and what it found, for people ("AKIA…", "arn:aws:iam::…:role/…").
using KeyTestStepDone = std::function<void(std::string name, std::string found)>;

// Thread-safe. Every error of the calls carries a FailureClass. A call lasts at most 10 s.
class Kms {
 public:
  virtual ~Kms() = default;
  // "AWS_KMS", …; see protocol/root_key.h
  virtual std::string_view type() const = 0;
  // OK when uri and principal are well formed for this type; otherwise kUnsuitable, naming "uri" or "auth_principal". No network.
  virtual absl::Status Check(const RootKey& key) const = 0;
  virtual absl::StatusOr<KeyDescription> Describe(const RootKey& key, const KmsCall& call) = 0;
  // The way to whom the calls above and below act as, step by step and fetched anew: "credentials" (who we are), "identity" (whom we became
  // on the owner's side, where the key names somebody). Where there is nothing to walk, nothing is done.
  virtual absl::Status TestIdentity(const RootKey& key, const KeyTestStepDone& done);
  // `plaintext`: 1 to 158 bytes (what RSA-OAEP with 2,048 bits carries beside the context's hash, the least of all types).
  virtual absl::StatusOr<KmsWrapped> Wrap(const RootKey& key, const SecretBytes& plaintext, const KmsContext& context,
                                          const KmsCall& call) = 0;
  // kCorrupt when ciphertext, context and key do not belong together.
  virtual absl::StatusOr<SecretBytes> Unwrap(const RootKey& key, const KmsWrapped& wrapped, const KmsContext& context,
                                             const KmsCall& call) = 0;
};

// The providers that this process was configured with. Thread-safe after construction.
class KmsSet {
 public:
  void Add(std::unique_ptr<Kms> kms);
  // kUnsuitable "type: …" when there is no provider of that type.
  absl::StatusOr<Kms*> For(const RootKey& key) const;

 private:
  std::map<std::string, std::unique_ptr<Kms>, std::less<>> by_type_;
};

struct KeyTestStep {
  std::string name;  // "form", "credentials", "identity", "describe", "wrap", "unwrap", "context"
  absl::Duration took;
  std::string found;  // for people; may be empty
  bool ok = true;
};
// How long a test may go on before it stops beginning steps.
struct KeyTestLimit {
  // With the 10 s of the step that was begun last a test ends within 19 s: before the server, which waits 20 s for the verdict, gives up.
  absl::Duration begin_within = absl::Seconds(9);
  Clock* clock = &Clock::Real();  // its BootTime
};
// Form, the way to the identity, describe, wrap a random probe under a context, unwrap it, compare, and see that another context is
// refused. Stops at the first failure, whose status carries the class. `steps` (may be null) gets what was done, the failed one last.
// Each call to the KMS has its own 10 s; no further one is begun once the test has taken `limit.begin_within`: then the step that would
// have come next fails with kUnreachable, and the message names the slowest step and its time.
absl::Status TestKey(const KmsSet& kms, const RootKey& key, const KmsContext& context, std::vector<KeyTestStep>* steps,
                     const KeyTestLimit& limit = {});

}  // namespace latchkey
