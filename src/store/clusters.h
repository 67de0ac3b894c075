// Clusters as they were asked for. What they are is derived from their regions and nodes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/database.h"

namespace latchkey {

struct ClusterRow {
  std::string id, name, provider, plan, engine, engine_version, creator_id;
  std::string labels = "{}";  // JSON object of strings
  std::string delete_protection, network_visibility;
  bool paused = false;
  absl::Time created_at, updated_at;
  std::optional<absl::Time> deleted_at;
};

class Clusters {
 public:
  explicit Clusters(Transaction& tx) : tx_(tx) {}
  // AlreadyExists when another cluster that is not deleted has the name.
  absl::Status Insert(const ClusterRow& row);
  absl::StatusOr<std::optional<ClusterRow>> Find(const std::string& id);
  absl::Status Touch(const std::string& id, absl::Time now);
  absl::Status MarkDeleted(const std::string& id, absl::Time now);
  absl::Status SetDeleteProtection(const std::string& id, const std::string& word, absl::Time now);
  struct Name {
    std::string id, name;
  };
  // By name and id, those behind (after_name, after_id) in that order. Empty `after_id`: from the start.
  absl::StatusOr<std::vector<Name>> Names(const std::string& after_name, const std::string& after_id, bool descending, bool with_deleted,
                                          int64_t limit);

 private:
  Transaction& tx_;
};

}  // namespace latchkey
