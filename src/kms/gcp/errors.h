// What an error of Google Cloud means for a key: the one table from the wire's words to a FailureClass.
// docs.cloud.google.com/apis/design/errors; google/rpc/error_details.proto; docs.cloud.google.com/kms/docs/reference/ekm_errors
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "kms/call.h"

namespace latchkey {

// {"error": {"code": 403, "message": …, "status": "PERMISSION_DENIED", "details": [ErrorInfo, PreconditionFailure, …]}}
struct GcpError {
  int http_status = 0;
  std::string status;   // "PERMISSION_DENIED"; empty when the body was not an error document of Google's
  std::string message;  // cleaned, without credentials; may be empty
  // ErrorInfo's reason ("SERVICE_DISABLED") and the types of PreconditionFailure's violations ("KEY_DISABLED", "EXTERNAL_NOT_FOUND").
  std::vector<std::string> details;
};

// `secrets` are taken out of the message where it quotes them, and so is whatever looks like a token of Google's.
GcpError ReadGcpError(const HttpResponse& response, std::initializer_list<std::string_view> secrets);

// Whom a request was made as: it decides whose project an API is off in.
enum class GcpActor {
  kOwner,  // the owner's service account: what is off is off on the owner's side
  kSelf,   // our own identity
};

// Of an operation on a key.
FailureClass ClassifyGcpKmsError(const GcpError& error, GcpActor actor);
// Of generateAccessToken for the owner's service account: its refusal is the owner's no.
FailureClass ClassifyImpersonationError(const GcpError& error);
// The class that using a version in this state fails with; nullopt for ENABLED. An unknown state is kAmbiguous.
std::optional<FailureClass> FailureOfVersionState(std::string_view state);

// With the words, and whether asking again may help.
KmsFailure GcpFailure(const GcpError& error, FailureClass c);

// Of a service that gives us our own identity (token endpoint, STS, metadata server): always IDENTITY.
// RFC 6749, 5.2: {"error": "invalid_grant", "error_description": …}; Google's own error documents and plain text are understood too.
KmsFailure IdentityFailure(const HttpResponse& response, std::initializer_list<std::string_view> secrets);

}  // namespace latchkey
