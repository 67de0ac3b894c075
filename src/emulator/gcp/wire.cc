#include "emulator/gcp/wire.h"

#include <algorithm>
#include <vector>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "emulator/gcp/errors.h"

namespace latchkey::emulator::gcp {
namespace {

struct EnumValue {
  std::string_view field, name;
  int64_t number;
};
// googleapis google/cloud/kms/v1/resources.proto.
constexpr EnumValue kEnums[] = {
    {"purpose", "ENCRYPT_DECRYPT", 1},
    {"purpose", "ASYMMETRIC_SIGN", 5},
    {"purpose", "ASYMMETRIC_DECRYPT", 6},
    {"purpose", "RAW_ENCRYPT_DECRYPT", 7},
    {"purpose", "MAC", 9},
    {"state", "ENABLED", 1},
    {"state", "DISABLED", 2},
    {"state", "DESTROYED", 3},
    {"state", "DESTROY_SCHEDULED", 4},
    {"state", "PENDING_GENERATION", 5},
    {"state", "PENDING_IMPORT", 6},
    {"protectionLevel", "SOFTWARE", 1},
    {"protectionLevel", "HSM", 2},
    {"protectionLevel", "EXTERNAL", 3},
    {"protectionLevel", "EXTERNAL_VPC", 4},
    {"algorithm", "GOOGLE_SYMMETRIC_ENCRYPTION", 1},
    {"algorithm", "RSA_SIGN_PSS_2048_SHA256", 2},
    {"algorithm", "RSA_DECRYPT_OAEP_2048_SHA256", 8},
    {"algorithm", "EC_SIGN_P256_SHA256", 12},
    {"algorithm", "EXTERNAL_SYMMETRIC_ENCRYPTION", 18},
    {"algorithm", "HMAC_SHA256", 32},
};

absl::Status InvalidValue(std::string_view name) { return InvalidArgument("Invalid value at '", ToAbsl(name), "'."); }

const json::value* Present(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

}  // namespace

absl::StatusOr<json::object> ReadBody(std::string_view body) {
  if (body.empty() || body == "\"\"") return json::object();
  absl::StatusOr<json::object> object = ParseJsonObject(body);
  if (!object.ok()) return InvalidArgument("Invalid JSON payload received.");
  return object;
}

absl::StatusOr<std::string> TextField(const json::object& object, std::string_view name, size_t most) {
  const json::value* value = Present(object, name);
  if (value == nullptr) return std::string();
  if (!value->is_string() || value->get_string().size() > most) return InvalidValue(name);
  return std::string(value->get_string());
}

absl::StatusOr<SecretBytes> BytesField(const json::object& object, std::string_view name, size_t most) {
  const json::value* value = Present(object, name);
  if (value == nullptr) return SecretBytes();
  if (!value->is_string()) return InvalidValue(name);
  std::string text(value->get_string());
  if (text.size() > most * 4 / 3 + 8) {
    return InvalidArgument("The ", ToAbsl(name), " field has more than ", most, " bytes.");
  }
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  // Padding is checked for its place by the decoder's own strictness: what stands before it must be whole.
  const size_t padding = text.size() - std::min(text.size(), text.find_last_not_of('=') + 1);
  if (padding > 2 || (padding > 0 && text.size() % 4 != 0)) return InvalidValue(name);
  absl::StatusOr<std::vector<uint8_t>> bytes = Base64UrlDecode(std::string_view(text).substr(0, text.size() - padding));
  Wipe(text);
  if (!bytes.ok()) return InvalidValue(name);
  if (bytes->size() > most) {
    return InvalidArgument("The ", ToAbsl(name), " field has ", bytes->size(), " bytes, but not more than ", most, " are allowed.");
  }
  SecretBytes out = SecretBytes::CopyOf(*bytes);
  Wipe(bytes->data(), bytes->size());
  return out;
}

absl::StatusOr<std::optional<int64_t>> Int64Field(const json::object& object, std::string_view name) {
  const json::value* value = Present(object, name);
  if (value == nullptr) return std::optional<int64_t>();
  if (value->is_int64()) return std::optional<int64_t>(value->get_int64());
  if (!value->is_string()) return InvalidValue(name);
  const std::string_view text(value->get_string());
  if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string_view::npos) return InvalidValue(name);
  int64_t out = 0;
  for (const char c : text) out = out * 10 + (c - '0');
  return std::optional<int64_t>(out);
}

absl::StatusOr<std::string> EnumField(const json::object& object, std::string_view name) {
  const json::value* value = Present(object, name);
  if (value == nullptr || (value->is_int64() && value->get_int64() == 0)) return std::string();
  for (const EnumValue& item : kEnums) {
    if (item.field != name) continue;
    if (value->is_int64() && value->get_int64() == item.number) return std::string(item.name);
    if (value->is_string() && std::string_view(value->get_string()) == item.name) return std::string(item.name);
  }
  return InvalidValue(name);
}

absl::StatusOr<json::object> ObjectField(const json::object& object, std::string_view name) {
  const json::value* value = Present(object, name);
  if (value == nullptr) return json::object();
  if (!value->is_object()) return InvalidValue(name);
  return value->get_object();
}

absl::StatusOr<std::map<std::string, std::string>> LabelsField(const json::object& object) {
  ASSIGN_OR_RETURN(const json::object labels, ObjectField(object, "labels"));
  std::map<std::string, std::string> out;
  for (const auto& item : labels) {
    if (!item.value().is_string()) return InvalidValue("labels");
    out[std::string(item.key())] = std::string(item.value().get_string());
  }
  return out;
}

void NumberEnums(json::value& answer) {
  if (answer.is_array()) {
    for (json::value& item : answer.get_array()) NumberEnums(item);
    return;
  }
  if (!answer.is_object()) return;
  for (auto& member : answer.get_object()) {
    if (!member.value().is_string()) {
      NumberEnums(member.value());
      continue;
    }
    const std::string_view name(member.key());
    const std::string_view text(member.value().get_string());
    const auto* const found =
        std::find_if(std::begin(kEnums), std::end(kEnums), [&](const EnumValue& e) { return e.field == name && e.name == text; });
    if (found != std::end(kEnums)) member.value() = found->number;
  }
}

}  // namespace latchkey::emulator::gcp
