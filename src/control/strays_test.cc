#include "control/strays.h"

#include <gtest/gtest.h>

#include "control/control_testing.h"

namespace latchkey {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class StraysTest : public ControlTest {};

TEST_F(StraysTest, ANodeThatTheServerDoesNotNameIsShownUntilItIsGone) {
  const auto host = Host("h1");
  Running(*host);
  const auto other = Host("h2");
  ObservedNode stray = host->only();
  stray.node_id = "11111111-2222-4333-8444-555555555555";
  stray.stray = true;
  host->Observe(stray);
  const auto audited = control_->Audit(0, 1000)->size();
  LK_ASSERT_OK(host->Sync());
  const auto shown = [&](size_t of) { return control_->agents().List()->at(of); };
  EXPECT_THAT(shown(0).strays, ElementsAre(stray.node_id));
  EXPECT_THAT(shown(0).warnings, ElementsAre(HasSubstr("1 node on this host")));
  EXPECT_THAT(host->desired(), SizeIs(1)) << "it is named no more than before";
  EXPECT_THAT(shown(1).strays, IsEmpty());
  EXPECT_EQ(control_->Counts()->strays, 1);
  EXPECT_EQ(control_->Audit(0, 1000)->size(), audited);
  // The same node on another host is one there: its disk was copied.
  ObservedNode copied = host->observed().begin()->second;
  other->Observe(copied);
  LK_ASSERT_OK(other->Sync());
  EXPECT_EQ(control_->Counts()->strays, 2);
  Reopen();
  EXPECT_THAT(shown(0).strays, ElementsAre(stray.node_id)) << "kept, for a host that does not report again";
}

TEST_F(StraysTest, AStrayThatIsReportedNoMoreIsShownNoMore) {
  const auto host = Host();
  ObservedNode stray;
  stray.node_id = "11111111-2222-4333-8444-555555555555";
  stray.volume = VolumeState::kSealed;
  host->Observe(stray);
  LK_ASSERT_OK(host->Sync());
  EXPECT_EQ(control_->Counts()->strays, 1);
  stray.volume = VolumeState::kDeleted;
  host->Observe(stray);
  LK_ASSERT_OK(host->Sync());
  EXPECT_EQ(control_->Counts()->strays, 0);
  EXPECT_THAT(control_->agents().List()->at(0).strays, IsEmpty());
  EXPECT_THAT(control_->agents().List()->at(0).warnings, IsEmpty());
  // Nothing was ever made of this one; of a record that cannot be read nobody knows.
  stray.volume = VolumeState::kNone;
  host->Observe(stray);
  LK_ASSERT_OK(host->Sync());
  EXPECT_EQ(control_->Counts()->strays, 0);
  stray.problem = "STATE_DAMAGED: no JSON";
  host->Observe(stray);
  LK_ASSERT_OK(host->Sync());
  EXPECT_EQ(control_->Counts()->strays, 1);
  LK_ASSERT_OK(control_->agents().Remove(caller_, host->agent_id()));
  EXPECT_EQ(control_->Counts()->strays, 0) << "a host that was removed is nobody's concern";
}

TEST_F(StraysTest, StraysHaveTheirBounds) {
  const auto host = Host();
  ObservedNode stray;
  stray.volume = VolumeState::kSealed;
  stray.node_id = "\x1b[2J\xff" + std::string(100'000, 'x');
  host->Observe(stray);
  for (int i = 0; i < 500; ++i) {
    stray.node_id = "node-" + std::to_string(1000 + i);
    host->Observe(stray);
  }
  LK_ASSERT_OK(host->Sync());
  const AgentView view = control_->agents().List()->at(0);
  ASSERT_THAT(view.strays, SizeIs(kMostStrays));
  EXPECT_EQ(view.strays.front(), "?[2J?" + std::string(59, 'x'));
  EXPECT_THAT(view.warnings, ElementsAre(HasSubstr("100 or more nodes")));
}

}  // namespace
}  // namespace latchkey
