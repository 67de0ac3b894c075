// What an answer of Vault or OpenBao means for a key: the one table from the wire's words to a FailureClass.
#pragma once

#include <string>

#include "http/message.h"
#include "kms/call.h"

namespace latchkey {

// An answer other than 200, as the service gave it: {"errors": ["…", …]}.
struct VaultError {
  int http_status = 0;
  bool is_vaults = false;  // the body was an error document; otherwise something between us and the service may have answered
  std::string text;        // its errors, joined with "; ", cleaned; empty where the list is
};

VaultError ReadVaultError(const HttpResponse& response);

// Of an operation on a key.
FailureClass ClassifyVaultKeyError(const VaultError& error);
// Of a login or of looking up our own token: a refusal is about ourselves.
FailureClass ClassifyVaultLoginError(const VaultError& error);

// For KmsExchange::read_failure: nullopt for 200; else with the class of `classify`, whether to ask again, and words for people.
std::optional<KmsFailure> ReadVaultFailure(const HttpResponse& response, FailureClass (*classify)(const VaultError&));

}  // namespace latchkey
