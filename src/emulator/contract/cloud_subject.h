// What the four subjects with an HTTP service share: an emulated cloud over sockets, a relay before it, and the admin API as the owner's
// hand.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"
#include "emulator/admin_client.h"
#include "emulator/contract/contract_subject.h"
#include "emulator/contract/http_relay.h"
#include "emulator/serve.h"

namespace latchkey {

class CloudSubject : public ContractSubject {
 public:
  // `operations`: the cloud's names of the requests that make up describe, wrap and unwrap.
  CloudSubject(std::string cloud, std::vector<std::string> operations) : cloud_(std::move(cloud)), operations_(std::move(operations)) {
    // Some keys take time to make: they are made once for all tests.
    if (const auto seeded = Seeded().find(cloud_); seeded != Seeded().end()) {
      LK_EXPECT_OK(WriteFileAtomically(state_file_, seeded->second, 0600));
    }
    auto made = Emulator::Create({.state_file = state_file_});
    EXPECT_THAT(made, IsOk());
    auto server = EmulatorServer::Start({}, *std::move(made));
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
    relay_ = std::make_unique<HttpRelay>(cloud_ == "aws" ? server_->url() : server_->url(cloud_));
    admin_ = std::make_unique<EmulatorAdminClient>(server_->url());
  }

  Kms& kms() override { return *kms_; }
  RootKey key() const override { return key_; }
  RootKey other_key() const override { return other_key_; }

  Consequence Throttle(int times) override {
    Fault({{"action", "throttle"}}, times);
    return {.classes = {FailureClass::kThrottled}};
  }
  Consequence Outage() override {
    LK_EXPECT_OK(admin_->Outage(true, cloud_));
    return {.classes = {FailureClass::kUnreachable}};
  }
  Consequence Slow(absl::Duration answers) override {
    if (answers > absl::Seconds(2)) {
      relay_->KeepSilent(true);
    } else {
      Fault({{"action", "delay"}, {"delay_ms", absl::ToInt64Milliseconds(answers)}}, kForever);
    }
    return {.classes = {FailureClass::kUnreachable}};
  }
  Consequence HalfAnswer() override {
    Fault({{"action", "truncate"}}, kForever);
    return {.classes = {FailureClass::kUnreachable, FailureClass::kCorrupt}};
  }
  Consequence OtherBytes() override {
    Fault({{"action", "other-bytes"}}, kForever);
    return {.classes = {FailureClass::kCorrupt},
            .unaffected = {{KmsOperation::kDescribe, "no plaintext in it"}, {KmsOperation::kWrap, "no plaintext in its answer"}}};
  }
  Consequence Quote(const std::string&, bool uses_only) override {
    relay_->AnswerInstead([this, uses_only](const HttpRequest& request) -> std::optional<HttpResponse> {
      if (uses_only && !IsUse(request)) return std::nullopt;
      std::string quoted = request.target + " " + request.body;
      for (const auto& [name, value] : request.headers) quoted += " " + name + ": " + value;
      return RefusalWith(quoted);
    });
    return {.classes = {FailureClass::kDenied, FailureClass::kAmbiguous, FailureClass::kIdentity, FailureClass::kUnreachable}};
  }
  Consequence RedirectTo(const std::string& url) override {
    relay_->AnswerInstead([url](const HttpRequest& request) {
      return std::optional<HttpResponse>({.status = request.method == "GET" ? 302 : 307, .headers = {{"location", url + request.target}}});
    });
    return {.classes = {FailureClass::kUnreachable, FailureClass::kIdentity}};
  }
  void Stop() override { relay_->Stop(); }
  void ClearFaults() override {
    relay_->KeepSilent(false);
    relay_->AnswerInstead(nullptr);
    relay_->Rewrite(nullptr);
    LK_EXPECT_OK(admin_->ClearFaults());
  }

  // What was planted, and every bearer token that the provider has sent.
  std::vector<std::string> Secrets() override {
    std::vector<std::string> all = planted_;
    for (const HttpRequest& request : relay_->requests()) {
      for (const char* name : {"x-vault-token", "x-amz-security-token"}) {
        if (std::string token = request.Header(name); !token.empty()) all.push_back(std::move(token));
      }
      if (const std::string header = request.Header("authorization"); header.starts_with("Bearer ")) all.push_back(header.substr(7));
    }
    std::ranges::sort(all);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  }
  std::string ServiceLog() override {
    const auto calls = admin_->Calls(0);
    EXPECT_THAT(calls, IsOk());
    return calls.ok() ? json::serialize(*calls) : "";
  }
  int64_t Requests() override { return static_cast<int64_t>(relay_->requests().size()); }

 protected:
  // It carries what is to be wrapped or unwrapped.
  virtual bool IsUse(const HttpRequest& request) const = 0;
  // An error of the service's own with these words.
  virtual HttpResponse RefusalWith(const std::string& words) const = 0;

  void Change(const std::string& path, const json::object& body) { LK_EXPECT_OK(admin_->Change(cloud_, path, body)); }
  json::object Seed() {
    // What is addressed to the cloud is addressed to the relay.
    const auto seed = admin_->SeedCloud(cloud_, {{"base_url", relay_->url()}});
    EXPECT_THAT(seed, IsOk());
    Seeded().try_emplace(cloud_, ReadFile(state_file_).value_or(""));
    return seed.value_or(json::object());
  }
  static std::string Text(const json::object& object, std::string_view name) {
    return std::string(object.at({name.data(), name.size()}).as_string());
  }
  static RootKey KeyOf(const json::object& seed, const char* name) {
    const json::object& key = seed.at(name).as_object();
    return {.type = Text(key, "type"), .uri = Text(key, "uri"), .auth_principal = Text(key, "auth_principal")};
  }
  static KmsCallOptions Alone(KmsCallOptions call) {
    // Variables of whoever runs the test are nobody's here.
    call.environment = [](const char*) { return std::string(); };
    return call;
  }
  // In answers to our operations, one key's name for another's. The words of refusals stay.
  void SwapNames(const std::string& from, const std::string& to) {
    relay_->Rewrite([from, to](HttpResponse& response) {
      if (response.status != 200) return;
      for (size_t at = response.body.find(from); at != std::string::npos; at = response.body.find(from, at + to.size())) {
        response.body.replace(at, from.size(), to);
      }
    });
  }

  const std::string cloud_;
  TempFolder folder_;
  const std::string state_file_ = folder_ / "state.json";
  std::unique_ptr<EmulatorServer> server_;
  std::unique_ptr<HttpRelay> relay_;
  std::unique_ptr<EmulatorAdminClient> admin_;
  std::unique_ptr<Kms> kms_;
  RootKey key_, other_key_;
  std::vector<std::string> planted_;

 private:
  // State files of emulators in which a cloud was seeded and nothing else was done.
  static std::map<std::string, std::string>& Seeded() {
    static std::map<std::string, std::string> files;
    return files;
  }
  void Fault(json::object fault, int times) {
    fault["cloud"] = cloud_;
    if (times == kForever) {
      fault["standing"] = true;
    } else {
      fault["times"] = times;
    }
    for (const std::string& operation : operations_) {
      fault["operation"] = operation;
      LK_EXPECT_OK(admin_->AddFault(fault));
    }
  }

  const std::vector<std::string> operations_;
};

}  // namespace latchkey
