// The audit log in the original's own scheme of paging, by time: GET /auditlogevents.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <optional>

#include "control/services.h"
#include "http/message.h"

namespace latchkey::cockroach {

struct AuditQuery {
  std::optional<absl::Time> starting_from;  // exclusive
  bool descending = false;
  int limit = 200;
};
// starting_from (RFC 3339), sort_order (ASC, DESC; default ASC), limit (1–1,000). InvalidArgument names the parameter.
absl::StatusOr<AuditQuery> ReadAuditQuery(const HttpRequest& request);

// ListAuditLogsResponse. A page holds every entry of its last moment, so it may be longer than `limit`: the cursor is a time and would skip
// the rest. Ascending, there is a next_starting_from as soon as there was an entry or a starting_from; descending, it is null at the end.
// Times have microseconds. The log is searched by bisection, which needs its times to rise: where the server's clock was set back, use GET
// /latchkey/audit, whose cursor is the entry's number.
absl::StatusOr<boost::json::object> AuditPage(Control& control, const AuditQuery& query);

// Our own list by entry number: after_id (default 0), limit (1–1,000, default 200); {"entries": […], "next_after_id": n}, n to be asked for
// next.
absl::StatusOr<boost::json::object> OwnAuditPage(Control& control, const HttpRequest& request);

}  // namespace latchkey::cockroach
