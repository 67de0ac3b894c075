#include "base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

#include "base/encoding.h"

namespace latchkey {
namespace {

class SystemRandom : public Random {
 public:
  void Fill(std::span<uint8_t> out) override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = getrandom(out.data() + done, out.size() - done, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) std::abort();  // there is no safe way on without randomness
      done += static_cast<size_t>(n);
    }
  }
};

}  // namespace

Random& Random::System() {
  static SystemRandom random;
  return random;
}

std::vector<uint8_t> Random::Bytes(size_t n) {
  std::vector<uint8_t> out(n);
  Fill(out);
  return out;
}

SecretBytes Random::Secret(size_t n) {
  SecretBytes out(n);
  Fill(out.RevealMutable(SecretAccess{}));
  return out;
}

std::string NewUuid(Random& random) {
  std::vector<uint8_t> b = random.Bytes(16);
  b[6] = static_cast<uint8_t>((b[6] & 0x0f) | 0x40);
  b[8] = static_cast<uint8_t>((b[8] & 0x3f) | 0x80);
  std::string hex = HexEncode(b);
  for (size_t at : {20, 16, 12, 8}) hex.insert(at, "-");
  return hex;
}

std::string RandomHex(Random& random, size_t bytes) { return HexEncode(random.Bytes(bytes)); }

std::string RandomAlphanumeric(Random& random, size_t length) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  std::string out;
  while (out.size() < length) {
    for (uint8_t b : random.Bytes(length)) {
      if (b < 4 * kLetters.size() && out.size() < length) out.push_back(kLetters[b % kLetters.size()]);
    }
  }
  return out;
}

}  // namespace latchkey
