// For tests: the whole server, with the real services and a store of its own behind it and a scripted host before it.
#pragma once

#include <boost/json.hpp>
#include <memory>
#include <string>

#include "api/server.h"
#include "base/testing.h"
#include "control/testing.h"
#include "http/client.h"

namespace latchkey {

class RealServerTest : public testing::Test {
 protected:
  void SetUp() override {
    config_.public_listen.port = 0;
    config_.agent_listen.port = 0;
    config_.store_path = folder_ / "server.db";
    config_.escrow = {.type = "LOCAL", .uri = "local://escrow"};
    LK_ASSERT_OK_AND_ASSIGN(server_, StartServer(config_));
    LK_ASSERT_OK_AND_ASSIGN(const NewApiKey key, server_->control().api_keys().Create({.api_key_id = "local"}, "test"));
    key_ = key.secret.RevealText(SecretAccess{});
  }
  void TearDown() override {
    host_.reset();
    server_.reset();
  }

  HttpResponse Send(HttpClientOptions options, const std::string& url, const std::string& method, const std::string& body) {
    HttpRequest request;
    request.method = method;
    request.body = body;
    request.headers["authorization"] = "Bearer " + key_;
    options.total_timeout = absl::Seconds(40);
    auto response = HttpClient(std::move(options)).Send(url, request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *std::move(response) : HttpResponse{.status = 0, .body = "{}"};
  }
  HttpResponse Ask(const std::string& method, const std::string& path, const std::string& body = "") {
    return Send({}, "http://127.0.0.1:" + std::to_string(server_->public_port()) + "/api/v1" + path, method, body);
  }
  boost::json::value Get(const std::string& path) {
    const HttpResponse response = Ask("GET", path);
    EXPECT_EQ(response.status, 200) << path << ": " << response.body;
    return boost::json::parse(response.body);
  }
  std::string Status(const std::string& path, std::string_view field = "status") {
    const boost::json::value answer = Get(path);
    return std::string(answer.at(boost::json::string_view(field.data(), field.size())).as_string().c_str());
  }

  // In us-east-1, the only region.
  void JoinHost() {
    host_ = std::make_unique<FakeAgent>(server_->control(), "us-east-1", "h1");
    LK_ASSERT_OK(host_->Join());
  }
  // The path of a cluster that runs on it.
  std::string RunningCluster() {
    const HttpResponse created = Ask("POST", "/clusters", kCreate);
    EXPECT_EQ(created.status, 200) << created.body;
    LK_EXPECT_OK(host_->Settle());
    return "/clusters/" + std::string(boost::json::parse(created.body).at("id").as_string().c_str());
  }
  static std::string Specs(const std::string& key, const std::string& region = "us-east-1") {
    return R"({"region_specs":[{"region":")" + region + R"(","key_spec":{"type":"AWS_KMS","uri":"arn:aws:kms:us-east-1:111122223333:key/)" +
           key + R"(","auth_principal":"arn:aws:iam::111122223333:role/owner"}}]})";
  }
  // Sends a change of keys while the host answers key tests and does nothing else, so that the answer shows the work before it is done.
  HttpResponse Change(const std::string& method, const std::string& cluster, const std::string& body) {
    host_->obedient = false;
    host_->StartPolling();
    HttpResponse response = Ask(method, cluster + "/cmek", body);
    host_->StopPolling();
    host_->obedient = true;
    return response;
  }

  static constexpr const char* kCreate =
      R"({"name":"orders-db","provider":"AWS","spec":{"dedicated":{"region_nodes":{"us-east-1":1},"hardware":{"storage_gib":35}}}})";

  TempFolder folder_;
  ServerConfig config_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<FakeAgent> host_;
  std::string key_;
};

}  // namespace latchkey
