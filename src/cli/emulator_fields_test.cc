#include "cli/emulator_fields.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/testing.h"

namespace latchkey {
namespace {

TEST(EmulatorFieldsTest, TextAndJsonAreToldApart) {
  LK_ASSERT_OK_AND_ASSIGN(const json::object fields,
                          ParseEmulatorFields({"key=a=b", "after_seconds:=3", "on:=true", "paths:=[\"x\"]", "empty="}));
  EXPECT_EQ(json::serialize(fields), R"({"key":"a=b","after_seconds":3,"on":true,"paths":["x"],"empty":""})");
}

TEST(EmulatorFieldsTest, WhatIsNoFieldIsQuoted) {
  EXPECT_THAT(ParseEmulatorFields({"key"}), StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("key: must be")));
  EXPECT_THAT(ParseEmulatorFields({"=x"}), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseEmulatorFields({":=1"}), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseEmulatorFields({"n:=x"}), StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("n: ")));
  EXPECT_THAT(ParseEmulatorFields({"a=1", "a=2"}), StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("twice")));
}

}  // namespace
}  // namespace latchkey
