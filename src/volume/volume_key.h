// The keys that come from one DEK of an open volume, and a bounded cache of ciphers made from them.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "crypto/siv.h"
#include "crypto/xts.h"
#include "keys/dek.h"
#include "volume/format.h"

namespace latchkey {

// Immutable after Create; thread-safe. Derivations (HKDF-SHA256 of the DEK):
//   header key  salt "",       info "latchkey volume header mac 1",  32 bytes
//   name key    salt "",       info "latchkey volume names 1",       64 bytes, AES-256-SIV
//   file key    salt file id,  info "latchkey volume file 1",        64 bytes, AES-256-XTS
class VolumeKey {
 public:
  // Keeps its own copy of the DEK. InvalidArgument when the DEK's id is not hex of 16 bytes.
  static absl::StatusOr<std::shared_ptr<const VolumeKey>> Create(const Dek& dek);

  const std::string& dek_id() const { return dek_.id(); }
  const DekIdBytes& dek_id_bytes() const { return dek_id_bytes_; }
  int64_t generation() const { return dek_.generation(); }
  HeaderMac MacOf(const FileHeader& header) const;
  const SivCipher& names() const { return *names_; }
  SecretBytes FileKey(const FileId& file_id) const;
  // Wipes the key bytes in place, whoever still holds this object. Nothing may use it meanwhile or afterwards.
  void Forget() const;

 private:
  explicit VolumeKey(Dek dek) : dek_(std::move(dek)) {}
  mutable Dek dek_;
  DekIdBytes dek_id_bytes_{};
  mutable SecretBytes header_key_;
  mutable std::unique_ptr<SivCipher> names_;
};

// Idle XTS ciphers, by file. One is used by one thread at a time; several may exist for one file. At most `limit` idle ones are kept, the
// longest unused goes first: each holds two key schedules in locked memory (about 3 KiB). Thread-safe.
class CipherCache {
 public:
  explicit CipherCache(size_t limit) : limit_(limit) {}

  // A cipher taken out of the cache; goes back when destroyed. Move-only.
  class Lease {
   public:
    Lease(CipherCache* cache, uint64_t file, std::unique_ptr<XtsCipher> cipher) : cache_(cache), file_(file), cipher_(std::move(cipher)) {}
    Lease(Lease&&) = default;
    ~Lease() {
      if (cipher_ != nullptr) cache_->GiveBack(file_, std::move(cipher_));
    }
    XtsCipher& operator*() { return *cipher_; }
    XtsCipher* operator->() { return cipher_.get(); }

   private:
    CipherCache* cache_;
    uint64_t file_;
    std::unique_ptr<XtsCipher> cipher_;
  };
  // `file`: a number that stands for exactly this key and file id in this process.
  absl::StatusOr<Lease> Take(uint64_t file, const VolumeKey& key, const FileId& file_id);
  // Destroys every idle cipher.
  void Clear();
  size_t idle() const;

 private:
  struct Idle {
    uint64_t file;
    std::unique_ptr<XtsCipher> cipher;
  };
  void GiveBack(uint64_t file, std::unique_ptr<XtsCipher> cipher);

  const size_t limit_;
  mutable std::mutex mutex_;
  std::list<Idle> by_use_;  // the most recently used first
  std::unordered_multimap<uint64_t, std::list<Idle>::iterator> by_file_;
};

}  // namespace latchkey
