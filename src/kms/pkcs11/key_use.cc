#include "kms/pkcs11/key_use.h"

#include <array>

#include "base/encoding.h"
#include "base/random.h"
#include "base/status.h"
#include "kms/bound_payload.h"
#include "kms/pkcs11/token_key.h"

namespace latchkey {
namespace {

constexpr CK_ULONG kKeySize = 32;

struct SchemeFacts {
  Pkcs11Scheme scheme;
  CK_MECHANISM_TYPE mechanism;
  CK_FLAGS flags;  // that the mechanism must have
  CK_ATTRIBUTE_TYPE seals, opens;
  std::string_view seals_name, opens_name;
};
// In the order of preference.
constexpr SchemeFacts kSchemes[] = {
    {Pkcs11Scheme::kGcm, CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT, CKA_ENCRYPT, CKA_DECRYPT, "CKA_ENCRYPT", "CKA_DECRYPT"},
    {Pkcs11Scheme::kKeyWrapPad, CKM_AES_KEY_WRAP_PAD, CKF_WRAP | CKF_UNWRAP, CKA_WRAP, CKA_UNWRAP, "CKA_WRAP", "CKA_UNWRAP"},
};
const SchemeFacts& FactsOf(Pkcs11Scheme scheme) { return scheme == Pkcs11Scheme::kGcm ? kSchemes[0] : kSchemes[1]; }

absl::StatusOr<const SchemeFacts*> ChooseScheme(TokenSession& token) {
  for (const SchemeFacts& facts : kSchemes) {
    CK_MECHANISM_INFO info{};
    const CK_RV rv = token.module().C_GetMechanismInfo(token.slot(), facts.mechanism, &info);
    if (rv == CKR_OK && (info.flags & facts.flags) == facts.flags) return &facts;
    if (rv != CKR_OK && rv != CKR_MECHANISM_INVALID) return token.Fail(Pkcs11Step::kToken, "C_GetMechanismInfo", rv);
  }
  return KmsError(FailureClass::kUnsuitable, "the token has neither CKM_AES_GCM nor CKM_AES_KEY_WRAP_PAD");
}

// The name of the first attribute that forbids using the key so; empty when none does.
absl::StatusOr<std::string_view> Forbidding(TokenSession& token, CK_OBJECT_HANDLE key, const SchemeFacts& facts, bool to_seal) {
  if (to_seal) {
    ASSIGN_OR_RETURN(const bool may_seal, ReadFlag(token, key, facts.seals, true));
    if (!may_seal) return facts.seals_name;
  }
  ASSIGN_OR_RETURN(const bool may_open, ReadFlag(token, key, facts.opens, true));
  return may_open ? std::string_view() : facts.opens_name;
}

absl::Status CheckPermitted(TokenSession& token, CK_OBJECT_HANDLE key, const SchemeFacts& facts, bool to_seal) {
  ASSIGN_OR_RETURN(const std::string_view forbids, Forbidding(token, key, facts, to_seal));
  if (forbids.empty()) return absl::OkStatus();
  return KmsError(FailureClass::kDisabled, absl::StrCat("the key is switched off: its ", ToAbsl(forbids), " is false"));
}

// Why a key of this length is none for us; empty when it is.
absl::StatusOr<std::string> WrongSize(TokenSession& token, CK_OBJECT_HANDLE key) {
  ASSIGN_OR_RETURN(const std::optional<CK_ULONG> size, ReadNumber(token, key, CKA_VALUE_LEN));
  if (!size || *size == kKeySize) return std::string();
  return absl::StrCat("it is an AES key of ", *size * 8, " bits, not of 256");
}

// PKCS #11 takes no pointers to const; nothing is written through it.
unsigned char* In(std::span<const uint8_t> bytes) { return const_cast<unsigned char*>(bytes.data()); }

CK_GCM_PARAMS GcmParameters(std::span<uint8_t> iv, std::string_view aad) {
  CK_GCM_PARAMS parameters{};
  parameters.pIv = iv.data();
  parameters.ulIvLen = iv.size();
  parameters.ulIvBits = iv.size() * 8;
  parameters.pAAD = In(AsBytes(aad));
  parameters.ulAADLen = aad.size();
  parameters.ulTagBits = kPkcs11TagSize * 8;
  return parameters;
}

absl::StatusOr<std::vector<uint8_t>> SealGcm(TokenSession& token, CK_OBJECT_HANDLE key, const SecretBytes& plaintext,
                                             const std::string& aad) {
  // The IV is ours and not the token's: random numbers of the kernel we can judge.
  std::vector<uint8_t> iv = Random::System().Bytes(kPkcs11IvSize);
  CK_GCM_PARAMS parameters = GcmParameters(iv, aad);
  CK_MECHANISM mechanism{CKM_AES_GCM, &parameters, sizeof(parameters)};
  CK_FUNCTION_LIST& module = token.module();
  if (const CK_RV rv = module.C_EncryptInit(token.session(), &mechanism, key); rv != CKR_OK) {
    return token.Fail(Pkcs11Step::kUse, "C_EncryptInit", rv);
  }
  const std::span<const uint8_t> bytes = plaintext.Reveal(SecretAccess{});
  const size_t size = bytes.size() + kPkcs11TagSize;
  std::vector<uint8_t> sealed(size + kPkcs11TagSize);
  CK_ULONG length = sealed.size();
  if (const CK_RV rv = module.C_Encrypt(token.session(), In(bytes), bytes.size(), sealed.data(), &length); rv != CKR_OK) {
    return token.Fail(Pkcs11Step::kUse, "C_Encrypt", rv);
  }
  if (length != size) return KmsError(FailureClass::kCorrupt, "C_Encrypt: gave another length than a ciphertext with its tag has");
  sealed.resize(size);
  // Modules that insist on IVs of their own write them where ours was: what stands there now is what was used.
  return FormatPkcs11Ciphertext({.scheme = Pkcs11Scheme::kGcm, .iv = iv, .body = sealed});
}

absl::StatusOr<SecretBytes> OpenGcm(TokenSession& token, CK_OBJECT_HANDLE key, const Pkcs11Ciphertext& parts, const std::string& aad) {
  std::vector<uint8_t> iv(parts.iv.begin(), parts.iv.end());
  CK_GCM_PARAMS parameters = GcmParameters(iv, aad);
  CK_MECHANISM mechanism{CKM_AES_GCM, &parameters, sizeof(parameters)};
  CK_FUNCTION_LIST& module = token.module();
  if (const CK_RV rv = module.C_DecryptInit(token.session(), &mechanism, key); rv != CKR_OK) {
    return token.Fail(Pkcs11Step::kUse, "C_DecryptInit", rv);
  }
  // Room for the tag as well: some modules ask for it.
  SecretBytes buffer(parts.body.size());
  const std::span<uint8_t> out = buffer.RevealMutable(SecretAccess{});
  CK_ULONG length = out.size();
  if (const CK_RV rv = module.C_Decrypt(token.session(), In(parts.body), parts.body.size(), out.data(), &length); rv != CKR_OK) {
    return token.Fail(Pkcs11Step::kOpen, "C_Decrypt", rv);
  }
  if (length != parts.body.size() - kPkcs11TagSize) {
    return KmsError(FailureClass::kCorrupt, "C_Decrypt: gave another length than was encrypted");
  }
  return SecretBytes::CopyOf(std::span<const uint8_t>(out.first(length)));
}

// An object of the session that goes when this does.
class SessionObject {
 public:
  SessionObject(TokenSession& token, CK_OBJECT_HANDLE handle) : token_(token), handle_(handle) {}
  ~SessionObject() { token_.module().C_DestroyObject(token_.session(), handle_); }
  SessionObject(const SessionObject&) = delete;
  SessionObject& operator=(const SessionObject&) = delete;
  CK_OBJECT_HANDLE handle() const { return handle_; }

