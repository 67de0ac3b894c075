#include "api/admission.h"

#include <algorithm>

namespace latchkey {
namespace {
constexpr absl::Duration kSilent = absl::Minutes(1);
}  // namespace

SlowGate::Place SlowGate::Enter() {
  int seen = under_way_.load();
  do {
    if (seen >= most_) return Place(nullptr);
  } while (!under_way_.compare_exchange_weak(seen, seen + 1));
  return Place(this);
}

RateLimiter::RateLimiter(double per_second, const Clock* clock)
    : per_second_(per_second), burst_(std::max(1.0, per_second)), clock_(clock), swept_at_(clock->BootTime()) {}

bool RateLimiter::Admit(const std::string& caller) {
  if (per_second_ <= 0) return true;
  const absl::Duration now = clock_->BootTime();
  const std::lock_guard lock(mutex_);
  ForgetSilent(now);
  Bucket& bucket = buckets_.try_emplace(caller, Bucket{burst_, now}).first->second;
  bucket.tokens = std::min(burst_, bucket.tokens + per_second_ * absl::ToDoubleSeconds(now - bucket.filled_at));
  bucket.filled_at = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

void RateLimiter::ForgetSilent(absl::Duration now) {
  if (now - swept_at_ < kSilent) return;
  swept_at_ = now;
  std::erase_if(buckets_, [&](const auto& entry) { return now - entry.second.filled_at >= kSilent; });
}

}  // namespace latchkey
