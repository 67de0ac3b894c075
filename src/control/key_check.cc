#include "control/key_check.h"

#include <algorithm>

#include "base/log.h"
#include "base/status.h"
#include "base/utf8.h"
#include "control/messages.h"
#include "protocol/key_type.h"

namespace latchkey {
namespace {

constexpr size_t kMostKeyText = 2048;

std::string FieldOf(size_t i) { return absl::StrCat("region_specs[", i, "]"); }

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

// One form for what names the same key: a vault does not tell case apart, and a version is still the key.
std::string KeyName(const RootKey& key) {
  if (key.type != "AZURE_KEY_VAULT") return key.uri;
  size_t end = 0;  // https://VAULT/keys/NAME[/VERSION]
  for (int slashes = 0; end < key.uri.size() && slashes < 5; ++end) slashes += key.uri[end] == '/' ? 1 : 0;
  std::string name = key.uri.substr(0, end);
  if (name.ends_with('/')) name.pop_back();
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return name;
}

template <typename... Parts>
absl::Status Permanent(const Parts&... parts) {
  return WithKeyFault(InvalidArgument(parts...), KeyFault::kPermanent);
}

struct Question {
  std::string test_id;
  std::string hostname;
};

// `model` may be null: the key is tried for no cluster.
absl::StatusOr<Question> AskHost(Core& core, const ClusterModel* model, const RegionKeySpec& spec) {
  const std::vector<AgentRow> fresh = core.directory.Fresh(spec.region, core.Now());
  if (fresh.empty()) {
    return Unavailable("no host of region ", CutUtf8(spec.region, 64),
                       " was heard of within the last minute, so the key cannot be tested there; try again");
  }
  const AgentRow* chosen = &fresh.front();
  if (const RegionModel* region = model == nullptr ? nullptr : model->FindRegion(spec.region)) {
    for (const AgentRow& agent : fresh) {
      const bool own =
          std::any_of(region->nodes.begin(), region->nodes.end(), [&](const NodeModel& n) { return n.row.agent_id == agent.id; });
      if (!own) continue;
      chosen = &agent;
      break;
    }
  }
  KeyTest test{.id = NewUuid(*core.options.random),
               .cluster_id = model == nullptr ? "" : model->row.id,
               .region = spec.region,
               .root = spec.key,
               .answer_within = core.options.key_test_timeout};
  test.root.external_id = core.organization;
  RETURN_IF_ERROR(core.key_tests.Ask(chosen->id, test));
  core.hub.Notify(chosen->id);
  return Question{test.id, chosen->hostname};
}

absl::Status StatusOfVerdict(const KeyVerdict& verdict, const std::string& field, const std::string& hostname) {
  if (verdict.ok) return absl::OkStatus();
  if (!verdict.failure) return Unavailable(field, ": host ", hostname, " could not test the key: ", verdict.message);
  const FailureClass failure = *verdict.failure;
  const std::string text = absl::StrCat(
      field, ": ", JoinSentences({absl::StrCat(ToAbsl(FailureClassName(failure)), ": ", verdict.message), std::string(NextStep(failure))}));
  if (IsOutage(failure)) return absl::UnavailableError(text);
  return WithKeyFault(absl::InvalidArgumentError(text), failure == FailureClass::kUnsuitable ? KeyFault::kPermanent : KeyFault::kRefused);
}

absl::Status NoAnswer(const std::string& field, const std::string& hostname) {
  return Unavailable(field, ": host ", hostname, " did not answer in time whether the key can be used; try again");
}

}  // namespace

absl::Status CheckKey(const Core& core, const RootKey& key, const std::string& field) {
  if (key.type == "NULL_KMS") return absl::UnimplementedError(absl::StrCat(field, ".type: NULL_KMS is not built"));
  if (!IsKeyType(key.type)) return Permanent(field, ".type: must be one of ", KeyTypeList());
  if (key.uri.empty() || key.uri.size() > kMostKeyText || !IsPrintable(key.uri)) {
    return Permanent(field, ".uri: must be 1 to ", kMostKeyText, " printable ASCII characters without blanks");
  }
  if (key.auth_principal.size() > kMostKeyText || !IsPrintable(key.auth_principal)) {
    return Permanent(field, ".auth_principal: must be at most ", kMostKeyText, " printable ASCII characters without blanks");
  }
  // Else the operator could open an owner's data by naming it as the owner's key.
  if (key.type == core.escrow.type && KeyName(key) == KeyName(core.escrow)) {
    return Permanent(field, ".uri: is the operator's own key, which can be no cluster owner's");
  }
  return absl::OkStatus();
}

absl::StatusOr<KeyTestView> TestOneKey(Core& core, const RegionKeySpec& spec) {
  ASSIGN_OR_RETURN(const Question question, AskHost(core, nullptr, spec));
  std::optional<KeyVerdict> verdict = core.key_tests.Await(question.test_id, core.options.key_test_timeout);
  if (!verdict) return NoAnswer("key_spec", question.hostname);
  KeyTestView view{.host = question.hostname, .ok = verdict->ok, .steps = std::move(verdict->steps)};
  if (view.ok) return view;
  view.failure = verdict->failure;
  view.message = verdict->message;
  if (view.failure) view.next_step = std::string(NextStep(*view.failure));
  return view;
}

absl::Status CheckKeySpecs(const Core& core, const ClusterModel& model, const std::vector<RegionKeySpec>& specs, bool all) {
  if (specs.empty()) return Permanent("region_specs: must name a region");
  std::set<std::string> named;
  for (size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].region.empty()) return Permanent(FieldOf(i), ".region: must not be empty");
    if (model.FindRegion(specs[i].region) == nullptr) {
      return Permanent(FieldOf(i), ".region: '", CutUtf8(specs[i].region, 64), "' is not a region of this cluster");
    }
    if (!named.insert(specs[i].region).second) return Permanent(FieldOf(i), ".region: ", specs[i].region, " is named twice");
    RETURN_IF_ERROR(CheckKey(core, specs[i].key, FieldOf(i) + ".key_spec"));
  }
  if (!all) return absl::OkStatus();
  for (const RegionModel& region : model.regions) {
    if (!named.contains(region.row.name)) {
      return Permanent("region_specs[", specs.size(), "].region: ", region.row.name,
                       " is missing; every region of the cluster must be named");
    }
  }
  return absl::OkStatus();
}

absl::Status TestKeys(Core& core, const ClusterModel& model, const std::vector<RegionKeySpec>& specs) {
  std::vector<Question> questions;
  absl::Status status;
  for (const RegionKeySpec& spec : specs) {
    auto question = AskHost(core, &model, spec);
    if (!question.ok()) {
      status = question.status();
      break;
    }
    questions.push_back(*std::move(question));
  }
  const absl::Time deadline = absl::Now() + core.options.key_test_timeout;
  for (size_t i = 0; i < questions.size(); ++i) {
    // Nobody needs the other answers once one is bad, but each question has to be taken back.
    const absl::Duration left = status.ok() ? std::max(absl::ZeroDuration(), deadline - absl::Now()) : absl::ZeroDuration();
    const auto verdict = core.key_tests.Await(questions[i].test_id, left);
    if (!status.ok()) continue;
    const std::string field = FieldOf(i) + ".key_spec";
    if (!verdict) {
      status = NoAnswer(field, questions[i].hostname);
    } else {
      status = StatusOfVerdict(*verdict, field, questions[i].hostname);
    }
  }
  return status;
}

}  // namespace latchkey
