#include "kms/gcp/kms_client.h"

#include <charconv>
#include <limits>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "kms/gcp/crc32c.h"
#include "kms/gcp/names.h"

namespace latchkey {
namespace {

// Of one operation, because bytes were changed on the way.
constexpr int kMostTransfers = 3;

struct EnumName {
  int number;
  std::string_view name;
};
// google.cloud.kms.v1, the values that are told apart or shown.
constexpr EnumName kPurposes[] = {
    {1, "ENCRYPT_DECRYPT"},   {5, "ASYMMETRIC_SIGN"}, {6, "ASYMMETRIC_DECRYPT"}, {7, "RAW_ENCRYPT_DECRYPT"}, {9, "MAC"},
    {10, "KEY_ENCAPSULATION"}};
constexpr EnumName kStates[] = {{1, "ENABLED"},
                                {2, "DISABLED"},
                                {3, "DESTROYED"},
                                {4, "DESTROY_SCHEDULED"},
                                {5, "PENDING_GENERATION"},
                                {6, "PENDING_IMPORT"},
                                {7, "IMPORT_FAILED"},
                                {8, "GENERATION_FAILED"},
                                {9, "PENDING_EXTERNAL_DESTRUCTION"},
                                {10, "EXTERNAL_DESTRUCTION_FAILED"}};
constexpr EnumName kAlgorithms[] = {{1, "GOOGLE_SYMMETRIC_ENCRYPTION"}, {18, "EXTERNAL_SYMMETRIC_ENCRYPTION"}};
constexpr EnumName kProtectionLevels[] = {{1, "SOFTWARE"}, {2, "HSM"}, {3, "EXTERNAL"}, {4, "EXTERNAL_VPC"}, {5, "HSM_SINGLE_TENANT"}};

const json::value* Member(const json::object& object, std::string_view name) { return object.if_contains({name.data(), name.size()}); }

std::string Text(const json::object& object, std::string_view name) {
  const json::value* value = Member(object, name);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

// By name, or by number; a number without a name is shown as it is. Empty when absent.
std::string Enum(const json::object& object, std::string_view field, std::span<const EnumName> names) {
  const json::value* value = Member(object, field);
  if (value == nullptr || !value->is_int64()) return CleanWords(Text(object, field));
  for (const EnumName& entry : names) {
    if (entry.number == value->get_int64()) return std::string(entry.name);
  }
  return absl::StrCat(value->get_int64());
}

// A CRC as an int64: decimal digits in a string, or a number.
std::optional<uint32_t> Crc(const json::object& object, std::string_view name) {
  const json::value* value = Member(object, name);
  if (value == nullptr) return std::nullopt;
  uint64_t number = 0;
  if (value->is_int64() && value->get_int64() >= 0) {
    number = static_cast<uint64_t>(value->get_int64());
  } else if (const json::string* text = value->if_string(); text != nullptr && !text->empty()) {
    const char* end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data(), end, number);
    if (error != std::errc() || stop != end) return std::nullopt;
  } else {
    return std::nullopt;
  }
  if (number > std::numeric_limits<uint32_t>::max()) return std::nullopt;
  return static_cast<uint32_t>(number);
}

bool IsTrue(const json::object& object, std::string_view name) {
  const json::value* value = Member(object, name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

std::optional<absl::Time> Timestamp(const json::object& object, std::string_view name) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, Text(object, name), &time, &error)) return std::nullopt;
  return time;
}

// "7776000s", "0.5s"
std::optional<absl::Duration> Seconds(const json::object& object, std::string_view name) {
  const std::string text = Text(object, name);
  absl::Duration duration;
  if (!text.ends_with('s') || !absl::ParseDuration(text, &duration)) return std::nullopt;
  return duration;
}

absl::Status Incomplete(std::string_view what, std::string_view field) {
  return KmsError(FailureClass::kUnreachable,
                  absl::StrCat("Google Cloud KMS ", ToAbsl(what), ": the answer has no proper ", ToAbsl(field)));
}
absl::Status OtherKey(std::string_view what) {
  return KmsError(FailureClass::kCorrupt, absl::StrCat("Google Cloud KMS ", ToAbsl(what), ": the answer is of another key"));
}

// One exchange: an answer of 200, parsed; its text is wiped. What is not JSON is no answer.
absl::StatusOr<json::object> Call(KmsTransport& transport, const GcpKmsTarget& target, std::string_view what, HttpRequest request,
                                  std::string_view path, bool fresh, std::string_view secret, const CallBudget& budget) {
  request.headers["authorization"] = BearerHeader(*target.token);
  request.headers["accept"] = "application/json";
  KmsExchange exchange{.what = absl::StrCat("Google Cloud KMS ", ToAbsl(what)),
                       .url = JoinUrl(target.endpoint, path),
                       .request = std::move(request),
                       .fresh = target.fresh || fresh,
                       .configured = target.configured};
  exchange.read_failure = [&](const HttpResponse& response) -> std::optional<KmsFailure> {
    if (response.status == 200) return std::nullopt;
    const GcpError error = ReadGcpError(response, {target.token->token.RevealText(SecretAccess{}), secret});
    if (target.refusal != nullptr) *target.refusal = error;
    return GcpFailure(error, ClassifyGcpKmsError(error, target.actor));
  };
  ASSIGN_OR_RETURN(HttpResponse response, transport.Send(std::move(exchange), budget));
  auto object = ParseJsonObject(response.body);
  Wipe(response.body);
  if (!object.ok()) {
    return KmsError(FailureClass::kUnreachable, absl::StrCat("Google Cloud KMS ", ToAbsl(what), ": the answer is not a JSON object"));
  }
  return object;
}

// Asks again while what came was changed on its way: `transfer` sets its argument then. On other connections, for the one may be to blame.
template <typename T, typename Transfer>
absl::StatusOr<T> Repeated(const Transfer& transfer) {
  for (int attempt = 1;; ++attempt) {
    bool changed = false;
    absl::StatusOr<T> result = transfer(attempt > 1, changed);
    if (!changed || attempt >= kMostTransfers) return result;
  }
}

absl::Status Changed(std::string_view what, bool& changed) {
  changed = true;
  return KmsError(FailureClass::kCorrupt, absl::StrCat("Google Cloud KMS ", ToAbsl(what), ": bytes and checksum do not belong together"));
}

// Everything but a secret: the context and its checksum, and what `fields` holds.
std::string RequestBody(json::object fields, std::string_view aad) {
  if (!aad.empty()) {
    fields["additionalAuthenticatedData"] = Base64Encode(AsBytes(aad));
    fields["additionalAuthenticatedDataCrc32c"] = absl::StrCat(Crc32c(AsBytes(aad)));
  }
  return json::serialize(fields);
}

HttpRequest Post(std::string body) {
  return {.method = "POST", .headers = {{"content-type", "application/json"}}, .body = std::move(body)};
}

std::string PathOf(std::string_view key, std::string_view verb) { return absl::StrCat("/v1/", ToAbsl(key), ToAbsl(verb)); }

absl::StatusOr<GcpEncrypted> ReadEncrypted(const json::object& answer, std::string_view key, bool with_aad, bool& changed) {
  const std::string name = Text(answer, "name");
  if (name.empty()) return Incomplete("encrypt", "name");
  const auto version = VersionOfGcpKey(key, name);
  if (!version) return OtherKey("encrypt");
  auto ciphertext = Base64Decode(Text(answer, "ciphertext"));
  if (!ciphertext.ok() || ciphertext->empty()) return Incomplete("encrypt", "ciphertext");
  const auto crc = Crc(answer, "ciphertextCrc32c");
  if (!crc) return Incomplete("encrypt", "ciphertextCrc32c");
  // False where the checksums that we sent did not reach Google: what it encrypted is then not proven to be what we sent.
  const bool verified =
      IsTrue(answer, "verifiedPlaintextCrc32c") && (!with_aad || IsTrue(answer, "verifiedAdditionalAuthenticatedDataCrc32c"));
  if (!verified || *crc != Crc32c(*ciphertext)) return Changed("encrypt", changed);
  return GcpEncrypted{.ciphertext = std::move(*ciphertext), .version = *version};
}

absl::StatusOr<SecretBytes> ReadDecrypted(json::object& answer, bool& changed) {
  SecretBytes plaintext;
  if (json::value* value = answer.if_contains("plaintext"); value != nullptr && value->is_string()) {
    json::string& text = value->get_string();
    auto bytes = Base64Decode({text.data(), text.size()});
    Wipe(text.data(), text.size());
    if (bytes.ok()) {
      plaintext = SecretBytes::CopyOf(std::span<const uint8_t>(*bytes));
      Wipe(bytes->data(), bytes->size());
    }
  }
  // Nothing of ours is empty.
  if (plaintext.empty()) return Incomplete("decrypt", "plaintext");
  const auto crc = Crc(answer, "plaintextCrc32c");
  if (!crc) return Incomplete("decrypt", "plaintextCrc32c");
  if (*crc != Crc32c(plaintext.Reveal(SecretAccess{}))) return Changed("decrypt", changed);
  return plaintext;
}

}  // namespace

