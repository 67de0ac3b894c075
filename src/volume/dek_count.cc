#include "volume/dek_count.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "base/status.h"

namespace latchkey {

absl::StatusOr<std::map<DekIdBytes, int64_t>> CountBytesByDek(const std::string& data_folder, const std::atomic<bool>& stop) {
  namespace fs = std::filesystem;
  std::map<DekIdBytes, int64_t> bytes;
  std::error_code error;
  for (fs::recursive_directory_iterator it(data_folder, error), end; !error && it != end; it.increment(error)) {
    if (stop) return absl::AbortedError("counting was stopped");
    std::error_code ignored;
    if (!it->is_regular_file(ignored) || it->is_symlink(ignored)) continue;
    const UniqueFd fd(open(it->path().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    struct stat st;
    if (!fd.valid() || fstat(fd.get(), &st) != 0 || st.st_size <= static_cast<off_t>(kHeaderSize)) continue;
    std::array<uint8_t, kHeaderBytes> text;
    FileHeader header;
    HeaderMac mac;
    if (pread(fd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) continue;
    if (ParseHeader(text, static_cast<uint64_t>(st.st_size), &header, &mac) != HeaderForm::kPresent) continue;
    bytes[header.dek_id] += st.st_size - static_cast<off_t>(kHeaderSize);
  }
  if (error && error != std::errc::no_such_file_or_directory) return ErrnoStatus(error.value(), "walking the data folder");
  return bytes;
}

}  // namespace latchkey
