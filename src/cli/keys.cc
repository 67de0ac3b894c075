#include <absl/strings/str_format.h>

#include <cstdio>

#include "base/json.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/kms_options.h"
#include "cli/options.h"
#include "kms/kms.h"
#include "kms/local/local_kms.h"

namespace latchkey {
namespace {

struct Args {
  KmsArgs kms;
  std::string file, output = "table";
};

absl::Status Test(const Args& args) {
  ASSIGN_OR_RETURN(const KmsSet kms, KmsFor(args.kms));
  std::vector<KeyTestStep> steps;
  const KmsContext context = {{"latchkey:purpose", "key-test"}};
  const absl::Status status = TestKey(kms, KeyOf(args.kms), context, &steps);
  const std::optional<FailureClass> failure = FailureClassOf(status);
  if (args.output == "json") {
    json::array done;
    for (const KeyTestStep& step : steps) done.push_back({{"step", step.name}, {"milliseconds", absl::ToDoubleMilliseconds(step.took)}});
    json::object out{{"ok", status.ok()}, {"steps", std::move(done)}};
    if (failure) {
      out["class"] = std::string(FailureClassName(*failure));
      out["message"] = std::string(status.message());
      out["next_step"] = std::string(NextStep(*failure));
    }
    std::printf("%s\n", json::serialize(out).c_str());
    return status;
  }
  for (const KeyTestStep& step : steps) std::printf("ok    %-10s %8.1f ms\n", step.name.c_str(), absl::ToDoubleMilliseconds(step.took));
  if (failure) std::printf("%s\n%s\n", std::string(FailureClassName(*failure)).c_str(), std::string(NextStep(*failure)).c_str());
  return status;
}

}  // namespace

Command KeysCommand() {
  auto args = std::make_shared<Args>();
  Command group{.name = "keys", .summary = "try a root key from this host, make a local one"};
  group.children.push_back(
      {.name = "test",
       .summary = "walk the chain with a key: form, describe, wrap, unwrap, context",
       .details =
           "Runs on this host with this host's credentials, as its agent would. Stops at the first failure and says what to do about it.",
       .examples = {"latchkey keys test --uri arn:aws:kms:… --principal arn:aws:iam::… --external-id <organization id>"},
       .options = Plus(KmsOptionList(&args->kms), {OutputOption(&args->output)}),
       .run = [args] { return Test(*args); }});
  group.children.push_back(
      {.name = "create-local",
       .summary = "a new key file for LOCAL keys (escrow on one machine)",
       .details = "Whoever has this file can open what is wrapped by it; without it nobody can. Keep a copy elsewhere.",
       .options = {{.names = "file", .help = "path; must not exist", .target = &args->file, .required = true}},
       .run = [args] { return CreateLocalKeyFile(args->file); }});
  return group;
}

}  // namespace latchkey
