#include <absl/strings/str_format.h>

#include <cstdio>

#include "base/json.h"
#include "base/status.h"
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
  std::string file, output = "table", form = "commands", caller;
};

absl::Status Test(const Args& args) {
  ASSIGN_OR_RETURN(const KmsSet kms, KmsFor(args.kms));
  std::vector<KeyTestStep> steps;
  KmsContext context = {{"latchkey:purpose", "key test"}};
  if (!args.kms.key.external_id.empty()) context["latchkey:organization"] = args.kms.key.external_id;
  const absl::Status status = TestKey(kms, KeyOf(args.kms), context, &steps);
  const std::optional<FailureClass> failure = FailureClassOf(status);
  const std::string failed_step = status.ok() || steps.empty() ? "" : steps.back().name;
  const std::string remedy = failure ? Remedy({.key = KeyOf(args.kms), .caller = args.caller}, failed_step, *failure) : "";
  if (args.output == "json") {
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
  for (const KeyTestStep& step : steps) {
    std::printf("%s  %-12s %8.1f ms  %s\n", step.ok ? "ok    " : "FAILED", step.name.c_str(), absl::ToDoubleMilliseconds(step.took),
                Printable(step.found).c_str());
  }
  if (failure) std::printf("\n%s\n%s\n\n", std::string(FailureClassName(*failure)).c_str(), remedy.c_str());
  return status;
}

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
  Command group{.name = "keys", .summary = "try a root key from this host, see what its owner must grant, make a local one"};
  group.children.push_back(
      {.name = "test",
       .summary = "walk the chain with a key: form, credentials, identity, describe, wrap, unwrap, context",
       .details = "Runs on this host with this host's credentials, as its agent would. Stops at the first failure and prints the "
                  "statement, role or command that would mend it.",
       .examples = {"latchkey keys test --uri arn:aws:kms:… --principal arn:aws:iam::… --external-id <organization id>"},
       .options = Plus(KmsOptionList(&args->kms), {caller, OutputOption(&args->output)}),
       .run = [args] { return Test(*args); }});
  group.children.push_back(
      {.name = "policy",
       .summary = "what the owner of a key must grant: as commands, as policies, or as Terraform",
       .details = "The least rights that work. Nothing is sent anywhere; names that are not given stand in capitals.",
       .examples =
           {"latchkey keys policy --uri arn:aws:kms:… --principal arn:aws:iam::…:role/latchkey-cmek --external-id <organization id> "
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
       .options = {{.names = "file", .help = "path; must not exist", .target = &args->file, .required = true}},
       .run = [args] { return CreateLocalKeyFile(args->file); }});
  return group;
}

}  // namespace latchkey
