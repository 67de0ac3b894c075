// How many bytes of file content stand under each DEK: a walk of all headers in the lower folder, beside the running file system.
#pragma once

#include <absl/status/statusor.h>

#include <atomic>
#include <map>
#include <string>

#include "volume/format.h"

namespace latchkey {

// Lower sizes by DEK id. Files without content or without a header count for none; those that vanish meanwhile are left out. Aborted when
// `stop` becomes true.
absl::StatusOr<std::map<DekIdBytes, int64_t>> CountBytesByDek(const std::string& data_folder, const std::atomic<bool>& stop);

}  // namespace latchkey
