#include "protocol/sync.h"

#include <algorithm>

#include "base/status.h"
#include "base/utf8.h"
#include "protocol/fields.h"

namespace latchkey {

json::object KeyTest::ToJson() const {
  return {{"id", id},
          {"cluster_id", cluster_id},
          {"region", region},
          {"root", root.ToJson()},
          {"answer_within_ms", absl::ToInt64Milliseconds(answer_within)}};
}

absl::StatusOr<KeyTest> KeyTest::FromJson(const json::object& object, const std::string& path) {
  JsonReader reader(object, path);
  KeyTest test;
  test.id = reader.String("id");
  test.cluster_id = reader.OptionalString("cluster_id");
  test.region = reader.OptionalString("region");
  constexpr int64_t kLongestMs = 3'600'000;
  test.answer_within = absl::Milliseconds(std::clamp<int64_t>(reader.OptionalInt("answer_within_ms", 20'000), 0, kLongestMs));
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(test.root, ReadRecord<RootKey>(reader, "root"));
  return test;
}

json::object KeyVerdictStep::ToJson() const { return {{"step", name}, {"ok", ok}, {"microseconds", microseconds}, {"found", found}}; }

absl::StatusOr<KeyVerdictStep> KeyVerdictStep::FromJson(const json::object& object, const std::string& path) {
  // Longer than any call may last, and far from where sums overflow.
  constexpr int64_t kLongest = int64_t{3600} * 1'000'000;
  JsonReader reader(object, path);
  KeyVerdictStep step;
  step.name = CutUtf8(reader.String("step"), KeyVerdict::kLongestName);
  step.ok = reader.OptionalBool("ok", false);
  step.microseconds = std::clamp<int64_t>(reader.OptionalInt("microseconds", 0), 0, kLongest);
  step.found = CutUtf8(reader.OptionalString("found"), KeyVerdict::kLongestText);
  RETURN_IF_ERROR(reader.status());
  return step;
}

json::object KeyVerdict::ToJson() const {
  json::object object = {{"test_id", test_id}, {"ok", ok}};
  if (failure) object["failure"] = FailureClassName(*failure);
  object["message"] = message;
  object["steps"] = ToArray(steps);
  return object;
}

absl::StatusOr<KeyVerdict> KeyVerdict::FromJson(const json::object& object, const std::string& path) {
  JsonReader reader(object, path);
  KeyVerdict verdict;
  verdict.test_id = reader.String("test_id");
  verdict.ok = reader.OptionalBool("ok", false);
  if (const std::string name = reader.OptionalString("failure"); !name.empty()) {
    verdict.failure = FailureClassFromName(name);
    if (!verdict.failure) reader.Fault("failure", "is not a known class of failure");
  }
  verdict.message = CutUtf8(reader.OptionalString("message"), kLongestMessage);
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(verdict.steps, ReadRecords<KeyVerdictStep>(reader, "steps"));
  if (verdict.steps.size() > kMostSteps) verdict.steps.resize(kMostSteps);
  return verdict;
}

json::object SyncRequest::ToJson() const {
  json::array warning_list;
  for (const std::string& warning : warnings) warning_list.emplace_back(warning);
  return {
      {"boot_id", boot_id},      {"sequence", sequence},           {"seen_version", seen_version},
      {"wait_ms", wait_ms},      {"hostname", hostname},           {"advertise_host", advertise_host},
      {"region", region},        {"agent_version", agent_version}, {"warnings", std::move(warning_list)},
      {"nodes", ToArray(nodes)}, {"verdicts", ToArray(verdicts)},
  };
}

absl::StatusOr<SyncRequest> SyncRequest::FromJson(const json::object& object) {
  JsonReader reader(object);
  SyncRequest request;
  request.boot_id = reader.String("boot_id");
  request.sequence = reader.Int("sequence");
  request.seen_version = reader.Int("seen_version");
  request.wait_ms = reader.OptionalInt("wait_ms", 0);
  request.hostname = reader.OptionalString("hostname");
  request.advertise_host = reader.OptionalString("advertise_host");
  request.region = reader.OptionalString("region");
  request.agent_version = reader.OptionalString("agent_version");
  if (request.wait_ms < 0 || request.wait_ms > kMaxSyncWaitMs) {
    reader.Fault("wait_ms", absl::StrCat("must be 0 to ", kMaxSyncWaitMs));
  }
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(request.warnings, ReadStrings(reader, "warnings"));
  ASSIGN_OR_RETURN(request.nodes, ReadRecords<ObservedNode>(reader, "nodes"));
  ASSIGN_OR_RETURN(request.verdicts, ReadRecords<KeyVerdict>(reader, "verdicts"));
  return request;
}

json::object SyncResponse::ToJson() const { return {{"version", version}, {"nodes", ToArray(nodes)}, {"key_tests", ToArray(key_tests)}}; }

absl::StatusOr<SyncResponse> SyncResponse::FromJson(const json::object& object) {
  JsonReader reader(object);
  SyncResponse response;
  response.version = reader.Int("version");
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(response.nodes, ReadRecords<DesiredNode>(reader, "nodes"));
  ASSIGN_OR_RETURN(response.key_tests, ReadRecords<KeyTest>(reader, "key_tests"));
  return response;
}

}  // namespace latchkey
