#include "volume/filesystem.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/log.h"
#include "base/status.h"

namespace latchkey {
namespace {

// We are the only writer: what the kernel knows stays true until it changes it itself.
constexpr double kKernelMayRemember = 86'400;

// Opens a lower file for reading and writing that its own mode forbids to its owner: a handle may outlive a chmod, or our descriptor of it.
int OpenDespiteMode(int folder, const char* name) {
  const UniqueFd place(openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat st;
  if (!place.valid() || fstat(place.get(), &st) != 0 || !S_ISREG(st.st_mode)) return -1;
  const std::string path = absl::StrCat("/proc/self/fd/", place.get());
  if (chmod(path.c_str(), (st.st_mode & 07777) | S_IRUSR | S_IWUSR) != 0) return -1;
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  const int error = errno;
  chmod(path.c_str(), st.st_mode & 07777);
  errno = error;
  return fd;
}

}  // namespace

Filesystem::Filesystem(UniqueFd data, Keyring& keyring, Random& random, const FilesystemLimits& limits)
    : keyring_(keyring),
      ciphers_(limits.ciphers),
      file_keys_{keyring, ciphers_, random},
      names_(keyring, limits.names),
      pool_(limits.descriptors),
      table_(pool_) {
  struct stat st;
  if (fstat(data.get(), &st) != 0) return;
  device_ = st.st_dev;
  root_ = table_.Add(st.st_ino, S_IFDIR, nullptr, "");
  pool_.Put(*root_, data.Release());
  pool_.Pin(*root_);
}

Filesystem::~Filesystem() { table_.ForgetAll(); }

absl::StatusOr<std::unique_ptr<Filesystem>> Filesystem::Create(UniqueFd data, Keyring& keyring, Random& random,
                                                               const FilesystemLimits& limits) {
  std::unique_ptr<Filesystem> filesystem(new Filesystem(std::move(data), keyring, random, limits));
  if (filesystem->root_ == nullptr) return Internal("the data folder cannot be read");
  return filesystem;
}

Inode& Filesystem::Node(fuse_ino_t number) {
  return number == FUSE_ROOT_ID ? *root_ : *reinterpret_cast<Inode*>(static_cast<uintptr_t>(number));
}

fuse_ino_t Filesystem::NumberOf(const Inode& inode) const {
  return &inode == root_.get() ? FUSE_ROOT_ID : static_cast<fuse_ino_t>(reinterpret_cast<uintptr_t>(&inode));
}

std::vector<fuse_ino_t> Filesystem::KernelNodes() const {
  std::vector<fuse_ino_t> nodes;
  for (const InodeRef& inode : table_.All()) nodes.push_back(NumberOf(*inode));
  return nodes;
}

void Filesystem::Clear() {
  names_.Clear();
  ciphers_.Clear();
}

Scratch& Filesystem::ThreadScratch() {
  static thread_local Scratch scratch;
  return scratch;
}

namespace {
thread_local Scratch* read_scratch = nullptr;
}  // namespace

void Filesystem::UseForReads(Scratch* memory) { read_scratch = memory; }

Scratch& Filesystem::ReadScratch() { return read_scratch != nullptr ? *read_scratch : ThreadScratch(); }

int Filesystem::Descriptor(Inode& inode, LowerRef* out) {
  if ((*out = pool_.Find(inode)) != nullptr) return 0;
  std::shared_lock lock(tree_);
  return DescriptorLocked(inode, out);
}

int Filesystem::DescriptorLocked(Inode& inode, LowerRef* out) {
  if ((*out = pool_.Find(inode)) != nullptr) return 0;
  Place place;
  if (const int error = PlaceOfLocked(inode, &place); error != 0) return error;
  const bool is_folder = S_ISDIR(inode.type);
  if (!is_folder && !S_ISREG(inode.type)) return EIO;
  const int flags = is_folder ? O_RDONLY | O_DIRECTORY : O_RDWR;
  int fd = openat(place.folder->fd, place.name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && errno == EACCES && !is_folder) fd = OpenDespiteMode(place.folder->fd, place.name.c_str());
  if (fd < 0) return errno;
  struct stat st;
  if (fstat(fd, &st) != 0 || st.st_ino != inode.number || st.st_dev != device_) {
    close(fd);
    return ESTALE;
  }
  *out = pool_.Put(inode, fd);
  return 0;
}

int Filesystem::PlaceOfLocked(Inode& inode, Place* place) {
  auto [parent, name] = table_.Place(inode);
  if (parent == nullptr) return ESTALE;
  place->name = std::move(name);
  return DescriptorLocked(*parent, &place->folder);
}

int Filesystem::File(Inode& inode, const LowerRef& fd, EncryptedFile** out) {
  *out = inode.file.load(std::memory_order_acquire);
  if (*out != nullptr) return 0;
  std::lock_guard lock(inode.file_mutex);
  *out = inode.file.load(std::memory_order_relaxed);
  if (*out != nullptr) return 0;
  LowerDescriptor lower(fd->fd);
  std::unique_ptr<EncryptedFile> file;
  if (const int error = EncryptedFile::Open(file_keys_, lower, &file); error != 0) {
    Log(LogLevel::kError, "a file's header is not valid", {{"inode", static_cast<int64_t>(inode.number)}, {"errno", error}});
    return error;
  }
  if (file->header_was_lost()) {
    ++lost_headers_;
    Log(LogLevel::kWarning, "a file's header was never synced: it reads as zeros", {{"inode", static_cast<int64_t>(inode.number)}});
  }
  *out = file.release();
  inode.file.store(*out, std::memory_order_release);
  return 0;
}

int Filesystem::OpenFile(Inode& inode, LowerRef* fd, EncryptedFile** file) {
  if (!S_ISREG(inode.type)) return EINVAL;
  if (const int error = Descriptor(inode, fd); error != 0) return error;
  return File(inode, *fd, file);
}

int Filesystem::StatLocked(Inode& inode, struct stat* st) {
  if (const LowerRef fd = pool_.Find(inode); fd != nullptr) {
    if (fstat(fd->fd, st) != 0) return errno;
  } else {
    Place place;
    if (const int error = PlaceOfLocked(inode, &place); error != 0) return error;
    if (fstatat(place.folder->fd, place.name.c_str(), st, AT_SYMLINK_NOFOLLOW) != 0) return errno;
  }
  ShowPlain(&inode, st);
  return 0;
}

// From the lower file's attributes to those that programs see. `inode` may be null.
void Filesystem::ShowPlain(Inode* inode, struct stat* st) const {
  if (S_ISREG(st->st_mode)) {
    const EncryptedFile* file = inode == nullptr ? nullptr : inode->file.load(std::memory_order_acquire);
    st->st_size = static_cast<off_t>(file != nullptr ? file->size() : FileSize(static_cast<uint64_t>(st->st_size)));
  } else if (S_ISLNK(st->st_mode)) {
    st->st_size = static_cast<off_t>(TargetSize(static_cast<size_t>(st->st_size)));
  }
  st->st_blksize = kUnit;
}

int Filesystem::ResolveLocked(Inode& parent, const char* name, LowerRef* folder, std::string* lower, struct stat* st) {
  if (const int error = DescriptorLocked(parent, folder); error != 0) return error;
  if (const int error = names_.Encode(name, lower); error != 0) return error;
  if (fstatat((*folder)->fd, lower->c_str(), st, AT_SYMLINK_NOFOLLOW) == 0) return st->st_dev == device_ ? 0 : EXDEV;
  if (errno != ENOENT || !keyring_.HasOlder()) return errno;
  for (std::string& older : names_.OlderForms(name)) {
    if (fstatat((*folder)->fd, older.c_str(), st, AT_SYMLINK_NOFOLLOW) == 0) {
      *lower = std::move(older);
      return st->st_dev == device_ ? 0 : EXDEV;
    }
    if (errno != ENOENT) return errno;
  }
  return ENOENT;
}

int Filesystem::FreeNameLocked(Inode& parent, const char* name, LowerRef* folder, std::string* lower) {
  struct stat st;
  const int error = ResolveLocked(parent, name, folder, lower, &st);
  if (error == 0) return EEXIST;
  return error == ENOENT ? 0 : error;
}

int Filesystem::EntryLocked(Inode& parent, const std::string& lower, struct stat& st, fuse_entry_param* entry) {
  const InodeRef inode = table_.Add(st.st_ino, st.st_mode & S_IFMT, parent.shared_from_this(), lower);
  ShowPlain(inode.get(), &st);
  *entry = {};
  entry->ino = NumberOf(*inode);
  entry->attr = st;
  entry->attr_timeout = kKernelMayRemember;
  entry->entry_timeout = kKernelMayRemember;
  return 0;
}

int Filesystem::MadeEntryLocked(Inode& parent, const LowerRef& folder, const std::string& lower, fuse_entry_param* entry) {
  struct stat st;
  if (fstatat(folder->fd, lower.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return errno;
  return EntryLocked(parent, lower, st, entry);
}

void Filesystem::ReplyEntry(fuse_req_t req, int error, const fuse_entry_param& entry) {
  if (error != 0) {
    fuse_reply_err(req, error);
    return;
  }
  // The caller was interrupted: the kernel never heard of this lookup.
  if (fuse_reply_entry(req, &entry) != 0 && entry.ino != 0) table_.Forget(Node(entry.ino), 1);
}

Filesystem::CallerMask::CallerMask(fuse_req_t req) { umask(fuse_req_ctx(req)->umask); }
Filesystem::CallerMask::~CallerMask() { umask(0); }

}  // namespace latchkey
