#include "emulator/aws_service.h"

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "emulator/arn.h"
#include "emulator/authenticate.h"
#include "emulator/kms_api.h"
#include "emulator/metadata.h"
#include "emulator/sts_api.h"

namespace latchkey::emulator {
namespace {

constexpr std::string_view kTargetPrefix = "TrentService.";
constexpr std::string_view kStsVersion = "2011-06-15";
constexpr std::string_view kXmlns = "https://sts.amazonaws.com/doc/2011-06-15/";

class AwsService : public CloudService {
 public:
  AwsService(World& world, Random& random) : world_(world), random_(random) {}

  OperationName NameOf(const HttpRequest& request) const override {
    if (std::optional<OperationName> metadata = MetadataOperation(request)) return *std::move(metadata);
    if (request.path != "/" || request.method != "POST") return {"aws", ""};
    if (const std::string target = request.Header("x-amz-target"); !target.empty()) {
      return {"kms", target.compare(0, kTargetPrefix.size(), kTargetPrefix) == 0 ? target.substr(kTargetPrefix.size()) : ""};
    }
    const std::optional<Form> form = ParseForm(request.body);
    return {"sts", form ? FormValue(*form, "Action") : ""};
  }

  HttpResponse Answer(CloudCall& call) override {
    if (call.name.service == "kms") return AnswerKms(call);
    if (call.name.service == "sts") return AnswerSts(call);
    if (!call.name.operation.empty()) return AnswerMetadata(world_, call);
    call.record.result = "NotFound";
    return HttpResponse::Text(404, "latchkey kms-emulator: AWS KMS and STS answer to POST /, the admin API under /_admin/\n");
  }

  HttpResponse Throttled(const OperationName& name) const override {
    if (name.service != "kms") return Error(name, {"Throttling", "Rate exceeded", 400});
    return Error(name,
                 {"ThrottlingException", "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.", 400});
  }

  HttpResponse OrderedError(const OperationName& name, const Fault& fault) const override {
    const bool kms = name.service == "kms";
    return Error(name, {fault.type.empty() ? (kms ? "KMSInternalException" : "InternalFailure") : fault.type, fault.message, fault.status});
  }

  void ReplacePlaintext(const OperationName&, HttpResponse& response, Random& random) const override {
    absl::StatusOr<json::object> answer = ParseJsonObject(response.body);
    if (!answer.ok()) return;
    const json::value* plaintext = answer->if_contains("Plaintext");
    if (plaintext == nullptr || !plaintext->is_string()) return;
    const absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(std::string_view(plaintext->get_string()));
    if (!bytes.ok()) return;
    (*answer)["Plaintext"] = Base64Encode(random.Bytes(bytes->size()));
    response.body = json::serialize(*answer);
  }

 private:
  HttpResponse KmsAnswer(int status, std::string body) const {
    return {.status = status,
            .headers = {{"content-type", "application/x-amz-json-1.1"}, {"x-amzn-requestid", NewUuid(random_)}},
            .body = std::move(body)};
  }
  static HttpResponse StsAnswer(int status, const std::string& request_id, std::string body) {
    return {.status = status, .headers = {{"content-type", "text/xml"}, {"x-amzn-requestid", request_id}}, .body = std::move(body)};
  }

  // An error in the service's own form.
  HttpResponse Error(const OperationName& name, const AwsError& error) const {
    if (name.service == "kms") {
      json::object body{{"__type", error.type}};
      if (!error.message.empty()) body[error.type == "AccessDeniedException" ? "Message" : "message"] = error.message;
      return KmsAnswer(error.status, json::serialize(body));
    }
    if (name.service != "sts") return HttpResponse::Text(error.status, absl::StrCat(error.type, " ", error.message, "\n"));
    const std::string request_id = NewUuid(random_);
    return StsAnswer(
        error.status, request_id,
        absl::StrCat("<ErrorResponse xmlns=\"", ToAbsl(kXmlns), "\">\n  <Error>\n    <Type>", error.status >= 500 ? "Receiver" : "Sender",
                     "</Type>\n    <Code>", error.type, "</Code>\n    <Message>", XmlEscape(error.message),
                     "</Message>\n  </Error>\n  <RequestId>", request_id, "</RequestId>\n</ErrorResponse>\n"));
  }
  HttpResponse Refuse(CloudCall& call, const AwsError& error) const {
    call.record.result = error.type;
    return Error(call.name, error);
  }

