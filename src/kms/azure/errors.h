// What an error of Key Vault, Managed HSM or Entra ID means for a key: the one table from the wire's words to a FailureClass.
#pragma once

#include <absl/time/time.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "base/secret_bytes.h"
#include "http/message.h"
#include "kms/call.h"
#include "protocol/failure_class.h"

namespace latchkey {

enum class AzureOperation { kGet, kWrap, kUnwrap };

// {"error":{"code":"Forbidden","message":"…","innererror":{"code":"ForbiddenByRbac"}}}; `innerError` is seen, too.
struct AzureVaultError {
  std::string code;        // empty when the body was not an error document
  std::string inner_code;  // may be empty
  std::string message;     // cleaned (CleanWords); may be empty
  int http_status = 0;
};
AzureVaultError ReadAzureVaultError(const HttpResponse& response);
FailureClass ClassifyAzureVaultError(const AzureVaultError& error, AzureOperation operation);
// Class, words and whether to ask again, all in one.
KmsFailure AzureVaultFailure(const HttpResponse& response, AzureOperation operation);

// {"error":"invalid_client","error_description":"AADSTS7000215: …","error_codes":[7000215]}. Managed identities answer the first two.
struct EntraError {
  std::string error;           // OAuth 2.0's word; empty when the body was not an error document
  std::vector<int64_t> codes;  // from error_codes, else the number after "AADSTS" in the description
  std::string description;     // its first line, cleaned: without trace ids and times
  int http_status = 0;
};
EntraError ReadEntraError(const HttpResponse& response);
// `owners_tenant`: the token was asked for in the tenant of a key's owner, who may say no. In our own tenant everything is about ourselves.
FailureClass ClassifyEntraError(const EntraError& error, bool owners_tenant);
KmsFailure EntraFailure(const HttpResponse& response, bool owners_tenant);
// The machine's own token service: always about ourselves.
KmsFailure ManagedIdentityFailure(const HttpResponse& response);

// The response with every occurrence of the secrets in its body replaced: a service may quote what it was sent.
HttpResponse WithoutSecrets(const HttpResponse& response, std::initializer_list<const SecretBytes*> secrets);

}  // namespace latchkey
