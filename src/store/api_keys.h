// API keys. Of a secret only its SHA-256 is here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/database.h"

namespace latchkey {

struct ApiKeyRow {
  std::string id, name;
  std::string secret_sha256;  // hex
  std::string created_by;
  absl::Time created_at;
};

class ApiKeys {
 public:
  explicit ApiKeys(Transaction& tx) : tx_(tx) {}
  absl::Status Insert(const ApiKeyRow& row);
  absl::StatusOr<std::optional<ApiKeyRow>> Find(const std::string& id);
  absl::StatusOr<std::vector<ApiKeyRow>> List();  // oldest first
  // False when there is none.
  absl::StatusOr<bool> Delete(const std::string& id);

 private:
  Transaction& tx_;
};

}  // namespace latchkey
