#include "kms/kms.h"

#include <absl/strings/cord.h>

#include <algorithm>

#include "base/status.h"

namespace latchkey {
namespace {

constexpr char kPayload[] = "latchkey.kms.failure_class";

absl::StatusCode CodeOf(FailureClass c) {
  if (IsRefusal(c)) return absl::StatusCode::kPermissionDenied;
  if (IsOutage(c)) return absl::StatusCode::kUnavailable;
  return c == FailureClass::kCorrupt ? absl::StatusCode::kDataLoss : absl::StatusCode::kInvalidArgument;
}

}  // namespace

absl::Status WithFailureClass(absl::Status status, FailureClass c) {
  const std::string_view name = FailureClassName(c);
  status.SetPayload(kPayload, absl::Cord(ToAbsl(name)));
  return status;
}

std::optional<FailureClass> FailureClassOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  if (!payload) return std::nullopt;
  return FailureClassFromName(std::string(*payload));
}

absl::Status KmsError(FailureClass c, std::string_view message) { return WithFailureClass(absl::Status(CodeOf(c), ToAbsl(message)), c); }

void KmsSet::Add(std::unique_ptr<Kms> kms) {
  std::string type(kms->type());
  by_type_[std::move(type)] = std::move(kms);
}

absl::StatusOr<Kms*> KmsSet::For(const RootKey& key) const {
  const auto it = by_type_.find(key.type);
  if (it == by_type_.end()) {
    return KmsError(FailureClass::kUnsuitable, absl::StrCat("type: no KMS of type \"", key.type, "\" is configured on this host"));
  }
  return it->second.get();
}

}  // namespace latchkey
