#include "agent/reconcile.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

namespace latchkey {
namespace {

bool Wraps(const std::vector<ObservedDek>& deks, const std::string& kek_id) {
  return std::any_of(deks.begin(), deks.end(), [&](const ObservedDek& dek) { return dek.kek_id == kek_id; });
}

int64_t CurrentDekGeneration(const std::vector<ObservedDek>& deks) {
  int64_t generation = 0;
  for (const ObservedDek& dek : deks) {
    if (dek.current) generation = std::max(generation, dek.generation);
  }
  return generation;
}

// The newest KEK named in desired state that wraps the volume's DEKs; nullptr when none does.
const WrappedKek* NewestWrapping(const DesiredNode& desired, const std::vector<ObservedDek>& deks) {
  const WrappedKek* newest = nullptr;
  for (const WrappedKek& kek : desired.wrapped_keks) {
    if (Wraps(deks, kek.id) && (newest == nullptr || kek.context.generation > newest->context.generation)) newest = &kek;
  }
  return newest;
}

const WrappedKek* OfGeneration(const DesiredNode& desired, int64_t generation) {
  for (const WrappedKek& kek : desired.wrapped_keks) {
    if (kek.context.generation == generation) return &kek;
  }
  return nullptr;
}

bool EverythingUnder(const std::vector<ObservedDek>& deks, const WrappedKek& kek) {
  return !deks.empty() && std::all_of(deks.begin(), deks.end(), [&](const ObservedDek& dek) { return dek.kek_id == kek.id; });
}

// Stops and seals whatever is there; false when nothing is left to do.
bool BringDown(const Inputs& in, const std::string& reason, Decision& out) {
  // Only what shall stay up is given time to answer.
  if (in.volume.daemon_hangs || in.volume.silent) {
    out.action = Action::kSeal;  // an engine whose files hang cannot stop, gently or not, before its mount goes
  } else if (in.engine.running) {
    out.action = Action::kStopEngine;
  } else if (in.volume.daemon) {
    out.action = Action::kSeal;
  } else if (in.volume.sealing) {
    out.action = Action::kNone;  // the daemon is on its way out
  } else if (in.volume.mounted) {
    out.action = Action::kCleanUpDeadMount;
  } else {
    return false;
  }
  out.seal_reason = reason;
  return true;
}

// Whether desired state names what may be deleted: node and volume, or a node whose creation was never completed, and so never reported.
bool MayDelete(const Inputs& in) {
  if (!in.record.engine_initialised) return in.record.desired->volume_id.empty() || in.record.desired->volume_id == in.record.volume_id;
  return !in.record.volume_id.empty() && in.record.desired->volume_id == in.record.volume_id;
}

// What stands against removing what the lower folder holds; empty when nothing does.
std::string DeletionProblem(const Inputs& in) {
  const NodeRecord& record = in.record;
  switch (in.volume.file) {
    case VolumeFacts::File::kUnreadable:
      return absl::StrCat("VOLUME_UNREADABLE: ", in.volume.file_error);
    case VolumeFacts::File::kAbsent:
      if (!record.volume_created || record.deleting) return "";
      return absl::StrCat("VOLUME_MISSING: volume ", record.volume_id, " is to be deleted and is not there; is its disk mounted?");
    case VolumeFacts::File::kThere:
      if (in.volume.volume_id == record.volume_id) return "";
      return absl::StrCat("DELETE_REFUSED: the folder holds another volume, ", in.volume.volume_id);
  }
  return "";
}

void Rest(const Inputs& in, Decision& out) {
  const DesiredNode& desired = *in.record.desired;
  const std::string reason = desired.deleted ? "DELETED" : desired.revoked ? "REVOKED" : "PAUSED";
  if (desired.deleted && !MayDelete(in)) {
    out.problem =
        absl::StrCat("DELETE_REFUSED: the order names volume \"", desired.volume_id, "\", but this node's is ", in.record.volume_id);
  }
  if (BringDown(in, reason, out)) return;
  if (desired.deleted) {
    if (out.problem.empty()) out.problem = DeletionProblem(in);
    if (out.problem.empty()) out.action = Action::kDelete;
    return;
  }
  out.applied = true;
}

// What stands against touching the volume in the lower folder; empty when nothing does.
std::string VolumeProblem(const Inputs& in) {
  const NodeRecord& record = in.record;
  const DesiredNode& desired = *record.desired;
  if (!desired.volume_id.empty() && !record.volume_id.empty() && desired.volume_id != record.volume_id) {
    return absl::StrCat("VOLUME_MISMATCH: the server names volume ", desired.volume_id, ", this host knows ", record.volume_id);
  }
  switch (in.volume.file) {
    case VolumeFacts::File::kUnreadable:
      return absl::StrCat("VOLUME_UNREADABLE: ", in.volume.file_error);
    case VolumeFacts::File::kAbsent:
      if (record.deleting) return "DELETED: the deletion of this node's data by order has begun; it is not made again";
      // Whatever this host wrote down: the server names a volume only after it was reported whole.
      if (record.volume_created || !desired.volume_id.empty())
        return absl::StrCat("VOLUME_MISSING: volume ", record.volume_id, " was created here and is not there; is its disk mounted?");
      return "";
    case VolumeFacts::File::kThere:
      if (in.volume.volume_id != record.volume_id) {
        return absl::StrCat("VOLUME_MISMATCH: the folder holds volume ", in.volume.volume_id, ", not ",
                            record.volume_id.empty() ? "one of this node" : record.volume_id);
      }
      return "";
  }
  return "";
}

void OrderMint(const Inputs& in, Decision& out) {
  const DesiredNode& desired = *in.record.desired;
  if (in.stray || in.record.minted) return;  // a stray gets nothing new; a minted one waits for the server's word
  if (!in.key.root_problem.empty()) {
    out.problem = in.key.root_problem;
    return;
  }
  if (desired.kek_generation > 1) {
    const WrappedKek* previous = OfGeneration(desired, desired.kek_generation - 1);
    if (previous == nullptr) {
      out.problem = absl::StrCat("KEK_MISSING: desired state lacks the KEK of generation ", desired.kek_generation - 1);
      return;
    }
    out.previous = *previous;
  }
  out.mint = true;
}

void OpenClosed(const Inputs& in, Decision& out) {
  const DesiredNode& desired = *in.record.desired;
  const WrappedKek* current = desired.CurrentKek();
  const bool exists = in.volume.file == VolumeFacts::File::kThere;
  if (current != nullptr && !in.key.root_problem.empty()) {
    out.problem = in.key.root_problem;
    // A change that is refused stops nothing: what the older KEK alone wraps opens as it would have stayed open.
    const WrappedKek* older = exists && !Wraps(in.volume.deks, current->id) ? NewestWrapping(desired, in.volume.deks) : nullptr;
    if (older == nullptr) return;
    out.action = Action::kOpenVolume;
    out.kek = *older;
    out.lease = *older;
    return;
  }
  if (current == nullptr) {
    OrderMint(in, out);
    // Until the new one is named, the volume opens with the KEK that wraps it.
    if (const WrappedKek* older = exists ? NewestWrapping(desired, in.volume.deks) : nullptr) {
      out.action = Action::kOpenVolume;
      out.kek = *older;
      out.lease = *older;
    }
    return;
  }
  if (!exists) {
    // An agent that ended before it could write down that the volume was made knows less than the server may.
    if (in.stray || in.unheard) return;
    out.action = Action::kCreateVolume;
    out.kek = *current;
    out.lease = *current;
    return;
  }
  if (!Wraps(in.volume.deks, current->id)) {
    const WrappedKek* older = NewestWrapping(desired, in.volume.deks);
    if (older == nullptr) {
      out.problem = "KEK_UNKNOWN: no KEK that desired state names wraps this volume's keys";
      return;
    }
    out.wrapping = older->id;  // this host was away: the KEK in force carries the older ones along
  }
  out.action = Action::kOpenVolume;
  out.kek = *current;
  out.lease = *current;
}

void KeepOpen(const Inputs& in, Decision& out) {
  const DesiredNode& desired = *in.record.desired;
  const WrappedKek* current = desired.CurrentKek();
  const WrappedKek* wrapping = NewestWrapping(desired, in.volume.deks);
  bool keys_settled = false;
  if (current == nullptr) {
    OrderMint(in, out);
  } else if (!in.key.root_problem.empty()) {
    out.problem = in.key.root_problem;
  } else {
    const int64_t wanted = desired.dek_generation > CurrentDekGeneration(in.volume.deks) ? desired.dek_generation : 0;
    keys_settled = EverythingUnder(in.volume.deks, *current) && wanted == 0;
    if (!keys_settled && !in.stray) {
      const WrappedKek* from = nullptr;
      for (const WrappedKek& kek : desired.wrapped_keks) {
        if (kek.id != current->id && Wraps(in.volume.deks, kek.id)) from = &kek;
      }
      if (from == nullptr && EverythingUnder(in.volume.deks, *current)) from = current;
      if (from == nullptr) {
        out.problem = "KEK_UNKNOWN: no KEK that desired state names wraps this volume's keys";
      } else {
        out.rewrap = true;
        out.from = *from;
        out.new_dek_generation = wanted;
      }
    } else if (keys_settled && in.key.lease_missing && !in.stray) {
      // A renewal cannot give a lease to a volume that was opened without one.
      out.rewrap = true;
      out.from = *current;
    }
  }
  // A volume whose DEKs have both wrappings is leased by the newer one.
  if (wrapping != nullptr) out.lease = *wrapping;

  const EngineFacts& engine = in.engine;
  if (!in.volume.mounted) {
    // What an engine wrote there now would lie beside the volume, in the clear.
    if (out.problem.empty()) out.problem = "MOUNT_MISSING: the volume is open, but its mount point is not a mount";
    return;
  }
  if (engine.running) {
    if (!engine.known_to_volume) out.action = Action::kTellVolume;
    out.applied = engine.known_to_volume && engine.answers && keys_settled && out.problem.empty();
    return;
  }
  if (!engine.has_data) return;
  if (*engine.has_data) {
    out.action = Action::kStartEngine;
  } else if (in.record.engine_initialised) {
    if (out.problem.empty()) out.problem = "ENGINE_DATA_MISSING: the volume is there, but its data folder is empty";
  } else if (!in.stray && !in.unheard) {
    out.action = Action::kInitialiseEngine;
  }
}

}  // namespace

std::string_view ActionName(Action a) {
  switch (a) {
    case Action::kNone:
      return "none";
    case Action::kStopEngine:
      return "stop engine";
    case Action::kSeal:
      return "seal";
    case Action::kCleanUpDeadMount:
      return "clean up dead mount";
    case Action::kDelete:
      return "delete";
    case Action::kCreateVolume:
      return "create volume";
    case Action::kOpenVolume:
      return "open volume";
    case Action::kTellVolume:
      return "tell volume";
    case Action::kInitialiseEngine:
      return "initialise engine";
    case Action::kStartEngine:
      return "start engine";
  }
  return "";
}

Decision Reconcile(const Inputs& in) {
  Decision out;
  const NodeRecord& record = in.record;
  if (!record.desired) return out;
  const DesiredNode& desired = *record.desired;
  if (record.deleted) {
    out.applied = desired.deleted;
    if (!desired.deleted) out.problem = "DELETED: this node's data was deleted by order; it is not made again";
    return out;
  }
  // A stray is not deleted, whatever was said of it last.
  if (desired.paused || desired.revoked || desired.deleted) {
    Rest(in, out);
    if (in.stray && out.action == Action::kDelete) out.action = Action::kNone;
    return out;
  }
  if (in.volume.open) {
    if (const WrappedKek* wrapping = NewestWrapping(desired, in.volume.deks)) out.lease = *wrapping;
    if (in.key.refused) {
      BringDown(in, "KMS_REFUSED", out);
      return out;
    }
    if (in.volume.lease_end && in.now >= *in.volume.lease_end - in.stop_before_lease_end) {
      BringDown(in, "LEASE_ENDED", out);
      return out;
    }
    if (in.volume.silent) return out;  // nothing else can be done with a daemon that does not answer
  } else {
    if (in.volume.sealing || in.volume.silent) return out;
    // Without its daemon a mount, and an engine on it, are remains that may still show plaintext.
    if (in.engine.running || in.volume.daemon_hangs || (in.volume.mounted && !in.volume.daemon)) {
      out.action = in.volume.daemon_hangs ? Action::kSeal : Action::kCleanUpDeadMount;
      out.seal_reason = "DAEMON_DIED";
      return out;
    }
  }
  if (out.problem = VolumeProblem(in); !out.problem.empty()) return out;
  if (in.volume.open) {
    KeepOpen(in, out);
  } else {
    OpenClosed(in, out);
  }
  if (out.problem.empty() && in.volume.file == VolumeFacts::File::kThere && in.volume.revision < record.volume_revision) {
    out.problem = absl::StrCat("VOLUME_OLDER: volume.json has revision ", in.volume.revision, ", but ", record.volume_revision,
                               " was seen here before");
  }
  return out;
}

VolumeState VolumeStateOf(const Inputs& in, Action under_way) {
  const NodeRecord& record = in.record;
  if (record.deleted) return VolumeState::kDeleted;
  if (in.volume.open) return under_way == Action::kSeal ? VolumeState::kSealing : VolumeState::kOpen;
  if (under_way == Action::kCreateVolume || under_way == Action::kOpenVolume) return VolumeState::kOpening;
  // Not sealed yet: somebody may still hold plaintext.
  if (in.volume.sealing || in.volume.mounted || in.volume.daemon_hangs || in.volume.silent || in.engine.running)
    return VolumeState::kSealing;
  if (in.volume.file == VolumeFacts::File::kAbsent)
    return record.volume_created && !record.deleting ? VolumeState::kMissing : VolumeState::kNone;
  return VolumeState::kSealed;
}

EngineState EngineStateOf(const Inputs& in, Action under_way) {
  if (under_way == Action::kStopEngine) return EngineState::kStopping;
  if (under_way == Action::kInitialiseEngine) return EngineState::kInitializing;
  if (in.engine.running) return in.engine.answers ? EngineState::kRunning : EngineState::kStarting;
  if (under_way == Action::kStartEngine) return EngineState::kStarting;
  if (!in.record.engine_initialised) return EngineState::kNone;
  if (in.volume.open && in.engine.has_data && !*in.engine.has_data) return EngineState::kDataMissing;
  if (in.volume.open && !in.engine.message.empty()) return EngineState::kFailed;
  return EngineState::kStopped;
}

}  // namespace latchkey
