// The schema and its history. Each version is one list of statements that runs in one transaction with the note that it ran.
#pragma once

#include <absl/status/status.h>

#include "store/database.h"

namespace latchkey {

// The version that this program writes.
int64_t SchemaVersion();

// Brings the database up to SchemaVersion(). FailedPrecondition when its schema is newer than this program: an older program must not write
// what it does not know.
absl::Status Migrate(Database& database, absl::Time now);

}  // namespace latchkey
