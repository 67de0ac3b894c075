#include "emulator/gcp/page.h"

#include <algorithm>
#include <charconv>

#include "base/json.h"
#include "base/status.h"

namespace latchkey::emulator::gcp {
namespace {

constexpr size_t kUsualPage = 100, kLargestPage = 1000;

// Empty is 0.
std::optional<size_t> CountOf(const std::string& text) {
  size_t out = 0;
  if (text.empty()) return out;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || text.size() > 9) return std::nullopt;
  return out;
}

}  // namespace

KmsResult Page(const KmsCall& call, std::string_view member, json::array all) {
  if (!call.Query("filter").empty() || !call.Query("orderBy").empty()) {
    return absl::UnimplementedError("The emulator has no filter and no order_by.");
  }
  const std::optional<size_t> size = CountOf(call.Query("pageSize"));
  const std::optional<size_t> from = CountOf(call.Query("pageToken"));
  if (!size) return InvalidArgument("Invalid page_size.");
  if (!from || *from > all.size()) return InvalidArgument("Invalid page_token.");
  const size_t wanted = *size == 0 ? kUsualPage : std::min(*size, kLargestPage);
  const size_t end = std::min(all.size(), *from + wanted);
  json::array part(all.begin() + static_cast<std::ptrdiff_t>(*from), all.begin() + static_cast<std::ptrdiff_t>(end));
  json::object out{{"totalSize", all.size()}};
  out[member] = std::move(part);
  if (end < all.size()) out["nextPageToken"] = std::to_string(end);
  return out;
}

}  // namespace latchkey::emulator::gcp
