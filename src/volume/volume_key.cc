#include "volume/volume_key.h"

#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "base/status.h"
#include "crypto/digest.h"

namespace latchkey {

absl::StatusOr<std::shared_ptr<const VolumeKey>> VolumeKey::Create(const Dek& dek) {
  ASSIGN_OR_RETURN(const std::vector<uint8_t> id, HexDecode(dek.id()));
  if (id.size() != std::tuple_size_v<DekIdBytes>) return InvalidArgument("a DEK's id is not 16 bytes long");
  ASSIGN_OR_RETURN(Dek copy, Dek::FromBytes(dek.bytes().Clone(), dek.volume_id(), dek.id(), dek.generation()));
  std::shared_ptr<VolumeKey> key(new VolumeKey(std::move(copy)));
  std::copy(id.begin(), id.end(), key->dek_id_bytes_.begin());
  key->header_key_ = key->dek_.Derive({}, "latchkey volume header mac 1", 32);
  ASSIGN_OR_RETURN(key->names_, SivCipher::Create(key->dek_.Derive({}, "latchkey volume names 1", kSivKeySize)));
  return std::shared_ptr<const VolumeKey>(std::move(key));
}

HeaderMac VolumeKey::MacOf(const FileHeader& header) const {
  const auto bytes = MacedHeaderBytes(header);
  return HmacSha256(header_key_, std::span<const uint8_t>(bytes));
}

SecretBytes VolumeKey::FileKey(const FileId& file_id) const { return dek_.Derive(file_id, "latchkey volume file 1", 64); }

void VolumeKey::Forget() const {
  names_.reset();
  header_key_ = SecretBytes();
  if (auto empty = Dek::FromBytes(SecretBytes(kDekSize), dek_.volume_id(), dek_.id(), dek_.generation()); empty.ok())
    dek_ = *std::move(empty);
}

absl::StatusOr<CipherCache::Lease> CipherCache::Take(uint64_t file, const VolumeKey& key, const FileId& file_id) {
  {
    std::lock_guard lock(mutex_);
    const auto found = by_file_.find(file);
    if (found != by_file_.end()) {
      std::unique_ptr<XtsCipher> cipher = std::move(found->second->cipher);
      by_use_.erase(found->second);
      by_file_.erase(found);
      return Lease(this, file, std::move(cipher));
    }
  }
  ASSIGN_OR_RETURN(std::unique_ptr<XtsCipher> cipher, XtsCipher::Create(key.FileKey(file_id)));
  return Lease(this, file, std::move(cipher));
}

void CipherCache::GiveBack(uint64_t file, std::unique_ptr<XtsCipher> cipher) {
  std::unique_ptr<XtsCipher> dropped;  // destroyed outside the lock
  std::lock_guard lock(mutex_);
  by_use_.push_front({file, std::move(cipher)});
  by_file_.emplace(file, by_use_.begin());
  if (by_use_.size() <= limit_) return;
  const auto last = std::prev(by_use_.end());
  for (auto [it, end] = by_file_.equal_range(last->file); it != end; ++it) {
    if (it->second != last) continue;
    by_file_.erase(it);
    break;
  }
  dropped = std::move(last->cipher);
  by_use_.erase(last);
}

void CipherCache::Clear() {
  std::lock_guard lock(mutex_);
  by_file_.clear();
  by_use_.clear();
}

size_t CipherCache::idle() const {
  std::lock_guard lock(mutex_);
  return by_use_.size();
}

}  // namespace latchkey
