#include "protocol/failure_class.h"

#include <array>

namespace latchkey {
namespace {

struct Entry {
  FailureClass c;
  std::string_view name;
  std::string_view next_step;
};

constexpr std::array<Entry, 10> kEntries = {{
    {FailureClass::kDenied, "DENIED",
     "Give back what was taken: the rights on the key, and the role and its trust, the consent, the policy or the PIN that lead to it; the "
     "cluster returns by itself."},
    {FailureClass::kDisabled, "DISABLED", "Enable the key in the KMS; the cluster returns by itself."},
    {FailureClass::kPendingDeletion, "PENDING_DELETION",
     "Cancel the deletion of the key before its date and enable it: once the key is deleted the data is lost for good."},
    {FailureClass::kDestroyed, "DESTROYED", "Restore the key if the KMS still can: without it the data cannot be read by anybody."},
    {FailureClass::kUnreachable, "UNREACHABLE",
     "Check the KMS endpoint and the network between this host and it; the cluster works on until its lease ends."},
    {FailureClass::kThrottled, "THROTTLED", "Raise the KMS request quota or wait; the cluster works on until its lease ends."},
    {FailureClass::kIdentity, "IDENTITY",
     "Check the host's own cloud credentials (not the key): they are missing, expired or refused. The cluster works on until its lease "
     "ends."},
    {FailureClass::kAmbiguous, "AMBIGUOUS",
     "The KMS does not say whether the key is gone or access to it was taken away: check that the key exists and that the role may use "
     "it."},
    {FailureClass::kCorrupt, "CORRUPT",
     "The KMS returned other bytes than expected: check the key material and that the URI names the same key as before."},
    {FailureClass::kUnsuitable, "UNSUITABLE", "Name an enabled key that this type takes for wrapping, with its full identifier."},
}};

const Entry& Find(FailureClass c) {
  for (const Entry& e : kEntries) {
    if (e.c == c) return e;
  }
  return kEntries.back();
}

}  // namespace

std::string_view FailureClassName(FailureClass c) { return Find(c).name; }
std::string_view NextStep(FailureClass c) { return Find(c).next_step; }

std::optional<FailureClass> FailureClassFromName(std::string_view name) {
  for (const Entry& e : kEntries) {
    if (e.name == name) return e.c;
  }
  return std::nullopt;
}

bool IsRefusal(FailureClass c) {
  return c == FailureClass::kDenied || c == FailureClass::kDisabled || c == FailureClass::kPendingDeletion ||
         c == FailureClass::kDestroyed || c == FailureClass::kAmbiguous;
}

bool IsOutage(FailureClass c) { return c == FailureClass::kUnreachable || c == FailureClass::kThrottled || c == FailureClass::kIdentity; }

}  // namespace latchkey
