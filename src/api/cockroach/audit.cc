#include "api/cockroach/audit.h"

#include <absl/strings/numbers.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "api/cockroach/page.h"
#include "base/clock.h"
#include "base/status.h"

namespace latchkey::cockroach {
namespace {

namespace json = boost::json;
constexpr int kMostEntries = 1000;
constexpr int kBatch = 200;

using Entries = std::vector<AuditEntry>;

// The original's word where it has one; ours are spelled alike (its clients accept unknown words).
std::string ActionWord(const std::string& action) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kWords = {{{"CLUSTER_CREATE", "CREATE_CLUSTER"},
                                                                                           {"CLUSTER_DELETE", "DELETE_CLUSTER"},
                                                                                           {"CLUSTER_UPDATE", "UPDATE_CLUSTER"},
                                                                                           {"CMEK_ENABLE", "UPDATE_CMEK"},
                                                                                           {"CMEK_ROTATE", "UPDATE_CMEK"},
                                                                                           {"CMEK_REVOKE", "REVOKE_CMEK"},
                                                                                           {"API_KEY_CREATE", "CREATE_API_KEY"},
                                                                                           {"API_KEY_DELETE", "DELETE_API_KEY"}}};
  std::string_view word = action;
  for (const auto& [ours, theirs] : kWords) {
    if (action == ours) word = theirs;
  }
  return absl::StrCat("AUDIT_LOG_ACTION_", ToAbsl(word));
}

// Of the way in that the entry was written with, never of the actor's name: an API key may be called "local" or "agent 7".
json::string_view SourceWord(std::string_view source) {
  if (source == "CLI") return "AUDIT_LOG_SOURCE_CLI";
  if (source == "INTERNAL") return "AUDIT_LOG_SOURCE_INTERNAL";
  return "AUDIT_LOG_SOURCE_CC_API";
}

json::object EntryJson(const AuditEntry& entry) {
  return {{"id", std::to_string(entry.id)},
          {"created_at", latchkey::FormatTime(entry.created_at)},
          {"action", ActionWord(entry.action)},
          {"source", SourceWord(entry.source)},
          {"user_email", ""},
          {"service_account_name", entry.actor},
          {"cluster_id", entry.cluster_id},
          {"cluster_name", entry.cluster_name},
          {"payload", entry.payload},
          {"error", entry.error},
          {"metadata", json::object{{"ip_address", entry.remote}}}};
}

int64_t Moment(const AuditEntry& entry) { return absl::ToUnixMicros(entry.created_at); }

// The smallest id such that no entry up to it lies past `moment`'s edge: the entry after it is the first whose moment is > `moment`
// (`inclusive`: >= `moment`).
absl::StatusOr<int64_t> EdgeOf(Control& control, int64_t moment, bool inclusive) {
  const auto beyond = [&](int64_t id) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const Entries next, control.Audit(id, 1));
    return next.empty() || Moment(next.front()) > moment || (inclusive && Moment(next.front()) == moment);
  };
  int64_t low = 0, high = 1;
  while (true) {
    ASSIGN_OR_RETURN(const bool past, beyond(high));
    if (past || high > std::numeric_limits<int64_t>::max() / 4) break;
    low = high;
    high *= 2;
  }
  ASSIGN_OR_RETURN(const bool from_start, beyond(0));
  if (from_start) return 0;
  while (low + 1 < high) {
    const int64_t middle = low + (high - low) / 2;
    ASSIGN_OR_RETURN(const bool past, beyond(middle));
    (past ? high : low) = middle;
  }
  return high;
}

// From `after` on, at least `limit` entries if there are as many, then to the end of the last one's moment.
absl::StatusOr<Entries> Forward(Control& control, int64_t after, int limit) {
  Entries out;
  while (true) {
    ASSIGN_OR_RETURN(const Entries batch, control.Audit(after, kBatch));
    for (const AuditEntry& entry : batch) {
      if (out.size() >= static_cast<size_t>(limit) && Moment(entry) != Moment(out.back())) return out;
      out.push_back(entry);
      after = entry.id;
    }
    if (batch.empty()) return out;
  }
}

// From `last` backwards, newest first; `ended` when the first entry of the log is among them.
absl::StatusOr<Entries> Backward(Control& control, int64_t last, int limit, bool& ended) {
  Entries out;
  ended = false;
  while (last > 0) {
    const int64_t low = std::max<int64_t>(0, last - kBatch);
    ASSIGN_OR_RETURN(Entries batch, control.Audit(low, static_cast<int>(last - low)));
    std::erase_if(batch, [&](const AuditEntry& entry) { return entry.id > last; });
    for (auto entry = batch.rbegin(); entry != batch.rend(); ++entry) {
      if (out.size() >= static_cast<size_t>(limit) && Moment(*entry) != Moment(out.back())) return out;
      out.push_back(*entry);
    }
    last = low;
  }
  ended = true;
  return out;
}

json::array EntriesJson(const Entries& entries) {
  json::array array;
  array.reserve(entries.size());
  for (const AuditEntry& entry : entries) array.push_back(EntryJson(entry));
  return array;
}

}  // namespace

absl::StatusOr<AuditQuery> ReadAuditQuery(const HttpRequest& request) {
  AuditQuery query;
  if (const std::string text = request.Query("starting_from"); !text.empty()) {
    absl::Time time;
    if (!absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) return InvalidArgument("starting_from: must be an RFC 3339 time");
    query.starting_from = time;
  }
  ASSIGN_OR_RETURN(const std::string order, ReadWord(request, "sort_order", {"ASC", "DESC"}));
  query.descending = order == "DESC";
  ASSIGN_OR_RETURN(query.limit, ReadLimit(request, "limit", query.limit, kMostEntries));
  return query;
}

absl::StatusOr<json::object> AuditPage(Control& control, const AuditQuery& query) {
  json::value next = nullptr;
  Entries entries;
  if (query.descending) {
    const int64_t before = query.starting_from ? absl::ToUnixMicros(*query.starting_from) : std::numeric_limits<int64_t>::max();
    ASSIGN_OR_RETURN(const int64_t last, EdgeOf(control, before, true));
    bool ended = false;
    ASSIGN_OR_RETURN(entries, Backward(control, last, query.limit, ended));
    if (!ended) next = latchkey::FormatTime(entries.back().created_at);
  } else {
    int64_t after = 0;
    if (query.starting_from) {
      ASSIGN_OR_RETURN(after, EdgeOf(control, absl::ToUnixMicros(*query.starting_from), false));
      next = latchkey::FormatTime(*query.starting_from);
    }
    ASSIGN_OR_RETURN(entries, Forward(control, after, query.limit));
    if (!entries.empty()) next = latchkey::FormatTime(entries.back().created_at);
  }
  return json::object{{"entries", EntriesJson(entries)}, {"next_starting_from", std::move(next)}};
}

absl::StatusOr<json::object> OwnAuditPage(Control& control, const HttpRequest& request) {
  int64_t after = 0;
  const std::string text = request.Query("after_id", "0");
  if (!absl::SimpleAtoi(text, &after) || after < 0) return InvalidArgument("after_id: must be a whole number");
  ASSIGN_OR_RETURN(const int limit, ReadLimit(request, "limit", kBatch, kMostEntries));
  ASSIGN_OR_RETURN(const Entries entries, control.Audit(after, limit));
  return json::object{{"entries", EntriesJson(entries)}, {"next_after_id", entries.empty() ? after : entries.back().id}};
}

}  // namespace latchkey::cockroach
