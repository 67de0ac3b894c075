#include "kms/aws/sts.h"

#include "base/status.h"
#include "kms/aws/answers.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

// The shortest that STS gives: what the owner takes away lives no longer than that anywhere.
constexpr int64_t kRoleSeconds = 900;
constexpr int64_t kIdentitySeconds = 3600;
constexpr std::string_view kSessionName = "latchkey";

void AppendParameter(std::string& form, std::string_view name, std::string_view value) {
  form.append("&").append(name).append("=").append(PercentEncode(value));
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
  AppendParameter(call.body, "DurationSeconds", absl::StrCat(kRoleSeconds));
  if (!external_id.empty()) AppendParameter(call.body, "ExternalId", external_id);
  call.credentials = &identity;
  call.fresh = fresh;
  call.classify = ClassifyAssumeRoleError;
  const absl::Time asked = transport.Now();
  ASSIGN_OR_RETURN(std::string answer, transport.Send(call, budget));
  return ReadStsCredentials(answer, "AssumeRole", asked, absl::Seconds(kRoleSeconds));
}

absl::StatusOr<SharedAwsCredentials> AssumeRoleWithWebIdentity(AwsTransport& transport, const StsTarget& target, std::string_view role_arn,
                                                               std::string_view session_name, const SecretBytes& token,
                                                               const CallBudget& budget) {
  AwsCall call = NewCall(target, "AssumeRoleWithWebIdentity");
  AppendParameter(call.body, "RoleArn", role_arn);
  AppendParameter(call.body, "RoleSessionName", session_name.empty() ? kSessionName : session_name);
  AppendParameter(call.body, "DurationSeconds", absl::StrCat(kIdentitySeconds));
  AppendParameter(call.body, "WebIdentityToken", token.RevealText(SecretAccess{}));
  call.secrets = {token.RevealText(SecretAccess{})};
  call.classify = ClassifyWebIdentityError;
  const absl::Time asked = transport.Now();
  auto answer = transport.Send(call, budget);
  Wipe(call.body);
  RETURN_IF_ERROR(answer.status());
  return ReadStsCredentials(*answer, "AssumeRoleWithWebIdentity", asked, absl::Seconds(kIdentitySeconds));
}

}  // namespace latchkey
