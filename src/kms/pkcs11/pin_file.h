// The file that holds a token's PIN: how the owner of the token, or who acts for them on this host, lets Latchkey in and shuts it out.
#pragma once

#include <absl/status/statusor.h>
#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/secret_bytes.h"

namespace latchkey {

inline constexpr size_t kMaxPin = 255;

struct PinFile {
  SecretBytes pin;
  // Which file it was: changes when the file is replaced, written or touched, even with the same content.
  struct Stamp {
    dev_t device = 0;
    ino_t inode = 0;
    int64_t changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  } stamp;
};

// The first line of the file, 1 to 255 bytes, read straight into locked memory. The file has mode 0600 or 0400, belongs to the user of the
// process and is no link.
//   kDenied    the file is gone from its folder, empty, or may not be read: the PIN has been taken back
//   kIdentity  everything else: the folder is gone (not mounted?), the file is open to others, somebody else's, a link, too long
absl::StatusOr<PinFile> ReadPinFile(const std::string& path);

}  // namespace latchkey
