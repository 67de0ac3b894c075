// The server with many clusters in its store, for `./run bench api`: `api_load N` makes N clusters under owner keys (scripted hosts stand
// for the agents), serves the real API on loopback, prints {"server", "api_key", "clusters": […]} and ends when its standard input does.
#include <absl/strings/numbers.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <vector>

#include "api/server.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret_bytes.h"
#include "base/status.h"
#include "control/testing.h"

namespace latchkey {
namespace {

// A host's sync carries all its nodes: with every cluster on one host, making N of them would cost N² node reports.
constexpr int kHosts = 25;

absl::Status Serve(int count, const std::string& folder) {
  RETURN_IF_ERROR(SetUpLog({.component = "bench", .least = LogLevel::kError}));
  ServerConfig config;
  config.public_listen = {"127.0.0.1", 0};
  config.agent_listen = {"127.0.0.1", 0};
  config.store_path = folder + "/server.db";
  config.escrow = {.type = "LOCAL", .uri = "local://escrow"};
  ASSIGN_OR_RETURN(const std::unique_ptr<Server> server, StartServer(config));
  Control& control = server->control();
  const Caller caller{.api_key_id = "local", .name = "bench", .remote = "local"};
  ASSIGN_OR_RETURN(const NewApiKey key, control.api_keys().Create(caller, "bench"));

  std::vector<std::unique_ptr<FakeAgent>> hosts;
  for (int i = 0; i < kHosts; ++i) {
    hosts.push_back(std::make_unique<FakeAgent>(control, "us-east-1", absl::StrCat("h", i)));
    RETURN_IF_ERROR(hosts.back()->Join());
  }
  json::array ids;
  for (int i = 0; i < count; ++i) {
    CreateCluster request;
    request.name = absl::StrCat("cluster-", i);
    request.provider = "AWS";
    request.region_nodes = {{"us-east-1", 1}};
    ASSIGN_OR_RETURN(const ClusterView cluster, control.clusters().Create(caller, request));
    ids.push_back(json::value(cluster.id));
  }
  const RootKey owner{.type = "AWS_KMS",
                      .uri = "arn:aws:kms:us-east-1:222222222222:key/01234567-89ab-4cde-8f01-23456789abcd",
                      .auth_principal = "arn:aws:iam::222222222222:role/latchkey-cmek"};
  for (const auto& host : hosts) {
    // Its own host tests a cluster's key, if it was heard of lately: on a slow machine the others' turns take longer than that.
    RETURN_IF_ERROR(host->Settle());
    host->StartPolling();
    for (const auto& [node_id, node] : host->desired()) {
      RETURN_IF_ERROR(control.cmek().Enable(caller, node.cluster_id, {{.region = "us-east-1", .key = owner}}).status());
    }
    host->StopPolling();
    RETURN_IF_ERROR(host->Settle());
  }
  for (const json::value& id : ids) {
    ASSIGN_OR_RETURN(const CmekView view, control.cmek().Get(std::string(id.get_string())));
    if (view.status != "ENABLED") return Internal("a cluster is ", view.status);
  }
  std::printf("%s\n", json::serialize(json::object{{"server", absl::StrCat("http://127.0.0.1:", server->public_port())},
                                                   {"api_key", std::string(key.secret.RevealText(SecretAccess{}))},
                                                   {"clusters", std::move(ids)}})
                          .c_str());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  server->Stop();
  return absl::OkStatus();
}

}  // namespace
}  // namespace latchkey

int main(int argc, char** argv) {
  int count = 0;
  if (argc != 2 || !absl::SimpleAtoi(argv[1], &count) || count < 1 || count > 100'000) {
    std::fprintf(stderr, "usage: api_load CLUSTERS\n");
    return 2;
  }
  std::string folder = (std::filesystem::temp_directory_path() / "latchkey-bench-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return 1;
  const absl::Status status = latchkey::Serve(count, folder);
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  if (!status.ok()) std::fprintf(stderr, "api_load: %s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
