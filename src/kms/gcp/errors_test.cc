#include "kms/gcp/errors.h"

#include "base/testing.h"
#include "kms/gcp/fake_gcp.h"

namespace latchkey {
namespace {

using testing::Not;
using enum FailureClass;

constexpr char kVersion[] = "projects/p/locations/europe-west1/keyRings/harrypotter/cryptoKeys/hogwarts/cryptoKeyVersions/1";

std::string ErrorInfo(const std::string& reason) {
  return R"([{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":")" + reason +
         R"(","domain":"googleapis.com","metadata":{"consumer":"projects/123","service":"cloudkms.googleapis.com"}}])";
}
std::string Violations(const std::string& first, const std::string& second = "") {
  std::string list = R"({"type":")" + first + R"(","subject":"x"})";
  if (!second.empty()) list += R"(,{"type":")" + second + R"("})";
  return R"([{"@type":"type.googleapis.com/google.rpc.PreconditionFailure","violations":[)" + list + "]}]";
}

struct Case {
  HttpResponse answer;
  FailureClass as_owner, as_self;
  bool retry = false;
};
Case Both(HttpResponse answer, FailureClass c, bool retry = false) { return {std::move(answer), c, c, retry}; }
std::string InState(const std::string& state) { return std::string(kVersion) + " is not enabled, current state is: " + state + "."; }

void ExpectClasses(const std::vector<Case>& cases) {
  for (const Case& row : cases) {
    const GcpError error = ReadGcpError(row.answer, {});
    EXPECT_EQ(FailureClassName(ClassifyGcpKmsError(error, GcpActor::kOwner)), FailureClassName(row.as_owner)) << row.answer.body;
    EXPECT_EQ(FailureClassName(ClassifyGcpKmsError(error, GcpActor::kSelf)), FailureClassName(row.as_self)) << row.answer.body;
    EXPECT_EQ(GcpFailure(error, row.as_owner).retry, row.retry) << row.answer.body;
  }
}

TEST(GcpErrorsTest, ReadsTheStateOfAVersionOutOfTheMessage) {
  ExpectClasses({
      Both(GcpErrorAnswer(400, "FAILED_PRECONDITION", InState("DISABLED"), Violations("KEY_DISABLED")), kDisabled),
      Both(GcpErrorAnswer(400, "FAILED_PRECONDITION", InState("DISABLED")), kDisabled),
      Both(GcpErrorAnswer(400, "FAILED_PRECONDITION", InState("DESTROY_SCHEDULED"), Violations("KEY_DISABLED")), kPendingDeletion),
      Both(GcpErrorAnswer(400, "FAILED_PRECONDITION", InState("DESTROYED")), kDestroyed),
      Both(GcpErrorAnswer(400, "FAILED_PRECONDITION", InState("PENDING_GENERATION")), kUnreachable),
      Both(GcpErrorAnswer(400, "FAILED_PRECONDITION", InState("PENDING_IMPORT")), kDestroyed),
      Both(GcpErrorAnswer(400, "FAILED_PRECONDITION", InState("SOMETHING_NEW")), kAmbiguous),
      Both(GcpErrorAnswer(400, "FAILED_PRECONDITION", "Cloud KMS key is disabled, destroyed, or scheduled to be destroyed.",
                          Violations("KEY_DISABLED")),
           kDisabled),
      Both(GcpErrorAnswer(400, "FAILED_PRECONDITION", "The key has no primary version."), kAmbiguous),
  });
}

TEST(GcpErrorsTest, TellsAnApiThatIsOffFromAKeyThatIsDisabled) {
  const std::string off =
      "Cloud Key Management Service (KMS) API has not been used in project 123 before or it is disabled. Enable it by ...";
  ExpectClasses({
      {GcpErrorAnswer(403, "PERMISSION_DENIED", off, ErrorInfo("SERVICE_DISABLED")), kDenied, kIdentity},
      {GcpErrorAnswer(403, "PERMISSION_DENIED", off), kDenied, kIdentity},
      {GcpErrorAnswer(403, "PERMISSION_DENIED", "This API method requires billing to be enabled.", ErrorInfo("BILLING_DISABLED")), kDenied,
       kIdentity},
      {GcpErrorAnswer(403, "PERMISSION_DENIED", "Project 'project:x' not found or deleted.", ErrorInfo("CONSUMER_INVALID")), kDenied,
       kIdentity},
      Both(GcpErrorAnswer(400, "FAILED_PRECONDITION",
                          "Google Cloud KMS API has not been used in this project before, or it is disabled. Enable it by visiting ..."),
           kDenied),
  });
}

