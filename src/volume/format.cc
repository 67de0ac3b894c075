#include "volume/format.h"

#include <algorithm>
#include <cstring>

namespace latchkey {
namespace {

constexpr std::array<uint8_t, 8> kMagic = {'L', 'K', 'V', 'F', 'I', 'L', 'E', 0};
constexpr uint32_t kVersion = 1;
constexpr uint32_t kCipherXts = 1;

void PutU32(uint8_t* at, uint32_t v) {
  for (int i = 0; i < 4; ++i) at[i] = static_cast<uint8_t>(v >> (8 * i));
}

uint32_t GetU32(const uint8_t* at) {
  uint32_t v = 0;
  for (int i = 0; i < 4; ++i) v |= uint32_t{at[i]} << (8 * i);
  return v;
}

}  // namespace

std::array<uint8_t, 64> MacedHeaderBytes(const FileHeader& header) {
  std::array<uint8_t, 64> out{};
  std::copy(kMagic.begin(), kMagic.end(), out.begin());
  PutU32(&out[8], kVersion);
  PutU32(&out[12], kCipherXts);
  std::copy(header.dek_id.begin(), header.dek_id.end(), out.begin() + 16);
  std::copy(header.file_id.begin(), header.file_id.end(), out.begin() + 32);
  return out;
}

std::array<uint8_t, kHeaderSize> EncodeHeader(const FileHeader& header, const HeaderMac& mac) {
  std::array<uint8_t, kHeaderSize> out{};
  const auto maced = MacedHeaderBytes(header);
  std::copy(maced.begin(), maced.end(), out.begin());
  std::copy(mac.begin(), mac.end(), out.begin() + maced.size());
  return out;
}

HeaderForm ParseHeader(std::span<const uint8_t> bytes, uint64_t lower_size, FileHeader* header, HeaderMac* mac) {
  if (lower_size < kHeaderSize || bytes.size() < kHeaderBytes) return HeaderForm::kAbsent;
  bytes = bytes.first(kHeaderBytes);
  if (std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; })) return HeaderForm::kAbsent;
  if (!std::equal(kMagic.begin(), kMagic.end(), bytes.begin())) return HeaderForm::kInvalid;
  if (GetU32(&bytes[8]) != kVersion || GetU32(&bytes[12]) != kCipherXts) return HeaderForm::kInvalid;
  std::copy_n(bytes.begin() + 16, header->dek_id.size(), header->dek_id.begin());
  std::copy_n(bytes.begin() + 32, header->file_id.size(), header->file_id.begin());
  std::copy_n(bytes.begin() + 64, mac->size(), mac->begin());
  return HeaderForm::kPresent;
}

}  // namespace latchkey
