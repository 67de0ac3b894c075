#include "volume/encrypted_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <random>
#include <set>
#include <thread>

#include "base/testing.h"
#include "volume/testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;

class EncryptedFileTest : public testing::Test {
 protected:
  EncryptedFileTest() {
    keyring_.SetKeys({NewTestKey()});
    Reopen();
  }
  void Reopen() { ASSERT_EQ(EncryptedFile::Open({keyring_, ciphers_, Random::System()}, lower_, &file_), 0); }
  void Write(uint64_t offset, std::string_view text) {
    ASSERT_EQ(file_->Write(lower_, offset, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}, scratch_), 0);
  }
  std::string ReadAt(uint64_t offset, size_t size) {
    std::span<const uint8_t> out;
    EXPECT_EQ(file_->Read(lower_, offset, size, scratch_, &out), 0);
    return std::string(out.begin(), out.end());
  }
  std::string ReadAll() {
    std::string all;
    for (;;) {
      const std::string piece = ReadAt(all.size(), kMaxIo);
      if (piece.empty()) return all;
      all += piece;
    }
  }

  FakeClock clock_;
  Keyring keyring_{clock_};
  CipherCache ciphers_{4};
  ForgetfulLower lower_;
  Scratch scratch_;
  std::unique_ptr<EncryptedFile> file_;
};

TEST_F(EncryptedFileTest, AnEmptyFileHasNoHeaderYet) {
  EXPECT_EQ(file_->size(), 0u);
  EXPECT_EQ(ReadAll(), "");
  EXPECT_EQ(lower_.now().size(), 0u);
  EXPECT_FALSE(file_->header_was_lost());
}

TEST_F(EncryptedFileTest, WhatIsWrittenIsReadAndIsNotOnTheDisk) {
  Write(0, "a marker that must not be seen below");
  Reopen();
  EXPECT_EQ(ReadAll(), "a marker that must not be seen below");
  EXPECT_THAT(lower_.now(), Not(HasSubstr("marker")));
  EXPECT_EQ(lower_.now().size(), LowerSize(36));
}

