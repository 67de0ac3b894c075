#include "emulator/vault/state.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/status.h"
#include "crypto/digest.h"

namespace latchkey::emulator::vault {

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= 128 && text != "." && text != ".." &&
         text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == std::string_view::npos;
}

bool IsPath(std::string_view text) {
  if (text.size() > 256) return false;
  for (;;) {
    const size_t slash = text.find('/');
    if (!IsName(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

std::string TokenDigest(std::string_view secret) { return HexEncode(Sha256(secret)); }

size_t State::Versions() const {
  size_t total = 0;
  for (const auto& [name, key] : keys) total += key.versions.size();
  return total;
}

absl::Status State::Rotate(TransitKey& key, absl::Time now, Random& random) {
  if (Versions() >= kMostVersions) return absl::ResourceExhaustedError("key: there are too many key versions");
  const int64_t next = key.versions.empty() ? 1 : key.latest_version() + 1;
  key.versions.emplace(next, KeyVersion{.bytes = random.Secret(32), .created = now});
  return absl::OkStatus();
}

absl::StatusOr<TransitKey*> State::AddKey(const KeyName& name, absl::Time now, Random& random) {
  if (keys.contains(name)) return absl::AlreadyExistsError(absl::StrCat("name: ", name.ToString(), " exists already"));
  if (keys.size() >= kMostKeys) return absl::ResourceExhaustedError("name: there are too many keys");
  TransitKey key;
  RETURN_IF_ERROR(Rotate(key, now, random));
  return &keys.emplace(name, std::move(key)).first->second;
}

absl::StatusOr<SecretBytes> State::AddToken(Token token, std::string_view wanted, Random& random) {
  if (tokens.size() >= kMostTokens) return absl::ResourceExhaustedError("tokens: there are too many");
  std::string secret = wanted.empty() ? "hvs." + RandomAlphanumeric(random, 40) : std::string(wanted);
  SecretBytes out = SecretBytes::CopyOf(std::string_view(secret));
  token.accessor = RandomAlphanumeric(random, 24);
  const auto [at, added] = tokens.emplace(TokenDigest(secret), std::move(token));
  Wipe(secret);
  if (!added) return absl::AlreadyExistsError("token: exists already");
  return out;
}

const Token* State::FindToken(std::string_view secret, absl::Time now) const {
  const auto found = tokens.find(TokenDigest(secret));
  return found == tokens.end() || found->second.expires <= now ? nullptr : &found->second;
}

bool State::Settle(absl::Time now, Random& random) {
  bool changed = std::erase_if(tokens, [&](const auto& item) { return item.second.expires <= now; }) > 0;
  for (auto& [name, key] : keys) {
    if (key.auto_rotate_seconds == 0 || key.soft_deleted) continue;
    if (key.versions.rbegin()->second.created + absl::Seconds(key.auto_rotate_seconds) > now) continue;
    changed |= Rotate(key, now, random).ok();
  }
  return changed;
}

}  // namespace latchkey::emulator::vault
