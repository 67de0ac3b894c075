// Opening: the keys from volume.json, the file system, the mount.
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <memory>

#include "base/log.h"
#include "base/status.h"
#include "volume/bounded.h"
#include "volume/daemon.h"

namespace latchkey {

absl::Status VolumeDaemon::CreateVolume(const Kek& kek, const WrappedKek& record, const std::string& volume_id, int64_t dek_generation) {
  const std::string data = options_.lower_folder + "/data";
  if (PathExists(options_.lower_folder + "/" + kVolumeFileName))
    return absl::AlreadyExistsError("there is a volume in this folder already");
  std::error_code error;
  if (PathExists(data) && !std::filesystem::is_empty(data, error)) return absl::AlreadyExistsError("the data folder is not empty");
  RETURN_IF_ERROR(MakeFolders(data));
  ASSIGN_OR_RETURN(const NewVolume made, MakeVolume(volume_id, kek, record, dek_generation, random_, clock_));
  return made.file.Store(options_.lower_folder);
}

absl::Status VolumeDaemon::LoadKeys(const Kek& kek, const WrappedKek& record, const std::string& create_volume_id, int64_t dek_generation,
                                    const std::string& expect_volume_id) {
  if (!create_volume_id.empty()) RETURN_IF_ERROR(CreateVolume(kek, record, create_volume_id, dek_generation));
  // Also after a creation: what is on the disk must open.
  ASSIGN_OR_RETURN(VolumeFile file, VolumeFile::Load(options_.lower_folder));
  if (!expect_volume_id.empty() && file.volume_id != expect_volume_id) {
    return FailedPrecondition("this folder holds volume ", file.volume_id, ", not ", expect_volume_id);
  }
  if (!PathExists(options_.lower_folder + "/data")) return FailedPrecondition("the volume's data folder is missing");
  ASSIGN_OR_RETURN(std::vector<Dek> deks, OpenDeks(file, kek));
  if (deks.size() != file.deks.size()) return FailedPrecondition("KEK ", kek.id(), " does not wrap every DEK of the volume");
  if (deks.back().id() != file.current_dek) return DataLoss("current_dek: is not the DEK of the highest generation");
  std::vector<std::shared_ptr<const VolumeKey>> keys;
  for (const Dek& dek : deks) {
    ASSIGN_OR_RETURN(std::shared_ptr<const VolumeKey> key, VolumeKey::Create(dek));
    keys.push_back(std::move(key));
  }
  keyring_.SetKeys(std::move(keys));
  deks_ = std::move(deks);
  std::lock_guard lock(state_mutex_);
  file_ = std::move(file);
  return absl::OkStatus();
}

absl::Status VolumeDaemon::StartServing() {
  const std::string work = options_.lower_folder + "/work";
  RETURN_IF_ERROR(RemoveTree(work));
  RETURN_IF_ERROR(MakeFolders(work));
  UniqueFd data(open((options_.lower_folder + "/data").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!data.valid()) return ErrnoStatus(errno, "the volume's data folder");
  ASSIGN_OR_RETURN(auto filesystem, Filesystem::Create(std::move(data), keyring_, random_, options_.limits));
  {
    std::lock_guard lock(state_mutex_);
    filesystem_ = std::move(filesystem);
    // An order to seal that came in between stays: it has set the mode already.
    if (!seal_ordered_) keyring_.Serve();
  }
  ASSIGN_OR_RETURN(FuseSession::Connection connection, host_->Mount());
  ASSIGN_OR_RETURN(session_, FuseSession::Start(*filesystem_, std::move(connection), ring_queues_));
  session_->OnEnd([this] { RequestSeal("UNMOUNTED"); });
  // The first request is ours: it shows that the mount answers, and that the kernel has taken our settings, which the next step changes.
  const auto error = std::make_shared<std::atomic<int>>(0);
  const Bounded first([error, path = options_.mount_point] {
    struct stat st;
    if (stat(path.c_str(), &st) != 0) *error = errno;
  });
  if (!first.Wait(options_.first_request)) {
    // The kernel serves nobody before it has a slot for each of its queues: should this host have told us of too few, or keep us from
    // handing one over, the next opening goes without. StopServing's unmounting lets go of whoever waits.
    ring_queues_.clear();
    return Unavailable("the new mount does not answer within ", absl::FormatDuration(options_.first_request));
  }
  if (*error != 0) return ErrnoStatus(*error, "the new mount does not answer");
  host_->ReadAheadFar();
  return absl::OkStatus();
}

// After a failed opening: as if it had not been tried.
void VolumeDaemon::StopServing() {
  keyring_.Refuse();
  if (session_ != nullptr) session_->OnEnd(nullptr);
  const absl::Status status = host_->Unmount();
  if (!status.ok()) Log(LogLevel::kError, "the mount of a failed opening stays", {{"error", std::string(status.message())}});
  if (status.ok()) session_.reset();
  keyring_.WaitUntilIdle(absl::Seconds(5));
  if (session_ == nullptr) {
    std::lock_guard lock(state_mutex_);
    filesystem_.reset();
  }
  keyring_.Clear();
  deks_.clear();
}

absl::Status VolumeDaemon::CheckWrappings(const Kek& kek) const {
  if (deks_.empty()) return FailedPrecondition("the volume is not open");
  for (const Dek& dek : deks_) {
    const VolumeDek* entry = file_.FindDek(dek.id());
    const WrappedDek* wrapped = nullptr;
    for (size_t i = 0; entry != nullptr && i < entry->wrapped.size(); ++i) {
      if (entry->wrapped[i].kek_id == kek.id()) wrapped = &entry->wrapped[i];
    }
    if (wrapped == nullptr) return FailedPrecondition("KEK ", kek.id(), " does not wrap DEK ", dek.id());
    ASSIGN_OR_RETURN(const Dek opened, UnwrapDek(kek, *wrapped, dek.volume_id(), dek.id(), dek.generation()));
    if (!opened.bytes().Equals(dek.bytes())) return DataLoss("DEK ", dek.id(), " opens to other bytes than those in use");
  }
  return absl::OkStatus();
}

absl::Status VolumeDaemon::UseNewDek(Dek dek) {
  ASSIGN_OR_RETURN(std::shared_ptr<const VolumeKey> key, VolumeKey::Create(dek));
  keyring_.AddCurrent(std::move(key));
  deks_.push_back(std::move(dek));
  return absl::OkStatus();
}

}  // namespace latchkey
