// The query parameters of lists: pagination.page, .limit, .sort_order, .as_of_time, .sort_by, and paging of lists that are short enough to
// be had whole.
#pragma once

#include <absl/status/statusor.h>

#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <vector>

#include "base/encoding.h"
#include "base/status.h"
#include "control/services.h"
#include "http/message.h"

namespace latchkey::cockroach {

// InvalidArgument names the parameter: limit outside 1–500, an unknown order, a malformed time, an unknown or doubled pagination parameter.
// Unimplemented for a valid as_of_time (there is no reading of the past here) and for an order by anything but the name.
absl::StatusOr<Page> ReadPage(const HttpRequest& request, bool has_sort_by = false);

// A whole number of 1 to `most`, for `name`; `otherwise` when the parameter is absent.
absl::StatusOr<int> ReadLimit(const HttpRequest& request, std::string_view name, int otherwise, int most);
absl::StatusOr<bool> ReadBool(const HttpRequest& request, std::string_view name);
// One of `words`, or empty when absent.
absl::StatusOr<std::string> ReadWord(const HttpRequest& request, std::string_view name, const std::vector<std::string_view>& words);

// {"next_page": …, "previous_page": null}, or null on the last page.
boost::json::value PaginationJson(const std::string& next);

// Cuts `all` (sorted ascending by `key`, keys distinct) down to one page; returns the cursor of the next, empty on the last.
template <typename T, typename Key>
absl::StatusOr<std::string> TakePage(std::vector<T>& all, const Page& page, Key key) {
  if (page.descending) std::reverse(all.begin(), all.end());
  if (!page.after.empty()) {
    const auto decoded = Base64UrlDecode(page.after);
    if (!decoded.ok()) return InvalidArgument("pagination.page: is not a cursor of this list");
    const std::string after(AsText(*decoded));
    const auto passed = [&](const T& item) { return page.descending ? key(item) >= after : key(item) <= after; };
    all.erase(all.begin(), std::find_if_not(all.begin(), all.end(), passed));
  }
  if (all.size() <= static_cast<size_t>(page.limit)) return std::string();
  all.resize(page.limit);
  return Base64UrlEncode(AsBytes(key(all.back())));
}

}  // namespace latchkey::cockroach
