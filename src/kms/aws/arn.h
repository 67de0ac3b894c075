// The Amazon Resource Names that Latchkey accepts (docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html).
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>

namespace latchkey {

// arn:<partition>:kms:<region>:<12 digits>:key/<UUID or mrk-…>
struct AwsKeyArn {
  std::string partition, region, account, key_id;
};
// InvalidArgument saying what is wrong. Aliases are refused: what they point to can be changed behind a wrapped key's back.
absl::StatusOr<AwsKeyArn> ParseKeyArn(std::string_view text);

// OK for arn:<partition>:iam::<12 digits>:role/<path and name> of this partition.
absl::Status CheckRoleArn(std::string_view text, std::string_view partition);

// "amazonaws.com" or "amazonaws.com.cn".
std::string_view DnsSuffix(std::string_view partition);

}  // namespace latchkey
