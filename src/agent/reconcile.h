// The heart of the agent, without hands: from what is desired, what is remembered and what is seen, the next step for one node. Pure
// functions, so that every rule of docs/architecture.md, "Desired and observed", is a row in a table of tests.
#pragma once

#include <absl/time/time.h>

#include <optional>
#include <string>
#include <vector>

#include "agent/node_record.h"
#include "protocol/node.h"

namespace latchkey {

struct VolumeFacts {
  enum class File { kAbsent, kThere, kUnreadable };
  File file = File::kAbsent;  // volume.json in the lower folder
  std::string file_error;     // with kUnreadable
  std::string volume_id;      // of the file
  int64_t revision = 0;
  std::vector<ObservedDek> deks;  // one entry a wrapping
  bool daemon = false;            // answers on its control socket
  bool daemon_hangs = false;      // is there and has not answered for long
  // Is there and did not answer in time, this once. What it said last stands in for an answer; when it has said nothing yet, neither `open`
  // nor `daemon` is set.
  bool silent = false;
  bool open = false;
  bool sealing = false;                     // with daemon: it seals; without: it has sealed and is ending
  bool mounted = false;                     // a mount, dead or alive, is on the mount point
  std::optional<absl::Duration> lease_end;  // boot clock
  int64_t unsynced_headers = 0;

  // Files on the mount answer, as far as can be told without asking one.
  bool usable() const { return open && mounted && !silent; }
};

struct EngineFacts {
  bool running = false;
  bool known_to_volume = false;  // the daemon was told whom to kill when it seals
  bool answers = false;          // the last probe succeeded
  std::optional<bool> has_data;  // looked for only while the volume is open and the engine does not run; unset: could not be seen
  std::string message;
};

struct KeyFacts {
  bool refused = false;        // the root key that the volume is leased by was refused, and the refusal confirmed
  bool lease_missing = false;  // the volume is open without a lease, and the root key in force gives one
  std::string root_problem;    // why desired state's root key may not be used on this host ("ROOT_REFUSED: …"); empty: it may
};

struct Inputs {
  NodeRecord record;
  bool stray = false;    // the server has ceased to name this node
  bool unheard = false;  // the server has not said since the agent began that the remembered desired state holds
  VolumeFacts volume;
  EngineFacts engine;
  KeyFacts key;
  absl::Duration now;  // boot clock
  absl::Duration stop_before_lease_end;
};

enum class Action {
  kNone,
  kStopEngine,
  kSeal,              // with Decision::seal_reason
  kCleanUpDeadMount,  // a daemon died without sealing
  kDelete,            // removes the volume; the record becomes a tombstone
  kCreateVolume,      // with a fresh unwrap of Decision::kek
  kOpenVolume,        // the same; Decision::wrapping names the KEK that wraps the DEKs, when it is an older one that `kek` carries along
  kTellVolume,        // tells the daemon the engine's process
  kInitialiseEngine,
  kStartEngine,
};
std::string_view ActionName(Action a);

struct Decision {
  Action action = Action::kNone;
  std::string seal_reason;
  std::optional<WrappedKek> kek;  // for kCreateVolume and kOpenVolume
  std::string wrapping;           // KEK id; empty when it is kek's own

  // Beside the action, while the database runs. Both need fresh unwraps.
  bool mint = false;  // a KEK of desired.kek_generation; from generation 2 on with `previous`
  std::optional<WrappedKek> previous;
  bool rewrap = false;  // from → desired.CurrentKek()
  std::optional<WrappedKek> from;
  int64_t new_dek_generation = 0;  // 0: keep

  // The KEK by which the volume is, or would be, leased; unset while it shall stay sealed.
  std::optional<WrappedKek> lease;
  std::string problem;
  bool applied = false;  // desired state is reached in full
};

Decision Reconcile(const Inputs& in);

// States for the report.
VolumeState VolumeStateOf(const Inputs& in, Action under_way);
EngineState EngineStateOf(const Inputs& in, Action under_way);

}  // namespace latchkey
