#include "api/cockroach/page.h"

#include <absl/strings/numbers.h>
#include <absl/time/time.h>

#include <array>
#include <set>

namespace latchkey::cockroach {
namespace {

namespace json = boost::json;
constexpr std::string_view kPrefix = "pagination.";
constexpr size_t kLongestCursor = 1024;

// The parameter's value; nullptr when absent.
const std::string* Find(const HttpRequest& request, std::string_view name) {
  for (const auto& [key, value] : request.query) {
    if (key == name) return &value;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<int> ReadLimit(const HttpRequest& request, std::string_view name, int otherwise, int most) {
  const std::string* text = Find(request, name);
  if (text == nullptr) return otherwise;
  int limit = 0;
  if (!absl::SimpleAtoi(*text, &limit) || limit < 1 || limit > most) {
    return InvalidArgument(ToAbsl(name), ": must be a whole number of 1 to ", most);
  }
  return limit;
}

absl::StatusOr<bool> ReadBool(const HttpRequest& request, std::string_view name) {
  const std::string* text = Find(request, name);
  if (text == nullptr || *text == "false") return false;
  if (*text == "true") return true;
  return InvalidArgument(ToAbsl(name), ": must be true or false");
}

absl::StatusOr<std::string> ReadWord(const HttpRequest& request, std::string_view name, const std::vector<std::string_view>& words) {
  const std::string* text = Find(request, name);
  if (text == nullptr) return std::string();
  if (std::find(words.begin(), words.end(), *text) != words.end()) return *text;
  std::string list;
  for (const std::string_view word : words) absl::StrAppend(&list, list.empty() ? "" : ", ", ToAbsl(word));
  return InvalidArgument(ToAbsl(name), ": must be one of ", list);
}

absl::StatusOr<Page> ReadPage(const HttpRequest& request, bool has_sort_by) {
  std::set<std::string_view> seen;
  for (const auto& [key, value] : request.query) {
    if (key.rfind(kPrefix, 0) != 0) continue;
    const std::string_view name = std::string_view(key).substr(kPrefix.size());
    const bool known =
        name == "page" || name == "limit" || name == "sort_order" || name == "as_of_time" || (has_sort_by && name == "sort_by");
    if (!known)
      return InvalidArgument("pagination: has an unknown parameter; known are page, limit, sort_order, as_of_time",
                             has_sort_by ? ", sort_by" : "");
    if (!seen.insert(name).second) return InvalidArgument("pagination.", ToAbsl(name), ": stands twice");
  }
  Page page;
  page.after = request.Query("pagination.page");
  if (page.after.size() > kLongestCursor) return InvalidArgument("pagination.page: is not a cursor of this list");
  ASSIGN_OR_RETURN(page.limit, ReadLimit(request, "pagination.limit", page.limit, 500));
  ASSIGN_OR_RETURN(const std::string order, ReadWord(request, "pagination.sort_order", {"ASC", "DESC"}));
  page.descending = order == "DESC";
  if (const std::string* time = Find(request, "pagination.as_of_time"); time != nullptr && !time->empty()) {
    absl::Time parsed;
    if (!absl::ParseTime(absl::RFC3339_full, *time, &parsed, nullptr))
      return InvalidArgument("pagination.as_of_time: must be an RFC 3339 time");
    return absl::UnimplementedError("pagination.as_of_time: lists show the present only");
  }
  if (has_sort_by) {
    ASSIGN_OR_RETURN(const std::string by, ReadWord(request, "pagination.sort_by", {"NAME", "CREATED_AT", "DELETED_AT"}));
    if (!by.empty() && by != "NAME") return absl::UnimplementedError("pagination.sort_by: lists are sorted by NAME only");
  }
  return page;
}

json::value PaginationJson(const std::string& next) {
  if (next.empty()) return nullptr;
  return json::object{{"next_page", next}, {"previous_page", nullptr}};
}

}  // namespace latchkey::cockroach
