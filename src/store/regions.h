// The desired state of a cluster in one region: everything that its nodes there share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/root_key.h"
#include "store/database.h"

namespace latchkey {

struct RegionRow {
  std::string cluster_id, name;
  int64_t generation = 1;  // rises with every change of anything that a node of the region is told
  // What was asked for and is not done yet: "CREATE", "ENABLE", "ROTATE", "RESTORE", or empty. Reports count for it from change_generation
  // on.
  std::string change_kind;
  int64_t change_generation = 1;
  RootKey root;
  bool root_is_escrow = true;
  int64_t kek_generation = 1, dek_generation = 1;
  int64_t owner_dek_generation = 0;  // the first DEK that no escrow key could ever open; 0 before CMEK
  bool revoked = false;
  std::string revoked_by;
  std::optional<absl::Time> revoked_at;
  int64_t revoked_generation = 0;  // seals reported at or above it count
  std::string notice;              // something that people should know and that no report tells; empty when all is well
  bool operator==(const RegionRow&) const = default;
};

class Regions {
 public:
  explicit Regions(Transaction& tx) : tx_(tx) {}
  absl::Status Insert(const RegionRow& row);
  // Writes all fields. Aborted when its generation is not `expected_generation` any more: two servers may share the store.
  absl::Status Update(const RegionRow& row, int64_t expected_generation);
  absl::StatusOr<std::vector<RegionRow>> OfCluster(const std::string& cluster_id);  // by name

 private:
  Transaction& tx_;
};

}  // namespace latchkey
