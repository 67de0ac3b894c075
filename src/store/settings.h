// What the server knows about itself: organization id, CA. Names are ours.
#pragma once

#include <optional>
#include <string>

#include "store/database.h"

namespace latchkey {

class Settings {
 public:
  explicit Settings(Transaction& tx) : tx_(tx) {}
  absl::StatusOr<std::optional<std::string>> Get(std::string_view name);
  absl::Status Put(std::string_view name, std::string_view value);
  // The next number of a series that starts at 1. Two transactions never get the same one.
  absl::StatusOr<int64_t> Next(std::string_view series);

 private:
  Transaction& tx_;
};

}  // namespace latchkey
