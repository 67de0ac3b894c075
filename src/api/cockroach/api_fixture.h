// An Api over a FakeControl, and short ways to ask it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "api/cockroach/api.h"
#include "api/testing.h"
#include "base/json.h"

namespace latchkey::cockroach {

class ApiTest : public testing::Test {
 protected:
  static HttpRequest Request(const std::string& method, const std::string& target, const std::string& body = "") {
    HttpRequest request;
    request.method = method;
    request.target = "/api/v1" + target;
    EXPECT_TRUE(request.SplitTarget()) << target;
    request.headers["authorization"] = "Bearer " + std::string(kTestKey);
    request.body = body;
    request.peer_address = "192.0.2.1";
    return request;
  }
  HttpResponse Ask(const std::string& method, const std::string& target, const std::string& body = "") {
    return api_.Handle(Request(method, target, body)).response;
  }
  static json::object Body(const HttpResponse& response) {
    absl::StatusOr<json::object> object = ParseJsonObject(response.body);
    EXPECT_TRUE(object.ok()) << object.status() << " in " << response.body;
    return object.ok() ? *std::move(object) : json::object();
  }
  // The error's form is checked, its code and message returned as "code: message".
  static std::string Error(const HttpResponse& response) {
    const json::object body = Body(response);
    EXPECT_EQ(body.size(), 3u) << response.body;
    EXPECT_TRUE(body.contains("details") && body.at("details").is_array()) << response.body;
    EXPECT_EQ(response.headers.find("content-type")->second, "application/json");
    if (!body.contains("code") || !body.contains("message")) return "";
    return std::to_string(body.at("code").as_int64()) + ": " + std::string(body.at("message").as_string().c_str());
  }
  std::string Cluster(const std::string& rest = "") { return "/clusters/" + std::string(kTestCluster) + rest; }

  FakeControl control_;
  FakeClock clock_;
  Api api_{{.control = &control_, .clock = &clock_, .most_slow_calls = 1}};
};

inline constexpr const char* kGoodSpecs = R"({"region_specs":[{"region":"us-east-1","key_spec":{"type":"AWS_KMS",
  "uri":"arn:aws:kms:us-east-1:111122223333:key/1234","auth_principal":"arn:aws:iam::111122223333:role/owner"}}]})";

}  // namespace latchkey::cockroach
