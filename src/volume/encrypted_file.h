// The content of one file: reads, writes and changes of length as programs see them, on a lower file of the form in format.h.
//
// What holds after a crash at any point, on a lower disk that writes 512-byte sectors whole and keeps length changes in order:
//   - bytes that a sync covered and that were not written since are intact: no operation rewrites bytes outside the 16-byte blocks it
//   touches
//   - the lower length is the one truth about the size; it changes in one step, or in steps that each stand for a size the caller knows
//   - padding and the zeros behind it are never believed: before a file grows they are read, and cleaned and synced when they are not zero,
//     and a growth after a shrink syncs that shrink first, so that nothing cut off earlier comes back and no block is half old
// A block of 16 bytes that is zero on disk is a hole and reads as zeros.
//
// Thread-safe. Reads share; writes inside the file exclude only the blocks that they touch; everything that changes the length takes the
// whole file. Errors are errno values, 0 when done. The caller holds an admission of the keyring during each call.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "base/random.h"
#include "volume/format.h"
#include "volume/keyring.h"
#include "volume/lower_file.h"
#include "volume/range_lock.h"
#include "volume/volume_key.h"

namespace latchkey {

// The most that one Read returns, and the piece in which Write works.
inline constexpr size_t kMaxIo = size_t{1} << 20;

// Working memory of one thread, page-aligned, room for kMaxIo and the blocks around it. It holds plaintext: wiped when destroyed.
class Scratch {
 public:
  static constexpr size_t kBytes = kMaxIo + 2 * kUnit;
  Scratch();
  // Memory of somebody else, kBytes of it, page-aligned, who outlives this and wipes it.
  explicit Scratch(std::span<uint8_t, kBytes> borrowed) : memory_(borrowed.data()), owned_(false) {}
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::span<uint8_t> memory() { return {memory_, kBytes}; }

 private:
  uint8_t* memory_;
  const bool owned_;
};

class EncryptedFile {
 public:
  struct Keys {
    Keyring& keyring;
    CipherCache& ciphers;
    Random& random;
  };
  // Reads the header. EIO when it is neither absent nor valid under a key of the ring. `keys` outlives the file.
  static int Open(const Keys& keys, LowerFile& lower, std::unique_ptr<EncryptedFile>* out);

  // At most kMaxIo bytes; fewer at the end of the file. `out` points into `scratch`, to its beginning if `offset` is a multiple of kUnit.
  int Read(LowerFile& lower, uint64_t offset, size_t size, Scratch& scratch, std::span<const uint8_t>* out);
  // Any size. After an error some leading part may have been written; bytes behind the old end are then cut off again.
  int Write(LowerFile& lower, uint64_t offset, std::span<const uint8_t> in, Scratch& scratch);
  int Truncate(LowerFile& lower, uint64_t size);
  // fallocate: gives the range room on the disk. Grows the file unless `keep_size`.
  int Preallocate(LowerFile& lower, uint64_t offset, uint64_t size, bool keep_size);
  // The range reads as zeros. `punch`: gives its room back (and keeps the size); otherwise the room stays, and the file grows unless
  // `keep_size`.
  int Zero(LowerFile& lower, uint64_t offset, uint64_t size, bool keep_size, bool punch);

  int Sync(LowerFile& lower, bool data_only);

  uint64_t size() const { return size_.load(std::memory_order_acquire); }
  // The file has content whose header never reached the disk: it reads as zeros.
  bool header_was_lost() const { return header_was_lost_; }

 private:
  explicit EncryptedFile(const Keys& keys) : keys_(keys) {}
  int WritePiece(LowerFile& lower, uint64_t offset, std::span<const uint8_t> in, Scratch& scratch);
  int WriteLocked(LowerFile& lower, uint64_t offset, std::span<const uint8_t> in, Scratch& scratch);
  // Below: the caller holds the whole file exclusively, or (PlainBlock, RewriteBlock) the block.
  int MakeHeader(LowerFile& lower);
  int CleanEnd(LowerFile& lower, XtsCipher& cipher);
  int SetSize(LowerFile& lower, uint64_t size);
  int PlainBlock(LowerFile& lower, XtsCipher& cipher, uint64_t block, uint8_t* out);
  int ZeroInBlock(LowerFile& lower, XtsCipher& cipher, uint64_t begin, uint64_t end);
  void Resynchronise(LowerFile& lower, uint64_t wanted_size);
  absl::StatusOr<CipherCache::Lease> Cipher();

  const Keys keys_;
  RangeLock lock_;
  std::atomic<uint64_t> size_ = 0;
  uint64_t lower_size_ = 0;  // changes with the whole file held
  // Shrinks into a block, and how many of them a sync covers: until then the rest of the block and the zeros behind it may be old bytes on
  // the disk.
  std::atomic<uint64_t> shrinks_ = 0, synced_shrinks_ = 0;
  std::atomic<bool> has_header_ = false;
  bool header_was_lost_ = false;
  std::shared_ptr<const VolumeKey> key_;
  FileId file_id_{};
  uint64_t cipher_number_ = 0;
};

}  // namespace latchkey
