// Random bytes from outside, so that a test can repeat itself. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/secret_bytes.h"

namespace latchkey {

class Random {
 public:
  virtual ~Random() = default;
  // Fills `out` completely; the system source ends the process when the kernel has no randomness to give.
  virtual void Fill(std::span<uint8_t> out) = 0;

  std::vector<uint8_t> Bytes(size_t n);
  SecretBytes Secret(size_t n);

  // getrandom(2).
  static Random& System();
};

// Random version 4 UUID in lower case, 36 characters.
std::string NewUuid(Random& random);
// `bytes` random bytes as lower-case hex.
std::string RandomHex(Random& random, size_t bytes);
// `length` characters of [A-Za-z0-9], 5.95 bits each, without bias.
std::string RandomAlphanumeric(Random& random, size_t length);

}  // namespace latchkey
