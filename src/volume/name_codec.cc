#include "volume/name_codec.h"

#include <cerrno>
#include <utility>

#include "base/encoding.h"

namespace latchkey {
namespace {

constexpr std::string_view kNameHeader = "latchkey name 1";
constexpr std::string_view kTargetHeader = "latchkey target 1";

std::optional<std::string> SealText(const VolumeKey& key, std::string_view header, std::string_view text) {
  const auto sealed = key.names().Seal(header, AsBytes(text));
  if (!sealed.ok()) return std::nullopt;
  return Base64UrlEncode(*sealed);
}

std::optional<std::string> OpenText(const VolumeKey& key, std::string_view header, std::span<const uint8_t> sealed) {
  const auto text = key.names().Open(header, sealed);
  if (!text.ok()) return std::nullopt;
  return std::string(AsText(*text));
}

}  // namespace

const std::string* TextCache::Find(const std::string& key) {
  if (const auto found = young_.find(key); found != young_.end()) return &found->second;
  const auto found = old_.find(key);
  if (found == old_.end()) return nullptr;
  auto node = old_.extract(found);
  return &young_.insert(std::move(node)).position->second;
}

void TextCache::Put(std::string key, std::string value) {
  if (young_.size() >= half_) {
    old_ = std::move(young_);
    young_.clear();
  }
  young_.insert_or_assign(std::move(key), std::move(value));
}

void TextCache::Clear() {
  young_.clear();
  old_.clear();
}

std::string NameCodec::FormUnder(const VolumeKey& key, std::string_view name) {
  std::string cache_key = key.dek_id();
  cache_key += '\0';
  cache_key += name;
  {
    std::lock_guard lock(mutex_);
    if (const std::string* found = lower_of_.Find(cache_key); found != nullptr) return *found;
  }
  std::optional<std::string> lower = SealText(key, kNameHeader, name);
  if (!lower) return "";
  std::lock_guard lock(mutex_);
  lower_of_.Put(std::move(cache_key), *lower);
  return *lower;
}

int NameCodec::Encode(std::string_view name, std::string* lower) {
  if (name.empty()) return EINVAL;
  if (name.size() > kMaxName) return ENAMETOOLONG;
  const auto key = keyring_.Current();
  if (key == nullptr) return EIO;
  *lower = FormUnder(*key, name);
  return lower->empty() ? EIO : 0;
}

std::vector<std::string> NameCodec::OlderForms(std::string_view name) {
  std::vector<std::string> forms;
  if (name.empty() || name.size() > kMaxName) return forms;
  const auto keys = keyring_.All();
  for (size_t i = 1; i < keys.size(); ++i) {
    std::string form = FormUnder(*keys[i], name);
    if (!form.empty()) forms.push_back(std::move(form));
  }
  return forms;
}

std::optional<std::string> NameCodec::Decode(std::string_view lower) {
  std::string key(lower);
  {
    std::lock_guard lock(mutex_);
    if (const std::string* found = name_of_.Find(key); found != nullptr) return *found;
  }
  const auto sealed = Base64UrlDecode(lower);
  if (!sealed.ok()) return std::nullopt;
  for (const auto& volume_key : keyring_.All()) {
    std::optional<std::string> name = OpenText(*volume_key, kNameHeader, *sealed);
    if (!name) continue;
    // Only somebody with the DEK could have made such a form; the kernel would refuse it all the same.
    if (name->find('/') != std::string::npos || name->find('\0') != std::string::npos || *name == "." || *name == "..") return std::nullopt;
    std::lock_guard lock(mutex_);
    name_of_.Put(std::move(key), *name);
    return name;
  }
  return std::nullopt;
}

int NameCodec::EncodeTarget(std::string_view target, std::string* lower) {
  if (target.empty()) return ENOENT;
  if (target.size() > kMaxTarget) return ENAMETOOLONG;
  const auto key = keyring_.Current();
  if (key == nullptr) return EIO;
  auto sealed = SealText(*key, kTargetHeader, target);
  if (!sealed) return EIO;
  *lower = std::move(*sealed);
  return 0;
}

std::optional<std::string> NameCodec::DecodeTarget(std::string_view lower) {
  const auto sealed = Base64UrlDecode(lower);
  if (!sealed.ok()) return std::nullopt;
  for (const auto& key : keyring_.All()) {
    if (std::optional<std::string> target = OpenText(*key, kTargetHeader, *sealed); target) return target;
  }
  return std::nullopt;
}

void NameCodec::Clear() {
  std::lock_guard lock(mutex_);
  lower_of_.Clear();
  name_of_.Clear();
}

size_t TargetSize(size_t lower_size) {
  const size_t sealed = lower_size / 4 * 3 + (lower_size % 4 == 0 ? 0 : lower_size % 4 - 1);
  return sealed <= kSivTagSize ? 0 : sealed - kSivTagSize;
}

}  // namespace latchkey