std::string BearerHeader(const BearerToken& token) {
  const std::string_view text = token.token.RevealText(SecretAccess{});
  std::string header;
  header.reserve(text.size() + 8);
  header.append("Bearer ").append(text);
  return header;
}

std::string JoinUrl(std::string_view base, std::string_view path) {
  while (base.ends_with('/')) base.remove_suffix(1);
  return absl::StrCat(ToAbsl(base), ToAbsl(path));
}

absl::StatusOr<GcpEncrypted> GcpEncrypt(KmsTransport& transport, const GcpKmsTarget& target, std::string_view key,
                                        const SecretBytes& plaintext, std::string_view aad, const CallBudget& budget) {
  std::string encoded = Base64Encode(plaintext.Reveal(SecretAccess{}));
  const std::string rest = RequestBody({{"plaintextCrc32c", absl::StrCat(Crc32c(plaintext.Reveal(SecretAccess{})))}}, aad);
  auto result = Repeated<GcpEncrypted>([&](bool again, bool& changed) -> absl::StatusOr<GcpEncrypted> {
    // Written by hand around the secret, so that it stands in one string that is wiped, and in no JSON tree.
    std::string body;
    body.reserve(rest.size() + encoded.size() + 32);
    body.append(rest, 0, rest.size() - 1).append(",\"plaintext\":\"").append(encoded).append("\"}");
    ASSIGN_OR_RETURN(const json::object answer,
                     Call(transport, target, "encrypt", Post(std::move(body)), PathOf(key, ":encrypt"), again, encoded, budget));
    return ReadEncrypted(answer, key, !aad.empty(), changed);
  });
  Wipe(encoded);
  return result;
}

