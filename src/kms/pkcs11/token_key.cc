#include "kms/pkcs11/token_key.h"

#include <absl/time/civil_time.h>

#include <array>
#include <cstring>

#include "base/encoding.h"
#include "base/status.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

// As many objects of one label as are looked at: more than one is a fault anyway.
constexpr CK_ULONG kMostObjects = 16;
constexpr size_t kMostId = 128;

template <typename T>
CK_ATTRIBUTE Attribute(CK_ATTRIBUTE_TYPE type, T& value) {
  return {type, &value, sizeof(value)};
}

absl::StatusOr<std::vector<CK_OBJECT_HANDLE>> FindByLabel(TokenSession& token, const std::string& label) {
  CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY;
  CK_BBOOL yes = CK_TRUE;
  std::string text = label;
  std::array<CK_ATTRIBUTE, 3> wanted = {Attribute(CKA_CLASS, secret_key), Attribute(CKA_TOKEN, yes),
                                        CK_ATTRIBUTE{CKA_LABEL, text.data(), text.size()}};
  CK_FUNCTION_LIST& module = token.module();
  if (const CK_RV rv = module.C_FindObjectsInit(token.session(), wanted.data(), wanted.size()); rv != CKR_OK) {
    return token.Fail(Pkcs11Step::kToken, "C_FindObjectsInit", rv);
  }
  std::vector<CK_OBJECT_HANDLE> found(kMostObjects);
  CK_ULONG size = 0;
  // Some modules give less at once than they have.
  while (size < kMostObjects) {
    CK_ULONG count = 0;
    if (const CK_RV rv = module.C_FindObjects(token.session(), found.data() + size, kMostObjects - size, &count); rv != CKR_OK) {
      module.C_FindObjectsFinal(token.session());
      return token.Fail(Pkcs11Step::kToken, "C_FindObjects", rv);
    }
    if (count == 0) break;
    size += std::min(count, kMostObjects - size);
  }
  module.C_FindObjectsFinal(token.session());
  found.resize(size);
  return found;
}

}  // namespace

absl::StatusOr<std::optional<std::vector<uint8_t>>> ReadAttribute(TokenSession& token, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                                                                  size_t most) {
  std::vector<uint8_t> value(most);
  CK_ATTRIBUTE attribute{type, value.data(), value.size()};
  const CK_RV rv = token.module().C_GetAttributeValue(token.session(), object, &attribute, 1);
  if (rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_BUFFER_TOO_SMALL) return std::nullopt;
  if (rv != CKR_OK) return token.Fail(Pkcs11Step::kToken, "C_GetAttributeValue", rv);
  if (attribute.ulValueLen > most) return std::nullopt;
  value.resize(attribute.ulValueLen);
  return value;
}

absl::StatusOr<bool> ReadFlag(TokenSession& token, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, bool absent) {
  ASSIGN_OR_RETURN(const auto value, ReadAttribute(token, object, type, sizeof(CK_BBOOL)));
  return value && value->size() == sizeof(CK_BBOOL) ? value->front() != CK_FALSE : absent;
}

absl::StatusOr<std::optional<CK_ULONG>> ReadNumber(TokenSession& token, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  ASSIGN_OR_RETURN(const auto value, ReadAttribute(token, object, type, sizeof(CK_ULONG)));
  if (!value || value->size() != sizeof(CK_ULONG)) return std::nullopt;
  CK_ULONG number = 0;
  std::memcpy(&number, value->data(), sizeof(number));
  return number;
}

absl::StatusOr<std::optional<absl::Time>> ReadEndDate(TokenSession& token, CK_OBJECT_HANDLE object) {
  const auto read = ReadAttribute(token, object, CKA_END_DATE, sizeof(CK_DATE));
  // A date is nice to have. SoftHSM 2.6 answers CKR_GENERAL_ERROR for one that was set on a private object.
  if (!read.ok() && !token.lost()) return std::nullopt;
  ASSIGN_OR_RETURN(const auto value, read);
  if (!value || value->size() != sizeof(CK_DATE)) return std::nullopt;
  int date = 0;
  for (const uint8_t c : *value) {
    if (c < '0' || c > '9') return std::nullopt;
    date = date * 10 + (c - '0');
  }
  const absl::CivilDay day(date / 10'000, date / 100 % 100, date % 100);
  // Another day than was written: there is no such date.
  if (day.year() != date / 10'000 || day.month() != date / 100 % 100 || day.day() != date % 100) return std::nullopt;
  return absl::FromCivil(day + 1, absl::UTCTimeZone());
}

absl::StatusOr<std::string> ReadKeyId(TokenSession& token, CK_OBJECT_HANDLE object) {
  ASSIGN_OR_RETURN(const auto value, ReadAttribute(token, object, CKA_ID, kMostId));
  return value ? HexEncode(*value) : std::string();
}

absl::StatusOr<CK_OBJECT_HANDLE> FindTokenKey(TokenSession& token, const std::string& label) {
  ASSIGN_OR_RETURN(const std::vector<CK_OBJECT_HANDLE> found, FindByLabel(token, label));
  // Without a login private objects do not show, and that is no error in PKCS #11: a key that was not found may just be out of sight.
  if (found.empty()) {
    RETURN_IF_ERROR(token.CheckLoggedIn());
    return KmsError(FailureClass::kDestroyed, absl::StrCat("the token has no secret key with the label \"", label, "\""));
  }
  std::vector<CK_OBJECT_HANDLE> keys;
  for (const CK_OBJECT_HANDLE object : found) {
    ASSIGN_OR_RETURN(const std::optional<CK_ULONG> type, ReadNumber(token, object, CKA_KEY_TYPE));
    if (type == CKK_AES) keys.push_back(object);
  }
  if (keys.empty())
    return KmsError(FailureClass::kUnsuitable, absl::StrCat("the token's key with the label \"", label, "\" is not an AES key"));
  if (keys.size() > 1) {
    return KmsError(FailureClass::kUnsuitable, absl::StrCat("the token has several AES keys with the label \"", label,
                                                            "\"; give the one that is meant a label of its own"));
  }
  return keys.front();
}

}  // namespace latchkey