 private:
  TokenSession& token_;
  CK_OBJECT_HANDLE handle_;
};

// A generic secret that lives in the session only and may be wrapped. `value`: null for a template to unwrap into.
struct SecretTemplate {
  SecretTemplate(bool is_sensitive, const SecretBytes* value) : sensitive(is_sensitive ? CK_TRUE : CK_FALSE) {
    if (value == nullptr) return;
    const std::span<const uint8_t> bytes = value->Reveal(SecretAccess{});
    attributes[count++] = {CKA_VALUE, In(bytes), bytes.size()};
  }
  SecretTemplate(const SecretTemplate&) = delete;
  SecretTemplate& operator=(const SecretTemplate&) = delete;

  CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_GENERIC_SECRET;
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE, sensitive;
  std::array<CK_ATTRIBUTE, 7> attributes = {{{CKA_CLASS, &object_class, sizeof(object_class)},
                                             {CKA_KEY_TYPE, &type, sizeof(type)},
                                             {CKA_TOKEN, &no, sizeof(no)},
                                             {CKA_PRIVATE, &yes, sizeof(yes)},
                                             {CKA_SENSITIVE, &sensitive, sizeof(sensitive)},
                                             {CKA_EXTRACTABLE, &yes, sizeof(yes)},
                                             {}}};
  CK_ULONG count = 6;
};

absl::StatusOr<std::vector<uint8_t>> SealKeyWrap(TokenSession& token, CK_OBJECT_HANDLE key, const SecretBytes& payload) {
  CK_FUNCTION_LIST& module = token.module();
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  CK_RV rv = CKR_OK;
  // Sensitive where the module lets a value that came from outside be so.
  for (const bool sensitive : {true, false}) {
    SecretTemplate secret(sensitive, &payload);
    rv = module.C_CreateObject(token.session(), secret.attributes.data(), secret.count, &handle);
    if (rv != CKR_TEMPLATE_INCONSISTENT && rv != CKR_ATTRIBUTE_VALUE_INVALID && rv != CKR_ATTRIBUTE_READ_ONLY) break;
  }
  if (rv != CKR_OK) return token.Fail(Pkcs11Step::kUse, "C_CreateObject", rv);
  const SessionObject object(token, handle);

  CK_MECHANISM mechanism{CKM_AES_KEY_WRAP_PAD, nullptr, 0};
  const size_t size = (payload.size() + 7) / 8 * 8 + 8;
  std::vector<uint8_t> wrapped(size + 16);
  CK_ULONG length = wrapped.size();
  rv = module.C_WrapKey(token.session(), &mechanism, key, object.handle(), wrapped.data(), &length);
  if (rv != CKR_OK) return token.Fail(Pkcs11Step::kUse, "C_WrapKey", rv);
  if (length != size) return KmsError(FailureClass::kCorrupt, "C_WrapKey: gave another length than RFC 5649 has");
  wrapped.resize(size);
  return FormatPkcs11Ciphertext({.scheme = Pkcs11Scheme::kKeyWrapPad, .iv = {}, .body = wrapped});
}

absl::StatusOr<SecretBytes> OpenKeyWrap(TokenSession& token, CK_OBJECT_HANDLE key, const Pkcs11Ciphertext& parts) {
  CK_FUNCTION_LIST& module = token.module();
  CK_MECHANISM mechanism{CKM_AES_KEY_WRAP_PAD, nullptr, 0};
  // Not sensitive, since we read its value in the next moment.
  SecretTemplate secret(false, nullptr);
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  CK_RV rv = module.C_UnwrapKey(token.session(), &mechanism, key, In(parts.body), parts.body.size(), secret.attributes.data(), secret.count,
                                &handle);
  if (rv != CKR_OK) return token.Fail(Pkcs11Step::kOpen, "C_UnwrapKey", rv);
  const SessionObject object(token, handle);

  SecretBytes buffer(parts.body.size());
  const std::span<uint8_t> out = buffer.RevealMutable(SecretAccess{});
  CK_ATTRIBUTE value{CKA_VALUE, out.data(), out.size()};
  rv = module.C_GetAttributeValue(token.session(), object.handle(), &value, 1);
  if (rv != CKR_OK) return token.Fail(Pkcs11Step::kUse, "C_GetAttributeValue", rv);
  if (value.ulValueLen > out.size()) return KmsError(FailureClass::kCorrupt, "C_GetAttributeValue: gave more than was wrapped");
  return SecretBytes::CopyOf(std::span<const uint8_t>(out.first(value.ulValueLen)));
}

// As CheckContext. RFC 5649 fills up to eight bytes with zeros and takes them away again; SoftHSM 2.6 leaves them. Where the payload ends,
// its hash tells.
absl::StatusOr<SecretBytes> CheckFilledContext(const SecretBytes& payload, const KmsContext& context) {
  absl::StatusOr<SecretBytes> checked = CheckContext(payload, context);
  const std::span<const uint8_t> bytes = payload.Reveal(SecretAccess{});
  for (size_t fill = 1; !checked.ok() && fill < 8 && fill < bytes.size() && bytes[bytes.size() - fill] == 0; ++fill) {
    if (auto shorter = CheckContext(SecretBytes::CopyOf(bytes.first(bytes.size() - fill)), context); shorter.ok()) return shorter;
  }
  return checked;
}

}  // namespace

absl::StatusOr<KeyDescription> DescribeTokenKey(TokenSession& token, const std::string& label) {
  ASSIGN_OR_RETURN(const CK_OBJECT_HANDLE key, FindTokenKey(token, label));
  KeyDescription description{.state = "Enabled", .protection_level = token.protection()};
  ASSIGN_OR_RETURN(description.key_version, ReadKeyId(token, key));
  ASSIGN_OR_RETURN(description.expires_at, ReadEndDate(token, key));
  // Whoever holds the PIN can take such a key out of the token: worth knowing.
  ASSIGN_OR_RETURN(const bool extractable, ReadFlag(token, key, CKA_EXTRACTABLE, false));
  if (extractable) absl::StrAppend(&description.protection_level, ", extractable");

  ASSIGN_OR_RETURN(description.unusable_because, WrongSize(token, key));
  if (!description.unusable_because.empty()) {
    description.failure = FailureClass::kUnsuitable;
    return description;
  }
  const auto scheme = ChooseScheme(token);
  if (!scheme.ok()) {
    if (FailureClassOf(scheme.status()) != FailureClass::kUnsuitable) return scheme.status();
    description.failure = FailureClass::kUnsuitable;
    description.unusable_because = std::string(FromAbsl(scheme.status().message()));
    return description;
  }
  ASSIGN_OR_RETURN(const std::string_view forbids, Forbidding(token, key, **scheme, true));
  if (!forbids.empty()) {
    description.state = "Disabled";
    description.failure = FailureClass::kDisabled;
    description.unusable_because = absl::StrCat("its ", ToAbsl(forbids), " is false");
    return description;
  }
  description.usable = true;
  return description;
}

absl::StatusOr<KmsWrapped> WrapWithTokenKey(TokenSession& token, const std::string& label, const SecretBytes& plaintext,
                                            const KmsContext& context) {
  ASSIGN_OR_RETURN(const CK_OBJECT_HANDLE key, FindTokenKey(token, label));
  ASSIGN_OR_RETURN(const std::string wrong_size, WrongSize(token, key));
  if (!wrong_size.empty()) return KmsError(FailureClass::kUnsuitable, wrong_size);
  ASSIGN_OR_RETURN(const SchemeFacts* const facts, ChooseScheme(token));
  RETURN_IF_ERROR(CheckPermitted(token, key, *facts, true));
  KmsWrapped wrapped;
  ASSIGN_OR_RETURN(wrapped.key_version, ReadKeyId(token, key));
  if (facts->scheme == Pkcs11Scheme::kGcm) {
    ASSIGN_OR_RETURN(wrapped.ciphertext, SealGcm(token, key, plaintext, CanonicalContext(context)));
  } else {
    ASSIGN_OR_RETURN(wrapped.ciphertext, SealKeyWrap(token, key, BindContext(plaintext, context)));
  }
  return wrapped;
}

absl::StatusOr<SecretBytes> UnwrapWithTokenKey(TokenSession& token, const std::string& label, const KmsWrapped& wrapped,
                                               const KmsContext& context) {
  ASSIGN_OR_RETURN(const Pkcs11Ciphertext parts, ParsePkcs11Ciphertext(wrapped.ciphertext));
  ASSIGN_OR_RETURN(const CK_OBJECT_HANDLE key, FindTokenKey(token, label));
  RETURN_IF_ERROR(CheckPermitted(token, key, FactsOf(parts.scheme), false));
  absl::StatusOr<SecretBytes> opened;
  if (parts.scheme == Pkcs11Scheme::kGcm) {
    opened = OpenGcm(token, key, parts, CanonicalContext(context));
  } else {
    opened = OpenKeyWrap(token, key, parts);
    if (opened.ok()) opened = CheckFilledContext(*opened, context);
  }
  if (FailureClassOf(opened.status()) != FailureClass::kCorrupt || wrapped.key_version.empty()) return opened;
  // The id is written down beside the ciphertext and protected by nothing: it serves to explain, never to decide.
  ASSIGN_OR_RETURN(const std::string id, ReadKeyId(token, key));
  if (id == wrapped.key_version) return opened;
  return WithFailureClass(
      absl::Status(opened.status().code(), absl::StrCat(opened.status().message(), "; the key with this label has id ", id, " now, and ",
                                                        CleanWords(wrapped.key_version), " when it wrapped: has it been replaced?")),
      FailureClass::kCorrupt);
}

}  // namespace latchkey
