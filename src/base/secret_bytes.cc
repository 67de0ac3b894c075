#include "base/secret_bytes.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/status.h"

namespace latchkey {
namespace {

// A block is a 16-byte head and the payload; blocks come in powers of two. Freed blocks of one size are kept in a list and reused; a
// size class never gives its memory back to another, which the working set here (a few kinds of key contexts) does not need.
constexpr size_t kHead = 16;
constexpr size_t kDefaultBytes = size_t{1} << 20;
constexpr int kClasses = 32;

struct Head {
  uint32_t size;         // payload asked for
  uint32_t block_class;  // log2 of the block's size
  Head* next;            // while free
};
static_assert(sizeof(Head) == kHead);

struct Arena {
  std::mutex mutex;
  uint8_t* base = nullptr;
  size_t bytes = 0;
  size_t used = 0;  // bump pointer
  size_t in_use = 0;
  bool locked = false;
  std::array<Head*, kClasses> free{};
};

Arena& TheArena();

void BeforeFork() { TheArena().mutex.lock(); }
void AfterForkInParent() { TheArena().mutex.unlock(); }
// The pages are not there in a forked child (MADV_DONTFORK): it begins with an arena of its own, and what it inherited is gone.
void AfterForkInChild() {
  Arena& arena = TheArena();
  arena.base = nullptr;
  arena.bytes = arena.used = arena.in_use = 0;
  arena.locked = false;
  arena.free = {};
  arena.mutex.unlock();
}

Arena& TheArena() {
  // Never destroyed: secrets in static objects are freed after main.
  static Arena* arena = [] {
    auto* a = new Arena;
    pthread_atfork(BeforeFork, AfterForkInParent, AfterForkInChild);
    return a;
  }();
  return *arena;
}

bool Holds(const Arena& arena, const void* p) { return arena.base != nullptr && p >= arena.base && p < arena.base + arena.bytes; }

absl::Status ReserveLocked(Arena& arena, size_t bytes) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  bytes = (bytes + page - 1) / page * page;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return ErrnoStatus(errno, "cannot reserve memory for secrets");
  arena.base = static_cast<uint8_t*>(p);
  arena.bytes = bytes;
  madvise(p, bytes, MADV_DONTDUMP);
  madvise(p, bytes, MADV_DONTFORK);
  // Not mlock(): sanitizers replace it by nothing.
  if (syscall(SYS_mlock, p, bytes) != 0) return ErrnoStatus(errno, "cannot lock memory for secrets (RLIMIT_MEMLOCK)");
  arena.locked = true;
  return absl::OkStatus();
}

void* OpenSslMalloc(size_t n, const char*, int) { return SecretArena::Allocate(n); }
void OpenSslFree(void* p, const char*, int) { SecretArena::Free(p); }
void* OpenSslRealloc(void* p, size_t n, const char*, int) {
  if (p == nullptr) return SecretArena::Allocate(n);
  if (n == 0) {
    SecretArena::Free(p);
    return nullptr;
  }
  void* q = SecretArena::Allocate(n);
  if (q == nullptr) return nullptr;
  std::memcpy(q, p, std::min(n, SecretArena::SizeOf(p)));
  SecretArena::Free(p);
  return q;
}

}  // namespace

absl::Status SecretArena::Reserve(size_t bytes) {
  Arena& arena = TheArena();
  std::lock_guard lock(arena.mutex);
  if (arena.base != nullptr) return FailedPrecondition("memory for secrets is reserved already");
  return ReserveLocked(arena, bytes);
}

absl::Status SecretArena::HoldOpenSsl() {
  if (CRYPTO_set_mem_functions(OpenSslMalloc, OpenSslRealloc, OpenSslFree) != 1) {
    return FailedPrecondition("OpenSSL was used before its memory could be moved to the arena");
  }
  return absl::OkStatus();
}

bool SecretArena::IsLocked() {
  Arena& arena = TheArena();
  std::lock_guard lock(arena.mutex);
  return arena.locked;
}

size_t SecretArena::BytesInUse() {
  Arena& arena = TheArena();
  std::lock_guard lock(arena.mutex);
  return arena.in_use;
}

