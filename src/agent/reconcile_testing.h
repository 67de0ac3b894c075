// A node as Reconcile sees it, for its tests.
#pragma once

#include "agent/reconcile.h"
#include "base/testing.h"

namespace latchkey {

inline constexpr char kNode[] = "11111111-1111-4111-8111-111111111111";
inline constexpr char kVolume[] = "22222222-2222-4222-8222-222222222222";
inline constexpr char kOtherVolume[] = "33333333-3333-4333-8333-333333333333";

inline WrappedKek Record(int64_t generation, const std::string& uri = "local://escrow") {
  WrappedKek kek;
  kek.id = absl::StrCat("kek", generation);
  kek.context.generation = generation;
  kek.root = {.type = "LOCAL", .uri = uri, .auth_principal = "", .external_id = ""};
  return kek;
}

// A node that was made before and shall run: everything else is said by the tests.
struct Case {
  Case() {
    DesiredNode desired;
    desired.node_id = kNode;
    desired.volume_id = kVolume;
    desired.engine = "postgresql";
    desired.generation = 5;
    desired.wrapped_keks = {Record(1)};
    desired.root = Record(1).root;
    in.record.node_id = kNode;
    in.record.volume_id = kVolume;
    in.record.volume_created = true;
    in.record.engine_initialised = true;
    in.record.highest_generation = 5;
    in.record.desired = desired;
    in.now = absl::Hours(5);
    in.stop_before_lease_end = absl::Seconds(30);
    File();
  }
  DesiredNode& desired() { return *in.record.desired; }
  Case& NeverMade() {
    desired().volume_id.clear();
    in.record.volume_id.clear();
    in.record.volume_created = in.record.engine_initialised = false;
    in.volume = {};
    return *this;
  }
  Case& File(const std::string& id = kVolume, const std::string& kek = "kek1") {
    in.volume.file = VolumeFacts::File::kThere;
    in.volume.volume_id = id;
    in.volume.deks = {{.id = "dek1", .generation = 1, .kek_id = kek, .current = true}};
    return *this;
  }
  Case& Open() {
    in.volume.daemon = in.volume.open = in.volume.mounted = true;
    in.volume.lease_end = in.now + absl::Hours(1);
    in.engine.has_data = true;
    return *this;
  }
  Case& Running() {
    Open();
    in.engine = {.running = true, .known_to_volume = true, .answers = true};
    return *this;
  }
  Decision Decide() const { return Reconcile(in); }
  Inputs in;
};

}  // namespace latchkey
