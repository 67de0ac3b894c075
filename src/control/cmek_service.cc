#include "control/cmek_service.h"

#include <algorithm>

#include "base/log.h"
#include "base/status.h"
#include "base/utf8.h"
#include "control/key_check.h"
#include "control/views.h"

namespace latchkey {
namespace {

bool SameKey(const RootKey& a, const RootKey& b) { return a.type == b.type && a.uri == b.uri && a.auth_principal == b.auth_principal; }

bool IsKeyChange(const RegionRow& row) { return row.change_kind == kChangeEnable || row.change_kind == kChangeRotate; }

json::object PayloadOf(const std::vector<RegionKeySpec>& specs) {
  json::array list;
  for (const RegionKeySpec& spec : specs) {
    if (list.size() >= 100) break;
    list.push_back({{"region", CutUtf8(spec.region, 64)},
                    {"type", CutUtf8(spec.key.type, 64)},
                    {"uri", CutUtf8(spec.key.uri, 2048)},
                    {"auth_principal", CutUtf8(spec.key.auth_principal, 2048)}});
  }
  return {{"region_specs", list}};
}

// What a key test must find unchanged when its verdict is used.
struct Stand {
  int64_t change_generation = 0, revoked_generation = 0;
  bool revoked = false, escrow = false;
  bool operator==(const Stand&) const = default;
};
Stand StandOf(const RegionModel& region) {
  return {region.row.change_generation, region.row.revoked_generation, region.row.revoked, region.row.root_is_escrow};
}

class Service : public CmekService {
 public:
  explicit Service(Core& core) : core_(core) {}

  absl::StatusOr<CmekView> Get(const std::string& cluster_id) override {
    ASSIGN_OR_RETURN(const auto model, LiveCluster(core_, cluster_id));
    return MakeCmekView(core_, *model);
  }

  absl::StatusOr<CmekView> Enable(const Caller& caller, const std::string& cluster_id, const std::vector<RegionKeySpec>& specs) override {
    return Answer(caller, "CMEK_ENABLE", cluster_id, PayloadOf(specs), ChangeKeys(caller, cluster_id, specs, Verb::kEnable));
  }

  absl::StatusOr<CmekView> Update(const Caller& caller, const std::string& cluster_id, const std::vector<RegionKeySpec>& specs) override {
    return Answer(caller, "CMEK_ROTATE", cluster_id, PayloadOf(specs), ChangeKeys(caller, cluster_id, specs, Verb::kUpdate));
  }

  absl::StatusOr<CmekView> Revoke(const Caller& caller, const std::string& cluster_id) override {
    const absl::Status status = core_.ChangeCluster(cluster_id, [&](Transaction& tx, ClusterModel& model) -> absl::Status {
      if (model.deleted()) return NoSuchCluster(cluster_id);
      bool owned = false, changed = false;
      json::array names;
      for (RegionModel& region : model.regions) {
        if (region.row.root_is_escrow) continue;
        owned = true;
        if (region.row.revoked) continue;
        changed = true;
        names.emplace_back(region.row.name);
        region.row.revoked = true;
        region.row.revoked_by = ActorName(caller);
        region.row.revoked_at = core_.Now();
        region.row.revoked_generation = region.Raise();
        if (region.row.change_kind == kChangeRestore) region.row.change_kind.clear();
      }
      if (!owned) return InvalidArgument("action: CMEK is not enabled on this cluster, so there is no owner key to revoke");
      return changed ? core_.Audit(tx, caller, "CMEK_REVOKE", &model.row, {{"regions", names}}) : absl::OkStatus();
    });
    return Answer(caller, "CMEK_REVOKE", cluster_id, {}, status);
  }

  absl::StatusOr<CmekView> Restore(const Caller& caller, const std::string& cluster_id) override {
    const absl::Status status = core_.ChangeCluster(cluster_id, [&](Transaction& tx, ClusterModel& model) -> absl::Status {
      if (model.deleted()) return NoSuchCluster(cluster_id);
      bool owned = false, changed = false;
      json::array names;
      for (RegionModel& region : model.regions) {
        owned |= !region.row.root_is_escrow;
        if (!region.row.revoked) continue;
        changed = true;
        names.emplace_back(region.row.name);
        region.row.revoked = false;
        region.row.revoked_by.clear();
        region.row.revoked_at.reset();
        region.row.notice.clear();
        // A change that the revocation interrupted goes on; it alone decides when the region is ENABLED.
        region.row.change_generation = region.Raise();
        if (region.row.change_kind.empty()) region.row.change_kind = kChangeRestore;
      }
      if (!owned && !changed) return InvalidArgument("action: CMEK is not enabled on this cluster, so there is nothing to restore");
      return changed ? core_.Audit(tx, caller, "CMEK_RESTORE", &model.row, {{"regions", names}}) : absl::OkStatus();
    });
    return Answer(caller, "CMEK_RESTORE", cluster_id, {}, status);
  }

  absl::StatusOr<KeyTestView> Test(const Caller& caller, const RegionKeySpec& spec) override {
    json::object payload = PayloadOf({spec});
    absl::StatusOr<KeyTestView> view = TryKey(spec);
    if (!view.ok()) {
      core_.AuditRefusal(caller, "KEY_TEST", "", payload, view.status());
      return view;
    }
    payload["host"] = view->host;
    payload["ok"] = view->ok;
    if (view->failure) payload["class"] = FailureClassName(*view->failure);
    if (const absl::Status written =
            core_.database->Write([&](Transaction& tx) { return core_.Audit(tx, caller, "KEY_TEST", nullptr, payload); });
        !written.ok())
      return written;
    return view;
  }

