#include "emulator/faults.h"

#include <array>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "emulator/arn.h"

namespace latchkey::emulator {
namespace {

constexpr std::array<std::string_view, 7> kActions = {"delay", "throttle", "error", "drop", "truncate", "corrupt", "other-bytes"};
constexpr int64_t kLongestDelay = 600'000;

bool IsWord(std::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == std::string_view::npos;
}

// "KMSInternalException", or two words where a service's errors have two ("Forbidden/KeyDisabled").
bool IsErrorType(std::string_view text) {
  const size_t slash = text.find('/');
  return IsWord(text.substr(0, slash)) && (slash == std::string_view::npos || IsWord(text.substr(slash + 1)));
}

}  // namespace

json::object Fault::ToJson() const {
  json::object out{{"operation", operation}, {"action", action}, {"delay_ms", delay_ms}, {"times", times}};
  if (action == "error") {
    out["status"] = status;
    out["type"] = type;
    out["message"] = message;
  }
  return out;
}

absl::StatusOr<Fault> Fault::FromJson(const json::object& object) {
  JsonReader reader(object);
  Fault fault;
  fault.operation = reader.OptionalString("operation", "*");
  fault.action = reader.String("action");
  fault.delay_ms = reader.OptionalInt("delay_ms", 0);
  const int64_t status = reader.OptionalInt("status", 500);
  fault.type = reader.OptionalString("type");
  fault.message = reader.OptionalString("message");
  fault.times = reader.OptionalInt("times", 1);
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  if (fault.operation != "*" && !IsWord(fault.operation)) return InvalidArgument("operation: must be the name of an operation or \"*\"");
  bool known = false;
  for (std::string_view action : kActions) known |= action == fault.action;
  if (!known) return InvalidArgument("action: must be delay, throttle, error, drop, truncate, corrupt or other-bytes");
  if (fault.delay_ms < 0 || fault.delay_ms > kLongestDelay) return InvalidArgument("delay_ms: must be 0 to ", kLongestDelay);
  if (fault.action == "delay" && fault.delay_ms == 0) return InvalidArgument("delay_ms: must be above 0 for a delay");
  if (status < 400 || status > 599) return InvalidArgument("status: must be 400 to 599");
  if (!fault.type.empty() && !IsErrorType(fault.type)) return InvalidArgument("type: must be one word, or two with / between them");
  if (fault.message.size() > 1024) return InvalidArgument("message: longer than 1024 bytes");
  if (fault.times < 1 || fault.times > 1'000'000) return InvalidArgument("times: must be 1 to 1000000");
  fault.status = static_cast<int>(status);
  return fault;
}

absl::Status FaultPlan::Enqueue(Fault fault) {
  if (waiting_ >= kMost) return absl::ResourceExhaustedError("faults: too many are waiting");
  ++waiting_;
  std::string operation = fault.operation;
  queues_[operation].push_back(std::move(fault));
  return absl::OkStatus();
}

absl::Status FaultPlan::Stand(Fault fault) {
  if (standing_.size() >= kMost) return absl::ResourceExhaustedError("faults: too many are standing");
  std::string operation = fault.operation;
  standing_.insert_or_assign(std::move(operation), std::move(fault));
  return absl::OkStatus();
}

void FaultPlan::Clear() { *this = FaultPlan(); }

std::optional<Fault> FaultPlan::Next(const std::string& operation, bool* changed) {
  for (const std::string& name : {operation, std::string("*")}) {
    const auto queue = queues_.find(name);
    if (queue == queues_.end()) continue;
    Fault fault = queue->second.front();
    *changed = true;
    if (--queue->second.front().times == 0) {
      queue->second.pop_front();
      --waiting_;
    }
    if (queue->second.empty()) queues_.erase(queue);
    return fault;
  }
  for (const std::string& name : {operation, std::string("*")}) {
    if (const auto found = standing_.find(name); found != standing_.end()) return found->second;
  }
  return std::nullopt;
}

json::object FaultPlan::ToJson() const {
  json::array queue, standing;
  for (const auto& [operation, faults] : queues_) {
    for (const Fault& fault : faults) queue.push_back(fault.ToJson());
  }
  for (const auto& [operation, fault] : standing_) standing.push_back(fault.ToJson());
  return {{"queue", std::move(queue)}, {"standing", std::move(standing)}};
}

absl::StatusOr<FaultPlan> FaultPlan::FromJson(const json::object& object) {
  FaultPlan plan;
  JsonReader reader(object, "faults");
  for (const char* name : {"queue", "standing"}) {
    const json::array* list = reader.Array(name);
    RETURN_IF_ERROR(reader.status());
    for (const json::value& item : *list) {
      if (!item.is_object()) return InvalidArgument("faults.", name, ": must hold objects");
      ASSIGN_OR_RETURN(Fault fault, Fault::FromJson(item.get_object()));
      RETURN_IF_ERROR(name[0] == 'q' ? plan.Enqueue(std::move(fault)) : plan.Stand(std::move(fault)));
    }
  }
  return plan;
}

}  // namespace latchkey::emulator
