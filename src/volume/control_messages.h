// What is said over a volume daemon's control socket (base/control_socket.h). Keys travel as the message's secret, never in the JSON.
//
//   {"op": "status"} · {"op": "count"}                                                   → status
//   {"op": "open", "kek": KEK, "asked_at_ns"?, "grace_ns", "create_volume_id", "dek_generation", "expect_volume_id"}    secret: KEK (32)  →
//   status
//   {"op": "renew", "context": CONTEXT, "asked_at_ns", "grace_ns"}                       secret: KEK (32)  → {}
//   {"op": "rewrap", "from": CONTEXT, "to": KEK, "new_dek_generation", "asked_at_ns"?, "grace_ns"}    secret: from ‖ to (64)  → status
//   {"op": "engine", "pid", "start_ticks"}                                               → {}
//   {"op": "seal", "reason", "timeout_ns"}                                               → {}
//
// KEK is a wrapped KEK's record (protocol/root_key.h); CONTEXT is {"organization", "cluster", "region", "generation"}.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <string>

#include "base/control_socket.h"
#include "base/json.h"
#include "volume/client.h"

namespace latchkey {

json::object ToJson(const VolumeStatus& status);
absl::StatusOr<VolumeStatus> VolumeStatusFromJson(const json::object& object);

json::object ToJson(const KekContext& context);
absl::StatusOr<KekContext> KekContextFromJson(const json::object& object, const std::string& path);

int64_t ToNanoseconds(absl::Duration d);

}  // namespace latchkey
