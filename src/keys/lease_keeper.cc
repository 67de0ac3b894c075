#include "keys/lease_keeper.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "base/status.h"

namespace latchkey {
namespace {

// The owner's KMS writes these words, and they travel in JSON beside the reports of other owners' nodes: one odd byte must not spoil those.
std::string Printable(std::string_view words) {
  std::string out(words.substr(0, 1000));
  std::replace_if(out.begin(), out.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
}

}  // namespace

LeaseKeeper::LeaseKeeper(LeasePolicy policy, Clock& clock, Random& random)
    : policy_(std::move(policy)), clock_(clock), random_(random), silence_(policy_.retry_base, policy_.check_interval, random) {}

LeaseKeeper::Outcome LeaseKeeper::Check(const Unwrap& unwrap) {
  const absl::Duration asked_at = clock_.BootTime();
  absl::StatusOr<Kek> kek = unwrap(KmsCall{.fresh = refusals_ > 0});
  if (!kek.ok()) return Failed(std::move(kek).status(), asked_at);

  refusals_ = 0;
  silence_.Reset();
  due_ = clock_.BootTime() + JitteredInterval();
  health_ = {};
  health_.ok = true;
  health_.last_success = latchkey::FormatTime(clock_.Now());
  return {.kind = Outcome::kRenew, .kek = *std::move(kek), .asked_at = asked_at, .status = absl::OkStatus()};
}

LeaseKeeper::Outcome LeaseKeeper::Failed(absl::Status status, absl::Duration asked_at) {
  const std::optional<FailureClass> failure = FailureClassOf(status);
  const bool silent = failure && IsOutage(*failure);
  const bool seal = failure && IsRefusal(*failure) && CountRefusal(asked_at);
  if (!silent) silence_.Reset();

  const absl::Duration now = clock_.BootTime();
  if (silent) {
    due_ = now + silence_.Next();
  } else if (failure && IsRefusal(*failure) && !seal) {
    due_ = std::max(now, counts_from_);
  } else {
    due_ = now + JitteredInterval();
  }

  if (health_.ok || health_.since.empty() || health_.failure != failure) health_.since = latchkey::FormatTime(clock_.Now());
  health_.ok = false;
  health_.failure = failure;
  health_.message = Printable(FromAbsl(status.message()));
  health_.confirmed = Confirmed();
  return {.kind = seal ? Outcome::kSeal : Outcome::kNothing, .kek = std::nullopt, .asked_at = asked_at, .status = std::move(status)};
}

bool LeaseKeeper::CountRefusal(absl::Duration asked_at) {
  if (Confirmed()) return true;
  if (refusals_ > 0 && asked_at < counts_from_) return false;
  ++refusals_;
  if (Confirmed()) return true;
  counts_from_ = clock_.BootTime() + policy_.confirm_after[refusals_ - 1];
  return false;
}

absl::Duration LeaseKeeper::JitteredInterval() {
  uint64_t bits = 0;
  uint8_t bytes[sizeof bits];
  random_.Fill(bytes);
  std::memcpy(&bits, bytes, sizeof bits);
  const double fraction = static_cast<double>(bits >> 11) * 0x1.0p-53;
  return policy_.check_interval * (0.9 + 0.2 * fraction);
}

}  // namespace latchkey
