// The CMEK resource on the wire: bodies of POST, PUT and PATCH, and CMEKClusterInfo.
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <string_view>
#include <vector>

#include "control/services.h"

namespace latchkey::cockroach {

// {"region_specs": [{"region", "key_spec": {"type", "uri", "auth_principal"}}]}. Unknown fields are refused at every level: a misspelt one
// would change which key protects the data. Uri, type and principal are kept byte for byte. InvalidArgument with the field's path;
// permanent (KeyFaultOf) for values that can never do: an unknown type, a region twice, control characters, more than the longest text.
absl::StatusOr<std::vector<RegionKeySpec>> ParseRegionSpecs(std::string_view body);

// {"region", "key_spec": {…}}, one element of the list above, with the same rules; field paths begin at "region" and "key_spec".
absl::StatusOr<RegionKeySpec> ParseKeyTest(std::string_view body);

// RESTORE is ours; the original knows REVOKE only.
enum class CmekAction { kRevoke, kRestore };
absl::StatusOr<CmekAction> ParseCmekAction(std::string_view body);

// CMEKClusterInfo. `region_infos` and each `spec.uri` are always there (the Terraform provider dereferences them unasked); regions by name,
// keys newest first, as they come. Ours beside the documented fields: per key `health` {class, since, last_success, message, next_step},
// per region `bytes_under_former_keys`, `bytes_total` (null: not counted yet) and `waiting_for`.
boost::json::object CmekJson(const CmekView& view);

// {"ok", "host", "steps": [{"step", "ok", "milliseconds", "found"}], "class", "message", "next_step"}; class is OK, a class of failure, or
// UNKNOWN where the host could not try the key.
boost::json::object KeyTestJson(const KeyTestView& view);

}  // namespace latchkey::cockroach
