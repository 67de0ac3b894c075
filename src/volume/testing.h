// A DEK and an open keyring for tests, and a lower disk that forgets.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "volume/encrypted_file.h"
#include "volume/keyring.h"
#include "volume/lower_file.h"

namespace latchkey {

inline std::shared_ptr<const VolumeKey> NewTestKey(int64_t generation = 1) {
  const Dek dek = Dek::Generate("11111111-2222-4333-8444-555555555555", generation, Random::System());
  return *VolumeKey::Create(dek);
}

// A lower file in memory that keeps apart what is durable and what was done since. Sectors of 512 bytes are written whole; length changes
// are durable in their order; written sectors reach the disk or not, each for itself.
class ForgetfulLower : public LowerFile {
 public:
  int Read(uint64_t offset, std::span<uint8_t> out, size_t* got) override;
  int Write(uint64_t offset, std::span<const uint8_t> in) override;
  int Truncate(uint64_t size) override;
  int Allocate(int mode, uint64_t offset, uint64_t size) override;
  int Sync(bool data_only) override;
  int Size(uint64_t* size) override;

  // What a power cut may leave: `pick(n)` gives a number below n.
  template <typename Pick>
  void PowerCut(Pick pick) {
    size_t lengths = 0;
    for (const Step& step : since_) lengths += step.is_length ? 1 : 0;
    const size_t kept_lengths = pick(lengths + 1);
    size_t seen = 0;
    std::string disk = durable_;
    for (const Step& step : since_) {
      if (step.is_length) {
        if (seen++ < kept_lengths) disk.resize(step.offset, '\0');
      } else if (pick(2) == 0) {
        // A sector beyond the durable length has nowhere to be.
        for (size_t i = 0; i < step.bytes.size() && step.offset + i < disk.size(); ++i) disk[step.offset + i] = step.bytes[i];
      }
    }
    durable_ = now_ = disk;
    since_.clear();
  }
  const std::string& now() const { return now_; }
  void Corrupt(uint64_t offset, char byte) {
    Sync(true);
    now_[offset] = durable_[offset] = byte;
  }
  // Writes fail with ENOSPC once this many bytes were written.
  void FailAfter(uint64_t bytes) { room_ = bytes; }

 private:
  struct Step {
    bool is_length;
    uint64_t offset;  // or the length
    std::string bytes;
  };
  std::string now_, durable_;
  std::vector<Step> since_;
  uint64_t room_ = UINT64_MAX;
};

}  // namespace latchkey
