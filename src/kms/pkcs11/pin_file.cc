#include "kms/pkcs11/pin_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/status.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

// Longer files are read this far and refused.
constexpr size_t kMaxFile = 4096;

absl::Status OpenFailure(const std::string& path, int error) {
  if (error == ENOENT) {
    // Without its folder nobody has taken the PIN back: what holds it is not there, as before a mount.
    const size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    if (!PathExists(folder)) return KmsError(FailureClass::kIdentity, "pin_file: its folder is not there");
    return KmsError(FailureClass::kDenied, "pin_file: the file is gone; who owns the token gives its PIN there");
  }
  if (error == EACCES || error == EPERM) return KmsError(FailureClass::kDenied, "pin_file: may not be read");
  if (error == ELOOP) return KmsError(FailureClass::kIdentity, "pin_file: is a symbolic link");
  return KmsError(FailureClass::kIdentity, absl::StrCat("pin_file: cannot be opened: ", std::strerror(error)));
}

}  // namespace

absl::StatusOr<PinFile> ReadPinFile(const std::string& path) {
  // Not blocking, so that a FIFO in its place does not hold us up.
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd.valid()) return OpenFailure(path, errno);
  struct stat facts{};
  if (fstat(fd.get(), &facts) != 0) return KmsError(FailureClass::kIdentity, "pin_file: cannot be examined");
  if (!S_ISREG(facts.st_mode)) return KmsError(FailureClass::kIdentity, "pin_file: is not a file");
  if ((facts.st_mode & 077) != 0) return KmsError(FailureClass::kIdentity, "pin_file: is open to other users: give it mode 0600");
  if (facts.st_uid != geteuid()) return KmsError(FailureClass::kIdentity, "pin_file: belongs to another user than Latchkey runs as");

  SecretBytes text(kMaxFile + 1);
  const std::span<uint8_t> into = text.RevealMutable(SecretAccess{});
  size_t size = 0;
  while (size < into.size()) {
    const ssize_t n = read(fd.get(), into.data() + size, into.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return KmsError(FailureClass::kIdentity, absl::StrCat("pin_file: cannot be read: ", std::strerror(errno)));
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  if (size > kMaxFile) return KmsError(FailureClass::kIdentity, "pin_file: is too long to be a PIN");
  std::string_view line = text.RevealText(SecretAccess{}).substr(0, size);
  line = line.substr(0, line.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) return KmsError(FailureClass::kDenied, "pin_file: is empty; who owns the token gives its PIN there");
  if (line.size() > kMaxPin) return KmsError(FailureClass::kIdentity, "pin_file: its first line is too long to be a PIN");

  PinFile file{.pin = SecretBytes::CopyOf(line), .stamp = {.device = facts.st_dev, .inode = facts.st_ino, .changed_ns = 0}};
  file.stamp.changed_ns = static_cast<int64_t>(facts.st_ctim.tv_sec) * 1'000'000'000 + facts.st_ctim.tv_nsec;
  return file;
}

}  // namespace latchkey
