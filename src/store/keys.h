// The owner keys of a region, the one in force and those before it.
#pragma once

#include <string>
#include <vector>

#include "protocol/root_key.h"
#include "store/database.h"

namespace latchkey {

struct RegionKeyRow {
  std::string id, cluster_id, region;
  int64_t position = 0;  // rising from 1: the highest is in force
  RootKey key;           // byte for byte as it was sent
  std::string status;    // the status word that was derived last; it moves updated_at
  absl::Time created_at, updated_at;
};

class RegionKeys {
 public:
  explicit RegionKeys(Transaction& tx) : tx_(tx) {}
  absl::Status Insert(const RegionKeyRow& row);
  absl::Status SetStatus(const std::string& id, const std::string& status, absl::Time now);
  absl::StatusOr<std::vector<RegionKeyRow>> OfCluster(const std::string& cluster_id);  // by region, newest first

 private:
  Transaction& tx_;
};

}  // namespace latchkey