 private:
  absl::StatusOr<KeyTestView> TryKey(const RegionKeySpec& spec) {
    if (spec.region.empty()) return WithKeyFault(InvalidArgument("region: must not be empty"), KeyFault::kPermanent);
    RETURN_IF_ERROR(CheckKey(core_, spec.key, "key_spec"));
    return TestOneKey(core_, spec);
  }

  enum class Verb { kEnable, kUpdate };

  absl::StatusOr<CmekView> Answer(const Caller& caller, std::string_view action, const std::string& cluster_id, const json::object& payload,
                                  const absl::Status& status) {
    if (!status.ok()) {
      core_.AuditRefusal(caller, action, cluster_id, payload, status);
      return status;
    }
    return Get(cluster_id);
  }

  // The specs that ask for something that is not under way or done already, and whether they may be had. An empty list: nothing is to be
  // changed.
  absl::StatusOr<std::vector<RegionKeySpec>> Pending(const ClusterModel& model, const std::vector<RegionKeySpec>& specs, Verb verb) {
    const std::vector<RegionStatus> statuses = core_.Derive(model);
    const ClusterStatus cluster = DeriveCluster(model, statuses);
    std::vector<RegionKeySpec> pending;
    bool other_keys = false;
    for (const RegionKeySpec& spec : specs) {
      const RegionModel& region = *model.FindRegion(spec.region);
      const RegionStatus& status = statuses[static_cast<size_t>(&region - model.regions.data())];
      const bool same = !region.row.root_is_escrow && SameKey(region.row.root, spec.key);
      // The same key again re-wraps under its newest version, unless that is just being done: a client that got no answer asks twice.
      const bool under_way = same && IsKeyChange(region.row) && !status.change_done && !status.change_failed;
      if (verb == Verb::kEnable ? same : under_way) continue;
      other_keys |= verb == Verb::kEnable && !region.row.root_is_escrow;
      pending.push_back(spec);
    }
    if (pending.empty()) return pending;
    const bool creating =
        std::any_of(model.regions.begin(), model.regions.end(), [](const RegionModel& r) { return r.row.change_kind == kChangeCreate; });
    if (cluster.busy && (verb == Verb::kEnable || creating)) return Busy(cluster);
    if (creating && cluster.state == "CREATION_FAILED") {
      return absl::AbortedError("the cluster could not be created, so it has no data to put under a key; see its nodes, or delete it");
    }
    if (other_keys) return absl::AbortedError("CMEK is enabled with another key already; use an update (PUT) to rotate to this one");
    return pending;
  }

  absl::Status ChangeKeys(const Caller& caller, const std::string& cluster_id, const std::vector<RegionKeySpec>& specs, Verb verb) {
    ASSIGN_OR_RETURN(const auto before, LiveCluster(core_, cluster_id));
    RETURN_IF_ERROR(CheckKeySpecs(core_, *before, specs, verb == Verb::kEnable));
    ASSIGN_OR_RETURN(const auto pending, Pending(*before, specs, verb));
    if (pending.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(TestKeys(core_, *before, pending));
    return core_.ChangeCluster(cluster_id, [&](Transaction& tx, ClusterModel& model) -> absl::Status {
      if (model.deleted()) return NoSuchCluster(cluster_id);
      ASSIGN_OR_RETURN(const auto still, Pending(model, specs, verb));
      if (still.empty()) return absl::OkStatus();
      for (const RegionKeySpec& spec : still) {
        const RegionModel* then = before->FindRegion(spec.region);
        RegionModel* now = model.FindRegion(spec.region);
        if (then == nullptr || StandOf(*then) != StandOf(*now)) {
          return Unavailable("the cluster was changed by somebody else while the key was tested; look at it and try again");
        }
      }
      bool enables = false;
      for (const RegionKeySpec& spec : still) {
        RegionModel& region = *model.FindRegion(spec.region);
        enables |= region.row.root_is_escrow;
        RETURN_IF_ERROR(TakeKey(tx, region, spec.key));
      }
      return core_.Audit(tx, caller, enables ? "CMEK_ENABLE" : "CMEK_ROTATE", &model.row, PayloadOf(still));
    });
  }

  absl::Status TakeKey(Transaction& tx, RegionModel& region, const RootKey& key) {
    RegionRow& row = region.row;
    if (row.root_is_escrow) {
      // The escrow key could open the DEK that is there, so new data gets one that it never could.
      row.change_kind = kChangeEnable;
      row.owner_dek_generation = ++row.dek_generation;
    } else if (row.change_kind != kChangeEnable) {
      row.change_kind = kChangeRotate;
    }
    const bool again = !row.root_is_escrow && SameKey(row.root, key);
    row.root = key;
    row.root.external_id = core_.organization;
    row.root_is_escrow = false;
    // Each KEK is minted with the one before it, so no generation may be left out: one that has no KEK yet is taken for this root key.
    if (region.CurrentKek() != nullptr) ++row.kek_generation;
    row.notice.clear();
    row.change_generation = region.Raise();
    if (again) return absl::OkStatus();
    RegionKeyRow entry{.id = NewUuid(*core_.options.random),
                       .cluster_id = row.cluster_id,
                       .region = row.name,
                       .position = region.keys.empty() ? 1 : region.keys.front().position + 1,
                       .key = row.root,
                       .status = "ENABLING",
                       .created_at = core_.Now(),
                       .updated_at = core_.Now()};
    RETURN_IF_ERROR(RegionKeys(tx).Insert(entry));
    region.keys.insert(region.keys.begin(), std::move(entry));
    return absl::OkStatus();
  }

  Core& core_;
};

}  // namespace

std::unique_ptr<CmekService> MakeCmekService(Core& core) { return std::make_unique<Service>(core); }

}  // namespace latchkey
