#include "emulator/call_log.h"

#include <algorithm>

#include "base/clock.h"
#include "base/json.h"

namespace latchkey::emulator {

json::object CallRecord::ToJson() const {
  json::object out{{"number", number},
                   {"time", latchkey::FormatTime(time)},
                   {"cloud", cloud},
                   {"service", service},
                   {"operation", operation},
                   {"principal", principal},
                   {"key", key},
                   {"region", region},
                   {"result", result},
                   {"status", status}};
  if (!fault.empty()) out["fault"] = fault;
  return out;
}

void CallLog::Add(CallRecord record) {
  record.number = next_++;
  records_.push_back(std::move(record));
  if (records_.size() > kMost) records_.pop_front();
}

json::object CallLog::Since(int64_t since, size_t limit) const {
  json::array calls;
  auto at = std::lower_bound(records_.begin(), records_.end(), since + 1,
                             [](const CallRecord& record, int64_t number) { return record.number < number; });
  for (; at != records_.end() && calls.size() < limit; ++at) calls.push_back(at->ToJson());
  json::object out{{"last", next_ - 1}, {"oldest", records_.empty() ? next_ : records_.front().number}};
  out["calls"] = std::move(calls);
  return out;
}

}  // namespace latchkey::emulator
