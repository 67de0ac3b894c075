// A file of the lower disk as EncryptedFile uses it: an interface, so that a test can stand in for a disk that loses what was not synced.
//
// Errors are errno values (0: done), because that is what FUSE replies and programs see.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace latchkey {

class LowerFile {
 public:
  virtual ~LowerFile() = default;
  // Reads up to the end of `out` or of the file; `got` is the count.
  virtual int Read(uint64_t offset, std::span<uint8_t> out, size_t* got) = 0;
  // Writes all of it, or fails (then some of it may be there).
  virtual int Write(uint64_t offset, std::span<const uint8_t> in) = 0;
  virtual int Truncate(uint64_t size) = 0;
  // fallocate(2) with these mode bits.
  virtual int Allocate(int mode, uint64_t offset, uint64_t size) = 0;
  // fsync(2), or fdatasync(2) when `data_only`.
  virtual int Sync(bool data_only) = 0;
  virtual int Size(uint64_t* size) = 0;
};

// A borrowed descriptor, opened for reading and writing, without O_APPEND and O_DIRECT.
class LowerDescriptor : public LowerFile {
 public:
  explicit LowerDescriptor(int fd) : fd_(fd) {}
  int Read(uint64_t offset, std::span<uint8_t> out, size_t* got) override;
  int Write(uint64_t offset, std::span<const uint8_t> in) override;
  int Truncate(uint64_t size) override;
  int Allocate(int mode, uint64_t offset, uint64_t size) override;
  int Sync(bool data_only) override;
  int Size(uint64_t* size) override;
  // From now on every Write of this process fails with EIO. Called before keys are wiped under running requests: what those would still
  // encipher must not reach the disk.
  static void StopWriting();

 private:
  int fd_;
};

}  // namespace latchkey
