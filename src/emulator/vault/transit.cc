#include "emulator/vault/transit.h"

#include <array>
#include <charconv>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/aead.h"

namespace latchkey::emulator::vault {
namespace {

constexpr std::string_view kPrefix = "vault:v";
constexpr std::string_view kSoftDeleted = "refusing to use soft-deleted key";

Reply Invalid(std::string text) { return Refused(400, std::move(text)); }

// Text members of a request. Others than strings are refused as the service's decoder does.
struct Fields {
  const json::object& body;
  Reply* fault;

  std::string Text(std::string_view name) const {
    const json::value* value = body.if_contains(name);
    if (value == nullptr || value->is_null()) return "";
    if (!value->is_string()) {
      *fault = Invalid(absl::StrCat("error converting input for field \"", ToAbsl(name), "\": expected type 'string'"));
      return "";
    }
    return std::string(value->get_string());
  }
  std::optional<int64_t> Int(std::string_view name) const {
    const json::value* value = body.if_contains(name);
    if (value == nullptr || value->is_null()) return std::nullopt;
    if (value->is_int64()) return value->get_int64();
    // The service takes numbers in strings too.
    int64_t number = 0;
    if (value->is_string()) {
      const json::string& text = value->get_string();
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error == std::errc() && end == text.data() + text.size()) return number;
    }
    *fault = Invalid(absl::StrCat("error converting input for field \"", ToAbsl(name), "\": expected type 'int'"));
    return std::nullopt;
  }
  std::optional<bool> Bool(std::string_view name) const {
    const json::value* value = body.if_contains(name);
    if (value == nullptr || value->is_null()) return std::nullopt;
    if (value->is_bool()) return value->get_bool();
    *fault = Invalid(absl::StrCat("error converting input for field \"", ToAbsl(name), "\": expected type 'bool'"));
    return std::nullopt;
  }
};

Reply KeyReply(const TransitCall& call, const TransitKey& key) {
  json::object versions;
  for (const auto& [number, version] : key.versions) {
    // Versions that may decrypt no more are archived and not shown.
    if (number >= key.min_decryption_version) versions[std::to_string(number)] = absl::ToUnixSeconds(version.created);
  }
  json::object data{{"name", call.key.name},
                    {"type", "aes256-gcm96"},
                    {"derived", false},
                    {"deletion_allowed", key.deletion_allowed},
                    {"min_available_version", 0},
                    {"min_decryption_version", key.min_decryption_version},
                    {"min_encryption_version", key.min_encryption_version},
                    {"latest_version", key.latest_version()},
                    {"exportable", false},
                    {"allow_plaintext_backup", false},
                    {"supports_encryption", true},
                    {"supports_decryption", true},
                    {"supports_signing", false},
                    {"supports_derivation", true},
                    {"auto_rotate_period", key.auto_rotate_seconds},
                    {"imported_key", false},
                    {"soft_deleted", key.soft_deleted}};
  data["keys"] = std::move(versions);
  return Data(std::move(data));
}

// The associated data of a request, decoded.
std::optional<std::string> AssociatedData(const Fields& fields) {
  const std::string text = fields.Text("associated_data");
  const absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(text);
  if (bytes.ok()) return std::string(AsText(*bytes));
  *fields.fault = Refused(500, "unable to get associated_data/additional_data from factory[0]: illegal base64 data at input byte 0");
  return std::nullopt;
}

std::string Seal(TransitCall& call, const TransitKey& key, int64_t number, std::string_view aad, std::span<const uint8_t> plaintext) {
  std::vector<uint8_t> out = call.random.Bytes(kGcmNonceSize);
  const std::vector<uint8_t> sealed = GcmSeal(key.versions.at(number).bytes, out, aad, plaintext).value();
  out.insert(out.end(), sealed.begin(), sealed.end());
  return absl::StrCat(ToAbsl(kPrefix), number, ":", Base64Encode(out));
}

// The plaintext, or nullopt after setting *fault.
std::optional<SecretBytes> Open(const TransitKey& key, std::string_view ciphertext, std::string_view aad, Reply* fault) {
  const auto refuse = [&](const char* text) {
    *fault = Invalid(text);
    return std::nullopt;
  };
  if (key.soft_deleted) return refuse(kSoftDeleted.data());
  if (ciphertext.substr(0, kPrefix.size()) != kPrefix) return refuse("invalid ciphertext: no prefix");
  ciphertext.remove_prefix(kPrefix.size());
  const size_t colon = ciphertext.find(':');
  if (colon == std::string_view::npos) return refuse("invalid ciphertext: wrong number of fields");
  int64_t number = 0;
  const std::string_view version = ciphertext.substr(0, colon);
  const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), number);
  if (error != std::errc() || end != version.data() + version.size() || number < 0)
    return refuse("invalid ciphertext: version number could not be decoded");
  if (number == 0) number = 1;
  if (number > key.latest_version()) return refuse("invalid ciphertext: version is too new");
  if (number < key.min_decryption_version) return refuse("ciphertext or signature version is disallowed by policy (too old)");
  const absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(ciphertext.substr(colon + 1));
  if (!bytes.ok()) return refuse("invalid ciphertext: could not decode base64");
  if (bytes->size() < kGcmNonceSize + kGcmTagSize) return refuse("invalid ciphertext length");
  const std::span<const uint8_t> all(*bytes);
  absl::StatusOr<SecretBytes> plain = GcmOpen(key.versions.at(number).bytes, all.first(kGcmNonceSize), aad, all.subspan(kGcmNonceSize));
  if (!plain.ok()) return refuse("cipher: message authentication failed");
  return *std::move(plain);
}

