#include "cli/table.h"

#include <gtest/gtest.h>

namespace latchkey {
namespace {

TEST(TableTest, AlignsColumnsByTheirLongestCellAndLeavesNoTrailingBlanks) {
  EXPECT_EQ(RenderTable({"NAME", "STATE"}, {{"ledger", "CREATED"}, {"a", ""}}), "NAME    STATE\nledger  CREATED\na\n");
}

TEST(TableTest, CountsCharactersAndNotBytes) {
  EXPECT_EQ(RenderTable({"N", "X"}, {{"größe", "1"}, {"abcde", "2"}}), "N      X\ngröße  1\nabcde  2\n");
}

TEST(TableTest, ShowsControlCharactersFromOutsideAsQuestionMarks) {
  EXPECT_EQ(RenderTable({"NAME"}, {{"\x1b[2Jevil\n"}}), "NAME\n?[2Jevil?\n");
  EXPECT_EQ(RenderFacts({{"name", "a\rb"}}), "name:  a?b\n");
  EXPECT_EQ(Printable("a\xc2\x9b"
                      "2J\xc2\xa0µ\xc2"),
            "a?2J\xc2\xa0µ?");
  EXPECT_EQ(Printable("a\x9b"
                      "2J\xff\xc3)"),
            "a?2J?\?)");
}

TEST(TableTest, CutsLinesByCharacters) {
  EXPECT_EQ(CutToWidth("größe", 5), "größe");
  EXPECT_EQ(CutToWidth("größer", 5), "größ…");
  EXPECT_EQ(CutToWidth("ab", 1), "…");
  EXPECT_EQ(CutToWidth("ab", 0), "");
}

TEST(TableTest, LeavesEmptyFactsOut) {
  EXPECT_EQ(RenderFacts({{"id", "1"}, {"deleted", ""}, {"long name", "2"}}), "id:         1\nlong name:  2\n");
}

TEST(TableTest, WritesBytesForPeople) {
  EXPECT_EQ(HumanBytes(-1), "unknown");
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(int64_t{5} << 40), "5.0 TiB");
}

}  // namespace
}  // namespace latchkey
