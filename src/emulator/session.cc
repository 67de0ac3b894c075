#include "emulator/session.h"

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/aead.h"

namespace latchkey::emulator {
namespace {

constexpr std::string_view kAad = "latchkey kms-emulator session 1";

}  // namespace

SecretBytes NewSecretAccessKey(Random& random) {
  std::string text = RandomAlphanumeric(random, 40);
  SecretBytes out = SecretBytes::CopyOf(std::string_view(text));
  Wipe(text);
  return out;
}

std::string NewIdentifier(std::string_view prefix, Random& random) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string out(prefix);
  for (uint8_t b : random.Bytes(16)) out.push_back(kLetters[b % kLetters.size()]);
  return out;
}

std::string SealSession(const Session& session, const SecretBytes& key, Random& random) {
  const json::object record{{"id", session.access_key_id}, {"secret", std::string(session.secret_access_key.RevealText(SecretAccess{}))},
                            {"role", session.role_arn},    {"role_id", session.role_id},
                            {"name", session.name},        {"expires", absl::ToUnixMicros(session.expires)}};
  std::string text = json::serialize(record);
  std::vector<uint8_t> token = random.Bytes(kGcmNonceSize);
  const absl::StatusOr<std::vector<uint8_t>> sealed = GcmSeal(key, token, kAad, AsBytes(text));
  Wipe(text);
  if (!sealed.ok()) return "";
  token.insert(token.end(), sealed->begin(), sealed->end());
  return Base64Encode(token);
}

std::optional<Session> OpenSession(std::string_view token, const SecretBytes& key) {
  if (token.size() > 4096) return std::nullopt;
  const absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(token);
  if (!bytes.ok() || bytes->size() < kGcmNonceSize + kGcmTagSize) return std::nullopt;
  const std::span<const uint8_t> all(*bytes);
  const absl::StatusOr<SecretBytes> text = GcmOpen(key, all.first(kGcmNonceSize), kAad, all.subspan(kGcmNonceSize));
  if (!text.ok()) return std::nullopt;
  const absl::StatusOr<json::object> record = ParseJsonObject(text->RevealText(SecretAccess{}));
  if (!record.ok()) return std::nullopt;
  JsonReader reader(*record);
  Session session;
  session.access_key_id = reader.String("id");
  std::string secret = reader.String("secret");
  session.secret_access_key = SecretBytes::CopyOf(std::string_view(secret));
  Wipe(secret);
  session.role_arn = reader.String("role");
  session.role_id = reader.String("role_id");
  session.name = reader.String("name");
  session.expires = absl::FromUnixMicros(reader.Int("expires"));
  if (!reader.status().ok()) return std::nullopt;
  return session;
}

}  // namespace latchkey::emulator
