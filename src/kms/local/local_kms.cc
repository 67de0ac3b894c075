#include "kms/local/local_kms.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/encoding.h"
#include "base/file.h"
#include "base/random.h"
#include "base/status.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "kms/bound_payload.h"

namespace latchkey {
namespace {

constexpr std::string_view kScheme = "local://";
constexpr std::string_view kMagic = "latchkey-local-key-1\n";
constexpr size_t kKeySize = 32;
constexpr size_t kFileSize = kMagic.size() + 2 * kKeySize + 1;
constexpr size_t kMaxPlaintext = 190;
constexpr std::string_view kDigits = "0123456789abcdef";

// The connection that a uri names; empty when it is malformed.
std::string_view ConnectionOf(std::string_view uri) {
  if (!uri.starts_with(kScheme)) return {};
  uri.remove_prefix(kScheme.size());
  const bool good = std::all_of(uri.begin(), uri.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
  return good && uri.size() <= 63 ? uri : std::string_view();
}

// What GCM authenticates.
std::string Aad(const KmsContext& context) { return absl::StrCat("latchkey-local-1\n", CanonicalContext(context)); }

// Reads the file straight into locked memory.
absl::StatusOr<SecretBytes> ReadKey(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid()) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) return KmsError(FailureClass::kDestroyed, "the key file is gone");
    if (error == EACCES || error == EPERM) return KmsError(FailureClass::kDenied, "the key file may not be read");
    if (error == ELOOP) return KmsError(FailureClass::kCorrupt, "the key file is a symbolic link");
    return KmsError(FailureClass::kUnreachable, absl::StrCat("the key file cannot be opened: ", std::strerror(error)));
  }
  struct stat facts{};
  if (fstat(fd.get(), &facts) != 0) return KmsError(FailureClass::kUnreachable, "the key file cannot be examined");
  if (!S_ISREG(facts.st_mode)) return KmsError(FailureClass::kCorrupt, "the key file is not a file");
  if ((facts.st_mode & 077) != 0) return KmsError(FailureClass::kDenied, "the key file is open to other users: give it mode 0600");
  if (facts.st_uid != geteuid()) return KmsError(FailureClass::kDenied, "the key file belongs to another user");

