// libFuzzer over what a KMS, or somebody who stands in for one, can answer with HTTP status 200. The input is a body; every reader reads
// every body, as the answer about one key and as that about another.
//
// What must hold whatever comes: nothing found in such an answer is the owner's no, for that seals data; an answer of another key, or one
// whose checksum is wrong, is believed by nobody; what is secret lies where secrets live, in bounds, and in no message; a token is not
// good for longer than it can be; and a key is usable only in the states that are known to be.
#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <span>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "base/utf8.h"
#include "kms/answer_fields.h"
#include "kms/aws/answers.h"
#include "kms/azure/answers.h"
#include "kms/gcp/answers.h"
#include "kms/gcp/crc32c.h"
#include "kms/vault/answers.h"

namespace latchkey {
namespace {

// Stands in the secret fields of the seeds.
constexpr std::string_view kSecret = "kept-from-people-0123456789";
constexpr size_t kMostWords = 1024;
constexpr std::string_view kArn = "arn:aws:kms:us-east-1:222222222222:key/0", kOtherArn = "arn:aws:kms:us-east-1:222222222222:key/1";
constexpr std::string_view kGcpKey = "projects/owner/locations/eu/keyRings/r/cryptoKeys/k";
constexpr std::string_view kOtherGcpKey = "projects/owner/locations/eu/keyRings/r/cryptoKeys/l";
constexpr std::string_view kAzureKey = "https://owner.vault.azure.net/keys/k", kOtherAzureKey = "https://owner.vault.azure.net/keys/l";
const absl::Time kAsked = absl::FromUnixSeconds(1'700'000'000);

void Must(bool holds) {
  if (!holds) std::abort();
}

bool IsClean(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return CutUtf8(text, text.size()) == text;
}
void CheckWords(std::string_view words, size_t most = kMostWords) { Must(words.size() <= most && IsClean(words)); }
void CheckTime(absl::Time time) {
  // As RFC 3339 has it, with four digits of the year.
  Must(time >= absl::UnixEpoch() && latchkey::FormatTime(time).size() == sizeof("2026-01-02T03:04:05.000006Z") - 1);
}
void CheckTime(const std::optional<absl::Time>& time) {
  if (time) CheckTime(*time);
}
void CheckSecret(const SecretBytes& secret, size_t most) {
  Must(!secret.empty() && secret.size() <= most && SecretArena::Owns(secret.Reveal(SecretAccess{}).data()));
}
void CheckToken(const SecretBytes& token, size_t most = kMostToken) {
  CheckSecret(token, most);
  Must(IsHeaderText(token.RevealText(SecretAccess{})));
}
void CheckBetween(absl::Time time, absl::Time first, absl::Time last) { Must(first <= time && time <= last); }

// An error is of one of these classes, none of which is a refusal, and says nothing of what stood in the answer.
void CheckError(const absl::Status& status, std::initializer_list<FailureClass> allowed, bool may_quote = false) {
  const std::optional<FailureClass> c = FailureClassOf(status);
  Must(c && !IsRefusal(*c) && std::find(allowed.begin(), allowed.end(), *c) != allowed.end());
  const std::string_view message = FromAbsl(status.message());
  CheckWords(message, may_quote ? 3 * kMostWords : 160);
  if (!may_quote) Must(message.find(kSecret) == std::string_view::npos);
}
template <typename T>
bool IsGood(const absl::StatusOr<T>& read) {
  if (!read.ok()) CheckError(read.status(), {FailureClass::kUnreachable, FailureClass::kCorrupt});
  return read.ok();
}
template <typename T>
void MustBeCorrupt(const absl::StatusOr<T>& read) {
  Must(FailureClassOf(read.status()) == FailureClass::kCorrupt);
}

// With a copy of the body, which must be gone afterwards.
template <typename Reader, typename... More>
auto Read(std::string_view body, const Reader& reader, More&&... more) {
  std::string copy(body);
  auto out = reader(copy, std::forward<More>(more)...);
  Must(copy.empty());
  return out;
}

void CheckDescription(const KeyDescription& description) {
  Must(description.usable == !description.failure && description.usable == description.unusable_because.empty());
  for (const std::string& words : {description.resolved_uri, description.state, description.key_version, description.protection_level}) {
    CheckWords(words);
  }
  CheckWords(description.unusable_because, 3 * kMostWords);
  CheckTime(description.deletion_date);
  CheckTime(description.expires_at);
  CheckTime(description.next_rotation);
}

// The same object with another checksum.
std::string WithOtherCrc(std::string_view body, std::string_view field, uint32_t right) {
  json::object object = ParseJsonObject(body).value();
  object[json::string_view(field.data(), field.size())] = absl::StrCat(right ^ 1U);
  return json::serialize(object);
}

void CheckAwsKms(std::string_view body) {
  if (const auto blob = Read(body, ReadAwsEncrypted, kArn); IsGood(blob)) {
    Must(!blob->empty() && blob->size() <= kMostAwsCiphertext);
    MustBeCorrupt(Read(body, ReadAwsEncrypted, kOtherArn));
  }
  if (const auto plaintext = Read(body, ReadAwsDecrypted, kArn); IsGood(plaintext)) {
    CheckSecret(plaintext->bytes, kMostUnwrapped);
    CheckWords(plaintext->key_material_id);
    MustBeCorrupt(Read(body, ReadAwsDecrypted, kOtherArn));
  }
  if (const auto key = Read(body, ReadAwsKeyMetadata, kArn); IsGood(key)) {
    Must(key->arn == kArn);
    const KeyDescription description = DescribeAwsKey(*key);
    CheckDescription(description);
    const bool known = key->key_state == "Enabled" || key->key_state == "Updating";
    Must(description.usable == (known && key->key_usage == "ENCRYPT_DECRYPT" && key->key_spec == "SYMMETRIC_DEFAULT"));
    MustBeCorrupt(Read(body, ReadAwsKeyMetadata, kOtherArn));
  }
  if (const auto rotation = Read(body, ReadAwsKeyRotation, kArn); IsGood(rotation)) CheckTime(rotation->next);
}

void CheckAwsCredentials(const AwsCredentials& credentials, absl::Duration longest) {
  Must(credentials.access_key_id.size() <= 128 && IsHeaderText(credentials.access_key_id));
  CheckSecret(credentials.secret_access_key, 1024);
  CheckToken(credentials.session_token);
  CheckBetween(credentials.expires, kAsked, kAsked + longest);
}

// Whether a field of an object holds this text.
bool Holds(std::string_view body, std::string_view field, std::string_view message) {
  const auto object = ParseJsonObject(body);
  if (!object.ok()) return false;
  const std::string text = AnswerText(*object, field);
  return text.size() >= 8 && message.find(text) != std::string_view::npos;
}

void CheckAwsIdentity(std::string_view body) {
  const auto role = Read(body, ReadStsCredentials, "AssumeRole", kAsked, absl::Minutes(15));
  if (IsGood(role)) CheckAwsCredentials(**role, absl::Minutes(15));
  const auto web = Read(body, ReadStsCredentials, "AssumeRoleWithWebIdentity", kAsked, absl::Hours(1));
  if (IsGood(web)) CheckAwsCredentials(**web, absl::Hours(1));
  Must(!role.ok() || !web.ok());

  const auto machine = Read(body, ReadMachineCredentials, "m", kAsked);
  if (machine.ok()) {
    CheckAwsCredentials(**machine, absl::Hours(24));
  } else {
    // It may say why there are none, but not what they are.
    CheckError(machine.status(), {FailureClass::kIdentity}, true);
    const std::string_view message = FromAbsl(machine.status().message()).substr(1);
    constexpr std::string_view kOwnWords = ": the role's credentials are not to be had: ";
    if (message.starts_with(kOwnWords)) {
      for (const char* field : {"SecretAccessKey", "Token"}) Must(!Holds(body, field, message.substr(kOwnWords.size())));
    }
  }
  const auto name = ReadInstanceRole(body, "m");
  if (name.ok()) {
    Must(!name->empty() && name->size() <= 64 && name->find_first_of("/?#% ") == std::string::npos && IsHeaderText(*name));
  } else {
    CheckError(name.status(), {FailureClass::kIdentity});
  }
}

void CheckGcpKms(std::string_view body) {
  bool changed = false;
  const auto encrypted = Read(body, ReadGcpEncrypted, kGcpKey, false, changed);
  Must(!changed || FailureClassOf(encrypted.status()) == FailureClass::kCorrupt);
  if (IsGood(encrypted)) {
    Must(!encrypted->ciphertext.empty() && encrypted->ciphertext.size() <= kMostGcpCiphertext);
    Must(!encrypted->version.empty() && encrypted->version.size() <= 20);
    MustBeCorrupt(Read(body, ReadGcpEncrypted, kOtherGcpKey, false, changed));
    const uint32_t crc = Crc32c(encrypted->ciphertext);
    MustBeCorrupt(Read(WithOtherCrc(body, "ciphertextCrc32c", crc), ReadGcpEncrypted, kGcpKey, false, changed));
    Must(changed);
  }
  if (const auto with_aad = Read(body, ReadGcpEncrypted, kGcpKey, true, changed); IsGood(with_aad)) Must(encrypted.ok());

  const auto plaintext = Read(body, ReadGcpDecrypted, changed);
  Must(!changed || FailureClassOf(plaintext.status()) == FailureClass::kCorrupt);
  if (IsGood(plaintext)) {
    CheckSecret(*plaintext, kMostUnwrapped);
    const uint32_t crc = Crc32c(plaintext->Reveal(SecretAccess{}));
    MustBeCorrupt(Read(WithOtherCrc(body, "plaintextCrc32c", crc), ReadGcpDecrypted, changed));
    Must(changed);
  }

  if (const auto key = Read(body, ReadGcpKey, kGcpKey); IsGood(key)) {
    const KeyDescription description = DescribeGcpKey(*key);
    CheckDescription(description);
    Must(description.usable == (key->purpose == "ENCRYPT_DECRYPT" && key->primary && key->primary->state == "ENABLED"));
    if (key->primary) Must(!key->primary->number.empty() && key->primary->number.size() <= 20);
    MustBeCorrupt(Read(body, ReadGcpKey, kOtherGcpKey));
  }
}

void CheckGcpIdentity(std::string_view body) {
  const absl::Time first = kAsked - kGcpRenewBefore;
  const auto own = Read(body, ReadGcpOwnToken, "t", kAsked);
  if (own.ok()) {
    CheckToken((*own)->token);
    CheckBetween((*own)->expires, first, first + absl::Hours(24));
  } else {
    CheckError(own.status(), {FailureClass::kIdentity});
  }
  for (const FailureClass no_answer : {FailureClass::kIdentity, FailureClass::kUnreachable}) {
    const auto token = Read(body, ReadGcpImpersonatedToken, "t", kAsked, absl::Minutes(15), no_answer);
    if (token.ok()) {
      CheckToken((*token)->token);
      CheckBetween((*token)->expires, first, first + absl::Minutes(15));
    } else {
      CheckError(token.status(), {no_answer});
    }
  }
}

void CheckAzureDescription(const AzureKey& key) {
  const KeyDescription description = DescribeAzureKey(key, kAsked);
  CheckDescription(description);
  if (!description.usable) return;
  Must(key.enabled && (key.kty == "RSA" || key.kty == "RSA-HSM" || key.kty == "oct-HSM"));
  Must(!key.expires || *key.expires > kAsked);
  Must(!key.not_before || *key.not_before <= kAsked + absl::Minutes(5));
  for (const char* operation : {"wrapKey", "unwrapKey"}) {
    Must(!key.has_operations || std::find(key.operations.begin(), key.operations.end(), operation) != key.operations.end());
  }
}

void CheckAzure(std::string_view body) {
  AzureKeyId key = ParseAzureKeyId(kAzureKey).value();
  AzureKeyId other = ParseAzureKeyId(kOtherAzureKey).value();
  AzureKeyId other_version = key;
  other_version.version = std::string(32, '9');
  for (const bool any_host : {false, true}) {
    const AzureAsked asked{.key = key, .any_host = any_host, .what = "a"};
    const AzureAsked of_other{.key = other, .any_host = any_host, .what = "a"};
    const AzureAsked of_version{.key = other_version, .any_host = any_host, .what = "a"};
    if (const auto found = Read(body, ReadAzureKey, asked); IsGood(found)) {
      Must(IsAzureKeyVersion(found->version));
      CheckAzureDescription(*found);
      MustBeCorrupt(Read(body, ReadAzureKey, of_other));
      if (found->version != other_version.version) MustBeCorrupt(Read(body, ReadAzureKey, of_version));
    }
    if (const auto deleted = Read(body, ReadAzureDeletedKey, asked); IsGood(deleted)) {
      CheckTime(deleted->deleted);
      CheckTime(deleted->purged);
      Must(deleted->deleted || deleted->purged || body.find("recoveryId") != std::string_view::npos);
    }
    if (const auto wrapped = Read(body, ReadAzureWrapped, asked); IsGood(wrapped)) {
      Must(!wrapped->empty() && wrapped->size() <= 512);
      MustBeCorrupt(Read(body, ReadAzureWrapped, of_other));
    }
    if (const auto payload = Read(body, ReadAzureUnwrapped, asked); IsGood(payload)) {
      CheckSecret(*payload, kMostUnwrapped);
      MustBeCorrupt(Read(body, ReadAzureUnwrapped, of_other));
    }
  }
  if (const auto token = Read(body, ReadAzureToken, "t", kAsked); IsGood(token)) {
    CheckToken(token->token);
    CheckBetween(token->expires, kAsked, kAsked + absl::Hours(30));
  }
}

void CheckVault(std::string_view body) {
  if (const auto ciphertext = Read(body, ReadVaultEncrypted); IsGood(ciphertext)) {
    // What comes back as the wrapped key is what Unwrap takes.
    Must(ciphertext->size() <= kMostVaultCiphertext && VaultCiphertextVersion(*ciphertext).value_or(0) > 0 && IsHeaderText(*ciphertext));
  }
  if (const auto plaintext = Read(body, ReadVaultDecrypted); IsGood(plaintext)) CheckSecret(*plaintext, kMostUnwrapped);
  if (const auto key = Read(body, ReadVaultKey, "k"); IsGood(key)) {
    const KeyDescription description = DescribeVaultKey("vault://main/transit/k", *key);
    CheckDescription(description);
    const bool known = key->type == "aes256-gcm96" || key->type == "chacha20-poly1305" || key->type == "xchacha20-poly1305";
    Must(description.usable == (known && !key->derived && !key->soft_deleted));
    MustBeCorrupt(Read(body, ReadVaultKey, "l"));
  }
  if (const auto login = Read(body, ReadVaultLogin, "l"); IsGood(login)) {
    CheckToken(login->token, kMostVaultToken);
    Must(login->lease >= absl::ZeroDuration() && login->lease <= absl::Hours(24 * 366 * 100));
  }
}

}  // namespace
}  // namespace latchkey

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace latchkey;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const size_t before = SecretArena::BytesInUse();
  CheckAwsKms(body);
  CheckAwsIdentity(body);
  CheckGcpKms(body);
  CheckGcpIdentity(body);
  CheckAzure(body);
  CheckVault(body);
  Must(SecretArena::BytesInUse() == before);
  return 0;
}
