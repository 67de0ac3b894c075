#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <optional>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/kms_options.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "keys/kek.h"
#include "keys/lease_keeper.h"
#include "keys/volume_file.h"
#include "kms/kms.h"
#include "protocol/failure_class.h"
#include "volume/client.h"

namespace latchkey {
namespace {

struct Args {
  KmsArgs kms;
  std::string folder, mount_point, user, output = "table";
  int64_t check_interval = 60, grace = 3600;
  bool no_fuse_io_uring = false;
};

std::string SocketOf(const std::string& folder) { return folder + "/volume.sock"; }

absl::StatusOr<std::string> Absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  if (error) return InvalidArgument(path, ": ", error.message());
  std::string text = absolute.lexically_normal().string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text;
}

std::string RootText(const RootKey& root) {
  std::string out = root.type + " " + root.uri;
  if (!root.auth_principal.empty()) out += " as " + root.auth_principal;
  return out;
}

// The record that wraps the current DEK under the named root key; otherwise an error that says which root keys the file names.
absl::StatusOr<WrappedKek> RecordFor(const VolumeFile& file, const RootKey& root) {
  const VolumeDek* dek = file.FindDek(file.current_dek);
  std::string named;
  for (const WrappedDek& wrapped : dek == nullptr ? std::vector<WrappedDek>{} : dek->wrapped) {
    const WrappedKek* kek = file.FindKek(wrapped.kek_id);
    if (kek == nullptr) continue;
    if (kek->root.type == root.type && kek->root.uri == root.uri) return *kek;
    named += (named.empty() ? "" : ", ") + RootText(kek->root);
  }
  return FailedPrecondition("this volume is under ", named, ", not under ", RootText(root));
}

// With the class of a KMS failure, and where a person finds out what to do about it.
absl::Status Explained(const absl::Status& status) {
  const std::optional<FailureClass> failure = FailureClassOf(status);
  if (!failure) return status;
  return absl::Status(status.code(), absl::StrCat(status.message(), " (", ToAbsl(FailureClassName(*failure)),
                                                  "; `latchkey keys test` with the same key and options says what to do)"));
}

VolumeDaemonOptions DaemonOptions(const std::string& folder, const std::string& mount_point) {
  std::error_code ignored;
  return {.program = std::filesystem::read_symlink("/proc/self/exe", ignored).string(),
          .lower_folder = folder,
          .mount_point = mount_point,
          .control_socket = SocketOf(folder),
          .log_file = folder + "/volume.log"};
}

// Opens the volume and keeps its lease until SIGINT or SIGTERM, then seals it. Ends by itself when the volume has been sealed.
absl::Status Serve(const Args& args, const std::string& folder, const std::string& mount_point, const std::string& create_volume_id,
                   const WrappedKek& record, const RootKey& root, const KmsSet& kms) {
  BlockStopSignals();
  VolumeDaemonOptions options = DaemonOptions(folder, mount_point);
  options.fuse_io_uring = !args.no_fuse_io_uring;
  if (!args.user.empty()) {
    ASSIGN_OR_RETURN(options.user, FindUser(args.user));
    if (::chown(folder.c_str(), options.user->uid, options.user->gid) != 0 ||
        ::chown(mount_point.c_str(), options.user->uid, options.user->gid) != 0) {
      return ErrnoStatus(errno, "chown of the volume's folders");
    }
  }
  Clock& clock = Clock::Real();
  const absl::Duration grace = absl::Seconds(args.grace);
  const absl::Duration asked_at = clock.BootTime();
  absl::StatusOr<Kek> unwrapped = UnwrapKek(kms, record, root, {});
  if (!unwrapped.ok()) return Explained(unwrapped.status());
  Kek kek = *std::move(unwrapped);
  RETURN_IF_ERROR(StartVolumeDaemon(options).status());
  const VolumeClient client(options.control_socket);
  auto opened =
      client.Open({.kek = &kek, .kek_record = &record, .asked_at = asked_at, .grace = grace, .create_volume_id = create_volume_id});
  if (!opened.ok()) {
    client.Seal("OPEN_FAILED", absl::Seconds(10)).IgnoreError();
    return opened.status();
  }
  std::fprintf(stderr, "open at %s, lease until %s; Ctrl-C seals it\n", mount_point.c_str(),
               latchkey::FormatTime(clock.Now() + grace).c_str());

  LeaseKeeper keeper({.check_interval = absl::Seconds(args.check_interval), .outage_grace = grace}, clock, Random::System());
  while (!StopSignalPending()) {
    absl::SleepFor(absl::Milliseconds(200));
    if (!client.Status().ok()) return Unavailable("the volume has been sealed");
    if (clock.BootTime() < keeper.Due()) continue;
    LeaseKeeper::Outcome outcome = keeper.Check([&](const KmsCall& call) { return UnwrapKek(kms, record, root, call); });
    if (outcome.kind == LeaseKeeper::Outcome::kRenew) {
      const absl::Status renewed = client.Renew(*outcome.kek, outcome.asked_at, grace);
      if (renewed.ok()) continue;
      // Where somebody's `volume seal` came in between, the next look says so.
      const auto now = client.Status();
      if (now.ok() && now->state == VolumeState::kOpen) {
        std::fprintf(stderr, "the lease was not renewed: %s\n", Printable(FromAbsl(renewed.message())).c_str());
      }
    } else if (!outcome.status.ok()) {
      std::fprintf(stderr, "%s: the KMS: %s\n", latchkey::FormatTime(clock.Now()).c_str(),
                   Printable(FromAbsl(outcome.status.message())).c_str());
    }
    if (outcome.kind == LeaseKeeper::Outcome::kSeal) {
      RETURN_IF_ERROR(client.Seal("KMS_REFUSED", absl::Seconds(60)));
      return Explained(Prefixed(outcome.status, "sealed: the KMS refuses the key"));
    }
  }
  WaitForStopSignal();
  RETURN_IF_ERROR(client.Seal("STOPPED", absl::Seconds(60)));
  std::fprintf(stderr, "sealed\n");
  return absl::OkStatus();
}

absl::Status Create(const Args& args) {
  ASSIGN_OR_RETURN(const std::string folder, Absolute(args.folder));
  ASSIGN_OR_RETURN(const std::string mount_point, Absolute(args.mount_point));
  if (PathExists(folder + "/" + kVolumeFileName)) return absl::AlreadyExistsError(absl::StrCat(folder, " holds a volume already"));
  RETURN_IF_ERROR(MakeFolders(folder));
  RETURN_IF_ERROR(MakeFolders(mount_point));
  ASSIGN_OR_RETURN(const KmsSet kms, KmsFor(args.kms));
  const RootKey root = KeyOf(args.kms);
  const std::string volume_id = NewUuid(Random::System());
  // A volume of its own belongs to no cluster: its id stands for one.
  const KekContext context{.organization = "standalone", .cluster = volume_id, .region = "standalone", .generation = 1};
  const absl::StatusOr<WrappedKek> record = MintKek(kms, root, context, nullptr, Random::System(), Clock::Real());
  if (!record.ok()) return Explained(record.status());
  return Serve(args, folder, mount_point, volume_id, *record, root, kms);
}

absl::Status Mount(const Args& args) {
  ASSIGN_OR_RETURN(const std::string folder, Absolute(args.folder));
  ASSIGN_OR_RETURN(const std::string mount_point, Absolute(args.mount_point));
  ASSIGN_OR_RETURN(const VolumeFile file, VolumeFile::Load(folder));
  ASSIGN_OR_RETURN(const KmsSet kms, KmsFor(args.kms));
  ASSIGN_OR_RETURN(WrappedKek record, RecordFor(file, args.kms.key));
  RootKey root = record.root;
  if (args.kms.as_caller) {
    // The record keeps naming the owner's role; this caller goes to the key with rights of its own.
    record.root.auth_principal.clear();
    root.auth_principal.clear();
  } else if (!args.kms.key.auth_principal.empty() && args.kms.key.auth_principal != root.auth_principal) {
    return FailedPrecondition("this volume is under ", RootText(record.root), ", not under ", RootText(args.kms.key));
  }
  RETURN_IF_ERROR(MakeFolders(mount_point));
  return Serve(args, folder, mount_point, "", record, root, kms);
}

json::object ToJson(const VolumeStatus& s) {
  json::array deks;
  for (const ObservedDek& d : s.deks) {
    deks.push_back({{"id", d.id}, {"generation", d.generation}, {"kek", d.kek_id}, {"current", d.current}, {"bytes", d.bytes}});
  }
  json::object out{{"volume_id", s.volume_id},     {"state", std::string(VolumeStateName(s.state))},
                   {"revision", s.revision},       {"deks", std::move(deks)},
                   {"mount_point", s.mount_point}, {"daemon_pid", s.daemon.pid}};
  if (s.lease_end) out["lease_seconds_left"] = absl::ToDoubleSeconds(*s.lease_end - Clock::Real().BootTime());
  return out;
}

absl::Status Status(const Args& args) {
  ASSIGN_OR_RETURN(const std::string folder, Absolute(args.folder));
  ASSIGN_OR_RETURN(const VolumeStatus status, VolumeClient(SocketOf(folder)).Count());
  if (args.output == "json") {
    std::printf("%s\n", json::serialize(ToJson(status)).c_str());
    return absl::OkStatus();
  }
  std::fputs(
      RenderFacts(
          {{"volume", status.volume_id},
           {"state", std::string(VolumeStateName(status.state))},
           {"mounted at", status.mount_point},
           {"lease ends in",
            status.lease_end ? absl::FormatDuration(absl::Trunc(*status.lease_end - Clock::Real().BootTime(), absl::Seconds(1))) : "never"},
           {"key file revision", absl::StrCat(status.revision)}})
          .c_str(),
      stdout);
  std::vector<std::vector<std::string>> rows;
  for (const ObservedDek& d : status.deks)
    rows.push_back({d.id, absl::StrCat(d.generation), d.current ? "yes" : "", HumanBytes(d.bytes), d.kek_id});
  std::fputs(RenderTable({"DEK", "GENERATION", "CURRENT", "FILE DATA", "WRAPPED BY KEK"}, rows).c_str(), stdout);
  return absl::OkStatus();
}

absl::Status Seal(const Args& args) {
  ASSIGN_OR_RETURN(const std::string folder, Absolute(args.folder));
  return VolumeClient(SocketOf(folder)).Seal("BY_COMMAND", absl::Seconds(60));
}

absl::Status Inspect(const Args& args) {
  ASSIGN_OR_RETURN(const std::string folder, Absolute(args.folder));
  ASSIGN_OR_RETURN(const VolumeFile file, VolumeFile::Load(folder));
  if (args.output == "json") {
    json::array keks;
    for (const WrappedKek& kek : file.keks) keks.push_back(kek.ToJson());
    json::array deks;
    for (const VolumeDek& dek : file.deks) {
      json::array by;
      for (const WrappedDek& w : dek.wrapped) by.push_back(json::value(w.kek_id));
      deks.push_back({{"id", dek.id},
                      {"generation", dek.generation},
                      {"created_at", dek.created_at},
                      {"wrapped_by", std::move(by)},
                      {"current", dek.id == file.current_dek}});
    }
    std::printf("%s\n", json::serialize(json::object{{"volume_id", file.volume_id},
                                                     {"cipher", file.cipher},
                                                     {"revision", file.revision},
                                                     {"deks", std::move(deks)},
                                                     {"keks", std::move(keks)}})
                            .c_str());
    return absl::OkStatus();
  }
  std::fputs(RenderFacts({{"volume", file.volume_id},
                          {"cipher", file.cipher},
                          {"revision", absl::StrCat(file.revision)},
                          {"current DEK", file.current_dek}})
                 .c_str(),
             stdout);
  std::vector<std::vector<std::string>> rows;
  for (const VolumeDek& dek : file.deks) {
    for (const WrappedDek& w : dek.wrapped) {
      const WrappedKek* kek = file.FindKek(w.kek_id);
      rows.push_back({dek.id, absl::StrCat(dek.generation), w.kek_id, kek == nullptr ? "" : RootText(kek->root)});
    }
  }
  std::fputs(RenderTable({"DEK", "GENERATION", "WRAPPED BY KEK", "UNDER ROOT KEY"}, rows).c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace

Command VolumeCommand() {
  auto args = std::make_shared<Args>();
  const CommandOption folder = {
      .names = "folder", .help = "the volume's folder: volume.json and the ciphertext", .target = &args->folder, .required = true};
  const CommandOption mount_point = {
      .names = "mount-point", .help = "where its files appear", .target = &args->mount_point, .required = true};
  const std::vector<CommandOption> serving = {
      {.names = "--user",
       .help = "as root: the system user that the daemon runs as and that alone can reach the files",
       .target = &args->user},
      {.names = "--check-interval", .help = "seconds between questions to the KMS", .target = &args->check_interval},
      {.names = "--grace", .help = "seconds that the volume stays open while the KMS does not answer", .target = &args->grace},
      {.names = "--no-fuse-io-uring",
       .help = "serve over /dev/fuse alone, and, as root, leave the kernel's parameter fuse.enable_uring as it is",
       .target = &args->no_fuse_io_uring}};
  Command group{.name = "volume", .summary = "an encrypted volume as a tool of its own, without server and agent"};
  group.children.push_back(
      {.name = "create",
       .summary = "make a volume under a root key, and keep it mounted",
       .examples = {"latchkey keys create-local escrow.key",
                    "latchkey volume create data mnt --type LOCAL --uri local://escrow --connection escrow=escrow.key"},
       .options = Plus(Plus({folder, mount_point}, KmsOptionList(&args->kms)), serving),
       .run = [args] { return Create(*args); }});
  group.children.push_back(
      {.name = "mount",
       .summary = "open a volume, keep its lease, seal it when stopped",
       .details = "Opens only a volume whose volume.json names the root key given here; says which one it names otherwise.",
       .examples = {"latchkey volume mount data mnt --type LOCAL --uri local://escrow --connection escrow=escrow.key",
                    "latchkey volume mount /srv/latchkey/… mnt --agent-config /etc/latchkey/agent.toml --uri arn:aws:kms:… --principal "
                    "arn:aws:iam:… --external-id …"},
       .options = Plus(Plus({folder, mount_point}, KmsOptionList(&args->kms)), serving),
       .run = [args] { return Mount(*args); }});
  group.children.push_back({.name = "status",
                            .summary = "state of an open volume: lease, data keys, how much data each holds",
                            .examples = {"latchkey volume status data"},
                            .options = {folder, OutputOption(&args->output)},
                            .run = [args] { return Status(*args); }});
  group.children.push_back(
      {.name = "seal", .summary = "seal an open volume now", .examples = {"latchkey volume seal data"}, .options = {folder}, .run = [args] {
         return Seal(*args);
       }});
  group.children.push_back({.name = "inspect",
                            .summary = "which keys a volume needs; asks no KMS and opens nothing",
                            .examples = {"latchkey volume inspect data"},
                            .options = {folder, OutputOption(&args->output)},
                            .run = [args] { return Inspect(*args); }});
  return group;
}

}  // namespace latchkey
