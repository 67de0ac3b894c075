#include "cli/node_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/cockroach/clusters.h"

namespace latchkey {
namespace {

NodeView Running() {
  NodeView node;
  node.name = "ledger-us-east-1-1";
  node.region = "us-east-1";
  node.status = "LIVE";
  node.host_name = "db1";
  node.endpoint_host = "10.0.0.5";
  node.endpoint_port = 5500;
  node.volume_state = "OPEN";
  node.engine_state = "RUNNING";
  node.lease_end = "2026-01-02T03:04:05Z";
  return node;
}

TEST(NodeRowsTest, ShowsEveryFactThatTheApiTells) {
  EXPECT_THAT(NodeRow(cockroach::NodeDetailsJson(Running())),
              testing::ElementsAre("ledger-us-east-1-1", "us-east-1", "LIVE", "db1", "10.0.0.5:5500", "OPEN", "RUNNING",
                                   "2026-01-02T03:04:05Z", ""));
  EXPECT_EQ(NodeHeader().size(), NodeRow(cockroach::NodeDetailsJson(Running())).size());
}

TEST(NodeRowsTest, SaysWhatHoldsANodeUp) {
  NodeView node = Running();
  node.endpoint_host.clear();
  node.volume_state = "VOLUME_MISSING";
  node.engine_state = "NONE";
  node.problem = "VOLUME_MISSING: the folder is not there";
  EXPECT_EQ(NodeProgress(cockroach::NodeDetailsJson(node)),
            "ledger-us-east-1-1: volume VOLUME_MISSING, engine NONE: VOLUME_MISSING: the folder is not there");
}

}  // namespace
}  // namespace latchkey
