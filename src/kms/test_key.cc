#include <absl/strings/str_format.h>

#include <utility>

#include "base/random.h"
#include "base/status.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

constexpr size_t kProbeSize = 32;

// Adds a step with the time since the last one, and keeps the limit.
class Stopwatch {
 public:
  Stopwatch(const KeyTestLimit& limit, std::vector<KeyTestStep>* steps) : limit_(limit), steps_(steps) {}
  void Done(std::string name, std::string found = "") { Add(std::move(name), std::move(found), true); }
  // For the step that ends the test.
  absl::Status Failed(std::string name, absl::Status status) {
    Add(std::move(name), "", false);
    return status;
  }
  // Whether the step `next` may be begun. Otherwise it is the one that failed.
  absl::Status Begin(std::string next) {
    if (limit_.clock->BootTime() - start_ < limit_.begin_within) return absl::OkStatus();
    const std::string of_which = absl::StrFormat("%s %.1f s", slowest_, absl::ToDoubleSeconds(slowest_took_));
    return Failed(std::move(next), KmsError(FailureClass::kUnreachable,
                                            absl::StrFormat("the key test took longer than %g s, of which %s: the KMS is slow or far away",
                                                            absl::ToDoubleSeconds(limit_.begin_within), of_which)));
  }

 private:
  void Add(std::string name, std::string found, bool ok) {
    const absl::Duration now = limit_.clock->BootTime();
    const absl::Duration took = now - std::exchange(last_, now);
    if (took >= slowest_took_) {
      slowest_ = name;
      slowest_took_ = took;
    }
    if (steps_ != nullptr) steps_->push_back({std::move(name), took, std::move(found), ok});
  }

  const KeyTestLimit limit_;
  std::vector<KeyTestStep>* steps_;
  const absl::Duration start_ = limit_.clock->BootTime();
  absl::Duration last_ = start_;
  std::string slowest_;
  absl::Duration slowest_took_ = absl::ZeroDuration();
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

absl::Status TestKey(const KmsSet& kms, const RootKey& key, const KmsContext& context, std::vector<KeyTestStep>* steps,
                     const KeyTestLimit& limit) {
  Stopwatch watch(limit, steps);
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

  RETURN_IF_ERROR(watch.Begin("describe"));
  // What the owner's side says now, not five minutes ago; the calls that follow may share what this one fetched.
  const auto description = kind.Describe(key, {.fresh = true});
  if (!description.ok()) return watch.Failed("describe", description.status());
  if (!description->usable) {
    return watch.Failed("describe", KmsError(description->failure.value_or(FailureClass::kUnsuitable),
                                             absl::StrCat("uri: the key cannot be used: ", description->unusable_because)));
  }
  watch.Done("describe", Facts(*description));

  RETURN_IF_ERROR(watch.Begin("wrap"));
  const SecretBytes probe = Random::System().Secret(kProbeSize);
  const auto wrapped = kind.Wrap(key, probe, context, {});
  if (!wrapped.ok()) return watch.Failed("wrap", wrapped.status());
  watch.Done("wrap");

  RETURN_IF_ERROR(watch.Begin("unwrap"));
  const auto opened = kind.Unwrap(key, *wrapped, context, {});
  if (!opened.ok()) return watch.Failed("unwrap", opened.status());
  if (!opened->Equals(probe)) {
    return watch.Failed("unwrap", KmsError(FailureClass::kCorrupt, "the key unwraps other bytes than it had wrapped"));
  }
  watch.Done("unwrap");

  RETURN_IF_ERROR(watch.Begin("context"));
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
