// What the contract of every KMS is held against: one provider, a KMS that it talks to, and what its owner, its network and its service can
// do to it. A new provider passes the contract by giving a ContractSubject and being listed (contract_providers_test.cc).
//
// Where a KMS has no such thing, the subject says why: the contract prints that, and goes on.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kms/call.h"
#include "kms/kms.h"

namespace latchkey {

enum class KmsOperation { kDescribe, kWrap, kUnwrap };
inline constexpr KmsOperation kKmsOperations[] = {KmsOperation::kDescribe, KmsOperation::kWrap, KmsOperation::kUnwrap};

// What calls must come to after something was done.
struct Consequence {
  std::set<FailureClass> classes;                       // one of them
  std::map<KmsOperation, std::string> unaffected = {};  // operations that go on as before, and why
  std::string no_such_thing = {};                       // why nothing was done; the rest is empty then

  static Consequence None(std::string why) { return {.classes = {}, .no_such_thing = std::move(why)}; }
};

// One provider at its KMS, fresh for each test: every key is enabled and nothing is out of order. Not thread-safe, but for kms().
class ContractSubject {
 public:
  virtual ~ContractSubject() = default;

  virtual Kms& kms() = 0;
  virtual RootKey key() const = 0;
  virtual RootKey other_key() const = 0;  // another one of the same owner
  // Of one wrapping under key(). Less than 190 only where the kind of key bears no more.
  virtual size_t longest_plaintext() const { return 190; }

  // What the owner does to the key itself, and undoes.
  virtual Consequence TakeAway() = 0;
  virtual void GiveBack() = 0;
  // What the owner does to who we are, and undoes.
  virtual Consequence Deny() = 0;
  virtual void Allow() = 0;
  // For good, or as far as the KMS lets an owner go.
  virtual Consequence Delete() = 0;

  // What the service and the way to it do, until ClearFaults().
  static constexpr int kForever = 0;
  virtual Consequence Throttle(int times) = 0;  // the next `times` requests of each kind, or all of them
  virtual Consequence Outage() = 0;
  virtual Consequence Slow(absl::Duration answers) = 0;
  virtual Consequence HalfAnswer() = 0;
  virtual Consequence AnswerForAnotherKey() = 0;
  virtual Consequence OtherBytes() = 0;  // well formed, but not what was wrapped
  // The service refuses, and quotes in its words what it was sent: everything, or only uses of the key. `plaintext`: what the caller will
  // have wrapped.
  virtual Consequence Quote(const std::string& plaintext, bool uses_only) = 0;
  virtual Consequence RedirectTo(const std::string& url) = 0;
  virtual void ClearFaults() = 0;
  // Nothing calls back into the subject afterwards: before its destructors run.
  virtual void Stop() {}

  // Credentials that the provider uses and was given meanwhile: they may stand in no log and no message.
  virtual std::vector<std::string> Secrets() = 0;
  // What the service has logged of our calls; empty where it is not ours to read.
  virtual std::string ServiceLog() { return ""; }
  // How many requests have come to the service; -1 where nobody counts.
  virtual int64_t Requests() { return -1; }
  // Names of keys that would lead elsewhere, or nowhere: each with key()'s principal is kUnsuitable.
  virtual std::vector<std::string> HostileUris() const = 0;
};

struct ContractProvider {
  std::string name;
  // `call`: limits of time; the subject sets the rest.
  std::function<std::unique_ptr<ContractSubject>(const KmsCallOptions& call)> make;
};

// Every provider that there is.
const std::vector<ContractProvider>& ContractProviders();

}  // namespace latchkey