// The version that a request wants to encrypt under, or nullopt after setting *fault.
std::optional<int64_t> VersionToUse(const TransitKey& key, const Fields& fields) {
  const int64_t number = fields.Int("key_version").value_or(0);
  if (fields.fault->status != 200) return std::nullopt;
  const auto refuse = [&](const char* text) {
    *fields.fault = Invalid(text);
    return std::nullopt;
  };
  if (key.soft_deleted) return refuse(kSoftDeleted.data());
  if (number < 0) return refuse("requested version for encryption is negative");
  if (number > key.latest_version()) return refuse("requested version for encryption is higher than the latest key version");
  if (number != 0 && number < key.min_encryption_version)
    return refuse("requested version for encryption is less than the minimum encryption key version");
  // Archived versions are not at hand for encryption either.
  if (number != 0 && number < key.min_decryption_version)
    return refuse("requested version for encryption is less than the minimum encryption key version");
  return number == 0 ? key.latest_version() : number;
}

json::object Wrapped(std::string ciphertext, int64_t version) { return {{"ciphertext", std::move(ciphertext)}, {"key_version", version}}; }

Reply Encrypt(TransitCall& call, TransitKey& key, const Fields& fields) {
  const json::value* given = call.body.if_contains("plaintext");
  if (given == nullptr) return Invalid("missing plaintext to encrypt");
  std::string text = fields.Text("plaintext");
  absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(text);
  Wipe(text);
  if (!bytes.ok()) return Invalid("illegal base64 data at input byte 0");
  const SecretBytes plaintext = SecretBytes::CopyOf(*bytes);
  Wipe(bytes->data(), bytes->size());
  const std::optional<std::string> aad = AssociatedData(fields);
  const std::optional<int64_t> version = aad ? VersionToUse(key, fields) : std::nullopt;
  if (!version) return *fields.fault;
  return Data(Wrapped(Seal(call, key, *version, *aad, plaintext.Reveal(SecretAccess{})), *version));
}

