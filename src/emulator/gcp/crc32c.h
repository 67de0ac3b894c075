// CRC32C (Castagnoli; RFC 3720, appendix B.4), as Cloud KMS sends and checks it.
#pragma once

#include <cstdint>
#include <span>

namespace latchkey::emulator::gcp {

uint32_t Crc32c(std::span<const uint8_t> bytes);

}  // namespace latchkey::emulator::gcp
