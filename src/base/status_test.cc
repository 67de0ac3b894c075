#include "base/status.h"

#include <cerrno>

#include "base/testing.h"

namespace latchkey {
namespace {

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return InvalidArgument(n, " is odd");
  return n / 2;
}

absl::StatusOr<int> Quarter(int n) {
  ASSIGN_OR_RETURN(const int half, Half(n));
  ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

absl::Status Check(int n) {
  RETURN_IF_ERROR(Half(n).status());
  return absl::OkStatus();
}

TEST(StatusTest, TheMacrosPassValuesOnAndReturnErrors) {
  LK_ASSERT_OK_AND_ASSIGN(const int quarter, Quarter(12));
  EXPECT_EQ(quarter, 3);
  EXPECT_THAT(Quarter(6), StatusIs(absl::StatusCode::kInvalidArgument, "3 is odd"));
  LK_EXPECT_OK(Check(2));
  EXPECT_THAT(Check(1), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(StatusTest, ErrnoBecomesACodeAndAText) {
  EXPECT_THAT(ErrnoStatus(ENOENT, "cannot open x"), StatusIs(absl::StatusCode::kNotFound, testing::HasSubstr("cannot open x")));
  EXPECT_THAT(ErrnoStatus(EACCES, "cannot open x"), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST(StatusTest, APrefixKeepsCodeAndPayloads) {
  absl::Status status = Unavailable("no answer");
  status.SetPayload("type/class", absl::Cord("OUTAGE"));
  const absl::Status prefixed = Prefixed(status, "key k1");
  EXPECT_THAT(prefixed, StatusIs(absl::StatusCode::kUnavailable, "key k1: no answer"));
  EXPECT_EQ(prefixed.GetPayload("type/class"), absl::Cord("OUTAGE"));
  LK_EXPECT_OK(Prefixed(absl::OkStatus(), "key k1"));
}

}  // namespace
}  // namespace latchkey
