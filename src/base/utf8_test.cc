#include "base/utf8.h"

#include <gtest/gtest.h>

namespace latchkey {
namespace {

TEST(CutUtf8Test, ShortTextStaysAsItIs) {
  EXPECT_EQ(CutUtf8("", 5), "");
  EXPECT_EQ(CutUtf8("gr\xc3\xbc\xc3\x9f", 64), "gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(CutUtf8("\xe2\x82\xac\xf0\x9f\x94\x91", 7), "\xe2\x82\xac\xf0\x9f\x94\x91");
}

TEST(CutUtf8Test, NoCharacterIsCutInside) {
  EXPECT_EQ(CutUtf8("abc\xc3\xbc", 4), "abc");
  EXPECT_EQ(CutUtf8("\xe2\x82\xac", 2), "");
  EXPECT_EQ(CutUtf8("a\xf0\x9f\x94\x91", 4), "a");
  EXPECT_EQ(CutUtf8("abc", 2), "ab");
}

TEST(CutUtf8Test, BytesThatAreNoCharacterBecomeQuestionMarks) {
  EXPECT_EQ(CutUtf8("a\xff"
                    "b",
                    8),
            "a?b");
  EXPECT_EQ(CutUtf8("\xc3", 8), "?");
  EXPECT_EQ(CutUtf8("\xc0\xaf", 8), "??");
  EXPECT_EQ(CutUtf8("\xed\xa0\x80", 8), "???");
  EXPECT_EQ(CutUtf8("\xf4\x90\x80\x80", 8), "????");
  EXPECT_EQ(CutUtf8("\xe2\x82", 8), "??");
}

}  // namespace
}  // namespace latchkey
