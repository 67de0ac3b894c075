#include "control/rewraps.h"

#include <absl/strings/numbers.h>

#include "base/log.h"
#include "base/status.h"
#include "base/utf8.h"
#include "store/settings.h"

namespace latchkey {
namespace {

constexpr size_t kLongestVersion = 256;

Caller Policy() { return {.api_key_id = "policy", .name = "", .remote = ""}; }

std::string SettingOf(const std::string& cluster_id, const std::string& region) {
  return absl::StrCat("rewrap_tried/", cluster_id, "/", region);
}

// Another key may name its versions alike. A uri has no blanks.
std::string TriedText(const DueRewrap& due) { return absl::StrCat(due.spec.key.uri, " ", due.version); }

}  // namespace

std::vector<DueRewrap> DueRewraps(const ClusterModel& model, const std::vector<RegionStatus>& statuses) {
  std::vector<DueRewrap> due;
  if (model.deleted() || DeriveCluster(model, statuses).busy) return due;
  for (size_t i = 0; i < statuses.size(); ++i) {
    const RegionRow& row = model.regions[i].row;
    const RegionStatus& status = statuses[i];
    if (row.root_is_escrow || row.revoked || status.status != "ENABLED" || !status.health.ok || !status.facts.newer_version()) continue;
    due.push_back({.spec = {.region = row.name, .key = row.root}, .version = CutUtf8(status.facts.version, kLongestVersion)});
  }
  return due;
}

Rewraps::Rewraps(Core& core, CmekService& cmek) : core_(core), cmek_(cmek), thread_([this] { Run(); }) {}

Rewraps::~Rewraps() { Stop(); }

void Rewraps::Consider(const std::string& cluster_id) {
  const auto model = core_.snapshots->Get(cluster_id);
  if (!model.ok() || DueRewraps(**model, core_.Derive(**model)).empty()) return;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kMostWaiting) return;
    waiting_.insert(cluster_id);
  }
  wake_.notify_one();
}

void Rewraps::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Rewraps::Run() {
  while (true) {
    std::string cluster_id;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      cluster_id = std::move(waiting_.extract(waiting_.begin()).value());
    }
    Work(cluster_id);
  }
}

void Rewraps::Work(const std::string& cluster_id) {
  const auto model = core_.snapshots->Get(cluster_id);
  if (!model.ok()) return;
  const absl::Time now = core_.Now();
  for (const DueRewrap& due : DueRewraps(**model, core_.Derive(**model))) {
    const std::string& region = due.spec.region;
    // Nobody there to try the key: when a host reports again, it is considered again.
    if (core_.directory.Fresh(region, now).empty()) continue;
    absl::StatusOr<bool> taken = Take(cluster_id, due, now);
    absl::Status status = taken.status();
    if (taken.ok()) {
      if (!*taken) continue;
      status = cmek_.Update(Policy(), cluster_id, {due.spec}).status();
      // Nothing was learnt about this version; the hour since this try holds all the same.
      if (absl::IsUnavailable(status)) Remember(cluster_id, region, "", now).IgnoreError();
    }
    Log(status.ok() ? LogLevel::kInfo : LogLevel::kWarning, "re-wrap to a newer version of the owner's key",
        {{"cluster", cluster_id}, {"region", region}, {"version", due.version}, {"outcome", status.ok() ? "OK" : status.ToString()}});
  }
}

// The setting is "<microseconds since 1970> <uri> <version>".
absl::StatusOr<bool> Rewraps::Take(const std::string& cluster_id, const DueRewrap& due, absl::Time now) {
  std::optional<std::string> last;
  if (const absl::Status done = core_.database->Read([&](Transaction& tx) -> absl::Status {
        ASSIGN_OR_RETURN(last, Settings(tx).Get(SettingOf(cluster_id, due.spec.region)));
        return absl::OkStatus();
      });
      !done.ok())
    return done;
  if (last) {
    const size_t blank = last->find(' ');
    int64_t micros = 0;
    if (blank != std::string::npos && absl::SimpleAtoi(last->substr(0, blank), &micros)) {
      if (last->substr(blank + 1) == TriedText(due)) return false;
      // A time that lies ahead is of a clock that was set back since.
      const absl::Duration since = now - absl::FromUnixMicros(micros);
      if (since >= absl::ZeroDuration() && since < kBetween) return false;
    }
  }
  if (const absl::Status done = Remember(cluster_id, due.spec.region, TriedText(due), now); !done.ok()) return done;
  return true;
}

absl::Status Rewraps::Remember(const std::string& cluster_id, const std::string& region, const std::string& tried, absl::Time at) {
  return core_.database->Write(
      [&](Transaction& tx) { return Settings(tx).Put(SettingOf(cluster_id, region), absl::StrCat(absl::ToUnixMicros(at), " ", tried)); });
}

}  // namespace latchkey
