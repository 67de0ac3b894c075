// Names and link targets as they stand in the lower folder: AES-256-SIV under a key from a DEK, then base64url without padding.
//
//   lower name = base64url(SIV(name key, header "latchkey name 1", name))        name: 1 to 175 bytes → at most 255
//   target     = base64url(SIV(name key, header "latchkey target 1", target))    target: 1 to 3,055 bytes → at most 4,095
//
// Not bound to the folder, so that folders can be moved; equal names in different folders have equal forms. A name keeps the form of the
// DEK that it was made with. "." and ".." are never encoded.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "volume/keyring.h"

namespace latchkey {

inline constexpr size_t kMaxName = 175;
inline constexpr size_t kMaxTarget = 3055;

// A map of at most `limit` entries; the ones longest unused are forgotten, half of the map at a time. Not thread-safe.
class TextCache {
 public:
  explicit TextCache(size_t limit) : half_(limit / 2) {}
  // nullptr when absent. Valid until the next call.
  const std::string* Find(const std::string& key);
  void Put(std::string key, std::string value);
  void Clear();
  size_t size() const { return young_.size() + old_.size(); }

 private:
  const size_t half_;
  std::unordered_map<std::string, std::string> young_, old_;
};

// Thread-safe. The caller holds an admission of the keyring.
class NameCodec {
 public:
  NameCodec(const Keyring& keyring, size_t cache_limit) : keyring_(keyring), lower_of_(cache_limit), name_of_(cache_limit) {}

  // The form under the current DEK. ENAMETOOLONG, EINVAL for an empty name, EIO without keys; 0 when done.
  int Encode(std::string_view name, std::string* lower);
  // The forms under the older DEKs, the newest first.
  std::vector<std::string> OlderForms(std::string_view name);
  // The name whose form this is under any DEK of the ring; nullopt for what is not ours.
  std::optional<std::string> Decode(std::string_view lower);
  int EncodeTarget(std::string_view target, std::string* lower);
  std::optional<std::string> DecodeTarget(std::string_view lower);
  // Forgets all names.
  void Clear();

 private:
  std::string FormUnder(const VolumeKey& key, std::string_view name);

  const Keyring& keyring_;
  std::mutex mutex_;
  TextCache lower_of_;  // DEK id NUL name → lower name
  TextCache name_of_;   // lower name → name
};

// The length of the target that has a lower form of this length, without opening it.
size_t TargetSize(size_t lower_size);

}  // namespace latchkey