TEST(GcpErrorsTest, TellsDenialFromWhatMayBeDeletionAndFromOurselves) {
  const std::string may = "Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied on resource 'projects/p' (or it may not exist).";
  ExpectClasses({
      Both(GcpErrorAnswer(403, "PERMISSION_DENIED", may, ErrorInfo("IAM_PERMISSION_DENIED")), kAmbiguous),
      Both(GcpErrorAnswer(403, "PERMISSION_DENIED", "Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied for resource 'x'."),
           kDenied),
      Both(GcpErrorAnswer(403, "PERMISSION_DENIED", "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: x",
                          Violations("VPC_SERVICE_CONTROLS")),
           kDenied),
      Both(GcpErrorAnswer(404, "NOT_FOUND", "CryptoKey projects/p/locations/l/keyRings/r/cryptoKeys/k not found."), kDestroyed),
      Both(GcpErrorAnswer(404, "NOT_FOUND", "The request concerns location 'us-east1' but was sent to location 'global'."), kUnsuitable),
      Both(GcpErrorAnswer(400, "INVALID_ARGUMENT", "The request concerns location 'us-east1' but was sent to location 'global'."),
           kUnsuitable),
      Both(GcpErrorAnswer(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", ErrorInfo("ACCESS_TOKEN_EXPIRED")),
           kIdentity),
      Both(GcpErrorAnswer(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.",
                          ErrorInfo("ACCESS_TOKEN_SCOPE_INSUFFICIENT")),
           kIdentity),
  });
}

TEST(GcpErrorsTest, TakesOtherBytesForCorruptAndOtherUsesForUnsuitable) {
  ExpectClasses({
      Both(GcpErrorAnswer(400, "INVALID_ARGUMENT", "Decryption failed: verify that 'name' refers to the correct CryptoKey."), kCorrupt),
      Both(GcpErrorAnswer(400, "INVALID_ARGUMENT", "Decryption failed: the ciphertext is invalid."), kCorrupt),
      Both(GcpErrorAnswer(400, "INVALID_ARGUMENT", "The checksum in field ciphertext_crc32c did not match the data in field ciphertext."),
           kCorrupt, true),
      Both(GcpErrorAnswer(400, "INVALID_ARGUMENT", "The CryptoKey has purpose ASYMMETRIC_SIGN"), kUnsuitable),
  });
}

TEST(GcpErrorsTest, TakesAnExternalKeyManagersNoForTheOwnersAndItsSilenceForAnOutage) {
  ExpectClasses({
      Both(GcpErrorAnswer(400, "FAILED_PRECONDITION", "Permission was denied when accessing the key.",
                          Violations("KEY_ENABLED", "EXTERNAL_PERMISSION_DENIED")),
           kDenied),
      Both(GcpErrorAnswer(400, "FAILED_PRECONDITION", "Could not find a key.", Violations("KEY_ENABLED", "EXTERNAL_NOT_FOUND")),
           kDestroyed),
      Both(GcpErrorAnswer(400, "FAILED_PRECONDITION", "Could not reach it.", Violations("KEY_ENABLED", "EXTERNAL_UNREACHABLE")),
           kUnreachable),
      Both(GcpErrorAnswer(503, "UNAVAILABLE", "The external key manager could not be reached."), kUnreachable, true),
  });
}

TEST(GcpErrorsTest, TakesHasteAndTroubleOfTheServiceForNoAnswer) {
  ExpectClasses({
      Both(GcpErrorAnswer(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Cryptographic requests'",
                          ErrorInfo("RATE_LIMIT_EXCEEDED")),
           kThrottled, true),
      Both(GcpErrorAnswer(500, "INTERNAL", "Internal error encountered."), kUnreachable, true),
      Both(GcpErrorAnswer(504, "DEADLINE_EXCEEDED", "x"), kUnreachable, true),
      Both(GcpErrorAnswer(400, "SOMETHING_NOBODY_HAS_SEEN", "x"), kUnreachable),
      Both({.status = 403, .body = "<html>a portal</html>"}, kUnreachable),
      Both({.status = 404, .body = "<html>Error 404 (Not Found)!!1</html>"}, kUnreachable),
      Both({.status = 502, .body = ""}, kUnreachable, true),
      Both({.status = 429, .body = ""}, kThrottled, true),
      Both({.status = 401, .body = ""}, kIdentity),
      Both(HttpResponse::Json(403, R"({"error":"x"})"), kUnreachable),
      Both(HttpResponse::Json(403, R"({"error":{"status":7,"message":[]}})"), kUnreachable),
      Both(HttpResponse::Json(403, R"({"error":{"status":"<b>PERMISSION_DENIED","message":"x"}})"), kUnreachable),
  });
}

TEST(GcpErrorsTest, TakesRefusalToStepIntoTheOwnersAccountForTheOwnersNo) {
  const std::vector<std::pair<HttpResponse, FailureClass>> rows = {
      {GcpErrorAnswer(403, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
                      ErrorInfo("IAM_PERMISSION_DENIED")),
       kDenied},
      {GcpErrorAnswer(403, "PERMISSION_DENIED", "The caller does not have permission"), kDenied},
      {GcpErrorAnswer(404, "NOT_FOUND", "Not found; Gaia id not found for email x@y.iam.gserviceaccount.com"), kDenied},
      {GcpErrorAnswer(400, "FAILED_PRECONDITION", "Precondition check failed."), kDenied},
      {GcpErrorAnswer(400, "INVALID_ARGUMENT", "Request contains an invalid argument."), kUnsuitable},
      {GcpErrorAnswer(403, "PERMISSION_DENIED",
                      "IAM Service Account Credentials API has not been used in project 1 before or it is disabled.",
                      ErrorInfo("SERVICE_DISABLED")),
       kIdentity},
      {GcpErrorAnswer(401, "UNAUTHENTICATED", "x"), kIdentity},
      {GcpErrorAnswer(429, "RESOURCE_EXHAUSTED", "x"), kThrottled},
      {GcpErrorAnswer(503, "UNAVAILABLE", "x"), kUnreachable},
      {{.status = 403, .body = "<html>a portal</html>"}, kUnreachable},
  };
  for (const auto& [answer, expected] : rows) {
    EXPECT_EQ(FailureClassName(ClassifyImpersonationError(ReadGcpError(answer, {}))), FailureClassName(expected)) << answer.body;
  }
}

TEST(GcpErrorsTest, KnowsEveryStateOfAVersion) {
  const std::vector<std::pair<std::string, std::optional<FailureClass>>> states = {{"ENABLED", std::nullopt},
                                                                                   {"DISABLED", kDisabled},
                                                                                   {"DESTROY_SCHEDULED", kPendingDeletion},
                                                                                   {"DESTROYED", kDestroyed},
                                                                                   {"PENDING_GENERATION", kUnreachable},
                                                                                   {"PENDING_IMPORT", kDestroyed},
                                                                                   {"IMPORT_FAILED", kDestroyed},
                                                                                   {"GENERATION_FAILED", kDestroyed},
                                                                                   {"PENDING_EXTERNAL_DESTRUCTION", kDestroyed},
                                                                                   {"EXTERNAL_DESTRUCTION_FAILED", kDestroyed},
                                                                                   {"11", kAmbiguous}};
  for (const auto& [state, expected] : states) EXPECT_EQ(FailureOfVersionState(state), expected) << state;
}

TEST(GcpErrorsTest, ShowsNoCredentialThatAnAnswerQuotes) {
  const std::string opaque = "opaque/credential+1", jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl",
                    token = "ya29.c.b0Aaekm1K-x_y";
  const GcpError error = ReadGcpError(
      GcpErrorAnswer(401, "UNAUTHENTICATED", "bad \"" + opaque + "\", '" + jwt + "', <" + token + ">\nend " + std::string(2000, 'x')),
      {opaque});
  EXPECT_THAT(error.message, testing::StartsWith("bad \"[secret]\", '[secret]', <[secret]> end xxx"));
  EXPECT_LE(error.message.size(), 1024);

  const std::string words = IdentityFailure(OAuthError(400, "invalid_grant", "Invalid JWT: " + jwt + " and " + opaque), {opaque}).words;
  EXPECT_EQ(words, "Invalid JWT: [secret] and [secret] (invalid_grant)");
}

TEST(GcpErrorsTest, TakesWhateverKeepsUsFromOurOwnTokenForIdentity) {
  for (const HttpResponse& answer :
       {OAuthError(400, "invalid_grant", "Invalid JWT Signature."), OAuthError(401, "invalid_client", ""),
        GcpErrorAnswer(403, "PERMISSION_DENIED", "x"), HttpResponse::Text(404, "not here"), HttpResponse::Text(500, "")}) {
    const KmsFailure failure = IdentityFailure(answer, {});
    EXPECT_EQ(failure.failure_class, kIdentity);
    EXPECT_EQ(failure.retry, answer.status == 500);
    EXPECT_THAT(failure.words, Not(testing::IsEmpty()));
  }
}

}  // namespace
}  // namespace latchkey
