// The form of a file on the lower disk: a header of one unit, then the content, length-preserving.
//
//   0                4096              8192                      4096·(n+1)
//   ┌────────────────┬─────────────────┬──────── … ──────────────┬──────────┐
//   │ header         │ unit 0          │ unit 1                  │ tail     │
//   └────────────────┴─────────────────┴─────────────────────────┴──────────┘
//
// Header (little endian; the whole of it that matters lies in the first 512-byte sector, which a disk writes at once):
//
//   0    8   magic "LKVFILE" NUL
//   8    4   format version, 1
//   12   4   cipher, 1 = AES-256-XTS on units of 4,096 bytes
//   16   16  DEK id
//   32   32  file id, random
//   64   32  HMAC-SHA256 of bytes 0..63 under the DEK's header key
//   96   …   zero (room for a second header and a watermark)
//
// Content comes in 16-byte blocks. A last partial block is padded with zeros, and when size mod 16 = j is not 0, j zero bytes follow: so
// the lower length alone tells the exact size, and no size is stored that could disagree with it.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace latchkey {

inline constexpr uint64_t kHeaderSize = 4096;
inline constexpr uint64_t kBlock = 16;
inline constexpr uint64_t kUnit = 4096;
inline constexpr size_t kHeaderBytes = 96;  // of the header, what carries meaning
// Larger offsets and sizes are EFBIG.
inline constexpr uint64_t kMaxFileSize = uint64_t{1} << 60;

using DekIdBytes = std::array<uint8_t, 16>;
using FileId = std::array<uint8_t, 32>;
using HeaderMac = std::array<uint8_t, 32>;

constexpr uint64_t FloorBlock(uint64_t n) { return n / kBlock * kBlock; }
constexpr uint64_t CeilBlock(uint64_t n) { return (n + kBlock - 1) / kBlock * kBlock; }

// The length of the lower file of a file of `size` bytes.
constexpr uint64_t LowerSize(uint64_t size) { return kHeaderSize + CeilBlock(size) + size % kBlock; }
// The inverse, for every length that a crash may leave: with S bytes behind the header, S when S mod 16 = 0, else S − 16, never below 0.
constexpr uint64_t FileSize(uint64_t lower_size) {
  if (lower_size <= kHeaderSize) return 0;
  const uint64_t behind = lower_size - kHeaderSize;
  if (behind % kBlock == 0) return behind;
  return behind < kBlock ? 0 : behind - kBlock;
}

struct FileHeader {
  DekIdBytes dek_id{};
  FileId file_id{};
};

// The 64 bytes that the MAC covers.
std::array<uint8_t, 64> MacedHeaderBytes(const FileHeader& header);
// The whole unit, ready to be written.
std::array<uint8_t, kHeaderSize> EncodeHeader(const FileHeader& header, const HeaderMac& mac);

enum class HeaderForm {
  kAbsent,   // shorter than a header, or zeros: it was never synced
  kPresent,  // well-formed; `header` and `mac` are set and the MAC is still to be checked
  kInvalid,
};
// `bytes`: the first kHeaderBytes of the lower file, or fewer when it is shorter; `lower_size`: its length.
HeaderForm ParseHeader(std::span<const uint8_t> bytes, uint64_t lower_size, FileHeader* header, HeaderMac* mac);

}  // namespace latchkey