absl::StatusOr<SecretBytes> GcpDecrypt(KmsTransport& transport, const GcpKmsTarget& target, std::string_view key,
                                       const std::vector<uint8_t>& ciphertext, std::string_view aad, const CallBudget& budget) {
  const std::string body =
      RequestBody({{"ciphertext", Base64Encode(ciphertext)}, {"ciphertextCrc32c", absl::StrCat(Crc32c(ciphertext))}}, aad);
  return Repeated<SecretBytes>([&](bool again, bool& changed) -> absl::StatusOr<SecretBytes> {
    ASSIGN_OR_RETURN(json::object answer, Call(transport, target, "decrypt", Post(body), PathOf(key, ":decrypt"), again, "", budget));
    return ReadDecrypted(answer, changed);
  });
}

absl::StatusOr<GcpKey> GcpGetCryptoKey(KmsTransport& transport, const GcpKmsTarget& target, std::string_view key,
                                       const CallBudget& budget) {
  constexpr std::string_view kWhat = "get key";
  ASSIGN_OR_RETURN(const json::object answer, Call(transport, target, kWhat, {.method = "GET"}, PathOf(key, ""), false, "", budget));
  GcpKey found;
  found.name = Text(answer, "name");
  found.purpose = Enum(answer, "purpose", kPurposes);
  if (found.name.empty() || found.purpose.empty()) return Incomplete(kWhat, "name and purpose");
  if (!IsSameGcpKey(key, found.name)) return OtherKey(kWhat);
  found.next_rotation = Timestamp(answer, "nextRotationTime");
  found.rotates = Seconds(answer, "rotationPeriod").has_value();
  found.destroy_scheduled_for = Seconds(answer, "destroyScheduledDuration");
  const json::value* primary = Member(answer, "primary");
  if (primary == nullptr || primary->is_null()) return found;
  if (!primary->is_object()) return Incomplete(kWhat, "primary");
  const json::object& version = primary->get_object();
  GcpKeyVersion read{.number = {},
                     .state = Enum(version, "state", kStates),
                     .algorithm = Enum(version, "algorithm", kAlgorithms),
                     .protection_level = Enum(version, "protectionLevel", kProtectionLevels),
                     .destroy_time = Timestamp(version, "destroyTime")};
  const std::string version_name = Text(version, "name");
  if (version_name.empty() || read.state.empty()) return Incomplete(kWhat, "name and state of the primary version");
  const auto number = VersionOfGcpKey(key, version_name);
  if (!number) return OtherKey(kWhat);
  read.number = *number;
  found.primary = std::move(read);
  return found;
}

}  // namespace latchkey
