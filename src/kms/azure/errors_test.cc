#include "kms/azure/errors.h"

#include "base/testing.h"
#include "kms/azure/fake_azure.h"

namespace latchkey {
namespace {

FailureClass ClassOf(const HttpResponse& response, AzureOperation operation = AzureOperation::kUnwrap) {
  return AzureVaultFailure(response, operation).failure_class;
}

TEST(AzureErrorsTest, ClassifiesWhatTheVaultWasSeenToAnswer) {
  struct Row {
    int status;
    std::string code, message, inner;
    FailureClass expected;
  };
  const std::vector<Row> rows = {
      {403, "Forbidden", "Operation unwrapKey is not allowed on a disabled key.", "KeyDisabled", FailureClass::kDisabled},
      {403, "Forbidden", "Operation is not allowed on a disabled key.", "", FailureClass::kDisabled},
      {403, "Forbidden",
       "The user, group or application 'appid=1;oid=2;iss=https://sts.windows.net/3/' does not have keys unwrapKey permission on key vault "
       "'contoso;location=westeurope'.",
       "ForbiddenByPolicy", FailureClass::kDenied},
      {403, "Forbidden",
       "Caller is not authorized to perform action on resource.\r\nAction: 'Microsoft.KeyVault/vaults/keys/unwrap/action'",
       "ForbiddenByRbac", FailureClass::kDenied},
      {403, "Forbidden", "Access denied", "AccessDenied", FailureClass::kDenied},
      {403, "AccessDenied", "Not authorized to access Microsoft.KeyVault/managedHsm/keys/unwrap/action on /keys/owner-key", "",
       FailureClass::kDenied},
      {403, "Forbidden", "Client address is not authorized and caller is not a trusted service.\r\nClient address: 192.0.2.1",
       "ForbiddenByFirewall", FailureClass::kDenied},
      {403, "Forbidden", "Public network access is disabled and request is not from a trusted service nor via an approved private link.",
       "ForbiddenByConnection", FailureClass::kDenied},
      {403, "Forbidden", "Operation unwrapKey is not permitted on this key.", "KeyOperationForbidden", FailureClass::kDenied},
      {403, "Forbidden", "something new", "ForbiddenByMoon", FailureClass::kDenied},
      {404, "KeyNotFound", "A key with (name/id) owner-key/1 was not found in this key vault.", "", FailureClass::kDestroyed},
      {400, "BadParameter", "Error occurred while decoding OAEP padding.", "", FailureClass::kCorrupt},
      {409, "Conflict", "Key owner-key is currently being deleted.", "ObjectIsBeingDeleted", FailureClass::kPendingDeletion},
      {429, "Throttled", "Request was not processed because too many requests were received.", "", FailureClass::kThrottled},
      {500, "InternalServerError", "An error occurred.", "", FailureClass::kUnreachable},
      {503, "Forbidden", "x", "", FailureClass::kUnreachable},
      {401, "Unauthorized", "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/3/", "", FailureClass::kIdentity},
      {418, "SomethingNobodyHasSeen", "x", "", FailureClass::kUnreachable},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(ClassOf(KeyVaultError(row.status, row.code, row.message, row.inner)), row.expected) << row.code << " " << row.inner;
  }
}

TEST(AzureErrorsTest, WhatIsNoVaultsErrorIsNoRefusal) {
  for (const char* body : {"", "<html>Forbidden</html>", "[]", "{}", R"({"error":"Forbidden"})", R"({"error":{"code":7}})",
                           R"({"error":{"code":"For bidden"}})", R"({"error":{"innererror":{"code":"KeyDisabled"}}})"}) {
    for (const int status : {400, 403, 404, 502}) EXPECT_EQ(ClassOf({.status = status, .body = body}), FailureClass::kUnreachable) << body;
    EXPECT_EQ(ClassOf({.status = 429, .body = body}), FailureClass::kThrottled);
    EXPECT_EQ(ClassOf({.status = 401, .body = body}), FailureClass::kIdentity);
  }
}

TEST(AzureErrorsTest, ABadParameterIsCorruptOnlyWhereWrappedBytesAreSent) {
  const HttpResponse bad = KeyVaultError(400, "BadParameter", "Error occurred while decoding OAEP padding.");
  EXPECT_EQ(ClassOf(bad, AzureOperation::kUnwrap), FailureClass::kCorrupt);
  EXPECT_EQ(ClassOf(bad, AzureOperation::kWrap), FailureClass::kUnsuitable);
  EXPECT_EQ(ClassOf(bad, AzureOperation::kGet), FailureClass::kUnsuitable);
}

TEST(AzureErrorsTest, TheDatesOfAKeyAreNoRefusal) {
  for (const char* message :
       {"Operation wrapKey is not allowed on an expired key.", "Operation wrapKey is not allowed, the key is not yet valid."}) {
    EXPECT_EQ(ClassOf(KeyVaultError(403, "Forbidden", message), AzureOperation::kWrap), FailureClass::kUnsuitable);
  }
}

TEST(AzureErrorsTest, ReadsTheOtherSpellingOfTheInnerError) {
  EXPECT_EQ(ClassOf(HttpResponse::Json(
                403, R"({"error":{"code":"Forbidden","message":"no","innerError":{"code":"KeyDisabled","innererror":null}}})")),
            FailureClass::kDisabled);
}

TEST(AzureErrorsTest, ClassifiesWhatEntraWasSeenToAnswerByWhoseTenantItIs) {
  struct Row {
    int status;
    std::string error;
    int64_t code;
    std::string text;
    FailureClass owners, ours;
  };
  using enum FailureClass;
  const std::vector<Row> rows = {
      {400, "unauthorized_client", 700016, "Application with identifier 'client-1' was not found in the directory 'Contoso'.", kDenied,
       kIdentity},
      {401, "invalid_client", 7000229, "The client application is missing service principal in the tenant.", kDenied, kIdentity},
      {400, "unauthorized_client", 7000112, "Application 'client-1'(Latchkey) is disabled.", kDenied, kIdentity},
      {400, "invalid_grant", 65001, "The user or administrator has not consented to use the application.", kDenied, kIdentity},
      {400, "invalid_request", 90002, "Tenant '0a1b2c3d' not found.", kDenied, kIdentity},
      {400, "invalid_grant", 53003, "Access has been blocked by Conditional Access policies.", kDenied, kIdentity},
      {401, "invalid_client", 7000215, "Invalid client secret provided.", kIdentity, kIdentity},
      {401, "invalid_client", 7000222, "The provided client secret keys are expired.", kIdentity, kIdentity},
      {401, "invalid_client", 700027, "The certificate with identifier used to sign the client assertion is not registered.", kIdentity,
       kIdentity},
      {400, "invalid_client", 999, "something new", kIdentity, kIdentity},
      {400, "invalid_request", 900382, "Confidential Client is not supported in Cross Cloud request.", kUnsuitable, kUnsuitable},
      {429, "temporarily_unavailable", 90055, "Tenant is throttled.", kThrottled, kThrottled},
      {503, "temporarily_unavailable", 90033, "A transient error has occurred.", kUnreachable, kUnreachable},
  };
  for (const Row& row : rows) {
    const HttpResponse response = EntraAnswer(row.status, row.error, row.code, row.text);
    EXPECT_EQ(EntraFailure(response, true).failure_class, row.owners) << row.code;
    EXPECT_EQ(EntraFailure(response, false).failure_class, row.ours) << row.code;
  }
}

TEST(AzureErrorsTest, ReadsTheNumberFromTheDescriptionWhereThereIsNoList) {
  const HttpResponse response = HttpResponse::Json(
      400, R"({"error":"unauthorized_client","error_description":"AADSTS700016: Application was not found. Trace ID: 1 Timestamp: 2"})");
  const KmsFailure failure = EntraFailure(response, true);
  EXPECT_EQ(failure.failure_class, FailureClass::kDenied);
  EXPECT_EQ(failure.words, "AADSTS700016: Application was not found. (unauthorized_client)");
  for (const char* text : {"AADSTS", "AADSTSx", "AADSTS99999999999999999999", "no number"}) {
    const json::object body = {{"error", "invalid_client"}, {"error_description", text}};
    EXPECT_EQ(EntraFailure(HttpResponse::Json(401, json::serialize(body)), true).failure_class, FailureClass::kIdentity) << text;
  }
}

TEST(AzureErrorsTest, ShowsTheFirstLineOfEntraAndNoTrace) {
  EXPECT_EQ(EntraFailure(EntraAnswer(401, "invalid_client", 7000222, "The provided client secret keys are expired."), true).words,
            "AADSTS7000222: The provided client secret keys are expired. (invalid_client)");
  EXPECT_EQ(EntraFailure(HttpResponse::Text(502, "bad gateway"), true).failure_class, FailureClass::kUnreachable);
  EXPECT_EQ(EntraFailure(HttpResponse::Text(403, "a portal"), true).failure_class, FailureClass::kUnreachable);
}

TEST(AzureErrorsTest, AsksAgainWhereTheServiceIsInTroubleOnly) {
  HttpResponse throttled = KeyVaultError(429, "Throttled", "x");
  throttled.headers["retry-after"] = "7";
  EXPECT_TRUE(AzureVaultFailure(throttled, AzureOperation::kGet).retry);
  EXPECT_EQ(AzureVaultFailure(throttled, AzureOperation::kGet).retry_after, absl::Seconds(7));
  for (const char* text : {"", "soon", "-1", "99999999999"}) {
    throttled.headers["retry-after"] = text;
    EXPECT_EQ(AzureVaultFailure(throttled, AzureOperation::kGet).retry_after, std::nullopt) << text;
  }
  EXPECT_TRUE(AzureVaultFailure(KeyVaultError(503, "x", "x"), AzureOperation::kGet).retry);
  EXPECT_FALSE(AzureVaultFailure(KeyVaultError(403, "Forbidden", "x"), AzureOperation::kGet).retry);
  EXPECT_FALSE(EntraFailure(EntraAnswer(401, "invalid_client", 7000215, "x"), true).retry);
}

}  // namespace
}  // namespace latchkey
