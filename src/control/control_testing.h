// The set-up that the tests of this room share: a server on a temporary database with a clock that stands still.
#pragma once

#include <memory>
#include <string>

#include "base/testing.h"
#include "control/services.h"
#include "control/testing.h"

namespace latchkey {

class ControlTest : public testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    ControlOptions options;
    options.database = folder_ / "server.db";
    options.escrow = {.type = "LOCAL", .uri = "local://escrow", .auth_principal = "", .external_id = ""};
    options.key_test_timeout = key_test_timeout_;
    options.rewrap_new_versions = rewrap_new_versions_;
    options.clock = &clock_;
    auto opened = Control::Open(std::move(options));
    LK_ASSERT_OK(opened);
    control_ = *std::move(opened);
  }
  // As when the process ended and began again on the same database.
  void Reopen() {
    control_.reset();
    Open();
  }
  std::unique_ptr<FakeAgent> Host(const std::string& hostname = "h1", const std::string& region = "us-east-1") {
    auto host = std::make_unique<FakeAgent>(*control_, region, hostname);
    LK_EXPECT_OK(host->Join());
    return host;
  }
  absl::StatusOr<ClusterView> Create(const std::string& name = "orders-1", const std::string& region = "us-east-1") {
    CreateCluster request;
    request.name = name;
    request.provider = "AWS";
    request.region_nodes = {{region, 1}};
    return control_->clusters().Create(caller_, request);
  }
  // A cluster that runs on `host`.
  std::string Running(FakeAgent& host, const std::string& name = "orders-1") {
    const auto cluster = Create(name);
    LK_EXPECT_OK(cluster);
    LK_EXPECT_OK(host.Settle());
    return cluster.ok() ? cluster->id : "";
  }
  static RootKey Key(const std::string& name) {
    return {.type = "AWS_KMS",
            .uri = "arn:aws:kms:us-east-1:111122223333:key/" + name,
            .auth_principal = "arn:aws:iam::111122223333:role/latchkey",
            .external_id = ""};
  }
  static std::vector<RegionKeySpec> Specs(const std::string& name) { return {{"us-east-1", Key(name)}}; }
  // Enables and lets the host finish; the host must not be polling.
  CmekView EnabledWith(FakeAgent& host, const std::string& id, const std::string& key) {
    host.StartPolling();
    const auto view = control_->cmek().Enable(caller_, id, Specs(key));
    LK_EXPECT_OK(view);
    host.StopPolling();
    LK_EXPECT_OK(host.Settle());
    return Cmek(id);
  }
  // Enables under a host that answers key tests and does nothing else: it stays ENABLING, the host disobedient.
  void EnablingWith(FakeAgent& host, const std::string& id, const std::string& key) {
    host.obedient = false;
    host.StartPolling();
    LK_EXPECT_OK(control_->cmek().Enable(caller_, id, Specs(key)));
    host.StopPolling();
  }
  CmekView Cmek(const std::string& id) {
    auto view = control_->cmek().Get(id);
    LK_EXPECT_OK(view);
    return view.ok() ? *std::move(view) : CmekView{};
  }
  std::string State(const std::string& id) {
    const auto view = control_->clusters().Get(id);
    return view.ok() ? view->state : view.status().ToString();
  }
  JoinRequest Request(const JoinToken& token) {
    const auto key = NewKeyPair();
    LK_EXPECT_OK(key);
    return {.token_id = token.id,
            .token_secret = token.secret,
            .request_pem = *NewRequest(key->private_key_pem, "anything"),
            .region = "us-east-1",
            .hostname = "h1",
            .advertise_host = ""};
  }
  JoinToken Token() { return *control_->agents().CreateJoinToken(caller_); }
  std::vector<AuditEntry> AuditOf(const std::string& action) {
    std::vector<AuditEntry> found;
    const auto all = control_->Audit(0, 1000);
    LK_EXPECT_OK(all);
    for (const AuditEntry& entry : *all) {
      if (entry.action == action) found.push_back(entry);
    }
    return found;
  }

  const Caller caller_{.api_key_id = "LKEY1_test", .name = "ann", .remote = "192.0.2.7"};
  absl::Duration key_test_timeout_ = absl::Seconds(20);
  bool rewrap_new_versions_ = false;
  FakeClock clock_;
  TempFolder folder_;
  std::unique_ptr<Control> control_;
};

}  // namespace latchkey
