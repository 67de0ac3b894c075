// CRC32C (Castagnoli; RFC 3720, B.4), with which Cloud KMS and its callers see bytes that were changed on the way.
#pragma once

#include <boost/crc.hpp>
#include <cstdint>
#include <span>

namespace latchkey {

inline uint32_t Crc32c(std::span<const uint8_t> bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return static_cast<uint32_t>(crc.checksum());
}

}  // namespace latchkey