Reply Decrypt(const TransitKey& key, const Fields& fields) {
  const std::string ciphertext = fields.Text("ciphertext");
  const std::optional<std::string> aad = AssociatedData(fields);
  if (fields.fault->status != 200) return *fields.fault;
  if (ciphertext.empty()) return Invalid("missing ciphertext to decrypt");
  const std::optional<SecretBytes> plain = Open(key, ciphertext, *aad, fields.fault);
  if (!plain) return *fields.fault;
  return Data({{"plaintext", Base64Encode(plain->Reveal(SecretAccess{}))}});
}

Reply Rewrap(TransitCall& call, const TransitKey& key, const Fields& fields) {
  const std::string ciphertext = fields.Text("ciphertext");
  const std::optional<std::string> aad = AssociatedData(fields);
  if (fields.fault->status != 200) return *fields.fault;
  if (ciphertext.empty()) return Invalid("missing ciphertext to rewrap");
  const std::optional<SecretBytes> plain = Open(key, ciphertext, *aad, fields.fault);
  const std::optional<int64_t> version = plain ? VersionToUse(key, fields) : std::nullopt;
  if (!version) return *fields.fault;
  return Data(Wrapped(Seal(call, key, *version, *aad, plain->Reveal(SecretAccess{})), *version));
}

Reply Datakey(TransitCall& call, const TransitKey& key, const Fields& fields, bool show) {
  const int64_t bits = fields.Int("bits").value_or(256);
  const std::optional<std::string> aad = AssociatedData(fields);
  const std::optional<int64_t> version = aad ? VersionToUse(key, fields) : std::nullopt;
  if (!version) return *fields.fault;
  if (bits != 128 && bits != 256 && bits != 512) return Invalid("invalid bit length");
  const SecretBytes fresh = call.random.Secret(static_cast<size_t>(bits / 8));
  json::object data = Wrapped(Seal(call, key, *version, *aad, fresh.Reveal(SecretAccess{})), *version);
  if (show) data["plaintext"] = Base64Encode(fresh.Reveal(SecretAccess{}));
  return Data(std::move(data));
}

// Seconds, or text as "24h".
std::optional<int64_t> Period(const Fields& fields, std::string_view name) {
  const json::value* value = fields.body.if_contains(name);
  if (value == nullptr || !value->is_string()) return fields.Int(name);
  absl::Duration period;
  const std::string text(value->get_string());
  if (absl::ParseDuration(text, &period)) return absl::ToInt64Seconds(period);
  return fields.Int(name);
}

Reply Config(TransitCall& call, TransitKey& key, const Fields& fields) {
  const std::optional<int64_t> decryption = fields.Int("min_decryption_version"), encryption = fields.Int("min_encryption_version");
  const std::optional<int64_t> period = Period(fields, "auto_rotate_period");
  const std::optional<bool> deletion = fields.Bool("deletion_allowed");
  if (fields.fault->status != 200) return *fields.fault;
  const int64_t new_decryption = decryption ? std::max<int64_t>(*decryption, 1) : key.min_decryption_version;
  const int64_t new_encryption = encryption.value_or(key.min_encryption_version);
  if (decryption.value_or(0) < 0) return Invalid("min decryption version cannot be negative");
  if (new_decryption > key.latest_version()) {
    return Invalid(absl::StrCat("cannot set min decryption version of ", new_decryption, ", latest key version is ", key.latest_version()));
  }
  if (new_encryption < 0) return Invalid("min encryption version cannot be negative");
  if (new_encryption > key.latest_version()) {
    return Invalid(absl::StrCat("cannot set min encryption version of ", new_encryption, ", latest key version is ", key.latest_version()));
  }
  if (new_encryption > 0 && new_encryption < new_decryption) {
    return Invalid(absl::StrCat("cannot set min encryption/decryption values; min encryption version of ", new_encryption,
                                " must be greater than or equal to min decryption version of ", new_decryption));
  }
  if (period && *period != 0 && *period < 3600) return Invalid("auto rotate period must be 0 to disable or at least an hour");
  key.min_decryption_version = new_decryption;
  key.min_encryption_version = new_encryption;
  key.auto_rotate_seconds = period.value_or(key.auto_rotate_seconds);
  key.deletion_allowed = deletion.value_or(key.deletion_allowed);
  call.changed = true;
  return KeyReply(call, key);
}

