#include "volume/encrypted_file.h"

#include <fcntl.h>
#include <linux/falloc.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "crypto/digest.h"

namespace latchkey {
namespace {

constexpr uint64_t kWholeFile = std::numeric_limits<uint64_t>::max();

bool IsZero(const uint8_t* block) {
  uint64_t a, b;
  std::memcpy(&a, block, 8);
  std::memcpy(&b, block + 8, 8);
  return (a | b) == 0;
}

bool AllZero(std::span<const uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
}

// Calls f(unit, offset in unit, piece) for the parts of a block-aligned range.
template <typename F>
int ForEachUnit(uint64_t offset, std::span<uint8_t> bytes, F f) {
  while (!bytes.empty()) {
    const size_t inside = offset % kUnit;
    const size_t n = std::min(bytes.size(), kUnit - inside);
    if (const int error = f(offset / kUnit, inside, bytes.first(n)); error != 0) return error;
    offset += n;
    bytes = bytes.subspan(n);
  }
  return 0;
}

int EncryptRange(XtsCipher& cipher, uint64_t offset, std::span<uint8_t> bytes) {
  return ForEachUnit(offset, bytes, [&](uint64_t unit, size_t inside, std::span<uint8_t> piece) {
    return cipher.Encrypt(unit, inside, piece, piece.data()).ok() ? 0 : EIO;
  });
}

// Zero blocks stay zero: they are holes.
int DecryptRange(XtsCipher& cipher, uint64_t offset, std::span<uint8_t> bytes) {
  return ForEachUnit(offset, bytes, [&](uint64_t unit, size_t inside, std::span<uint8_t> piece) {
    std::array<bool, kUnit / kBlock> hole;
    const size_t blocks = piece.size() / kBlock;
    size_t holes = 0;
    for (size_t i = 0; i < blocks; ++i) holes += (hole[i] = IsZero(&piece[i * kBlock]));
    if (holes == blocks) return 0;
    if (!cipher.Decrypt(unit, inside, piece, piece.data()).ok()) return EIO;
    for (size_t i = 0; holes > 0 && i < blocks; ++i) {
      if (!hole[i]) continue;
      std::memset(&piece[i * kBlock], 0, kBlock);
      --holes;
    }
    return 0;
  });
}

uint64_t NextCipherNumber() {
  static std::atomic<uint64_t> next = 1;
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

Scratch::Scratch() : memory_(static_cast<uint8_t*>(std::aligned_alloc(kUnit, kBytes))), owned_(true) {
  if (memory_ == nullptr) throw std::bad_alloc();
}

Scratch::~Scratch() {
  if (!owned_) return;
  Wipe(memory_, kBytes);
  std::free(memory_);
}

int EncryptedFile::Open(const Keys& keys, LowerFile& lower, std::unique_ptr<EncryptedFile>* out) {
  std::unique_ptr<EncryptedFile> file(new EncryptedFile(keys));
  uint64_t lower_size = 0;
  if (const int error = lower.Size(&lower_size); error != 0) return error;
  std::array<uint8_t, kHeaderBytes> bytes;
  size_t got = 0;
  if (const int error = lower.Read(0, bytes, &got); error != 0) return error;
  FileHeader header;
  HeaderMac mac;
  switch (ParseHeader(std::span(bytes).first(got), lower_size, &header, &mac)) {
    case HeaderForm::kInvalid:
      return EIO;
    case HeaderForm::kAbsent:
      file->header_was_lost_ = lower_size > 0;
      break;
    case HeaderForm::kPresent:
      file->key_ = keys.keyring.Find(header.dek_id);
      if (file->key_ == nullptr || !EqualInConstantTime(file->key_->MacOf(header), mac)) return EIO;
      file->file_id_ = header.file_id;
      file->cipher_number_ = NextCipherNumber();
      file->has_header_ = true;
      break;
  }
  file->lower_size_ = lower_size;
  file->size_ = FileSize(lower_size);
  *out = std::move(file);
  return 0;
}

absl::StatusOr<CipherCache::Lease> EncryptedFile::Cipher() { return keys_.ciphers.Take(cipher_number_, *key_, file_id_); }

int EncryptedFile::Read(LowerFile& lower, uint64_t offset, size_t size, Scratch& scratch, std::span<const uint8_t>* out) {
  *out = {};
  if (size > kMaxIo) return EINVAL;
  if (offset >= kMaxFileSize) return 0;
  RangeLock::Guard guard(lock_, FloorBlock(offset), CeilBlock(offset + size), RangeLock::Mode::kShared);
  const uint64_t end = std::min(offset + size, this->size());
  if (end <= offset) return 0;
  const uint64_t first = FloorBlock(offset);
  const std::span<uint8_t> blocks = scratch.memory().first(CeilBlock(end) - first);
  if (has_header_) {
    size_t got = 0;
    if (const int error = lower.Read(kHeaderSize + first, blocks, &got); error != 0) return error;
    std::memset(blocks.data() + got, 0, blocks.size() - got);
    auto cipher = Cipher();
    if (!cipher.ok()) return EIO;
    if (const int error = DecryptRange(**cipher, first, blocks); error != 0) return error;
  } else {
    std::memset(blocks.data(), 0, blocks.size());
  }
  *out = blocks.subspan(offset - first, end - offset);
  return 0;
}

int EncryptedFile::Write(LowerFile& lower, uint64_t offset, std::span<const uint8_t> in, Scratch& scratch) {
  if (offset > kMaxFileSize || in.size() > kMaxFileSize - offset) return EFBIG;
  while (!in.empty()) {
    // Pieces end at units, so that only the outermost blocks are ever partial.
    const uint64_t piece_end = (offset + kMaxIo) / kUnit * kUnit;
    const size_t n = std::min<uint64_t>(in.size(), piece_end - offset);
    if (const int error = WritePiece(lower, offset, in.first(n), scratch); error != 0) return error;
    offset += n;
    in = in.subspan(n);
  }
  return 0;
}

int EncryptedFile::WritePiece(LowerFile& lower, uint64_t offset, std::span<const uint8_t> in, Scratch& scratch) {
  const uint64_t end = offset + in.size();
  const auto inside = [&] { return has_header_ && end <= size(); };
  if (inside()) {
    RangeLock::Guard guard(lock_, FloorBlock(offset), CeilBlock(end), RangeLock::Mode::kExclusive);
    if (inside()) return WriteLocked(lower, offset, in, scratch);
  }
  RangeLock::Guard guard(lock_, 0, kWholeFile, RangeLock::Mode::kExclusive);
  if (!has_header_) {
    if (const int error = MakeHeader(lower); error != 0) return error;
  }
  return WriteLocked(lower, offset, in, scratch);
}

int EncryptedFile::WriteLocked(LowerFile& lower, uint64_t offset, std::span<const uint8_t> in, Scratch& scratch) {
  auto lease = Cipher();
  if (!lease.ok()) return EIO;
  XtsCipher& cipher = **lease;
  const uint64_t end = offset + in.size();
  const uint64_t old_size = size();
  const bool grows = end > old_size;
  if (grows) {
    if (const int error = CleanEnd(lower, cipher); error != 0) return error;
  }
  const uint64_t first = FloorBlock(offset);
  const uint64_t last = CeilBlock(end);
  const std::span<uint8_t> blocks = scratch.memory().first(last - first);
  if (offset > first) {
    if (const int error = PlainBlock(lower, cipher, first, blocks.data()); error != 0) return error;
  }
  const bool last_is_read = last - kBlock == first && offset > first;
  if (end < last && !last_is_read) {
    if (const int error = PlainBlock(lower, cipher, last - kBlock, &blocks[blocks.size() - kBlock]); error != 0) return error;
  }
  std::memcpy(&blocks[offset - first], in.data(), in.size());
  if (const int error = EncryptRange(cipher, first, blocks); error != 0) return error;

  // Blocks and the zeros that tell the size go in one write, so that the length takes its final value at once.
  const size_t tail = grows ? end % kBlock : 0;
  std::memset(&scratch.memory()[blocks.size()], 0, tail);
  const auto out = scratch.memory().first(blocks.size() + tail);
  if (const int error = lower.Write(kHeaderSize + first, out); error != 0) {
    if (grows) Resynchronise(lower, old_size);
    return error;
  }
  if (!grows) return 0;
  lower_size_ = std::max(lower_size_, kHeaderSize + first + out.size());
  // Fewer zeros than before (… 31 bytes → 32): the blocks are there, the length follows.
  if (lower_size_ != LowerSize(end)) return SetSize(lower, end);
  size_ = end;
  return 0;
}

// What lies behind a header that was never synced was never synced either: it goes, the size stays.
int EncryptedFile::MakeHeader(LowerFile& lower) {
  std::shared_ptr<const VolumeKey> key = keys_.keyring.Current();
  if (key == nullptr) return EIO;
  if (lower_size_ > 0) {
    if (const int error = lower.Truncate(0); error != 0) return error;
    lower_size_ = 0;
    // Else a power cut could keep the new header over the old content.
    if (const int error = lower.Sync(true); error != 0) return error;
  }
  FileHeader header{.dek_id = key->dek_id_bytes()};
  keys_.random.Fill(header.file_id);
  const auto bytes = EncodeHeader(header, key->MacOf(header));
  if (const int error = lower.Write(0, bytes); error != 0) {
    Resynchronise(lower, 0);
    return error;
  }
  lower_size_ = bytes.size();
  key_ = std::move(key);
  file_id_ = header.file_id;
  cipher_number_ = NextCipherNumber();
  has_header_ = true;
  return size() == 0 ? 0 : SetSize(lower, size());
}

int EncryptedFile::SetSize(LowerFile& lower, uint64_t size) {
  if (const int error = lower.Truncate(LowerSize(size)); error != 0) {
    Resynchronise(lower, this->size());
    return error;
  }
  lower_size_ = LowerSize(size);
  size_ = size;
  return 0;
}

void EncryptedFile::Resynchronise(LowerFile& lower, uint64_t wanted_size) {
  uint64_t now = 0;
  if (lower.Size(&now) != 0) return;
  const uint64_t wanted = has_header_ ? LowerSize(wanted_size) : 0;
  if (now > wanted && lower.Truncate(wanted) == 0) now = wanted;
  lower_size_ = now;
  size_ = FileSize(now);
}

int EncryptedFile::CleanEnd(LowerFile& lower, XtsCipher& cipher) {
  const uint64_t size = this->size();
  if (lower_size_ != LowerSize(size)) {
    if (const int error = SetSize(lower, size); error != 0) return error;
  }
  const size_t used = size % kBlock;
  if (used == 0) return 0;
  if (shrinks_ != synced_shrinks_) {
    if (const int error = Sync(lower, true); error != 0) return error;
  }
  const uint64_t block = FloorBlock(size);
  std::array<uint8_t, 2 * kBlock> bytes{};
  const std::span<uint8_t> end = std::span(bytes).first(kBlock + used);
  size_t got = 0;
  if (const int error = lower.Read(kHeaderSize + block, end, &got); error != 0) return error;
  const std::span<uint8_t> content = end.first(kBlock);
  if (const int error = DecryptRange(cipher, block, content); error != 0) return error;
  if (AllZero(content.subspan(used)) && AllZero(end.subspan(kBlock))) return 0;
  std::fill(content.begin() + static_cast<ptrdiff_t>(used), content.end(), 0);
  if (const int error = EncryptRange(cipher, block, content); error != 0) return error;
  std::fill(end.begin() + kBlock, end.end(), 0);
  if (const int error = lower.Write(kHeaderSize + block, end); error != 0) return error;
  // Else a power cut could keep the growth that follows and lose the cleaning.
  return lower.Sync(true);
}

int EncryptedFile::PlainBlock(LowerFile& lower, XtsCipher& cipher, uint64_t block, uint8_t* out) {
  std::memset(out, 0, kBlock);
  const uint64_t size = this->size();
  if (block >= size) return 0;
  const std::span<uint8_t> bytes(out, kBlock);
  size_t got = 0;
  if (const int error = lower.Read(kHeaderSize + block, bytes, &got); error != 0) return error;
  if (const int error = DecryptRange(cipher, block, bytes); error != 0) return error;
  if (size - block < kBlock) std::memset(out + (size - block), 0, kBlock - (size - block));
  return 0;
}

// Zeros [begin, end), which lies inside one block.
int EncryptedFile::ZeroInBlock(LowerFile& lower, XtsCipher& cipher, uint64_t begin, uint64_t end) {
  const uint64_t block = FloorBlock(begin);
  std::array<uint8_t, kBlock> bytes;
  if (const int error = PlainBlock(lower, cipher, block, bytes.data()); error != 0) return error;
  std::memset(&bytes[begin - block], 0, end - begin);
  if (const int error = EncryptRange(cipher, block, bytes); error != 0) return error;
  return lower.Write(kHeaderSize + block, bytes);
}

int EncryptedFile::Truncate(LowerFile& lower, uint64_t size) {
  if (size > kMaxFileSize) return EFBIG;
  RangeLock::Guard guard(lock_, 0, kWholeFile, RangeLock::Mode::kExclusive);
  if (!has_header_) {
    if (size == 0) {
      if (lower_size_ > 0) {
        if (const int error = lower.Truncate(0); error != 0) return error;
      }
      lower_size_ = 0;
      size_ = 0;
      return 0;
    }
    if (const int error = MakeHeader(lower); error != 0) return error;
  }
  const uint64_t old_size = this->size();
  if (size == old_size) return 0;
  auto cipher = Cipher();
  if (!cipher.ok()) return EIO;
  if (size > old_size) {
    if (const int error = CleanEnd(lower, **cipher); error != 0) return error;
    return SetSize(lower, size);
  }
  if (size % kBlock != 0) ++shrinks_;
  if (const int error = SetSize(lower, size); error != 0) return error;
  if (size % kBlock == 0) return 0;
  // Padding is never believed, so this is not for what is read: what was cut off shall not stay on the disk.
  const uint64_t block = FloorBlock(size);
  // The zeros behind it are left for the next growth: written now they could reach the disk before the cut does, into a block that still
  // counts.
  std::array<uint8_t, kBlock> bytes;
  if (const int error = PlainBlock(lower, **cipher, block, bytes.data()); error != 0) return error;
  if (const int error = EncryptRange(**cipher, block, bytes); error != 0) return error;
  return lower.Write(kHeaderSize + block, bytes);
}

int EncryptedFile::Sync(LowerFile& lower, bool data_only) {
  const uint64_t covered = shrinks_;
  if (const int error = lower.Sync(data_only); error != 0) return error;
  uint64_t before = synced_shrinks_;
  while (before < covered && !synced_shrinks_.compare_exchange_weak(before, covered)) {
  }
  return 0;
}

int EncryptedFile::Preallocate(LowerFile& lower, uint64_t offset, uint64_t size, bool keep_size) {
  if (size == 0 || offset > kMaxFileSize || size > kMaxFileSize - offset) return size == 0 ? EINVAL : EFBIG;
  RangeLock::Guard guard(lock_, 0, kWholeFile, RangeLock::Mode::kExclusive);
  if (!has_header_) {
    if (const int error = MakeHeader(lower); error != 0) return error;
  }
  const uint64_t end = offset + size;
  const uint64_t first = FloorBlock(offset);
  if (const int error = lower.Allocate(FALLOC_FL_KEEP_SIZE, kHeaderSize + first, CeilBlock(end) + kBlock - first); error != 0) return error;
  if (keep_size || end <= this->size()) return 0;
  auto cipher = Cipher();
  if (!cipher.ok()) return EIO;
  if (const int error = CleanEnd(lower, **cipher); error != 0) return error;
  return SetSize(lower, end);
}

int EncryptedFile::Zero(LowerFile& lower, uint64_t offset, uint64_t size, bool keep_size, bool punch) {
  if (size == 0 || offset > kMaxFileSize || size > kMaxFileSize - offset) return size == 0 ? EINVAL : EFBIG;
  RangeLock::Guard guard(lock_, 0, kWholeFile, RangeLock::Mode::kExclusive);
  const uint64_t end = offset + size;
  const bool grows = !punch && !keep_size && end > this->size();
  if (!has_header_) {
    if (!grows) return 0;  // it reads as zeros already
    if (const int error = MakeHeader(lower); error != 0) return error;
  }
  auto cipher = Cipher();
  if (!cipher.ok()) return EIO;
  if (grows) {
    if (const int error = CleanEnd(lower, **cipher); error != 0) return error;
    if (const int error = SetSize(lower, end); error != 0) return error;
  }
  const uint64_t stop = std::min(end, this->size());
  if (offset >= stop) return 0;
  const uint64_t first = CeilBlock(offset);
  const uint64_t last = stop == this->size() ? CeilBlock(stop) : FloorBlock(stop);
  if (last > first) {
    const int mode = FALLOC_FL_KEEP_SIZE | (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
    if (const int error = lower.Allocate(mode, kHeaderSize + first, last - first); error != 0) return error;
  }
  if (offset < first) {
    if (const int error = ZeroInBlock(lower, **cipher, offset, std::min(first, stop)); error != 0) return error;
  }
  if (stop > last && last >= first) return ZeroInBlock(lower, **cipher, last, stop);
  return 0;
}

}  // namespace latchkey
