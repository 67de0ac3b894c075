#include "emulator/arn.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/status.h"

namespace latchkey::emulator {
namespace {

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsDigits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string Join(std::string_view partition, std::string_view service, std::string_view region, std::string_view account,
                 std::string_view resource) {
  std::string out = "arn:";
  for (std::string_view part : {partition, service, region, account}) {
    out.append(part);
    out.push_back(':');
  }
  out.append(resource);
  return out;
}

}  // namespace

std::optional<Arn> ParseArn(std::string_view text) {
  if (text.size() > 2048 || text.substr(0, 4) != "arn:") return std::nullopt;
  text.remove_prefix(4);
  std::array<std::string, 4> parts;
  for (std::string& part : parts) {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    part = text.substr(0, colon);
    text.remove_prefix(colon + 1);
  }
  if (parts[0].empty() || parts[1].empty() || text.empty()) return std::nullopt;
  return Arn{parts[0], parts[1], parts[2], parts[3], std::string(text)};
}

std::string PartitionOf(std::string_view region) {
  if (region.substr(0, 3) == "cn-") return "aws-cn";
  if (region.substr(0, 7) == "us-gov-") return "aws-us-gov";
  return "aws";
}

std::string KeyArn(std::string_view region, std::string_view account, std::string_view key_id) {
  return Join(PartitionOf(region), "kms", region, account, "key/" + std::string(key_id));
}

std::string AliasArn(std::string_view region, std::string_view account, std::string_view alias) {
  return Join(PartitionOf(region), "kms", region, account, alias);
}

std::string UserArn(std::string_view account, std::string_view name) {
  return Join("aws", "iam", "", account, "user/" + std::string(name));
}

std::string RoleArn(std::string_view account, std::string_view name) {
  return Join("aws", "iam", "", account, "role/" + std::string(name));
}

std::string SessionArn(std::string_view account, std::string_view role, std::string_view session) {
  return Join("aws", "sts", "", account, "assumed-role/" + std::string(role) + "/" + std::string(session));
}

std::string Quotable(std::string_view text, size_t most) {
  std::string out(text.substr(0, most));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return out;
}

bool IsAccountId(std::string_view text) { return text.size() == 12 && IsDigits(text); }

bool IsRegion(std::string_view text) {
  if (text.size() < 5 || text.size() > 32) return false;
  const size_t dash = text.rfind('-');
  if (dash == std::string_view::npos || !IsDigits(text.substr(dash + 1))) return false;
  const std::string_view head = text.substr(0, dash);
  if (head.size() < 3 || head.front() == '-' || head.back() == '-' || head.find('-') == std::string_view::npos) return false;
  return std::all_of(head.begin(), head.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; });
}

bool IsKeyId(std::string_view text) {
  if (text.substr(0, 4) == "mrk-") return text.size() == 36 && IsLowerHex(text.substr(4));
  if (text.size() != 36) return false;
  for (size_t at : {8, 13, 18, 23}) {
    if (text[at] != '-') return false;
  }
  return IsLowerHex(text.substr(0, 8)) && IsLowerHex(text.substr(9, 4)) && IsLowerHex(text.substr(14, 4)) &&
         IsLowerHex(text.substr(19, 4)) && IsLowerHex(text.substr(24));
}

bool IsIamName(std::string_view text) {
  if (text.empty() || text.size() > 64) return false;
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return (std::isalnum(c) && c < 128) || std::string_view("+=,.@_-").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

}  // namespace latchkey::emulator
