// The Transit secrets engine, HTTP API v1, keys of type aes256-gcm96.
// developer.hashicorp.com/vault/api-docs/secret/transit, openbao.org/api-docs/secret/transit
//
//   ciphertext  "vault:v" version ":" base64(nonce(12) ‖ AES-256-GCM(key version, plaintext, associated_data))
#pragma once

#include <absl/time/time.h>

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "emulator/vault/reply.h"
#include "emulator/vault/state.h"

namespace latchkey::emulator::vault {

enum class TransitOperation {
  kEncrypt,
  kDecrypt,
  kRewrap,
  kDatakeyPlaintext,
  kDatakeyWrapped,
  kRead,
  kCreate,
  kDelete,
  kList,
  kRotate,
  kConfig,
  kSoftDelete,
  kRestore,
};

struct TransitRequest {
  TransitOperation operation = TransitOperation::kRead;
  std::string name;  // of the key; empty for kList
};
// What method and path below the mount ("decrypt/k") ask for; nullopt when nothing answers there.
std::optional<TransitRequest> ParseTransit(std::string_view method, std::string_view rest);
// "decrypt", "readKey", …
std::string_view OperationText(TransitOperation operation);
// What a policy must allow for it. An encryption under a key that is not there is "create", since it would make one.
std::string_view NeededCapability(TransitOperation operation, bool key_exists);

struct TransitCall {
  State& state;
  KeyName key;
  const boost::json::object& body;
  absl::Time now;
  Random& random;
  bool changed = false;  // out
};
// For a caller who may.
Reply AnswerTransit(TransitCall& call, TransitOperation operation);

}  // namespace latchkey::emulator::vault
