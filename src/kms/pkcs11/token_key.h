// Objects of a token: finding a key, reading its attributes.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <p11-kit/pkcs11.h>

#include <optional>
#include <string>
#include <vector>

#include "kms/pkcs11/token_session.h"

namespace latchkey {

// The one AES key with that label; classes as in key_use.h.
absl::StatusOr<CK_OBJECT_HANDLE> FindTokenKey(TokenSession& token, const std::string& label);

// The value of an attribute, at most `most` bytes of it. nullopt where the object has no such attribute or does not show it.
absl::StatusOr<std::optional<std::vector<uint8_t>>> ReadAttribute(TokenSession& token, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                                                                  size_t most);
// A CK_BBOOL; `absent` where there is none.
absl::StatusOr<bool> ReadFlag(TokenSession& token, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, bool absent);
// A CK_ULONG.
absl::StatusOr<std::optional<CK_ULONG>> ReadNumber(TokenSession& token, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);
// A CK_DATE (eight digits); nullopt where it is empty or no date. The beginning of the day after it, in UTC, since the day itself counts.
absl::StatusOr<std::optional<absl::Time>> ReadEndDate(TokenSession& token, CK_OBJECT_HANDLE object);
// CKA_ID as lower-case hex; empty where there is none.
absl::StatusOr<std::string> ReadKeyId(TokenSession& token, CK_OBJECT_HANDLE object);

}  // namespace latchkey
