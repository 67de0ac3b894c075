#include "agent/metrics.h"

#include "agent/host_warnings.h"
#include "base/testing.h"
#include "http/client.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

using testing::SizeIs;

AgentSnapshot Snapshot() {
  AgentSnapshot snapshot;
  ObservedNode node;
  node.node_id = "n1";
  node.volume = VolumeState::kOpen;
  node.engine = EngineState::kRunning;
  node.lease_end = latchkey::FormatTime(absl::FromUnixSeconds(1000));
  snapshot.nodes.emplace_back("c1-r-1", node);
  snapshot.kms.refusals = 3;
  return snapshot;
}

TEST(MetricsTest, TellsOfEachNode) {
  const std::string text = RenderMetrics(Snapshot(), absl::FromUnixSeconds(940));
  EXPECT_THAT(text, HasSubstr(R"(latchkey_agent_volume_open{node="c1-r-1",node_id="n1"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(latchkey_agent_lease_seconds{node="c1-r-1",node_id="n1"} 60)"));
  EXPECT_THAT(text, HasSubstr(R"(latchkey_agent_kms_checks_total{outcome="refusal"} 3)"));
  EXPECT_THAT(text, HasSubstr(R"(latchkey_agent_key_ok{node="c1-r-1",node_id="n1"} 0)"));
}

TEST(MetricsTest, IsReadyOnlyWhileTheServerIsHeard) {
  AgentSnapshot snapshot = Snapshot();
  LK_ASSERT_OK_AND_ASSIGN(const auto server, ServeMetrics("127.0.0.1:0", [&] { return snapshot; }));
  const auto get = [&](const std::string& path) {
    const auto response = HttpClient({}).Send(absl::StrCat("http://127.0.0.1:", server->port(), path), {});
    return response.ok() ? response->status : 0;
  };
  EXPECT_EQ(get("/healthz"), 200);
  EXPECT_EQ(get("/metrics"), 200);
  EXPECT_EQ(get("/other"), 404);
  EXPECT_EQ(get("/readyz"), 503);
  snapshot.since_last_sync = absl::Seconds(2);
  EXPECT_EQ(get("/readyz"), 200);
  snapshot.since_last_sync = absl::Minutes(2);
  EXPECT_EQ(get("/readyz"), 503);
}

TEST(MetricsTest, AMalformedAddressIsNamed) {
  for (const char* address : {"7795", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000"}) {
    EXPECT_THAT(ServeMetrics(address, [] { return AgentSnapshot{}; }),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("metrics_address")));
  }
}

TEST(HostWarningsTest, PlainSwapIsWarnedOf) {
  const std::string header = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
  EXPECT_THAT(SwapWarnings(header), IsEmpty());
  EXPECT_THAT(SwapWarnings(header + "/dev/zram0  partition 1 0 -2\n"), IsEmpty());
  EXPECT_THAT(SwapWarnings(header + "/swapfile   file 1 0 -2\n"), SizeIs(1));
}

}  // namespace
}  // namespace latchkey
