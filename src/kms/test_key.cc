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
  void Done(std::string name, std::string found = "") { Add(std::move(name), std::move(found), true); }
  // For the step that ends the test.
  absl::Status Failed(std::string name, absl::Status status) {
    Add(std::move(name), "", false);
    return status;
  }

 private:
  void Add(std::string name, std::string found, bool ok) {
    const absl::Time now = absl::Now();
    if (steps_ != nullptr) steps_->push_back({std::move(name), now - std::exchange(last_, now), std::move(found), ok});
  }

  std::vector<KeyTestStep>* steps_;
  absl::Time last_ = absl::Now();
};

// "Enabled, version 3, HSM".
std::string Facts(const KeyDescription& description) {
  std::string text = description.state;
  if (!description.key_version.empty()) absl::StrAppend(&text, ", version ", description.key_version);
  if (!description.protection_level.empty()) absl::StrAppend(&text, ", ", description.protection_level);
  return text;
}

}  // namespace

absl::Status Kms::TestIdentity(const RootKey&, const KeyTestStepDone&) { return absl::OkStatus(); }

absl::Status TestKey(const KmsSet& kms, const RootKey& key, const KmsContext& context, std::vector<KeyTestStep>* steps) {
  Stopwatch watch(steps);
  const auto provider = kms.For(key);
  if (!provider.ok()) return watch.Failed("form", provider.status());
  Kms& kind = **provider;
  if (absl::Status form = kind.Check(key); !form.ok()) return watch.Failed("form", std::move(form));
  watch.Done("form");

  std::string last = "credentials";
  absl::Status identity = kind.TestIdentity(key, [&](std::string name, std::string found) {
    watch.Done(name, std::move(found));
    last = "identity";
  });
  if (!identity.ok()) return watch.Failed(last, std::move(identity));

  // What the owner's side says now, not five minutes ago; the calls that follow may share what this one fetched.
  const auto description = kind.Describe(key, {.fresh = true});
  if (!description.ok()) return watch.Failed("describe", description.status());
  if (!description->usable) {
    return watch.Failed("describe", KmsError(description->failure.value_or(FailureClass::kUnsuitable),
                                             absl::StrCat("uri: the key cannot be used: ", description->unusable_because)));
  }
  watch.Done("describe", Facts(*description));

  const SecretBytes probe = Random::System().Secret(kProbeSize);
  const auto wrapped = kind.Wrap(key, probe, context, {});
  if (!wrapped.ok()) return watch.Failed("wrap", wrapped.status());
  watch.Done("wrap");

  const auto opened = kind.Unwrap(key, *wrapped, context, {});
  if (!opened.ok()) return watch.Failed("unwrap", opened.status());
  if (!opened->Equals(probe)) {
    return watch.Failed("unwrap", KmsError(FailureClass::kCorrupt, "the key unwraps other bytes than it had wrapped"));
  }
  watch.Done("unwrap");

  KmsContext other = context;
  other["latchkey:probe"] = "another context";
  const auto with_other = kind.Unwrap(key, *wrapped, other, {});
  if (with_other.ok()) {
    return watch.Failed("context", KmsError(FailureClass::kUnsuitable, "uri: the key does not bind the context to what it wraps"));
  }
  // Anything but "these do not belong together" says nothing about the binding.
  if (FailureClassOf(with_other.status()) != FailureClass::kCorrupt) return watch.Failed("context", with_other.status());
  watch.Done("context");
  return absl::OkStatus();
}

}  // namespace latchkey
