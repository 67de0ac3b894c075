// SecretBytes: key material and other secrets in locked memory.
//
// The bytes live in the process's SecretArena: pages that are locked (never swapped), left out of core dumps and of forked children,
// and wiped when freed. A SecretBytes moves and is never copied by accident; it has no operator<<, no comparison but the constant-time
// one, and its bytes are reached only with a SecretAccess, so that a search for `SecretAccess` lists every place that touches a secret.
#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace latchkey {

// The right to read secret bytes. Made at the place of use: `key.Reveal(SecretAccess{})`.
struct SecretAccess {
  explicit SecretAccess() = default;
};

// The locked memory of this process. Thread-safe. A forked child does not inherit it: it gets an empty arena, and must not read a
// SecretBytes (nor use OpenSSL, if held) that was made before the fork.
class SecretArena {
 public:
  // Reserves `bytes` (rounded up to pages) for secrets. Call it once, before the first SecretBytes; without a call the first use
  // reserves 1 MiB. Returns an error when the memory cannot be locked (RLIMIT_MEMLOCK) or a reservation exists already.
  static absl::Status Reserve(size_t bytes);
  // Sends every allocation of OpenSSL (key schedules included) to the arena, through CRYPTO_set_mem_functions. Must run before the first
  // use of OpenSSL in the process; returns FailedPrecondition otherwise.
  static absl::Status HoldOpenSsl();
  // True when the pages are really locked.
  static bool IsLocked();
  static size_t BytesInUse();

  // `n` bytes, 16-byte aligned, zeroed; nullptr when the arena is full. Free() wipes.
  static void* Allocate(size_t n);
  static void Free(void* p);
  static size_t SizeOf(const void* p);
  // True when `p` points into the arena.
  static bool Owns(const void* p);
  // Wipes the whole arena at once, used or not: the last act of sealing. Nothing may use secrets (or OpenSSL, if held) afterwards.
  static void WipeAll();
};

class SecretBytes {
 public:
  SecretBytes() = default;
  // `size` zero bytes. Terminates the process when the arena is full: there is no safe way on without room for a key.
  explicit SecretBytes(size_t size);
  ~SecretBytes();
  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;

  // A copy of bytes that are elsewhere; the caller wipes its own copy.
  static SecretBytes CopyOf(std::span<const uint8_t> bytes);
  static SecretBytes CopyOf(std::string_view bytes);
  SecretBytes Clone() const;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::span<const uint8_t> Reveal(SecretAccess) const { return {bytes_, size_}; }
  std::span<uint8_t> RevealMutable(SecretAccess) { return {bytes_, size_}; }
  std::string_view RevealText(SecretAccess) const { return {reinterpret_cast<const char*>(bytes_), size_}; }
  // Time depends on the sizes only.
  bool Equals(const SecretBytes& other) const;

 private:
  uint8_t* bytes_ = nullptr;
  size_t size_ = 0;
};

// Overwrites memory in a way that the compiler keeps.
void Wipe(void* p, size_t n);
void Wipe(std::string& s);

// PR_SET_DUMPABLE 0 and RLIMIT_CORE 0: no core file, no /proc/PID/mem for anyone without CAP_SYS_PTRACE.
absl::Status ForbidDumps();

}  // namespace latchkey