Reply List(const TransitCall& call) {
  json::array names;
  for (const auto& [name, key] : call.state.keys) {
    if (name.name_space == call.key.name_space && name.mount == call.key.mount) names.emplace_back(name.name);
  }
  if (names.empty()) return Refused(404, "");
  json::object data;
  data["keys"] = std::move(names);
  return Data(std::move(data));
}

// What would make a key of another kind than is built here.
std::optional<Reply> RefuseKind(const Fields& fields, bool encrypting) {
  const std::string type = fields.Text("type");
  if (!type.empty() && type != "aes256-gcm96") return Invalid(absl::StrCat("unknown key type ", type.substr(0, 64)));
  for (const char* flag : {"derived", "convergent_encryption", "exportable", "allow_plaintext_backup"}) {
    if (fields.Bool(flag).value_or(false)) return Invalid(absl::StrCat("the emulator does not support ", flag));
  }
  if (encrypting && !fields.Text("context").empty()) return Invalid("the emulator does not support context");
  if (fields.fault->status != 200) return *fields.fault;
  return std::nullopt;
}

Reply Create(TransitCall& call, const Fields& fields) {
  if (std::optional<Reply> refused = RefuseKind(fields, false)) return *refused;
  const std::optional<int64_t> period = Period(fields, "auto_rotate_period");
  if (fields.fault->status != 200) return *fields.fault;
  if (period && *period != 0 && *period < 3600) return Invalid("auto rotate period must be 0 to disable or at least an hour");
  const auto found = call.state.keys.find(call.key);
  if (found != call.state.keys.end()) return KeyReply(call, found->second);
  const absl::StatusOr<TransitKey*> made = call.state.AddKey(call.key, call.now, call.random);
  if (!made.ok()) return Refused(500, std::string(made.status().message()));
  (*made)->auto_rotate_seconds = period.value_or(0);
  call.changed = true;
  return KeyReply(call, **made);
}

}  // namespace

