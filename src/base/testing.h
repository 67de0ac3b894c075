// Matchers for absl::Status (Debian's Abseil has none) and a temporary folder, for tests only.
#pragma once

#include <absl/status/statusor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace latchkey {

inline absl::Status StatusOf(const absl::Status& s) { return s; }
template <typename T>
absl::Status StatusOf(const absl::StatusOr<T>& s) {
  return s.status();
}

MATCHER(IsOk, "is OK") {
  const absl::Status s = StatusOf(arg);
  *result_listener << s.ToString();
  return s.ok();
}
// EXPECT_THAT(f(), StatusIs(absl::StatusCode::kNotFound, testing::HasSubstr("x")))
MATCHER_P(StatusIs, code, "") {
  const absl::Status s = StatusOf(arg);
  *result_listener << s.ToString();
  return s.code() == code;
}
MATCHER_P2(StatusIs, code, message, "") {
  const absl::Status s = StatusOf(arg);
  *result_listener << s.ToString();
  return s.code() == code && testing::ExplainMatchResult(message, std::string(s.message()), result_listener);
}

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "latchkey-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace latchkey

#define LK_ASSERT_OK(expr) ASSERT_THAT((expr), latchkey::IsOk())
#define LK_EXPECT_OK(expr) EXPECT_THAT((expr), latchkey::IsOk())
#define LK_ASSERT_OK_AND_ASSIGN(lhs, expr) LK_ASSERT_OK_AND_ASSIGN_(LK_TEST_CONCAT(lk_or_, __LINE__), lhs, expr)
#define LK_ASSERT_OK_AND_ASSIGN_(tmp, lhs, expr)    \
  auto tmp = (expr);                                \
  ASSERT_TRUE(tmp.ok()) << tmp.status().ToString(); \
  lhs = *std::move(tmp)
#define LK_TEST_CONCAT_(a, b) a##b
#define LK_TEST_CONCAT(a, b) LK_TEST_CONCAT_(a, b)
