// LOCAL: a key file on this host, for escrow on one machine and for development. AES-256-GCM under the file's key, context as AAD.
// The file: "latchkey-local-key-1\n" followed by 64 hex digits and a newline, mode 0600, owned by the process's user.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "kms/kms.h"

namespace latchkey {

// `connections`: name → path of the key file. A key is named local://<connection>; the path never comes over the API.
// A missing file is kDestroyed, a malformed one kCorrupt, one that we may not read kDenied.
std::unique_ptr<Kms> NewLocalKms(std::map<std::string, std::string> connections);

// Makes a new key file; AlreadyExists when there is one: it is never overwritten.
absl::Status CreateLocalKeyFile(const std::string& path);

}  // namespace latchkey
