#include "kms/aws/arn.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "base/status.h"

namespace latchkey {
namespace {

constexpr std::array<std::string_view, 3> kPartitions = {"aws", "aws-cn", "aws-us-gov"};

bool AllOf(std::string_view text, std::string_view allowed) { return text.find_first_not_of(allowed) == std::string_view::npos; }

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kHex = "0123456789abcdef";

bool IsPartition(std::string_view text) { return std::find(kPartitions.begin(), kPartitions.end(), text) != kPartitions.end(); }
bool IsAccount(std::string_view text) { return text.size() == 12 && AllOf(text, kDigits); }

// "us-east-1", "us-gov-west-1", "cn-north-1": two to four letters, words, a number. It becomes part of a host name, and other names under
// the same suffix lead elsewhere ("kms.s3-us-west-2.amazonaws.com" is somebody's bucket).
bool IsRegion(std::string_view text) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; at <= text.size() && parts.size() < 6;) {
    const size_t end = std::min(text.find('-', at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
  if (text.size() > 32 || parts.size() < 3 || parts.size() > 5) return false;
  if (parts.front().size() < 2 || parts.front().size() > 4 || parts.back().empty() || parts.back().size() > 2) return false;
  return AllOf(parts.back(), kDigits) &&
         std::all_of(parts.begin(), parts.end() - 1, [&](std::string_view part) { return !part.empty() && AllOf(part, kLetters); });
}

bool IsKeyId(std::string_view text) {
  if (text.starts_with("mrk-")) return text.size() == 36 && AllOf(text.substr(4), kHex);
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    if (hyphen ? text[i] != '-' : kHex.find(text[i]) == std::string_view::npos) return false;
  }
  return true;
}

// The six parts of an ARN; the last may contain colons.
std::optional<std::array<std::string_view, 6>> Split(std::string_view text) {
  std::array<std::string_view, 6> parts;
  for (size_t i = 0; i < 5; ++i) {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    parts[i] = text.substr(0, colon);
    text.remove_prefix(colon + 1);
  }
  parts[5] = text;
  return parts[0] == "arn" ? std::optional(parts) : std::nullopt;
}

}  // namespace

absl::StatusOr<AwsKeyArn> ParseKeyArn(std::string_view text) {
  constexpr char kForm[] = "must be a key ARN, arn:aws:kms:<region>:<account>:key/<key id>";
  const auto parts = Split(text);
  if (!parts || text.size() > 2048) return InvalidArgument(kForm);
  const auto& [arn, partition, service, region, account, resource] = *parts;
  if (!IsPartition(partition)) return InvalidArgument("has an unknown partition; ", kForm);
  if (service != "kms") return InvalidArgument("is not the ARN of a KMS key; ", kForm);
  if (!IsRegion(region)) return InvalidArgument("has no region; ", kForm);
  if (!IsAccount(account)) return InvalidArgument("has no account of 12 digits; ", kForm);
  if (resource.starts_with("alias/")) {
    return InvalidArgument("is an alias, which can be pointed at another key; name the key itself by its ARN");
  }
  if (!resource.starts_with("key/") || !IsKeyId(resource.substr(4))) return InvalidArgument("has no key id (a UUID or mrk-…); ", kForm);
  return AwsKeyArn{std::string(partition), std::string(region), std::string(account), std::string(resource.substr(4))};
}

absl::Status CheckRoleArn(std::string_view text, std::string_view partition) {
  constexpr char kForm[] = "must be a role ARN, arn:aws:iam::<account>:role/<name>";
  const auto parts = Split(text);
  if (!parts || text.size() > 2048) return InvalidArgument(kForm);
  const auto& [arn, its_partition, service, region, account, resource] = *parts;
  if (its_partition != partition) return InvalidArgument("is not in the partition of the key; ", kForm);
  if (service != "iam" || !region.empty() || !IsAccount(account)) return InvalidArgument(kForm);
  const std::string_view name = resource.starts_with("role/") ? resource.substr(5) : std::string_view();
  const bool good = !name.empty() && name.size() <= 576 && name.back() != '/' &&
                    AllOf(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+=,.@_-/");
  if (!good) return InvalidArgument(kForm);
  return absl::OkStatus();
}

std::string_view DnsSuffix(std::string_view partition) { return partition == "aws-cn" ? "amazonaws.com.cn" : "amazonaws.com"; }

}  // namespace latchkey
