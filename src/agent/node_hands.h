// The hands of a node's runner: carries out what Reconcile() decided, one action a call, and keeps the record in step. One thread.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/config.h"
#include "agent/key_desk.h"
#include "agent/node_record.h"
#include "agent/node_volume.h"
#include "agent/reconcile.h"
#include "engine/engine.h"

namespace latchkey {

class NodeHands {
 public:
  // `store` makes the record durable and says whether it did. All references outlive the hands.
  NodeHands(const AgentConfig& config, NodeRecord& record, std::shared_ptr<NodeVolume> volume, std::function<bool()> store,
            std::function<absl::Status(const DesiredNode&)> prepare_engine, Random& random)
      : config_(config),
        record_(record),
        volume_(std::move(volume)),
        store_(std::move(store)),
        prepare_engine_(std::move(prepare_engine)),
        random_(random) {}

  // `fresh` is the unwrapped KEK `decision.kek` for creating and opening; null for everything else.
  absl::Status Do(Action action, const Decision& decision, const FreshKek* fresh);
  // Every DEK under the KEK in force, whose fresh unwrap is `to`; the chain from it to `from` is verified first. DataLoss when it is
  // broken.
  absl::Status Rewrap(const FreshKek& from, const FreshKek& to, int64_t new_dek_generation);
  // Of leases under this root key; nullopt: no lease.
  std::optional<absl::Duration> GraceFor(const RootKey& root) const;

  // Why desired state's root key may not be used on this host ("ROOT_REFUSED: …"); empty: it may.
  std::string RootProblem() const;

  // Takes note of what accepted desired state calls escrow; the record is stored by the caller.
  void LearnEscrow();
  // Whatever an owner key was seen to wrap has been under it, even if the agent ended before it could write that down.
  void LearnOwnerKey(const std::vector<ObservedDek>& deks);

  std::unique_ptr<Engine> engine;  // once it is known which
  ProcessId engine_id;             // last seen or started
  ProcessId told;                  // the engine that the volume daemon knows of
  bool unproven_start = false;     // started, and has not answered yet

 private:
  void Remember(const std::string& seal_reason);
  absl::Status StopEngine(const std::string& seal_reason);
  absl::Status Delete();
  absl::Status Create(const WrappedKek& kek, const FreshKek& fresh);
  absl::Status Open(const Decision& decision, const FreshKek& fresh);
  absl::Status Tell(const ProcessId& id);
  absl::Status CheckMounted() const;
  absl::Status Initialise();
  absl::Status StartEngine();
  void HoldOwnerKey(const RootKey& root);
  bool MayBeEscrow(const RootKey& root) const;  // as far as this host's configuration says
  bool IsEscrow(const RootKey& root) const;

  const AgentConfig& config_;
  NodeRecord& record_;
  const std::shared_ptr<NodeVolume> volume_;
  const std::function<bool()> store_;
  const std::function<absl::Status(const DesiredNode&)> prepare_engine_;
  Random& random_;
};

}  // namespace latchkey