void* SecretArena::Allocate(size_t n) {
  Arena& arena = TheArena();
  std::lock_guard lock(arena.mutex);
  // A machine that refuses to lock still works: IsLocked() tells, and the daemon decides whether to go on.
  if (arena.base == nullptr) ReserveLocked(arena, kDefaultBytes).IgnoreError();
  if (n > arena.bytes) return nullptr;
  const size_t block = std::bit_ceil(std::max<size_t>(n + kHead, 32));
  const int cls = std::countr_zero(block);
  Head* head = arena.free[cls];
  if (head != nullptr) {
    arena.free[cls] = head->next;
  } else {
    if (arena.used + block > arena.bytes) return nullptr;
    head = reinterpret_cast<Head*>(arena.base + arena.used);
    arena.used += block;
  }
  head->size = static_cast<uint32_t>(n);
  head->block_class = static_cast<uint32_t>(cls);
  head->next = nullptr;
  arena.in_use += block;
  return reinterpret_cast<uint8_t*>(head) + kHead;
}

size_t SecretArena::SizeOf(const void* p) { return reinterpret_cast<const Head*>(static_cast<const uint8_t*>(p) - kHead)->size; }

bool SecretArena::Owns(const void* p) {
  Arena& arena = TheArena();
  std::lock_guard lock(arena.mutex);
  return Holds(arena, p);
}

void SecretArena::Free(void* p) {
  if (p == nullptr) return;
  Arena& arena = TheArena();
  std::lock_guard lock(arena.mutex);
  if (!Holds(arena, p)) return;  // inherited by a forked child: it was never there
  Head* head = reinterpret_cast<Head*>(static_cast<uint8_t*>(p) - kHead);
  Wipe(p, head->size);
  arena.in_use -= size_t{1} << head->block_class;
  head->next = arena.free[head->block_class];
  arena.free[head->block_class] = head;
}

void SecretArena::WipeAll() {
  Arena& arena = TheArena();
  std::lock_guard lock(arena.mutex);
  if (arena.base != nullptr) Wipe(arena.base, arena.bytes);
}

SecretBytes::SecretBytes(size_t size) : size_(size) {
  if (size == 0) return;
  bytes_ = static_cast<uint8_t*>(SecretArena::Allocate(size));
  if (bytes_ == nullptr) {
    constexpr std::string_view kText = "latchkey: the memory for secrets is used up\n";
    [[maybe_unused]] ssize_t written = write(STDERR_FILENO, kText.data(), kText.size());
    std::abort();
  }
}

SecretBytes::~SecretBytes() { SecretArena::Free(bytes_); }

SecretBytes::SecretBytes(SecretBytes&& other) noexcept : bytes_(other.bytes_), size_(other.size_) {
  other.bytes_ = nullptr;
  other.size_ = 0;
}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this == &other) return *this;
  SecretArena::Free(bytes_);
  bytes_ = std::exchange(other.bytes_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

SecretBytes SecretBytes::CopyOf(std::span<const uint8_t> bytes) {
  SecretBytes out(bytes.size());
  if (!bytes.empty()) std::memcpy(out.bytes_, bytes.data(), bytes.size());
  return out;
}

SecretBytes SecretBytes::CopyOf(std::string_view bytes) {
  return CopyOf(std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
}

SecretBytes SecretBytes::Clone() const { return CopyOf(std::span<const uint8_t>(bytes_, size_)); }

bool SecretBytes::Equals(const SecretBytes& other) const {
  return size_ == other.size_ && (size_ == 0 || CRYPTO_memcmp(bytes_, other.bytes_, size_) == 0);
}

void Wipe(void* p, size_t n) {
  if (n > 0) explicit_bzero(p, n);
}

void Wipe(std::string& s) {
  explicit_bzero(s.data(), s.size());
  s.clear();
}

absl::Status ForbidDumps() {
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return ErrnoStatus(errno, "setrlimit(RLIMIT_CORE)");
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return ErrnoStatus(errno, "prctl(PR_SET_DUMPABLE)");
  return absl::OkStatus();
}

}  // namespace latchkey
