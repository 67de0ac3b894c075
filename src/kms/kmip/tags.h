// The numbers of KMIP 1.4 that Latchkey speaks (OASIS KMIP 1.4, section 9.1.3), and those reasons of KMIP 2.0 that newer servers answer
// with.
#pragma once

#include <cstdint>

namespace latchkey::kmip {

enum Tag : uint32_t {
  kAttribute = 0x420008,
  kAttributeIndex = 0x420009,
  kAttributeName = 0x42000A,
  kAttributeValue = 0x42000B,
  kBatchCount = 0x42000D,
  kBatchItem = 0x42000F,
  kBlockCipherMode = 0x420011,
  kCryptographicAlgorithm = 0x420028,
  kCryptographicParameters = 0x42002B,
  kIvCounterNonce = 0x42003D,
  kMaximumResponseSize = 0x420050,
  kObjectType = 0x420057,
  kOperation = 0x42005C,
  kProtocolVersion = 0x420069,
  kProtocolVersionMajor = 0x42006A,
  kProtocolVersionMinor = 0x42006B,
  kRequestHeader = 0x420077,
  kRequestMessage = 0x420078,
  kRequestPayload = 0x420079,
  kResponseHeader = 0x42007A,
  kResponseMessage = 0x42007B,
  kResponsePayload = 0x42007C,
  kResultMessage = 0x42007D,
  kResultReason = 0x42007E,
  kResultStatus = 0x42007F,
  kRevocationReason = 0x420081,
  kRevocationReasonCode = 0x420082,
  kTemplateAttribute = 0x420091,
  kUniqueIdentifier = 0x420094,
  kData = 0x4200C2,
  kTagLength = 0x4200CE,
  kAdditionalData = 0x4200FE,
  kAuthenticationTag = 0x4200FF,
};

enum class Operation : uint32_t {
  kCreate = 0x01,
  kGetAttributes = 0x0B,
  kActivate = 0x12,
  kRevoke = 0x13,
  kDestroy = 0x14,
  kEncrypt = 0x1F,
  kDecrypt = 0x20,
};

enum class ResultStatus : uint32_t { kSuccess = 0, kFailed = 1, kPending = 2, kUndone = 3 };

enum class Reason : uint32_t {
  kItemNotFound = 0x01,
  kResponseTooLarge = 0x02,
  kAuthenticationNotSuccessful = 0x03,
  kInvalidMessage = 0x04,
  kOperationNotSupported = 0x05,
  kMissingData = 0x06,
  kInvalidField = 0x07,
  kFeatureNotSupported = 0x08,
  kOperationCanceled = 0x09,
  kCryptographicFailure = 0x0A,
  kIllegalOperation = 0x0B,
  kPermissionDenied = 0x0C,
  kObjectArchived = 0x0D,
  kKeyFormatNotSupported = 0x10,
  kKeyValueNotPresent = 0x13,
  kAttestationRequired = 0x14,
  kAttestationFailed = 0x15,
  // KMIP 2.0
  kUsageLimitExceeded = 0x1A,
  kBadCryptographicParameters = 0x24,
  kIllegalObjectType = 0x28,
  kIncompatibleUsageMask = 0x29,
  kInternalServerError = 0x2A,
  kInvalidObjectType = 0x30,
  kObjectDestroyed = 0x36,
  kObjectNotFound = 0x37,
  kNotAuthorised = 0x39,
  kServerLimitExceeded = 0x3A,
  kUnsupportedCryptographicParameters = 0x3E,
  kUnsupportedProtocolVersion = 0x3F,
  kWrongKeyLifecycleState = 0x43,
  kProtectionStorageUnavailable = 0x44,

  kGeneralFailure = 0x100,
};

enum class State : uint32_t {
  kPreActive = 1,
  kActive = 2,
  kDeactivated = 3,
  kCompromised = 4,
  kDestroyed = 5,
  kDestroyedCompromised = 6,
};

inline constexpr uint32_t kSymmetricKey = 2;  // Object Type
inline constexpr uint32_t kAes = 3;           // Cryptographic Algorithm
inline constexpr uint32_t kGcm = 9;           // Block Cipher Mode
inline constexpr int32_t kUsageEncrypt = 4, kUsageDecrypt = 8;

}  // namespace latchkey::kmip
