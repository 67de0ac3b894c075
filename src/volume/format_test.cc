#include "volume/format.h"

#include <gtest/gtest.h>

namespace latchkey {
namespace {

TEST(FormatTest, EverySizeComesBackFromItsLowerLength) {
  for (uint64_t size = 0; size < 20'000; ++size) ASSERT_EQ(FileSize(LowerSize(size)), size);
  EXPECT_EQ(FileSize(LowerSize(kMaxFileSize - 1)), kMaxFileSize - 1);
}

TEST(FormatTest, DifferentSizesHaveDifferentLowerLengths) {
  std::set<uint64_t> lengths;
  for (uint64_t size = 0; size < 20'000; ++size) EXPECT_TRUE(lengths.insert(LowerSize(size)).second) << size;
}

TEST(FormatTest, SizesAreThoseOfTheDrawing) {
  EXPECT_EQ(LowerSize(0), 4096u);
  EXPECT_EQ(LowerSize(1), 4096u + 16 + 1);
  EXPECT_EQ(LowerSize(15), 4096u + 16 + 15);
  EXPECT_EQ(LowerSize(16), 4096u + 16);
  EXPECT_EQ(LowerSize(17), 4096u + 32 + 1);
}

TEST(FormatTest, LengthsThatNoFileHasAreReadAsTheNextShorterFile) {
  EXPECT_EQ(FileSize(0), 0u);
  EXPECT_EQ(FileSize(4095), 0u);
  EXPECT_EQ(FileSize(4096 + 5), 0u);
}

TEST(FormatTest, HeaderComesBack) {
  FileHeader header;
  header.dek_id.fill(7);
  header.file_id.fill(9);
  HeaderMac mac;
  mac.fill(3);
  const auto bytes = EncodeHeader(header, mac);
  FileHeader read;
  HeaderMac read_mac;
  ASSERT_EQ(ParseHeader(bytes, 4096, &read, &read_mac), HeaderForm::kPresent);
  EXPECT_EQ(read.dek_id, header.dek_id);
  EXPECT_EQ(read.file_id, header.file_id);
  EXPECT_EQ(read_mac, mac);
}

TEST(FormatTest, ShortAndZeroHeadersAreAbsentAndOthersAreInvalid) {
  FileHeader header;
  HeaderMac mac;
  const std::array<uint8_t, kHeaderSize> zeros{};
  EXPECT_EQ(ParseHeader(zeros, 8192, &header, &mac), HeaderForm::kAbsent);
  auto bytes = EncodeHeader(header, mac);
  EXPECT_EQ(ParseHeader(std::span(bytes).first(50), 50, &header, &mac), HeaderForm::kAbsent);
  for (const size_t at : {0, 8, 12}) {
    auto broken = bytes;
    broken[at] ^= 1;
    EXPECT_EQ(ParseHeader(broken, 8192, &header, &mac), HeaderForm::kInvalid) << at;
  }
}

}  // namespace
}  // namespace latchkey
