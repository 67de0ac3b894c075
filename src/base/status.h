// Small helpers around absl::Status: the two propagation macros and constructors that take absl::StrCat pieces.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/str_cat.h>

#include <string>
#include <string_view>
#include <utility>

namespace latchkey {

// Debian's Abseil has a string_view type of its own in C++20 mode on some builds; these two are the only conversions.
inline absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view FromAbsl(absl::string_view s) { return {s.data(), s.size()}; }

template <typename... Pieces>
absl::Status InvalidArgument(const Pieces&... pieces) {
  return absl::InvalidArgumentError(absl::StrCat(pieces...));
}
template <typename... Pieces>
absl::Status NotFound(const Pieces&... pieces) {
  return absl::NotFoundError(absl::StrCat(pieces...));
}
template <typename... Pieces>
absl::Status FailedPrecondition(const Pieces&... pieces) {
  return absl::FailedPreconditionError(absl::StrCat(pieces...));
}
template <typename... Pieces>
absl::Status Unavailable(const Pieces&... pieces) {
  return absl::UnavailableError(absl::StrCat(pieces...));
}
template <typename... Pieces>
absl::Status DataLoss(const Pieces&... pieces) {
  return absl::DataLossError(absl::StrCat(pieces...));
}
template <typename... Pieces>
absl::Status Internal(const Pieces&... pieces) {
  return absl::InternalError(absl::StrCat(pieces...));
}
template <typename... Pieces>
absl::Status PermissionDenied(const Pieces&... pieces) {
  return absl::PermissionDeniedError(absl::StrCat(pieces...));
}

// A status for a failed system call: the text is "<what>: <strerror(error)>", the code follows absl's mapping of errno.
absl::Status ErrnoStatus(int error, std::string_view what);

// The same status with `prefix` and ": " before its message; code and payloads (a KMS failure class) are kept. OK stays OK.
absl::Status Prefixed(const absl::Status& status, std::string_view prefix);

}  // namespace latchkey

#define LK_CONCAT_INNER(a, b) a##b
#define LK_CONCAT(a, b) LK_CONCAT_INNER(a, b)

// Returns from the enclosing function when `expr`, an absl::Status, is not OK.
#define RETURN_IF_ERROR(expr)                                               \
  do {                                                                      \
    if (absl::Status lk_status = (expr); !lk_status.ok()) return lk_status; \
  } while (false)

// ASSIGN_OR_RETURN(auto x, F()): unwraps a StatusOr, or returns its status from the enclosing function.
#define ASSIGN_OR_RETURN(lhs, expr) LK_ASSIGN_OR_RETURN(LK_CONCAT(lk_statusor_, __LINE__), lhs, expr)
#define LK_ASSIGN_OR_RETURN(tmp, lhs, expr)      \
  auto tmp = (expr);                             \
  if (!tmp.ok()) return std::move(tmp).status(); \
  lhs = *std::move(tmp)
