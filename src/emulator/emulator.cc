#include "emulator/emulator.h"

#include "base/encoding.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "emulator/admin_api.h"
#include "emulator/arn.h"
#include "emulator/authenticate.h"
#include "emulator/kms_api.h"
#include "emulator/sts_api.h"
#include "http/server.h"

namespace latchkey {
namespace {

using emulator::AwsError;
using emulator::Fault;
using emulator::Outcome;

constexpr std::string_view kTargetPrefix = "TrentService.";
constexpr std::string_view kStsVersion = "2011-06-15";
constexpr std::string_view kXmlns = "https://sts.amazonaws.com/doc/2011-06-15/";
// Numbers of calls are handed out in blocks, so that a restart goes on above all that were given.
constexpr int64_t kCallBlock = 1'000'000;

HttpResponse KmsAnswer(int status, std::string body) {
  return {.status = status, .headers = {{"content-type", "application/x-amz-json-1.1"}}, .body = std::move(body)};
}

HttpResponse KmsErrorAnswer(const AwsError& error) {
  json::object body{{"__type", error.type}};
  if (!error.message.empty()) body[error.type == "AccessDeniedException" ? "Message" : "message"] = error.message;
  return KmsAnswer(error.status, json::serialize(body));
}

HttpResponse StsAnswer(int status, std::string body) {
  return {.status = status, .headers = {{"content-type", "text/xml"}}, .body = std::move(body)};
}

HttpResponse StsErrorAnswer(const AwsError& error, const std::string& request_id) {
  return StsAnswer(error.status, absl::StrCat("<ErrorResponse xmlns=\"", ToAbsl(kXmlns), "\">\n  <Error>\n    <Type>",
                                              error.status >= 500 ? "Receiver" : "Sender", "</Type>\n    <Code>", error.type,
                                              "</Code>\n    <Message>", emulator::XmlEscape(error.message),
                                              "</Message>\n  </Error>\n  <RequestId>", request_id, "</RequestId>\n</ErrorResponse>\n"));
}

AwsError Throttled(bool kms) {
  if (kms) return {"ThrottlingException", "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.", 400};
  return {"Throttling", "Rate exceeded", 400};
}

AwsError Ordered(const Fault& fault, bool kms) {
  return {fault.type.empty() ? (kms ? "KMSInternalException" : "InternalFailure") : fault.type, fault.message, fault.status};
}

// One digit of the body's middle after the other, so that neither JSON nor XML nor base64 survives.
void Corrupt(std::string& body) {
  const size_t from = body.size() / 3;
  for (size_t i = from; i < body.size() && i < from + 16; ++i) body[i] = '\x7f';
}

void ReplacePlaintext(std::string& body, Random& random) {
  absl::StatusOr<json::object> answer = ParseJsonObject(body);
  if (!answer.ok()) return;
  const json::value* plaintext = answer->if_contains("Plaintext");
  if (plaintext == nullptr || !plaintext->is_string()) return;
  const absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(std::string_view(plaintext->get_string()));
  if (!bytes.ok()) return;
  (*answer)["Plaintext"] = Base64Encode(random.Bytes(bytes->size()));
  body = json::serialize(*answer);
}

}  // namespace

Emulator::Emulator(EmulatorOptions options, UniqueFd lock, emulator::World world)
    : options_(std::move(options)), lock_(std::move(lock)), world_(std::move(world)), calls_(world_.calls_reserved + 1) {
  world_.calls_reserved += kCallBlock;
}

absl::StatusOr<std::unique_ptr<Emulator>> Emulator::Create(EmulatorOptions options) {
  UniqueFd lock;
  emulator::World world;
  if (!options.state_file.empty()) {
    ASSIGN_OR_RETURN(lock, LockFile(options.state_file + ".lock"));
  }
  if (!options.state_file.empty() && PathExists(options.state_file)) {
    ASSIGN_OR_RETURN(std::string text, ReadFile(options.state_file));
    absl::StatusOr<json::object> document = ParseJsonObject(text);
    Wipe(text);
    if (!document.ok()) return Prefixed(document.status(), options.state_file);
    absl::StatusOr<emulator::World> read = emulator::World::FromJson(*document);
    if (!read.ok()) return Prefixed(read.status(), options.state_file);
    world = *std::move(read);
  } else {
    world.session_key = options.random->Secret(32);
  }
  auto self = std::unique_ptr<Emulator>(new Emulator(std::move(options), std::move(lock), std::move(world)));
  RETURN_IF_ERROR(self->Save());
  return self;
}

absl::Status Emulator::Save() {
  if (options_.state_file.empty()) return absl::OkStatus();
  std::string text = json::serialize(world_.ToJson());
  absl::Status written = WriteFileAtomically(options_.state_file, text, 0600);
  Wipe(text);
  if (!written.ok()) Log(LogLevel::kError, "the emulator's state could not be written", {{"reason", std::string(written.message())}});
  return written;
}

EmulatorAnswer Emulator::Answer(const HttpRequest& request) {
  std::lock_guard lock(mutex_);
  if (world_.Settle(Now(), *options_.random)) Save().IgnoreError();
  EmulatorAnswer answer;
  if (request.path.compare(0, 8, "/_admin/") == 0) {
    answer.response = EmulatorAdmin(*this).Handle(request);
  } else if (request.path != "/" || request.method != "POST") {
    answer.response = HttpResponse::Text(404, "latchkey kms-emulator: AWS KMS and STS answer to POST /, the admin API under /_admin/\n");
  } else if (const std::string target = request.Header("x-amz-target"); !target.empty()) {
    const bool kms = target.compare(0, kTargetPrefix.size(), kTargetPrefix) == 0;
    answer = AnswerAws(request, "kms", kms ? target.substr(kTargetPrefix.size()) : "");
  } else {
    answer = AnswerAws(request, "sts", "");
  }
  if (answer.response.status != 0) {
    answer.response.headers["date"] = absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", options_.clock->Now(), absl::UTCTimeZone());
  }
  return answer;
}

EmulatorAnswer Emulator::AnswerAws(const HttpRequest& request, const std::string& service, const std::string& target_operation) {
  const bool kms = service == "kms";
  const std::string request_id = NewUuid(*options_.random);
  const absl::Time wall = options_.clock->Now();
  std::optional<emulator::Form> form;
  std::string operation = target_operation;
  if (!kms) {
    form = ParseForm(request.body);
    if (form) operation = emulator::FormValue(*form, "Action");
  }
  emulator::CallRecord record{.time = Now(), .service = service, .operation = emulator::Quotable(operation, 64)};
  EmulatorAnswer answer;
  const auto finish = [&](const AwsError* error) {
    record.status = answer.response.status;
    record.result = answer.response.status == 0 ? "dropped" : error != nullptr ? error->type : "ok";
    if (answer.response.status != 0) answer.response.headers["x-amzn-requestid"] = request_id;
    calls_.Add(std::move(record));
    return std::move(answer);
  };
  const auto refuse = [&](const AwsError& error) {
    answer.response = kms ? KmsErrorAnswer(error) : StsErrorAnswer(error, request_id);
    return finish(&error);
  };

  if (world_.outage) {
    record.fault = "outage";
    answer.response.status = 0;
    return finish(nullptr);
  }
  bool faults_changed = false;
  const std::optional<Fault> fault = world_.faults.Next(operation, &faults_changed);
  if (faults_changed) Save().IgnoreError();
  if (fault) {
    record.fault = fault->action;
    answer.delay = absl::Milliseconds(fault->delay_ms);
    if (fault->action == "drop") {
      answer.response.status = 0;
      return finish(nullptr);
    }
    if (fault->action == "throttle") return refuse(Throttled(kms));
    if (fault->action == "error") return refuse(Ordered(*fault, kms));
  }

  emulator::KmsOperation kms_operation = kms ? emulator::FindKmsOperation(operation) : nullptr;
  if (kms && kms_operation == nullptr) return refuse({"UnknownOperationException", "", 400});
  if (!kms && !form) return refuse({"MalformedQueryString", "The body is not a form.", 400});
  const bool web_identity = operation == "AssumeRoleWithWebIdentity";
  if (!kms) {
    const std::string version = emulator::FormValue(*form, "Version");
    if (operation.empty()) return refuse({"MissingAction", "The request must contain the parameter Action.", 400});
    const bool known = operation == "AssumeRole" || operation == "GetCallerIdentity" || web_identity;
    if (!known || version != kStsVersion) {
      return refuse({"InvalidAction",
                     absl::StrCat("Could not find operation ", emulator::Quotable(operation, 64), " for version ",
                                  version.empty() ? "NO_VERSION_SPECIFIED" : version.substr(0, 64)),
                     400});
    }
  }
  emulator::Authenticated who;
  if (!web_identity) {
    Outcome<emulator::Authenticated> authenticated =
        emulator::Authenticate(world_, request, kms ? emulator::KmsService() : emulator::StsService(), wall, Now());
    if (!authenticated.ok()) return refuse(authenticated.error());
    who = *std::move(authenticated);
    record.principal = who.caller.arn;
    record.region = who.region;
  }

  if (kms) {
    const absl::StatusOr<json::object> body = ParseJsonObject(request.body.empty() ? "{}" : request.body);
    if (!body.ok()) return refuse({"SerializationException", "", 400});
    emulator::KmsCallState call{.world = world_, .random = *options_.random, .now = Now(), .caller = who.caller, .region = who.region};
    Outcome<json::object> result = kms_operation(call, *body);
    record.key = call.key;
    if (call.changed && !Save().ok()) return refuse({"KMSInternalException", "The emulator could not write its state.", 500});
    if (!result.ok()) return refuse(result.error());
    // Operations without an answer have an empty body, not an empty object.
    answer.response = KmsAnswer(200, result->empty() ? "" : json::serialize(*result));
  } else {
    emulator::StsCallState call{.world = world_, .random = *options_.random, .now = Now(), .caller = who.caller};
    const emulator::StsResult result = web_identity                ? emulator::AssumeRoleWithWebIdentity(call, *form)
                                       : operation == "AssumeRole" ? emulator::AssumeRole(call, *form)
                                                                   : emulator::GetCallerIdentity(call, *form);
    record.key = call.key;
    if (!result.ok()) return refuse(result.error());
    answer.response = StsAnswer(
        200, absl::StrCat("<", operation, "Response xmlns=\"", ToAbsl(kXmlns), "\"><", operation, "Result>", *result, "</", operation,
                          "Result><ResponseMetadata><RequestId>", request_id, "</RequestId></ResponseMetadata></", operation, "Response>"));
  }
  if (fault && fault->action == "truncate") answer.response.body.resize(answer.response.body.size() / 2);
  if (fault && fault->action == "corrupt") Corrupt(answer.response.body);
  if (fault && fault->action == "other-bytes") ReplacePlaintext(answer.response.body, *options_.random);
  return finish(nullptr);
}

}  // namespace latchkey