std::optional<TransitRequest> ParseTransit(std::string_view method, std::string_view rest) {
  const bool write = method == "POST" || method == "PUT";
  std::array<std::string_view, 3> part;
  size_t parts = 0;
  for (;;) {
    if (parts == part.size()) return std::nullopt;
    const size_t slash = rest.find('/');
    part[parts++] = rest.substr(0, slash);
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  using enum TransitOperation;
  if (part[0] == "keys") {
    if (parts == 1 || (parts == 2 && part[1].empty())) {
      return method == "LIST" ? std::optional(TransitRequest{kList, ""}) : std::nullopt;
    }
    if (!IsName(part[1])) return std::nullopt;
    std::string name(part[1]);
    if (parts == 2) {
      if (method == "GET") return TransitRequest{kRead, std::move(name)};
      if (method == "DELETE") return TransitRequest{kDelete, std::move(name)};
      return write ? std::optional(TransitRequest{kCreate, std::move(name)}) : std::nullopt;
    }
    if (part[2] == "soft-delete" && method == "DELETE") return TransitRequest{kSoftDelete, std::move(name)};
    if (!write) return std::nullopt;
    if (part[2] == "rotate") return TransitRequest{kRotate, std::move(name)};
    if (part[2] == "config") return TransitRequest{kConfig, std::move(name)};
    if (part[2] == "soft-delete-restore") return TransitRequest{kRestore, std::move(name)};
    return std::nullopt;
  }
  if (!write) return std::nullopt;
  if (part[0] == "datakey" && parts == 3 && IsName(part[2])) {
    if (part[1] == "plaintext") return TransitRequest{kDatakeyPlaintext, std::string(part[2])};
    if (part[1] == "wrapped") return TransitRequest{kDatakeyWrapped, std::string(part[2])};
  }
  if (parts != 2 || !IsName(part[1])) return std::nullopt;
  if (part[0] == "encrypt") return TransitRequest{kEncrypt, std::string(part[1])};
  if (part[0] == "decrypt") return TransitRequest{kDecrypt, std::string(part[1])};
  if (part[0] == "rewrap") return TransitRequest{kRewrap, std::string(part[1])};
  return std::nullopt;
}

std::string_view OperationText(TransitOperation operation) {
  constexpr std::string_view kTexts[] = {"encrypt",   "decrypt",  "rewrap",    "datakey",   "datakey",       "readKey",   "createKey",
                                         "deleteKey", "listKeys", "rotateKey", "configKey", "softDeleteKey", "restoreKey"};
  return kTexts[static_cast<size_t>(operation)];
}

std::string_view NeededCapability(TransitOperation operation, bool key_exists) {
  switch (operation) {
    case TransitOperation::kEncrypt:
      return key_exists ? "update" : "create";
    case TransitOperation::kRead:
      return "read";
    case TransitOperation::kList:
      return "list";
    case TransitOperation::kDelete:
    case TransitOperation::kSoftDelete:
      return "delete";
    default:
      return "update";
  }
}

Reply AnswerTransit(TransitCall& call, TransitOperation operation) {
  Reply fault;
  const Fields fields{call.body, &fault};
  if (call.body.contains("batch_input")) return Invalid("the emulator does not support batch_input");
  if (operation == TransitOperation::kList) return List(call);
  if (operation == TransitOperation::kCreate) return Create(call, fields);

  auto found = call.state.keys.find(call.key);
  if (found == call.state.keys.end()) {
    switch (operation) {
      case TransitOperation::kRead:
        return Refused(404, "");
      case TransitOperation::kDelete:
        return Invalid(absl::StrCat("error deleting policy ", call.key.name, ": could not delete key; not found"));
      case TransitOperation::kConfig:
        return Invalid(absl::StrCat("no existing key named ", call.key.name, " could be found"));
      case TransitOperation::kRotate:
        return Invalid("key not found");
      case TransitOperation::kEncrypt: {
        if (std::optional<Reply> refused = RefuseKind(fields, true)) return *refused;
        if (!call.body.contains("plaintext")) return Invalid("missing plaintext to encrypt");
        if (const auto made = call.state.AddKey(call.key, call.now, call.random); !made.ok())
          return Refused(500, std::string(made.status().message()));
        call.changed = true;
        found = call.state.keys.find(call.key);
        break;
      }
      default:
        return Invalid("encryption key not found");
    }
  }
  TransitKey& key = found->second;
  switch (operation) {
    case TransitOperation::kEncrypt:
      return Encrypt(call, key, fields);
    case TransitOperation::kDecrypt:
      return Decrypt(key, fields);
    case TransitOperation::kRewrap:
      return Rewrap(call, key, fields);
    case TransitOperation::kDatakeyPlaintext:
    case TransitOperation::kDatakeyWrapped:
      return Datakey(call, key, fields, operation == TransitOperation::kDatakeyPlaintext);
    case TransitOperation::kConfig:
      return Config(call, key, fields);
    case TransitOperation::kRotate:
      if (key.soft_deleted) return Invalid(std::string(kSoftDeleted));
      if (const absl::Status rotated = call.state.Rotate(key, call.now, call.random); !rotated.ok())
        return Refused(500, std::string(rotated.message()));
      call.changed = true;
      return KeyReply(call, key);
    case TransitOperation::kSoftDelete:
    case TransitOperation::kRestore:
      key.soft_deleted = operation == TransitOperation::kSoftDelete;
      call.changed = true;
      return NoContent();
    case TransitOperation::kDelete:
      if (!key.deletion_allowed)
        return Invalid(absl::StrCat("error deleting policy ", call.key.name, ": deletion is not allowed for this key"));
      call.state.keys.erase(found);
      call.changed = true;
      return NoContent();
    default:
      return KeyReply(call, key);
  }
}

}  // namespace latchkey::emulator::vault
