#include "kms/kmip/errors.h"

#include <absl/strings/str_format.h>

#include <algorithm>

namespace latchkey {
namespace {

using enum FailureClass;
using kmip::Operation;
using kmip::Reason;

struct Row {
  Reason reason;
  std::string_view name;
  FailureClass c;
  std::optional<FailureClass> at_decrypt;  // where it means something else there
  bool retry = false;
  bool ask_state = false;
};

constexpr Row kRows[] = {
    // Nobody has such a key: servers forget destroyed ones.
    {Reason::kItemNotFound, "Item Not Found", kDestroyed, {}},
    {Reason::kObjectNotFound, "Object Not Found", kDestroyed, {}},
    {Reason::kObjectDestroyed, "Object Destroyed", kDestroyed, {}},
    // The server keeps what it knows of the key, without the key.
    {Reason::kKeyValueNotPresent, "Key Value Not Present", kDestroyed, {}},
    // Moved off line by its owner, who can bring it back.
    {Reason::kObjectArchived, "Object Archived", kDisabled, {}},
    // The certificate is the identity that the owner has let in. A server that has set up TLS with it, has read the request and then says
    // no
    // carries out what its owner has ordered.
    {Reason::kAuthenticationNotSuccessful, "Authentication Not Successful", kDenied, {}},
    {Reason::kNotAuthorised, "Not Authorised", kDenied, {}},
    // Also the answer to a use in another state than Active (KMIP 1.4, section 11, of Encrypt and Decrypt), to a use that the mask does not
    // allow, and to one that the policy of the key does not allow.
    {Reason::kPermissionDenied, "Permission Denied", kDenied, {}, false, true},
    {Reason::kUsageLimitExceeded, "Usage Limit Exceeded", kDenied, {}, false, true},
    // A no whose cause is not told; the state may.
    {Reason::kIllegalOperation, "Illegal Operation", kAmbiguous, {}, false, true},
    {Reason::kWrongKeyLifecycleState, "Wrong Key Lifecycle State", kAmbiguous, {}, false, true},
    // At Decrypt: key, nonce, context, ciphertext and tag do not belong together. Elsewhere the server's own trouble.
    {Reason::kCryptographicFailure, "Cryptographic Failure", kUnreachable, kCorrupt, true},
    // What differs from one Decrypt to the next are nonce, context, ciphertext and tag; all else the server has accepted at Encrypt.
    {Reason::kInvalidField, "Invalid Field", kUnsuitable, kCorrupt},
    {Reason::kMissingData, "Missing Data", kUnsuitable, kCorrupt},
    // A server without Encrypt and Decrypt, or without GCM: no key of it can be used.
    {Reason::kOperationNotSupported, "Operation Not Supported", kUnsuitable, {}},
    {Reason::kFeatureNotSupported, "Feature Not Supported", kUnsuitable, {}},
    {Reason::kBadCryptographicParameters, "Bad Cryptographic Parameters", kUnsuitable, {}},
    {Reason::kUnsupportedCryptographicParameters, "Unsupported Cryptographic Parameters", kUnsuitable, {}},
    {Reason::kUnsupportedProtocolVersion, "Unsupported Protocol Version", kUnsuitable, {}},
    // Another kind of object, or a key for something else.
    {Reason::kIllegalObjectType, "Illegal Object Type", kUnsuitable, {}},
    {Reason::kInvalidObjectType, "Invalid Object Type", kUnsuitable, {}},
    {Reason::kIncompatibleUsageMask, "Incompatible Cryptographic Usage Mask", kUnsuitable, {}},
    {Reason::kKeyFormatNotSupported, "Key Format Type Not Supported", kUnsuitable, {}},
    // The server wants to know more of this machine than its certificate says: trouble of ours.
    {Reason::kAttestationRequired, "Attestation Required", kIdentity, {}},
    {Reason::kAttestationFailed, "Attestation Failed", kIdentity, {}},
    // Too much at once.
    {Reason::kServerLimitExceeded, "Server Limit Exceeded", kThrottled, {}, true},
    // Nobody judged the key.
    {Reason::kInvalidMessage, "Invalid Message", kUnreachable, {}},
    {Reason::kResponseTooLarge, "Response Too Large", kUnreachable, {}},
    {Reason::kOperationCanceled, "Operation Canceled By Requester", kUnreachable, {}, true},
    {Reason::kInternalServerError, "Internal Server Error", kUnreachable, {}, true},
    {Reason::kProtectionStorageUnavailable, "Protection Storage Unavailable", kUnreachable, {}, true},
    // Some servers (PyKMIP) say no more than this when a tag does not fit. The caller of Decrypt finds out (kmip_kms.cc).
    {Reason::kGeneralFailure, "General Failure", kUnreachable, {}, true},
};

const Row* Find(std::optional<Reason> reason) {
  const auto it = std::ranges::find_if(kRows, [&](const Row& row) { return row.reason == reason; });
  return it == std::end(kRows) ? nullptr : it;
}

}  // namespace

KmipVerdict ClassifyKmipFailure(Operation operation, const KmipAnswer& answer) {
  // Pending and Undone answer what we never ask for: asynchronous operations and batches.
  const Row* row = answer.status == kmip::ResultStatus::kFailed ? Find(answer.reason) : nullptr;
  // What we do not know is not a no: nothing renews, and the lease bounds it.
  if (row == nullptr) return {.failure_class = kUnreachable};
  if (operation == Operation::kDecrypt && row->at_decrypt) return {.failure_class = *row->at_decrypt};
  // A Decrypt that has failed without a reason is first looked into, not repeated.
  const bool retry = row->retry && !(operation == Operation::kDecrypt && row->reason == Reason::kGeneralFailure);
  return {.failure_class = row->c, .retry = retry, .ask_state = row->ask_state};
}

std::string KmipReasonName(std::optional<Reason> reason) {
  if (!reason) return "no reason given";
  const Row* row = Find(reason);
  return row == nullptr ? absl::StrFormat("reason 0x%X", static_cast<uint32_t>(*reason)) : std::string(row->name);
}

std::string_view KmipOperationName(Operation operation) {
  switch (operation) {
    case Operation::kCreate:
      return "Create";
    case Operation::kGetAttributes:
      return "Get Attributes";
    case Operation::kActivate:
      return "Activate";
    case Operation::kRevoke:
      return "Revoke";
    case Operation::kDestroy:
      return "Destroy";
    case Operation::kEncrypt:
      return "Encrypt";
    case Operation::kDecrypt:
      return "Decrypt";
  }
  return "";
}

std::string_view KmipStateName(kmip::State state) {
  switch (state) {
    case kmip::State::kPreActive:
      return "Pre-Active";
    case kmip::State::kActive:
      return "Active";
    case kmip::State::kDeactivated:
      return "Deactivated";
    case kmip::State::kCompromised:
      return "Compromised";
    case kmip::State::kDestroyed:
      return "Destroyed";
    case kmip::State::kDestroyedCompromised:
      return "Destroyed Compromised";
  }
  return "Unknown";
}

std::optional<FailureClass> FailureOfKmipState(kmip::State state) {
  switch (state) {
    case kmip::State::kActive:
      return std::nullopt;
    case kmip::State::kPreActive:
    case kmip::State::kDeactivated:
    case kmip::State::kCompromised:
      return kDisabled;
    case kmip::State::kDestroyed:
    case kmip::State::kDestroyedCompromised:
      return kDestroyed;
  }
  return kAmbiguous;
}

FailureClass ClassifyTlsAlert(int alert, bool authenticated) {
  switch (alert) {
    case 44:  // certificate_revoked
    case 49:  // access_denied
      // The owner's no, if it is surely the owner's server that says it. During a handshake anybody could, and would seal the data so.
      return authenticated ? kDenied : kIdentity;
    case 40:   // handshake_failure: what TLS 1.2 servers say when no certificate came
    case 42:   // bad_certificate
    case 43:   // unsupported_certificate: not for clients
    case 45:   // certificate_expired
    case 46:   // certificate_unknown
    case 48:   // unknown_ca
    case 116:  // certificate_required
      // Ours is expired, of another CA or of the wrong kind: to be mended by us or together, and no word about the key.
      return kIdentity;
    default:
      return kUnreachable;
  }
}

}  // namespace latchkey
