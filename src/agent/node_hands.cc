#include "agent/node_hands.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "agent/key_chain.h"
#include "base/log.h"
#include "base/status.h"

namespace latchkey {

absl::Status NodeHands::Do(Action action, const Decision& decision, const FreshKek* fresh) {
  switch (action) {
    case Action::kNone:
      return absl::OkStatus();
    case Action::kStopEngine:
      unproven_start = false;
      return StopEngine(decision.seal_reason);
    case Action::kSeal:
      Remember(decision.seal_reason);
      return volume_->Seal(decision.seal_reason, engine_id);
    case Action::kCleanUpDeadMount:
      Remember(decision.seal_reason);
      if (engine) RETURN_IF_ERROR(engine->Kill());
      return volume_->CleanUp(engine_id);
    case Action::kDelete:
      return Delete();
    case Action::kCreateVolume:
      return Create(*decision.kek, *fresh);
    case Action::kOpenVolume:
      return Open(decision, *fresh);
    case Action::kTellVolume:
      return Tell(engine_id);
    case Action::kInitialiseEngine:
      return Initialise();
    case Action::kStartEngine:
      return StartEngine();
  }
  return absl::OkStatus();
}

void NodeHands::Remember(const std::string& seal_reason) {
  if (record_.seal_reason == seal_reason) return;
  record_.seal_reason = seal_reason;
  store_();
}

absl::Status NodeHands::StopEngine(const std::string& seal_reason) {
  const absl::Status stopped = engine->Stop();
  if (stopped.ok()) return stopped;
  // What does not stop is sealed over: the daemon kills whoever is left, and takes the mount from under those that cannot even be killed.
  Log(LogLevel::kWarning, "the engine did not stop; its volume is sealed",
      {{"node", record_.node_id}, {"error", std::string(FromAbsl(stopped.message()))}});
  Remember(seal_reason);
  return volume_->Seal(seal_reason, engine_id);
}

absl::Status NodeHands::Delete() {
  if (!record_.deleting) {
    record_.deleting = true;
    if (!store_()) {
      record_.deleting = false;
      return Unavailable("the node's record cannot be written");
    }
  }
  if (!record_.keys_erased) {
    const absl::Status erased = volume_->EraseKeys(record_.volume_id);
    // What was never made has no keys.
    if (!erased.ok() && (record_.volume_created || !absl::IsNotFound(erased))) return erased;
    record_.keys_erased = true;
    if (!store_()) {
      record_.keys_erased = false;
      return Unavailable("the node's record cannot be written");
    }
  }
  RETURN_IF_ERROR(volume_->Remove());
  record_.deleted = true;
  record_.minted.reset();
  store_();
  return absl::OkStatus();
}

absl::Status NodeHands::Create(const WrappedKek& kek, const FreshKek& fresh) {
  if (record_.volume_id.empty()) {
    record_.volume_id = NewUuid(random_);
    if (!store_()) {
      record_.volume_id.clear();
      return Unavailable("the node's record cannot be written");
    }
  }
  const auto grace = GraceFor(kek.root);
  VolumeOpenRequest request{.kek = &fresh.kek,
                            .kek_record = &kek,
                            .asked_at = grace ? std::optional(fresh.asked_at) : std::nullopt,
                            .grace = grace.value_or(absl::ZeroDuration()),
                            .create_volume_id = record_.volume_id,
                            .dek_generation = record_.desired->dek_generation};
  told = {};
  RETURN_IF_ERROR(volume_->Open(request).status());
  record_.volume_created = true;
  HoldOwnerKey(kek.root);
  store_();
  return absl::OkStatus();
}

absl::Status NodeHands::Open(const Decision& decision, const FreshKek& fresh) {
  const WrappedKek& newest = *decision.kek;
  const auto grace = GraceFor(newest.root);
  const WrappedKek* record = &newest;
  std::optional<Kek> older;
  if (!decision.wrapping.empty()) {
    ASSIGN_OR_RETURN(older, DescendTo(fresh.kek, decision.wrapping, *record_.desired));
    record = record_.desired->FindKek(decision.wrapping);
  }
  const auto asked_at = grace ? std::optional(fresh.asked_at) : std::nullopt;
  VolumeOpenRequest request{.kek = older ? &*older : &fresh.kek,
                            .kek_record = record,
                            .asked_at = asked_at,
                            .grace = grace.value_or(absl::ZeroDuration()),
                            .expect_volume_id = record_.volume_id};
  told = {};
  ASSIGN_OR_RETURN(const VolumeStatus opened, volume_->Open(request));
  if (!older) return absl::OkStatus();
  // Carried over in the same step: later the older root key may be closed for good.
  int64_t dek_generation = 0;
  for (const ObservedDek& dek : opened.deks) {
    if (dek.current && record_.desired->dek_generation > dek.generation) dek_generation = record_.desired->dek_generation;
  }
  VolumeRewrapRequest rewrap{.from = &*older,
                             .to = &fresh.kek,
                             .to_record = &newest,
                             .new_dek_generation = dek_generation,
                             .asked_at = asked_at,
                             .grace = grace.value_or(absl::ZeroDuration())};
  RETURN_IF_ERROR(volume_->Rewrap(rewrap).status());
  HoldOwnerKey(newest.root);
  store_();
  return absl::OkStatus();
}

absl::Status NodeHands::Tell(const ProcessId& id) {
  RETURN_IF_ERROR(volume_->SetEngine(id));
  told = id;
  return absl::OkStatus();
}

// At the last moment: whatever the volume daemon said, an engine on a bare folder would write its data in the clear.
absl::Status NodeHands::CheckMounted() const {
  return volume_->Mounted() ? absl::OkStatus() : FailedPrecondition("the volume's mount point is not a mount");
}

absl::Status NodeHands::Initialise() {
  RETURN_IF_ERROR(prepare_engine_(*record_.desired));
  RETURN_IF_ERROR(CheckMounted());
  const absl::Status made = engine->Initialise();
  if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
  record_.engine_initialised = true;
  store_();
  return absl::OkStatus();
}

absl::Status NodeHands::StartEngine() {
  if (!record_.engine_initialised) {
    record_.engine_initialised = true;
    if (!store_()) return Unavailable("the node's record cannot be written");
  }
  RETURN_IF_ERROR(prepare_engine_(*record_.desired));
  RETURN_IF_ERROR(CheckMounted());
  ASSIGN_OR_RETURN(engine_id, engine->Start());
  unproven_start = true;
  return Tell(engine_id);
}

void NodeHands::HoldOwnerKey(const RootKey& root) {
  if (!IsEscrow(root)) record_.owner_key_held = true;
}

void NodeHands::LearnOwnerKey(const std::vector<ObservedDek>& deks) {
  if (record_.owner_key_held || !record_.desired) return;
  for (const WrappedKek& kek : record_.desired->wrapped_keks) {
    const bool wraps = std::any_of(deks.begin(), deks.end(), [&](const ObservedDek& dek) { return dek.kek_id == kek.id; });
    if (wraps && record_.NamedAsOwnerKey(kek.root.uri)) HoldOwnerKey(kek.root);
  }
  if (record_.owner_key_held) store_();
}

void NodeHands::LearnEscrow() {
  const DesiredNode& desired = *record_.desired;
  if (!desired.root_is_escrow || (record_.owner_key_held && !config_.allow_return_to_escrow)) return;
  // Calling an owner key escrow would take from the real one what its name stands for.
  if (record_.NamedAsOwnerKey(desired.root.uri) || !MayBeEscrow(desired.root)) return;
  record_.escrow_uri = desired.root.uri;
}

absl::Status NodeHands::Rewrap(const FreshKek& from, const FreshKek& to, int64_t new_dek_generation) {
  const WrappedKek& current = *record_.desired->CurrentKek();
  if (from.kek.id() != to.kek.id()) {
    // The link proves that whoever minted the new one held the old one.
    ASSIGN_OR_RETURN(const Kek reached, DescendTo(to.kek, from.kek.id(), *record_.desired));
    if (!reached.bytes().Equals(from.kek.bytes())) return DataLoss("the chain of KEKs does not lead to the one that wraps the volume");
  }
  const auto grace = GraceFor(current.root);
  VolumeRewrapRequest request{.from = &from.kek,
                              .to = &to.kek,
                              .to_record = &current,
                              .new_dek_generation = new_dek_generation,
                              .asked_at = grace ? std::optional(to.asked_at) : std::nullopt,
                              .grace = grace.value_or(absl::ZeroDuration())};
  RETURN_IF_ERROR(volume_->Rewrap(request).status());
  HoldOwnerKey(current.root);
  store_();
  return absl::OkStatus();
}

bool NodeHands::MayBeEscrow(const RootKey& root) const { return config_.escrow_uri.empty() || root.uri == config_.escrow_uri; }

bool NodeHands::IsEscrow(const RootKey& root) const {
  const std::string& escrow = config_.escrow_uri.empty() ? record_.escrow_uri : config_.escrow_uri;
  return !escrow.empty() && root.uri == escrow;
}

std::optional<absl::Duration> NodeHands::GraceFor(const RootKey& root) const {
  const bool escrow = IsEscrow(root) && !record_.NamedAsOwnerKey(root.uri);
  return escrow ? config_.clocks.escrow_grace : std::optional(config_.clocks.outage_grace);
}

std::string NodeHands::RootProblem() const {
  if (!record_.desired) return "";
  const DesiredNode& desired = *record_.desired;
  if (const absl::Status allowed = CheckRootAllowed(config_, desired.root); !allowed.ok()) return std::string(FromAbsl(allowed.message()));
  if (desired.root_is_escrow && !MayBeEscrow(desired.root)) {
    return absl::StrCat("ROOT_REFUSED: the server calls ", desired.root.uri, " escrow, but escrow_uri in this host's configuration is ",
                        config_.escrow_uri);
  }
  // Whatever the server calls it: the operator's key does not become an owner's by being named as one.
  if ((desired.root_is_escrow || IsEscrow(desired.root)) && record_.owner_key_held && !config_.allow_return_to_escrow) {
    return "ROOT_REFUSED: going back from an owner key to escrow needs allow_return_to_escrow in this host's configuration";
  }
  const WrappedKek* current = desired.CurrentKek();
  if (current != nullptr && current->root != desired.root)
    return "ROOT_REFUSED: the KEK in force names another root key than desired state";
  return "";
}

}  // namespace latchkey
