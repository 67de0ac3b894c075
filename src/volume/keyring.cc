#include "volume/keyring.h"

#include <algorithm>
#include <limits>

namespace latchkey {
namespace {
constexpr int64_t kNoLease = std::numeric_limits<int64_t>::max();
}  // namespace

Keyring::Admission Keyring::Admit(Use use) {
  // Counted before the mode is read: whoever changes the mode and then sees nobody counted knows that nobody slipped in between.
  active_.fetch_add(1);
  const Mode mode = mode_.load();
  const bool mode_allows = mode == Mode::kServing || (mode == Mode::kDraining && use == Use::kWriteback);
  if (!mode_allows || LeaseEnded()) {
    Leave();
    return Admission(nullptr);
  }
  return Admission(this);
}

void Keyring::Leave() {
  if (active_.fetch_sub(1) != 1 || mode_.load() == Mode::kServing) return;
  std::lock_guard lock(idle_mutex_);
  idle_.notify_all();
}

bool Keyring::WaitUntilIdle(absl::Duration timeout) {
  std::unique_lock lock(idle_mutex_);
  return idle_.wait_for(lock, absl::ToChronoNanoseconds(timeout), [this] { return active_.load() == 0; });
}

void Keyring::SetKeys(std::vector<std::shared_ptr<const VolumeKey>> keys) {
  std::unique_lock lock(keys_mutex_);
  keys_ = std::move(keys);
  count_ = keys_.size();
}

void Keyring::AddCurrent(std::shared_ptr<const VolumeKey> key) {
  std::unique_lock lock(keys_mutex_);
  keys_.push_back(std::move(key));
  count_ = keys_.size();
}

std::shared_ptr<const VolumeKey> Keyring::Current() const {
  std::shared_lock lock(keys_mutex_);
  return keys_.empty() ? nullptr : keys_.back();
}

std::shared_ptr<const VolumeKey> Keyring::Find(const DekIdBytes& id) const {
  std::shared_lock lock(keys_mutex_);
  const auto found = std::find_if(keys_.begin(), keys_.end(), [&](const auto& key) { return key->dek_id_bytes() == id; });
  return found == keys_.end() ? nullptr : *found;
}

std::vector<std::shared_ptr<const VolumeKey>> Keyring::All() const {
  std::shared_lock lock(keys_mutex_);
  return {keys_.rbegin(), keys_.rend()};
}

void Keyring::SetLease(std::optional<absl::Duration> end) {
  std::lock_guard lock(lease_mutex_);
  lease_end_ns_ = end ? absl::ToInt64Nanoseconds(*end) : kNoLease;
}

bool Keyring::ExtendLease(absl::Duration end) {
  std::lock_guard lock(lease_mutex_);
  if (LeaseEnded()) return false;
  lease_end_ns_ = std::max(lease_end_ns_.load(), absl::ToInt64Nanoseconds(end));
  return true;
}

bool Keyring::ReplaceLease(std::optional<absl::Duration> end) {
  std::lock_guard lock(lease_mutex_);
  if (LeaseEnded()) return false;
  lease_end_ns_ = end ? absl::ToInt64Nanoseconds(*end) : kNoLease;
  return true;
}

std::optional<absl::Duration> Keyring::lease_end() const {
  const int64_t end = lease_end_ns_.load();
  if (end == kNoLease) return std::nullopt;
  return absl::Nanoseconds(end);
}

bool Keyring::LeaseEnded() const {
  const int64_t end = lease_end_ns_.load(std::memory_order_relaxed);
  return end != kNoLease && absl::ToInt64Nanoseconds(clock_.BootTime()) >= end;
}

void Keyring::Serve() { mode_ = Mode::kServing; }
void Keyring::Drain() { mode_ = Mode::kDraining; }
void Keyring::Refuse() { mode_ = Mode::kRefusing; }

void Keyring::Clear() {
  std::unique_lock lock(keys_mutex_);
  for (const auto& key : keys_) key->Forget();
  keys_.clear();
  count_ = 0;
}

}  // namespace latchkey
