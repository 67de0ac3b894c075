// A mounted volume for tests of what programs see of it.
#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "volume/daemon_testing.h"

namespace latchkey {

class FilesystemTest : public DaemonTest {
 protected:
  void SetUp() override {
    DaemonTest::SetUp();
    StartAndCreate();
  }
  void SealAndOpen() {
    LK_ASSERT_OK(client_.Seal("PAUSED", absl::Seconds(20)));
    LK_ASSERT_OK(StartDaemon());
    LK_ASSERT_OK(OpenVolume(false));
  }
  // All bytes and names of the lower folder.
  std::string LowerContent() const {
    std::string all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(lower_)) {
      all += entry.path().filename().string() + "\n";
      if (entry.is_symlink()) all += std::filesystem::read_symlink(entry.path()).string() + "\n";
      if (entry.is_regular_file()) all += ReadText(entry.path().string());
    }
    return all;
  }
  std::set<std::string> Names(const std::string& folder) const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename().string());
    return names;
  }
};

}  // namespace latchkey
