#include <absl/time/clock.h>

#include <utility>

#include "base/random.h"
#include "base/status.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

constexpr size_t kProbeSize = 32;

// Adds a step with the time since the last one.
class Stopwatch {
 public:
  explicit Stopwatch(std::vector<KeyTestStep>* steps) : steps_(steps) {}
  void Done(const char* name) {
    const absl::Time now = absl::Now();
    if (steps_ != nullptr) steps_->push_back({name, now - std::exchange(last_, now)});
  }

 private:
  std::vector<KeyTestStep>* steps_;
  absl::Time last_ = absl::Now();
};

}  // namespace

absl::Status TestKey(const KmsSet& kms, const RootKey& key, const KmsContext& context, std::vector<KeyTestStep>* steps) {
  Stopwatch watch(steps);
  ASSIGN_OR_RETURN(Kms* const provider, kms.For(key));
  RETURN_IF_ERROR(provider->Check(key));
  watch.Done("form");

  // What the owner's side says now, not five minutes ago; the calls that follow may share what this one fetched.
  ASSIGN_OR_RETURN(const KeyDescription description, provider->Describe(key, {.fresh = true}));
  if (!description.usable) {
    return KmsError(description.failure.value_or(FailureClass::kUnsuitable),
                    absl::StrCat("uri: the key cannot be used: ", description.unusable_because));
  }
  watch.Done("describe");

  const SecretBytes probe = Random::System().Secret(kProbeSize);
  ASSIGN_OR_RETURN(const KmsWrapped wrapped, provider->Wrap(key, probe, context, {}));
  watch.Done("wrap");

  ASSIGN_OR_RETURN(const SecretBytes opened, provider->Unwrap(key, wrapped, context, {}));
  if (!opened.Equals(probe)) return KmsError(FailureClass::kCorrupt, "the key unwraps other bytes than it had wrapped");
  watch.Done("unwrap");

  KmsContext other = context;
  other["latchkey:probe"] = "another context";
  const auto with_other = provider->Unwrap(key, wrapped, other, {});
  if (with_other.ok()) return KmsError(FailureClass::kUnsuitable, "uri: the key does not bind the context to what it wraps");
  // Anything but "these do not belong together" says nothing about the binding.
  if (FailureClassOf(with_other.status()) != FailureClass::kCorrupt) return with_other.status();
  watch.Done("context");
  return absl::OkStatus();
}

}  // namespace latchkey
