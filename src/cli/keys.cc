#include <absl/strings/str_format.h>

#include <cstdio>

#include "base/json.h"
#include "base/status.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/kms_options.h"
#include "cli/options.h"
#include "cli/table.h"
#include "kms/grants.h"
#include "kms/kms.h"
#include "kms/local/local_kms.h"
#include "protocol/key_type.h"

namespace latchkey {
namespace {

struct Args {
  KmsArgs kms;
  ApiOptions api;
  std::string region, file, form = "commands", caller;
};

std::string RemedyFor(const Args& args, const RootKey& key, const std::vector<KeyTestStep>& steps, FailureClass failure) {
  const bool told = !steps.empty() && !steps.back().ok;
  return Remedy({.key = key, .caller = args.caller}, told ? steps.back().name : "", failure);
}

void PrintTable(const std::vector<KeyTestStep>& steps) {
  for (const KeyTestStep& step : steps) {
    std::printf("%s  %-12s %8.1f ms  %s\n", step.ok ? "ok    " : "FAILED", Printable(step.name).c_str(),
                absl::ToDoubleMilliseconds(step.took), Printable(step.found).c_str());
  }
}

void PrintFailure(FailureClass failure, const std::string& remedy) {
  std::printf("\n%s\n%s\n\n", std::string(FailureClassName(failure)).c_str(), remedy.c_str());
}

absl::Status TestHere(const Args& args) {
  ASSIGN_OR_RETURN(const KmsSet kms, KmsFor(args.kms));
  const RootKey key = KeyOf(args.kms);
  std::vector<KeyTestStep> steps;
  KmsContext context = {{"latchkey:purpose", "key test"}};
  if (!key.external_id.empty()) context["latchkey:organization"] = key.external_id;
  const absl::Status status = TestKey(kms, key, context, &steps, {.begin_within = absl::InfiniteDuration()});
  const std::optional<FailureClass> failure = FailureClassOf(status);
  const std::string remedy = failure ? RemedyFor(args, key, steps, *failure) : "";
  if (args.api.json()) {
    json::array done;
    for (const KeyTestStep& step : steps) {
      done.push_back(
          {{"step", step.name}, {"ok", step.ok}, {"milliseconds", absl::ToDoubleMilliseconds(step.took)}, {"found", step.found}});
    }
    json::object out{{"ok", status.ok()}, {"steps", std::move(done)}};
    if (failure) {
      out["class"] = std::string(FailureClassName(*failure));
      out["message"] = std::string(status.message());
      out["next_step"] = std::string(NextStep(*failure));
      out["remedy"] = remedy;
    }
    std::printf("%s\n", json::serialize(out).c_str());
    return status;
  }
  PrintTable(steps);
  if (failure) PrintFailure(*failure, remedy);
  return status;
}

// What belongs to the host that tries the key is not taken from here.
absl::Status CheckForRegion(const KmsArgs& kms) {
  const std::pair<const char*, bool> kHosts[] = {
      {"--external-id", !kms.key.external_id.empty()}, {"--as-caller", kms.as_caller},
      {"--agent-config", !kms.agent_config.empty()},   {"--connection", !kms.connections.empty()},
      {"--kms-endpoint", !kms.kms_endpoint.empty()},   {"--sts-endpoint", !kms.sts_endpoint.empty()},
      {"--kms-ca-file", !kms.ca_file.empty()},         {"--profile", !kms.profile.empty()}};
  for (const auto& [name, given] : kHosts) {
    if (given) return InvalidArgument(name, ": goes with a test from this host; with --region a host of the region has its own");
  }
  return absl::OkStatus();
}

std::vector<KeyTestStep> StepsOf(const json::object& answer) {
  std::vector<KeyTestStep> steps;
  for (const json::value& value : ArrayOf(answer, "steps")) {
    const json::object* step = value.if_object();
    if (step == nullptr) continue;
    const json::value* took = step->if_contains("milliseconds");
    const double milliseconds = took != nullptr && took->is_number() ? took->to_number<double>() : 0;
    steps.push_back({TextOf(*step, "step"), absl::Milliseconds(milliseconds), TextOf(*step, "found"), TextOf(*step, "ok") == "true"});
  }
  return steps;
}

absl::Status TestInRegion(const Args& args) {
  RETURN_IF_ERROR(CheckForRegion(args.kms));
  ASSIGN_OR_RETURN(const ApiClient client, ApiClient::Create(args.api));
  RootKey key = KeyOf(args.kms);
  const json::object question = {{"region", args.region},
                                 {"key_spec", {{"type", key.type}, {"uri", key.uri}, {"auth_principal", key.auth_principal}}}};
  ASSIGN_OR_RETURN(json::object answer, client.Send("POST", "/api/v1/key-tests", question));
  const std::vector<KeyTestStep> steps = StepsOf(answer);
  const bool ok = TextOf(answer, "ok") == "true";
  const std::optional<FailureClass> failure = ok ? std::nullopt : FailureClassFromName(TextOf(answer, "class"));
  std::string remedy;
  if (failure) {
    // A trust policy binds it.
    if (const auto organization = client.Get("/api/v1/organization"); organization.ok()) key.external_id = TextOf(*organization, "id");
    remedy = RemedyFor(args, key, steps, *failure);
  }
  if (args.api.json()) {
    if (failure) answer["remedy"] = remedy;
    std::printf("%s\n", json::serialize(answer).c_str());
  } else {
    PrintTable(steps);
    if (failure) PrintFailure(*failure, remedy);
  }
  if (ok) return absl::OkStatus();
  const std::string message = absl::StrCat("host ", Printable(TextOf(answer, "host")), ": ", Printable(TextOf(answer, "message")));
  return failure ? KmsError(*failure, message) : absl::UnavailableError(message);
}

absl::Status Test(const Args& args) { return args.region.empty() ? TestHere(args) : TestInRegion(args); }

absl::Status PrintPolicy(const Args& args) {
  const GrantForm form = args.form == "policy"      ? GrantForm::kPolicy
                         : args.form == "terraform" ? GrantForm::kTerraform
                                                    : GrantForm::kCommands;
  ASSIGN_OR_RETURN(const std::string text, Grants({.key = args.kms.key, .caller = args.caller}, form));
  std::fputs(text.c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace

Command KeysCommand() {
  auto args = std::make_shared<Args>();
  const CommandOption caller = {.names = "--caller",
                                .help = "who this host is to the owner: ARN, Google service account, Azure application id, Vault role",
                                .target = &args->caller};
  Command group{.name = "keys", .summary = "try a root key from this host or a region, see what its owner must grant, make a local one"};
  group.children.push_back(
      {.name = "test",
       .summary = "walk the chain with a key: form, credentials, identity, describe, wrap, unwrap, context",
       .details = "Runs on this host with this host's credentials, as its agent would; with --region the server has a host of that region "
                  "do it. Stops at the first failure and prints the statement, role or command that would mend it.",
       .examples = {"latchkey keys test --uri arn:aws:kms:… --principal arn:aws:iam::… --external-id …",
                    "latchkey keys test --region us-east-1 --uri arn:aws:kms:… --principal arn:aws:iam::…"},
       .options =
           Plus(Plus(KmsOptionList(&args->kms), {caller,
                                                 {.names = "--region",
                                                  .help = "from a host of this region, with its credentials, asked by way of the server",
                                                  .target = &args->region}}),
                ApiOptionList(&args->api)),
       .run = [args] { return Test(*args); }});
  group.children.push_back(
      {.name = "policy",
       .summary = "what the owner of a key must grant: as commands, as policies, or as Terraform",
       .details = "The least rights that work. Nothing is sent anywhere; names that are not given stand in capitals.",
       .examples = {"latchkey keys policy --uri arn:aws:kms:… --principal arn:aws:iam::…:role/latchkey-cmek --external-id … "
                    "--caller arn:aws:iam::…:role/latchkey-agent",
                    "latchkey keys policy --type GCP_CLOUD_KMS --uri projects/… --principal …@….iam.gserviceaccount.com --form terraform"},
       .options = {{.names = "--type", .help = "type of the key", .target = &args->kms.key.type, .choices = KeyTypeNames()},
                   {.names = "--uri", .help = "the key, as its type names it", .target = &args->kms.key.uri, .required = true},
                   {.names = "--principal",
                    .help = "whom Latchkey shall act as on the owner's side",
                    .target = &args->kms.key.auth_principal},
                   {.names = "--external-id", .help = "the organization's id (AWS)", .target = &args->kms.key.external_id},
                   caller,
                   {.names = "--form", .help = "how to print it", .target = &args->form, .choices = {"commands", "policy", "terraform"}}},
       .run = [args] { return PrintPolicy(*args); }});
  group.children.push_back(
      {.name = "create-local",
       .summary = "a new key file for LOCAL keys (escrow on one machine)",
       .details = "Whoever has this file can open what is wrapped by it; without it nobody can. Keep a copy elsewhere.",
       .examples = {"latchkey keys create-local escrow.key"},
       .options = {{.names = "file", .help = "path; must not exist", .target = &args->file, .required = true}},
       .run = [args] { return CreateLocalKeyFile(args->file); }});
  return group;
}

}  // namespace latchkey
