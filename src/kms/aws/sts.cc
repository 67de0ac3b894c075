#include "kms/aws/sts.h"

#include "base/status.h"
#include "kms/aws/xml.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

// The shortest that STS gives: what the owner takes away lives no longer than that anywhere.
constexpr std::string_view kRoleSeconds = "900";
constexpr std::string_view kIdentitySeconds = "3600";
constexpr std::string_view kSessionName = "latchkey";

void AppendParameter(std::string& form, std::string_view name, std::string_view value) {
  form.append("&").append(name).append("=").append(PercentEncode(value));
}

// Reads <Action>Response/<Action>Result/Credentials; wipes the answer.
absl::StatusOr<SharedAwsCredentials> ReadCredentials(std::string answer, const std::string& action) {
  const std::string response = action + "Response", result = action + "Result";
  const auto text = [&](std::string_view name) {
    return XmlText(answer, {std::string_view(response), std::string_view(result), "Credentials", name}).value_or("");
  };
  std::string secret = text("SecretAccessKey"), token = text("SessionToken");
  auto credentials = std::make_shared<AwsCredentials>();
  credentials->access_key_id = text("AccessKeyId");
  credentials->secret_access_key = SecretBytes::CopyOf(std::string_view(secret));
  credentials->session_token = SecretBytes::CopyOf(std::string_view(token));
  const std::string expiration = text("Expiration");
  Wipe(secret);
  Wipe(token);
  Wipe(answer);
  std::string error;
  const bool dated = absl::ParseTime(absl::RFC3339_full, expiration, &credentials->expires, &error);
  if (!dated || credentials->access_key_id.empty() || credentials->secret_access_key.empty() || credentials->session_token.empty()) {
    // Half an answer is no answer.
    return KmsError(FailureClass::kUnreachable, absl::StrCat("AWS STS ", action, ": the answer holds no complete credentials"));
  }
  return SharedAwsCredentials(std::move(credentials));
}

AwsCall NewCall(const StsTarget& target, const std::string& action) {
  AwsCall call;
  call.what = "AWS STS " + action;
  call.endpoint = target.endpoint;
  call.configured = target.configured;
  call.region = target.region;
  call.service = "sts";
  call.headers = {{"content-type", "application/x-www-form-urlencoded; charset=utf-8"}};
  call.body = "Action=" + action + "&Version=2011-06-15";
  call.read_error = ReadXmlError;
  return call;
}

}  // namespace

absl::StatusOr<SharedAwsCredentials> AssumeRole(AwsTransport& transport, const StsTarget& target, const AwsCredentials& identity,
                                                std::string_view role_arn, std::string_view external_id, bool fresh,
                                                const CallBudget& budget) {
  AwsCall call = NewCall(target, "AssumeRole");
  AppendParameter(call.body, "RoleArn", role_arn);
  AppendParameter(call.body, "RoleSessionName", kSessionName);
  AppendParameter(call.body, "DurationSeconds", kRoleSeconds);
  if (!external_id.empty()) AppendParameter(call.body, "ExternalId", external_id);
  call.credentials = &identity;
  call.fresh = fresh;
  call.classify = ClassifyAssumeRoleError;
  ASSIGN_OR_RETURN(std::string answer, transport.Send(call, budget));
  return ReadCredentials(std::move(answer), "AssumeRole");
}

absl::StatusOr<SharedAwsCredentials> AssumeRoleWithWebIdentity(AwsTransport& transport, const StsTarget& target, std::string_view role_arn,
                                                               std::string_view session_name, const SecretBytes& token,
                                                               const CallBudget& budget) {
  AwsCall call = NewCall(target, "AssumeRoleWithWebIdentity");
  AppendParameter(call.body, "RoleArn", role_arn);
  AppendParameter(call.body, "RoleSessionName", session_name.empty() ? kSessionName : session_name);
  AppendParameter(call.body, "DurationSeconds", kIdentitySeconds);
  AppendParameter(call.body, "WebIdentityToken", token.RevealText(SecretAccess{}));
  call.secrets = {token.RevealText(SecretAccess{})};
  call.classify = ClassifyWebIdentityError;
  auto answer = transport.Send(call, budget);
  Wipe(call.body);
  RETURN_IF_ERROR(answer.status());
  return ReadCredentials(*std::move(answer), "AssumeRoleWithWebIdentity");
}

}  // namespace latchkey
