// The sentences of user_message: what happened, which host or key, since when, what to do.
#pragma once

#include <absl/time/time.h>

#include <string>
#include <vector>

#include "control/status.h"
#include "protocol/node.h"
#include "store/regions.h"

namespace latchkey {

// "h1 (last heard 12 s ago)", "h1 (never heard of)".
std::string HostWithLastHeard(const HostFacts& host, absl::Time now);

// "DISABLED since 2026-01-02T03:04:05Z: <the provider's words>. <next step>"; empty when the key is well or was never asked.
// That what is shown of this host is old.
std::string SilentMessage(const HostFacts& host, absl::Time now);
std::string HealthMessage(const KeyHealth& health);

std::string RevokingMessage(const std::vector<std::string>& waiting_for);
std::string RevokedMessage(const RegionRow& region);

// How much file data is under a DEK that the escrow key could open once; −1 where that is not counted yet.
std::string FormerKeyMessage(int64_t bytes, int64_t total);

// The ones that are not empty, each ended by a full stop, with a blank between.
std::string JoinSentences(const std::vector<std::string>& sentences);

// "980 B", "12.3 MiB": powers of 1,024, one decimal from KiB on unless it is zero.
std::string FormatBytes(int64_t bytes);

}  // namespace latchkey