TEST_F(EncryptedFileTest, AnOverwriteTouchesOnlyItsOwnBlocks) {
  Write(0, std::string(12'288, 'x'));
  const std::string before = lower_.now();
  Write(5'000, std::string(10, 'y'));
  const std::string after = lower_.now();
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i] != after[i]) {
      EXPECT_GE(i, kHeaderSize + FloorBlock(5'000));
      EXPECT_LT(i, kHeaderSize + CeilBlock(5'010));
    }
  }
}

TEST_F(EncryptedFileTest, AHeaderOfAnotherKeyOrADamagedOneIsAnError) {
  Write(0, "text");
  std::unique_ptr<EncryptedFile> other;
  Keyring stranger(clock_);
  stranger.SetKeys({NewTestKey()});
  EXPECT_EQ(EncryptedFile::Open({stranger, ciphers_, Random::System()}, lower_, &other), EIO);
  for (const size_t at : {0, 9, 17, 40, 70}) {
    const char was = lower_.now()[at];
    lower_.Corrupt(at, static_cast<char>(was ^ 1));
    EXPECT_EQ(EncryptedFile::Open({keyring_, ciphers_, Random::System()}, lower_, &other), EIO) << at;
    lower_.Corrupt(at, was);
  }
}

TEST_F(EncryptedFileTest, AFileWhoseHeaderWasLostReadsAsZerosAndItsFirstWriteStartsAnew) {
  Write(0, std::string(100, 'x'));
  for (size_t i = 0; i < kHeaderBytes; ++i) lower_.Corrupt(i, 0);
  Reopen();
  EXPECT_TRUE(file_->header_was_lost());
  EXPECT_EQ(ReadAll(), std::string(100, '\0'));
  Write(10, "new");
  std::string expected(100, '\0');
  expected.replace(10, 3, "new");
  EXPECT_EQ(ReadAll(), expected);
  Reopen();
  EXPECT_FALSE(file_->header_was_lost());
  EXPECT_EQ(ReadAll(), expected);
}

TEST_F(EncryptedFileTest, WhatWasCutOffNeverComesBack) {
  Write(0, std::string(40, 's'));
  ASSERT_EQ(file_->Truncate(lower_, 21), 0);
  ASSERT_EQ(file_->Truncate(lower_, 40), 0);
  EXPECT_EQ(ReadAll(), std::string(21, 's') + std::string(19, '\0'));
}

TEST_F(EncryptedFileTest, GarbageInPaddingIsNotBelieved) {
  Write(0, std::string(21, 's'));
  lower_.Corrupt(kHeaderSize + 32 + 2, 'g');  // one of the zeros behind the blocks
  Reopen();
  Write(60, "end");
  EXPECT_EQ(ReadAll(), std::string(21, 's') + std::string(39, '\0') + "end");
}

TEST_F(EncryptedFileTest, AFullDiskLeavesTheFileAsLongAsItWas) {
  Write(0, std::string(37, 'a'));
  lower_.FailAfter(1'003);
  const std::string more(5'000, 'b');
  EXPECT_EQ(file_->Write(lower_, 37, {reinterpret_cast<const uint8_t*>(more.data()), more.size()}, scratch_), ENOSPC);
  EXPECT_EQ(file_->size(), 37u);
  EXPECT_EQ(ReadAll(), std::string(37, 'a'));
  Reopen();
  EXPECT_EQ(ReadAll(), std::string(37, 'a'));
}

TEST_F(EncryptedFileTest, OffsetsBeyondTheGreatestFileAreRefused) {
  const uint8_t byte = 1;
  EXPECT_EQ(file_->Write(lower_, kMaxFileSize, {&byte, 1}, scratch_), EFBIG);
  EXPECT_EQ(file_->Truncate(lower_, kMaxFileSize + 1), EFBIG);
  EXPECT_EQ(file_->Preallocate(lower_, UINT64_MAX - 3, 8, false), EFBIG);
}

TEST_F(EncryptedFileTest, NewFilesTakeTheCurrentKeyAndOldOnesKeepTheirs) {
  Write(0, "old");
  auto second = NewTestKey(2);
  keyring_.AddCurrent(second);
  Reopen();
  EXPECT_EQ(ReadAll(), "old");
  ForgetfulLower other;
  std::unique_ptr<EncryptedFile> file;
  ASSERT_EQ(EncryptedFile::Open({keyring_, ciphers_, Random::System()}, other, &file), 0);
  ASSERT_EQ(file->Truncate(other, 1), 0);
  EXPECT_EQ(other.now().substr(16, 16), std::string(second->dek_id_bytes().begin(), second->dek_id_bytes().end()));
}

// Random operations on the file and on a string must agree, now and after reopening.
TEST_F(EncryptedFileTest, BehavesLikeAString) {
  std::mt19937 rng(20'240'501);
  const auto below = [&](uint64_t n) { return rng() % n; };
  std::string model;
  for (int step = 0; step < 6'000; ++step) {
    const uint64_t range = below(4) == 0 ? 20'000 : 200;
    const uint64_t offset = below(range);
    const uint64_t size = 1 + below(below(3) == 0 ? 9'000 : 60);
    switch (below(8)) {
      case 0:
      case 1:
      case 2: {
        const std::string text(size, static_cast<char>(below(256)));
        Write(offset, text);
        if (model.size() < offset + size) model.resize(offset + size, '\0');
        model.replace(offset, size, text);
        break;
      }
      case 3:
        ASSERT_EQ(file_->Truncate(lower_, offset), 0);
        model.resize(offset, '\0');
        break;
      case 4:
      case 5: {
        const bool punch = below(2) == 0, keep = punch || below(2) == 0;
        ASSERT_EQ(file_->Zero(lower_, offset, size, keep, punch), 0);
        if (!keep && model.size() < offset + size) model.resize(offset + size, '\0');
        for (uint64_t i = offset; i < std::min<uint64_t>(offset + size, model.size()); ++i) model[i] = '\0';
        break;
      }
      case 6: {
        const bool keep = below(2) == 0;
        ASSERT_EQ(file_->Preallocate(lower_, offset, size, keep), 0);
        if (!keep && model.size() < offset + size) model.resize(offset + size, '\0');
        break;
      }
      case 7:
        Reopen();
        break;
    }
    ASSERT_EQ(file_->size(), model.size()) << step;
    ASSERT_EQ(ReadAt(offset, size), offset < model.size() ? model.substr(offset, size) : "") << step;
    if (step % 50 == 0) {
      ASSERT_EQ(ReadAll(), model) << step;
    }
  }
}

// After a power cut, each byte that was synced and not touched since is as it was; each touched byte has one of the values that it had
// since the sync (or the zero of a hole): nothing that was cut off before, and no garbage.
TEST_F(EncryptedFileTest, APowerCutNeverLosesWhatWasSyncedAndNeverInventsBytes) {
  std::mt19937 rng(7);
  const auto below = [&](uint64_t n) { return rng() % n; };
  constexpr size_t kSpan = 3'000;
  for (int round = 0; round < 1'500; ++round) {
    std::string model = ReadAll();
    lower_.Sync(true);
    std::vector<std::set<char>> allowed(kSpan);
    size_t shortest = model.size();
    std::set<size_t> sizes{model.size()};
    const auto note = [&] {
      for (size_t i = 0; i < kSpan; ++i) allowed[i].insert(i < model.size() ? model[i] : '\0');
      shortest = std::min(shortest, model.size());
    };
    note();
    const std::string synced = model;
    std::vector<bool> touched(kSpan, false);
    for (uint64_t n = below(5); n > 0; --n) {
      const uint64_t offset = below(below(2) == 0 ? 100 : kSpan - 800);
      const uint64_t size = 1 + below(below(2) == 0 ? 40 : 700);
      if (below(3) == 0) {
        for (size_t i = std::min<size_t>(offset, model.size()); i < kSpan; ++i) touched[i] = true;
        ASSERT_EQ(file_->Truncate(lower_, offset), 0);
        model.resize(offset, '\0');
      } else {
        const std::string text(size, static_cast<char>(1 + below(255)));
        for (size_t i = std::min<size_t>(offset, model.size()); i < offset + size; ++i) touched[i] = i >= offset || i >= synced.size();
        Write(offset, text);
        if (model.size() < offset + size) model.resize(offset + size, '\0');
        model.replace(offset, size, text);
      }
      note();
    }
    lower_.PowerCut(below);
    Reopen();
    const std::string left = ReadAll();
    ASSERT_GE(left.size(), std::min(shortest, synced.size())) << round;
    for (size_t i = 0; i < left.size(); ++i) {
      ASSERT_TRUE(allowed[i].contains(left[i]) || (touched[i] && left[i] == 0)) << "round " << round << " byte " << i;
    }
  }
}

TEST_F(EncryptedFileTest, ReadersAndWritersOfOneFileSeeWholeWrites) {
  TempFolder folder;
  const int fd = open((folder / "f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  LowerDescriptor lower(fd);
  std::unique_ptr<EncryptedFile> file;
  ASSERT_EQ(EncryptedFile::Open({keyring_, ciphers_, Random::System()}, lower, &file), 0);
  constexpr size_t kPiece = 1'000;
  std::atomic<int> failures = 0;
  const auto work = [&](int id) {
    Scratch scratch;
    std::mt19937 rng(static_cast<unsigned>(id));
    std::string text(kPiece, static_cast<char>('a' + id));
    for (int i = 0; i < 500; ++i) {
      // The same four places for all threads: each piece has one writer's letter throughout, or is empty.
      const uint64_t place = rng() % 4 * kPiece;
      if (file->Write(lower, place, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}, scratch) != 0) ++failures;
      std::span<const uint8_t> out;
      if (file->Read(lower, rng() % 4 * kPiece, kPiece, scratch, &out) != 0) ++failures;
      for (const uint8_t byte : out) failures += byte != out[0];
    }
  };
  std::vector<std::thread> threads;
  for (int id = 0; id < 4; ++id) threads.emplace_back(work, id);
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  close(fd);
}

}  // namespace
}  // namespace latchkey
