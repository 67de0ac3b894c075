// Outcome<T>: a value, or an error as an AWS service words it. The emulator's own propagation type: the text of an error here is part of
// the wire, so it cannot travel as an absl::Status.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace latchkey::emulator {

struct AwsError {
  std::string type;     // "DisabledException"
  std::string message;  // may be empty: then the answer carries no message member
  int status = 400;
};

template <typename T>
class [[nodiscard]] Outcome {
 public:
  Outcome(T value) : content_(std::move(value)) {}  // implicit, like StatusOr
  Outcome(AwsError error) : content_(std::move(error)) {}
  bool ok() const { return std::holds_alternative<T>(content_); }
  const AwsError& error() const { return std::get<AwsError>(content_); }
  T& operator*() & { return std::get<T>(content_); }
  T&& operator*() && { return std::get<T>(std::move(content_)); }
  const T& operator*() const& { return std::get<T>(content_); }
  T* operator->() { return &std::get<T>(content_); }

 private:
  std::variant<T, AwsError> content_;
};

// For steps that yield nothing but may fail.
struct Done {};

}  // namespace latchkey::emulator

#define AWS_CONCAT_INNER(a, b) a##b
#define AWS_CONCAT(a, b) AWS_CONCAT_INNER(a, b)
// AWS_TRY(F()): leaves the enclosing function with F's error. AWS_ASSIGN(auto x, F()): unwraps.
#define AWS_TRY(expr)                                                             \
  do {                                                                            \
    if (auto aws_outcome = (expr); !aws_outcome.ok()) return aws_outcome.error(); \
  } while (false)
#define AWS_ASSIGN(lhs, expr) AWS_ASSIGN_(AWS_CONCAT(aws_outcome_, __LINE__), lhs, expr)
#define AWS_ASSIGN_(tmp, lhs, expr)  \
  auto tmp = (expr);                 \
  if (!tmp.ok()) return tmp.error(); \
  lhs = *std::move(tmp)