  // One byte more than it may have, to see that it is longer.
  SecretBytes text(kFileSize + 1);
  const std::span<uint8_t> into = text.RevealMutable(SecretAccess{});
  size_t size = 0;
  while (size < into.size()) {
    const ssize_t n = read(fd.get(), into.data() + size, into.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return KmsError(FailureClass::kUnreachable, absl::StrCat("the key file cannot be read: ", std::strerror(errno)));
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  const std::string_view content = text.RevealText(SecretAccess{}).substr(0, size);
  const absl::Status malformed = KmsError(FailureClass::kCorrupt, "the key file is malformed");
  if (size != kFileSize || !content.starts_with(kMagic) || content.back() != '\n') return malformed;
  SecretBytes key(kKeySize);
  const std::span<uint8_t> out = key.RevealMutable(SecretAccess{});
  for (size_t i = 0; i < kKeySize; ++i) {
    const size_t high = kDigits.find(content[kMagic.size() + 2 * i]);
    const size_t low = kDigits.find(content[kMagic.size() + 2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return malformed;
    out[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return key;
}

// Names the key without telling anything of it, so that two files can be told apart.
std::string VersionOf(const SecretBytes& key) {
  const SecretBytes name = HkdfSha256(key, {}, "latchkey local key version", 8);
  return HexEncode(name.Reveal(SecretAccess{}));
}

class LocalKms : public Kms {
 public:
  explicit LocalKms(std::map<std::string, std::string> connections) : connections_(std::move(connections)) {}

  std::string_view type() const override { return "LOCAL"; }

  absl::Status Check(const RootKey& key) const override {
    const std::string_view connection = ConnectionOf(key.uri);
    if (connection.empty()) return KmsError(FailureClass::kUnsuitable, "uri: must be local://<connection>");
    if (!key.auth_principal.empty()) return KmsError(FailureClass::kUnsuitable, "auth_principal: must be empty for a LOCAL key");
    if (!connections_.contains(std::string(connection))) {
      return KmsError(FailureClass::kUnsuitable,
                      absl::StrCat("uri: no local connection \"", ToAbsl(connection), "\" is configured on this host"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<KeyDescription> Describe(const RootKey& key, const KmsCall&) override {
    ASSIGN_OR_RETURN(const SecretBytes secret, KeyOf(key));
    return KeyDescription{.resolved_uri = key.uri, .state = "Enabled", .usable = true, .key_version = VersionOf(secret)};
  }

  // nonce (12) ‖ ciphertext ‖ tag (16)
  absl::StatusOr<KmsWrapped> Wrap(const RootKey& key, const SecretBytes& plaintext, const KmsContext& context, const KmsCall&) override {
    if (plaintext.empty() || plaintext.size() > kMaxPlaintext) {
      return KmsError(FailureClass::kUnsuitable, absl::StrCat("plaintext: must be 1 to ", kMaxPlaintext, " bytes"));
    }
    ASSIGN_OR_RETURN(const SecretBytes secret, KeyOf(key));
    KmsWrapped wrapped{.ciphertext = Random::System().Bytes(kGcmNonceSize), .key_version = VersionOf(secret)};
    const auto sealed = GcmSeal(secret, wrapped.ciphertext, Aad(context), plaintext.Reveal(SecretAccess{}));
    if (!sealed.ok()) return KmsError(FailureClass::kUnreachable, FromAbsl(sealed.status().message()));
    wrapped.ciphertext.insert(wrapped.ciphertext.end(), sealed->begin(), sealed->end());
    return wrapped;
  }

  absl::StatusOr<SecretBytes> Unwrap(const RootKey& key, const KmsWrapped& wrapped, const KmsContext& context, const KmsCall&) override {
    ASSIGN_OR_RETURN(const SecretBytes secret, KeyOf(key));
    const std::span<const uint8_t> all = wrapped.ciphertext;
    if (all.size() <= kGcmNonceSize + kGcmTagSize || all.size() > kGcmNonceSize + kMaxPlaintext + kGcmTagSize) {
      return KmsError(FailureClass::kCorrupt, "the wrapped key has a length that this key does not make");
    }
    auto opened = GcmOpen(secret, all.first(kGcmNonceSize), Aad(context), all.subspan(kGcmNonceSize));
    if (!opened.ok()) return KmsError(FailureClass::kCorrupt, "key, context and wrapped key do not belong together");
    return opened;
  }

 private:
  absl::StatusOr<SecretBytes> KeyOf(const RootKey& key) const {
    RETURN_IF_ERROR(Check(key));
    const std::string connection(ConnectionOf(key.uri));
    auto secret = ReadKey(connections_.at(connection));
    if (!secret.ok()) return Prefixed(secret.status(), key.uri);
    return secret;
  }

  const std::map<std::string, std::string> connections_;
};

absl::Status WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "write the key file");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  if (fsync(fd) != 0) return ErrnoStatus(errno, "sync the key file");
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<Kms> NewLocalKms(std::map<std::string, std::string> connections) {
  return std::make_unique<LocalKms>(std::move(connections));
}

absl::Status CreateLocalKeyFile(const std::string& path) {
  const SecretBytes key = Random::System().Secret(kKeySize);
  SecretBytes text(kFileSize);
  const std::span<uint8_t> out = text.RevealMutable(SecretAccess{});
  std::copy(kMagic.begin(), kMagic.end(), out.begin());
  size_t at = kMagic.size();
  for (const uint8_t byte : key.Reveal(SecretAccess{})) {
    out[at++] = static_cast<uint8_t>(kDigits[byte >> 4]);
    out[at++] = static_cast<uint8_t>(kDigits[byte & 15]);
  }
  out[at] = '\n';

  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) {
    if (errno == EEXIST) return absl::AlreadyExistsError(absl::StrCat(path, ": exists already; a key file is never overwritten"));
    return ErrnoStatus(errno, absl::StrCat("create ", path));
  }
  absl::Status status = fchmod(fd.get(), 0600) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "set the mode of the key file");
  if (status.ok()) status = WriteAll(fd.get(), text.RevealText(SecretAccess{}));
  if (status.ok()) {
    const size_t slash = path.rfind('/');
    status = SyncFolder(slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash));
  }
  if (!status.ok()) unlink(path.c_str());
  return status;
}

}  // namespace latchkey