  HttpResponse AnswerKms(CloudCall& call) {
    const KmsOperation operation = FindKmsOperation(call.name.operation);
    if (operation == nullptr) return Refuse(call, {"UnknownOperationException", "", 400});
    Outcome<Authenticated> who = Authenticate(world_, call.request, KmsService(), call.wall, call.now);
    if (!who.ok()) return Refuse(call, who.error());
    call.record.principal = who->caller.arn;
    call.record.region = who->region;
    const absl::StatusOr<json::object> body = ParseJsonObject(call.request.body.empty() ? "{}" : call.request.body);
    if (!body.ok()) return Refuse(call, {"SerializationException", "", 400});
    KmsCallState state{.world = world_, .random = call.random, .now = call.now, .caller = who->caller, .region = who->region};
    Outcome<json::object> result = operation(state, *body);
    call.record.key = state.key;
    call.changed = state.changed;
    if (!result.ok()) return Refuse(call, result.error());
    // Operations without an answer have an empty body, not an empty object.
    return KmsAnswer(200, result->empty() ? "" : json::serialize(*result));
  }

  HttpResponse AnswerSts(CloudCall& call) {
    const std::string& operation = call.name.operation;
    const std::optional<Form> form = ParseForm(call.request.body);
    if (!form) return Refuse(call, {"MalformedQueryString", "The body is not a form.", 400});
    if (operation.empty()) return Refuse(call, {"MissingAction", "The request must contain the parameter Action.", 400});
    const std::string version = FormValue(*form, "Version");
    const bool web_identity = operation == "AssumeRoleWithWebIdentity";
    const bool known = operation == "AssumeRole" || operation == "GetCallerIdentity" || web_identity;
    if (!known || version != kStsVersion) {
      return Refuse(call, {"InvalidAction",
                           absl::StrCat("Could not find operation ", Quotable(operation, 64), " for version ",
                                        version.empty() ? "NO_VERSION_SPECIFIED" : version.substr(0, 64)),
                           400});
    }
    StsCallState state{.world = world_, .random = call.random, .now = call.now, .caller = {}, .key = {}};
    if (!web_identity) {
      Outcome<Authenticated> who = Authenticate(world_, call.request, StsService(), call.wall, call.now);
      if (!who.ok()) return Refuse(call, who.error());
      call.record.principal = who->caller.arn;
      call.record.region = who->region;
      state.caller = who->caller;
    }
    const StsResult result = web_identity                ? AssumeRoleWithWebIdentity(state, *form)
                             : operation == "AssumeRole" ? AssumeRole(state, *form)
                                                         : GetCallerIdentity(state, *form);
    call.record.key = state.key;
    if (!result.ok()) return Refuse(call, result.error());
    const std::string request_id = NewUuid(random_);
    return StsAnswer(
        200, request_id,
        absl::StrCat("<", operation, "Response xmlns=\"", ToAbsl(kXmlns), "\"><", operation, "Result>", *result, "</", operation,
                     "Result><ResponseMetadata><RequestId>", request_id, "</RequestId></ResponseMetadata></", operation, "Response>"));
  }

  World& world_;
  Random& random_;
};

}  // namespace

std::unique_ptr<CloudService> NewAwsService(World& world, Random& random) { return std::make_unique<AwsService>(world, random); }

}  // namespace latchkey::emulator
