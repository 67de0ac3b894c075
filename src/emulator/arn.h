// Amazon Resource Names, as far as keys and identities need them: arn:<partition>:<service>:<region>:<account>:<resource>
// (docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace latchkey::emulator {

struct Arn {
  std::string partition, service, region, account, resource;
};

// nullopt unless all six parts are there; region and account may be empty.
std::optional<Arn> ParseArn(std::string_view text);

// "aws", "aws-cn" or "aws-us-gov".
std::string PartitionOf(std::string_view region);
std::string KeyArn(std::string_view region, std::string_view account, std::string_view key_id);
std::string AliasArn(std::string_view region, std::string_view account, std::string_view alias);  // alias with "alias/"
std::string UserArn(std::string_view account, std::string_view name);
std::string RoleArn(std::string_view account, std::string_view name);
std::string SessionArn(std::string_view account, std::string_view role, std::string_view session);

// At most `most` bytes of text from outside that may be quoted in JSON and XML: what is not printable ASCII becomes "?".
std::string Quotable(std::string_view text, size_t most = 256);

bool IsAccountId(std::string_view text);  // 12 digits
bool IsRegion(std::string_view text);     // "us-east-1", "us-gov-west-1"
bool IsKeyId(std::string_view text);      // a UUID, or mrk- and 32 hex digits
bool IsIamName(std::string_view text);    // 1 to 64 of [A-Za-z0-9+=,.@_-]

}  // namespace latchkey::emulator
