#include "volume/daemon.h"

#include <absl/strings/str_join.h>
#include <unistd.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "base/status.h"
#include "volume/control_messages.h"
#include "volume/dek_count.h"

namespace latchkey {
namespace {

// A walk over all headers may take a hundredth of the time: every 2 s on a small volume, every ten minutes on one whose walk lasts six
// seconds.
constexpr absl::Duration kShortestCountInterval = absl::Seconds(2);
constexpr absl::Duration kLongestCountInterval = absl::Minutes(10);

absl::StatusOr<Kek> KekFrom(std::span<const uint8_t> bytes, KekContext context) {
  return Kek::FromBytes(SecretBytes::CopyOf(bytes), std::move(context));
}

absl::StatusOr<WrappedKek> RecordFrom(const json::object& body, std::string_view field) {
  JsonReader reader(body);
  const json::object* object = reader.Object(field);
  RETURN_IF_ERROR(reader.status());
  return WrappedKek::FromJson(*object, std::string(field));
}

absl::StatusOr<KekContext> ContextFrom(const json::object& body, std::string_view field) {
  JsonReader reader(body);
  const json::object* object = reader.Object(field);
  RETURN_IF_ERROR(reader.status());
  return KekContextFromJson(*object, std::string(field));
}

// The end of a lease as the request names it; nullopt: no lease.
absl::StatusOr<std::optional<absl::Duration>> LeaseFrom(const json::object& body) {
  if (!body.contains("asked_at_ns")) return std::nullopt;
  JsonReader reader(body);
  const absl::Duration asked_at = absl::Nanoseconds(reader.Int("asked_at_ns"));
  const absl::Duration grace = absl::Nanoseconds(reader.Int("grace_ns"));
  RETURN_IF_ERROR(reader.status());
  if (grace < absl::ZeroDuration()) return InvalidArgument("grace_ns: must not be negative");
  return asked_at + grace;
}

absl::Status CheckSecret(const SecretBytes& secret, size_t size) {
  if (secret.size() != size) return InvalidArgument("the message's secret must have ", size, " bytes, not ", secret.size());
  return absl::OkStatus();
}

}  // namespace

VolumeDaemon::VolumeDaemon(Options options, std::unique_ptr<MountHost> host, Clock& clock, Random& random)
    : options_(std::move(options)), host_(std::move(host)), clock_(clock), random_(random), keyring_(clock) {
  lease_watcher_ = std::thread([this] { WatchLease(); });
  counter_ = std::thread([this] { CountAtIntervals(); });
}

VolumeDaemon::~VolumeDaemon() {
  {
    std::lock_guard lock(state_mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  lease_watcher_.join();
  counter_.join();
}

absl::StatusOr<ControlMessage> VolumeDaemon::Handle(ControlMessage request) {
  JsonReader reader(request.body);
  const std::string op = reader.String("op");
  RETURN_IF_ERROR(reader.status());
  if (op == "status") return StatusMessage();
  if (op == "count") return HandleCount();
  if (op == "open") return HandleOpen(request.body, request.secret);
  if (op == "renew") return HandleRenew(request.body, request.secret);
  if (op == "rewrap") return HandleRewrap(request.body, request.secret);
  if (op == "engine") return HandleEngine(request.body);
  if (op == "seal") return HandleSeal(request.body);
  return absl::UnimplementedError("op: is none that a volume daemon knows");
}

absl::StatusOr<ControlMessage> VolumeDaemon::HandleOpen(const json::object& body, const SecretBytes& secret) {
  JsonReader reader(body);
  const std::string create = reader.OptionalString("create_volume_id"), expected = reader.OptionalString("expect_volume_id");
  const int64_t dek_generation = reader.OptionalInt("dek_generation", 1);
  RETURN_IF_ERROR(reader.status());
  RETURN_IF_ERROR(CheckSecret(secret, kKekSize));
  ASSIGN_OR_RETURN(const WrappedKek record, RecordFrom(body, "kek"));
  ASSIGN_OR_RETURN(const std::optional<absl::Duration> lease_end, LeaseFrom(body));
  ASSIGN_OR_RETURN(const Kek kek, KekFrom(secret.Reveal(SecretAccess{}), record.context));
  if (kek.id() != record.id) return DataLoss("kek: the KEK's bytes do not belong to this record");

  std::lock_guard change(change_mutex_);
  RETURN_IF_ERROR(CheckNotSealing());
  {
    std::lock_guard lock(state_mutex_);
    if (state_ != VolumeState::kSealed) return FailedPrecondition("the volume is open already");
  }
  // Its threads still use the file system that a further opening would replace.
  if (session_ != nullptr) return FailedPrecondition("the mount of a failed opening is still there");
  if (lease_end && *lease_end <= clock_.BootTime()) return FailedPrecondition("the lease would have ended already");
  RETURN_IF_ERROR(LoadKeys(kek, record, create, dek_generation, expected));
  keyring_.SetLease(lease_end);
  if (absl::Status status = StartServing(); !status.ok()) {
    StopServing();
    return status;
  }
  {
    std::lock_guard lock(state_mutex_);
    if (!seal_ordered_) state_ = VolumeState::kOpen;
    changed_.notify_all();
  }
  Log(LogLevel::kInfo, "volume opened", {{"volume", file_.volume_id}, {"revision", file_.revision}, {"kek", kek.id()}});
  return StatusMessage();
}

absl::StatusOr<ControlMessage> VolumeDaemon::HandleRenew(const json::object& body, const SecretBytes& secret) {
  RETURN_IF_ERROR(CheckSecret(secret, kKekSize));
  ASSIGN_OR_RETURN(KekContext context, ContextFrom(body, "context"));
  ASSIGN_OR_RETURN(const std::optional<absl::Duration> lease_end, LeaseFrom(body));
  if (!lease_end) return InvalidArgument("asked_at_ns: is missing");
  ASSIGN_OR_RETURN(const Kek kek, KekFrom(secret.Reveal(SecretAccess{}), std::move(context)));
  std::lock_guard change(change_mutex_);
  RETURN_IF_ERROR(CheckNotSealing());
  RETURN_IF_ERROR(CheckWrappings(kek));
  if (!keyring_.ExtendLease(*lease_end)) return FailedPrecondition("the lease has ended");
  return ControlMessage();
}

absl::StatusOr<ControlMessage> VolumeDaemon::HandleRewrap(const json::object& body, const SecretBytes& secret) {
  JsonReader reader(body);
  const int64_t new_generation = reader.OptionalInt("new_dek_generation", 0);
  RETURN_IF_ERROR(reader.status());
  RETURN_IF_ERROR(CheckSecret(secret, 2 * kKekSize));
  ASSIGN_OR_RETURN(KekContext from_context, ContextFrom(body, "from"));
  ASSIGN_OR_RETURN(const WrappedKek record, RecordFrom(body, "to"));
  ASSIGN_OR_RETURN(const std::optional<absl::Duration> lease_end, LeaseFrom(body));
  const auto bytes = secret.Reveal(SecretAccess{});
  ASSIGN_OR_RETURN(const Kek from, KekFrom(bytes.first(kKekSize), std::move(from_context)));
  ASSIGN_OR_RETURN(const Kek to, KekFrom(bytes.subspan(kKekSize), record.context));
  if (to.id() != record.id) return DataLoss("to: the KEK's bytes do not belong to this record");

  std::lock_guard change(change_mutex_);
  RETURN_IF_ERROR(CheckNotSealing());
  if (deks_.empty()) return FailedPrecondition("the volume is not open");
  if (keyring_.LeaseEnded()) return FailedPrecondition("the lease has ended");
  const bool wants_dek = new_generation > deks_.back().generation();
  const bool wrapped_already = std::all_of(file_.deks.begin(), file_.deks.end(), [&](const VolumeDek& dek) {
    return dek.wrapped.size() == 1 && dek.wrapped.front().kek_id == to.id();
  });
  if (!wrapped_already || wants_dek) {
    std::optional<Dek> new_dek;
    if (wants_dek) new_dek = Dek::Generate(file_.volume_id, new_generation, random_);
    ASSIGN_OR_RETURN(VolumeFile next, Rewrap(file_, deks_, from, to, record, new_dek ? &*new_dek : nullptr, random_, clock_));
    // Durable first: nothing is ever encrypted under a DEK that a crash could lose.
    RETURN_IF_ERROR(next.Store(options_.lower_folder));
    {
      std::lock_guard lock(state_mutex_);
      file_ = std::move(next);
    }
    if (new_dek) RETURN_IF_ERROR(UseNewDek(*std::move(new_dek)));
    Log(LogLevel::kInfo, "volume re-wrapped", {{"volume", file_.volume_id}, {"revision", file_.revision}, {"kek", to.id()}});
  } else {
    RETURN_IF_ERROR(CheckWrappings(to));
  }
  // It may have ended while the disk took the new file: then it cannot come back.
  if (!keyring_.ReplaceLease(lease_end)) return FailedPrecondition("the lease has ended");
  return StatusMessage();
}

absl::Status VolumeDaemon::CheckNotSealing() {
  std::lock_guard lock(state_mutex_);
  return seal_ordered_ ? FailedPrecondition("the volume is being sealed: ", seal_reason_) : absl::OkStatus();
}

absl::StatusOr<ControlMessage> VolumeDaemon::HandleEngine(const json::object& body) {
  JsonReader reader(body);
  const int64_t pid = reader.Int("pid"), ticks = reader.Int("start_ticks");
  RETURN_IF_ERROR(reader.status());
  if (pid < 0 || pid > INT32_MAX || pid == 1 || ticks < 0) return InvalidArgument("pid: is not a process");
  host_->SetEngine({static_cast<pid_t>(pid), static_cast<uint64_t>(ticks)});
  return ControlMessage();
}

absl::StatusOr<ControlMessage> VolumeDaemon::HandleSeal(const json::object& body) {
  JsonReader reader(body);
  const std::string reason = reader.String("reason");
  const absl::Duration timeout = absl::Nanoseconds(reader.Int("timeout_ns"));
  RETURN_IF_ERROR(reader.status());
  {
    std::lock_guard lock(state_mutex_);
    if (!seal_ordered_) kill_timeout_ = std::max(timeout, absl::Seconds(1));
  }
  RequestSeal(reason);
  std::unique_lock lock(state_mutex_);
  if (!changed_.wait_for(lock, absl::ToChronoNanoseconds(timeout + absl::Seconds(2)), [&] { return seal_done_; })) {
    return absl::DeadlineExceededError("sealing is still under way");
  }
  if (!left_.empty()) {
    return absl::DeadlineExceededError(
        absl::StrCat("the keys are wiped, but processes that used the volume are still there: ", absl::StrJoin(left_, ", ")));
  }
  if (!unmounted_.ok()) return unmounted_;
  return ControlMessage();
}

absl::StatusOr<ControlMessage> VolumeDaemon::HandleCount() {
  {
    std::lock_guard lock(state_mutex_);
    if (state_ != VolumeState::kOpen) return FailedPrecondition("the volume is not open");
  }
  RETURN_IF_ERROR(CountNow());
  return StatusMessage();
}

absl::Status VolumeDaemon::CountNow() {
  ASSIGN_OR_RETURN(const auto bytes, CountBytesByDek(options_.lower_folder + "/data", stopping_));
  std::lock_guard lock(state_mutex_);
  bytes_by_dek_.clear();
  for (const VolumeDek& dek : file_.deks) bytes_by_dek_[dek.id] = 0;
  for (const auto& [id, count] : bytes) bytes_by_dek_[HexEncode(id)] = count;
  return absl::OkStatus();
}

VolumeStatus VolumeDaemon::Status() {
  std::lock_guard lock(state_mutex_);
  VolumeStatus status;
  status.volume_id = file_.volume_id;
  status.state = state_;
  status.revision = file_.revision;
  for (const VolumeDek& dek : file_.deks) {
    const auto counted = bytes_by_dek_.find(dek.id);
    for (const WrappedDek& wrapped : dek.wrapped) {
      status.deks.push_back({.id = dek.id,
                             .generation = dek.generation,
                             .kek_id = wrapped.kek_id,
                             .current = dek.id == file_.current_dek,
                             .bytes = counted == bytes_by_dek_.end() ? -1 : counted->second});
    }
  }
  if (state_ != VolumeState::kSealed) status.lease_end = keyring_.lease_end();
  status.mount_point = options_.mount_point;
  status.lower_folder = options_.lower_folder;
  if (const auto self = Identify(getpid()); self.ok()) status.daemon = *self;
  status.seal_reason = seal_reason_;
  if (filesystem_ != nullptr) status.unsynced_headers = filesystem_->lost_headers();
  return status;
}

ControlMessage VolumeDaemon::StatusMessage() {
  ControlMessage message;
  message.body = ToJson(Status());
  return message;
}

void VolumeDaemon::RequestSeal(const std::string& reason) {
  std::lock_guard lock(state_mutex_);
  if (seal_ordered_) return;
  seal_ordered_ = true;
  seal_reason_ = reason;
  if (state_ == VolumeState::kOpen) state_ = VolumeState::kSealing;
  // Refused from this moment, before anything else is done.
  keyring_.Drain();
  changed_.notify_all();
}

void VolumeDaemon::Run() {
  {
    std::unique_lock lock(state_mutex_);
    changed_.wait(lock, [this] { return seal_ordered_; });
  }
  Seal();
  std::lock_guard lock(state_mutex_);
  seal_done_ = true;
  stopping_ = true;
  changed_.notify_all();
}

void VolumeDaemon::WatchLease() {
  std::unique_lock lock(state_mutex_);
  while (!stopping_ && !seal_ordered_) {
    absl::Duration wait = options_.lease_poll;
    if (const auto end = keyring_.lease_end(); state_ == VolumeState::kOpen && end) {
      if (keyring_.LeaseEnded()) {
        lock.unlock();
        RequestSeal("LEASE_ENDED");
        return;
      }
      // Woken at the end itself; the interval only bounds how late a suspended machine notices.
      wait = std::clamp(*end - clock_.BootTime(), absl::Milliseconds(1), options_.lease_poll);
    }
    changed_.wait_for(lock, absl::ToChronoNanoseconds(wait));
  }
}

void VolumeDaemon::CountAtIntervals() {
  std::unique_lock lock(state_mutex_);
  absl::Duration wait = kShortestCountInterval;
  while (!stopping_ && !seal_ordered_) {
    changed_.wait_for(lock, absl::ToChronoNanoseconds(wait), [this] { return stopping_ || seal_ordered_; });
    if (stopping_ || seal_ordered_ || state_ != VolumeState::kOpen || file_.deks.size() < 2) continue;
    lock.unlock();
    const absl::Duration begun = clock_.BootTime();
    if (const absl::Status status = CountNow(); !status.ok()) {
      Log(LogLevel::kWarning, "the bytes under each DEK were not counted", {{"error", std::string(status.message())}});
    }
    wait = std::clamp(100 * (clock_.BootTime() - begun), kShortestCountInterval, kLongestCountInterval);
    lock.lock();
  }
}

}  // namespace latchkey
