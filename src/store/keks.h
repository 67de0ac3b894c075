// Wrapped KEKs: records that an agent minted and anyone may carry. None is ever changed or deleted, because old backups need them.
#pragma once

#include <string>
#include <vector>

#include "protocol/root_key.h"
#include "store/database.h"

namespace latchkey {

class Keks {
 public:
  explicit Keks(Transaction& tx) : tx_(tx) {}
  // False, and nothing changes, when the region has a KEK of this generation, or any has this id.
  absl::StatusOr<bool> InsertFirst(const WrappedKek& kek, absl::Time now);
  // By region and rising generation. DataLoss when a record cannot be read.
  absl::StatusOr<std::vector<WrappedKek>> OfCluster(const std::string& cluster_id);

 private:
  Transaction& tx_;
};

}  // namespace latchkey
