#include "volume/dek_count.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/testing.h"
#include "volume/testing.h"

namespace latchkey {
namespace {

class DekCountTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(mkdir(data_.c_str(), 0755), 0); }
  void WriteFileOf(const std::shared_ptr<const VolumeKey>& key, const std::string& path, size_t bytes) {
    FileHeader header;
    header.dek_id = key->dek_id_bytes();
    std::string text(kHeaderSize + bytes, 'c');
    const auto form = EncodeHeader(header, key->MacOf(header));
    std::copy(form.begin(), form.end(), text.begin());
    LK_ASSERT_OK(WriteFileAtomically(path, text));
  }
  TempFolder folder_;
  const std::string data_ = folder_ / "data";
  const std::shared_ptr<const VolumeKey> key_ = NewTestKey();
  const std::atomic<bool> go_on_ = false;
};

TEST_F(DekCountTest, CountsFilesAtEveryDepthAndNothingElse) {
  std::filesystem::create_directories(data_ + "/a/b/c");
  WriteFileOf(key_, data_ + "/top", 100);
  WriteFileOf(key_, data_ + "/a/b/c/deep", 20);
  WriteFileOf(key_, folder_ / "outside", 7);
  std::filesystem::create_symlink(folder_ / "outside", data_ + "/link");
  std::filesystem::create_directory_symlink(folder_.path(), data_ + "/a/folder-link");
  LK_ASSERT_OK_AND_ASSIGN(const auto bytes, CountBytesByDek(data_, go_on_));
  ASSERT_EQ(bytes.size(), 1u);
  EXPECT_EQ(bytes.at(key_->dek_id_bytes()), 120);
}

TEST_F(DekCountTest, FoldersThatVanishMeanwhileHideNoOthers) {
  for (int i = 0; i < 20; ++i) {
    const std::string folder = data_ + "/stays-" + std::to_string(i);
    ASSERT_EQ(mkdir(folder.c_str(), 0755), 0);
    WriteFileOf(key_, folder + "/f", 5);
  }
  std::atomic<bool> done = false;
  std::thread other([&] {
    while (!done) {
      for (int i = 0; i < 20; ++i) std::filesystem::create_directories(data_ + "/goes-" + std::to_string(i) + "/below");
      for (int i = 0; i < 20; ++i) std::filesystem::remove_all(data_ + "/goes-" + std::to_string(i));
    }
  });
  for (int i = 0; i < 300; ++i) {
    const auto bytes = CountBytesByDek(data_, go_on_);
    EXPECT_THAT(bytes, IsOk());
    if (bytes.ok()) {
      EXPECT_EQ(bytes->at(key_->dek_id_bytes()), 100);
    }
    if (HasFailure()) break;
  }
  done = true;
  other.join();
}

TEST_F(DekCountTest, AWalkThatIsNotCompleteIsNoCount) {
  EXPECT_FALSE(CountBytesByDek(folder_ / "none", go_on_).ok());
  const std::atomic<bool> stop = true;
  EXPECT_THAT(CountBytesByDek(data_, stop), StatusIs(absl::StatusCode::kAborted));
}

}  // namespace
}  // namespace latchkey
