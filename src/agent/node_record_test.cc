#include "agent/node_record.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr char kNode[] = "11111111-1111-4111-8111-111111111111";
constexpr char kVolume[] = "22222222-2222-4222-8222-222222222222";

DesiredNode Desired(int64_t generation) {
  DesiredNode desired;
  desired.node_id = kNode;
  desired.organization = desired.cluster_id = kVolume;
  desired.region = "us-east-1";
  desired.engine = "postgresql";
  desired.generation = generation;
  desired.root = {.type = "LOCAL", .uri = "local://escrow", .auth_principal = "", .external_id = ""};
  return desired;
}

NodeRecord Fresh() {
  NodeRecord record;
  record.node_id = kNode;
  return record;
}

TEST(NodeRecordTest, ReturnsAsItWasStored) {
  const TempFolder folder;
  NodeRecord record = Fresh();
  LK_ASSERT_OK(Accept(Desired(7), record));
  record.volume_id = kVolume;
  record.volume_created = record.engine_initialised = record.owner_key_held = true;
  record.volume_revision = 3;
  record.port = 5501;
  record.seal_reason = "REVOKED";
  record.escrow_uri = "local://escrow";
  record.owner_uris = {"local://escrow", "local://other"};
  LK_ASSERT_OK(StoreNodeRecord(folder / "node.json", record));
  LK_ASSERT_OK_AND_ASSIGN(const NodeRecord loaded, LoadNodeRecord(folder / "node.json"));
  EXPECT_EQ(loaded.ToJson(), record.ToJson());
  EXPECT_EQ(loaded.highest_generation, 7);
  struct stat st{};
  ASSERT_EQ(stat((folder / "node.json").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST(NodeRecordTest, TheOldOneIsKeptWhenTheNewOneCannotBeWritten) {
  const TempFolder folder;
  LK_ASSERT_OK(MakeFolders(folder / "n"));
  NodeRecord record = Fresh();
  LK_ASSERT_OK(Accept(Desired(1), record));
  LK_ASSERT_OK(StoreNodeRecord(folder / "n/node.json", record));
  LK_ASSERT_OK(Accept(Desired(2), record));
  EXPECT_FALSE(StoreNodeRecord(folder / "n/node.json/impossible", record).ok());
  LK_ASSERT_OK_AND_ASSIGN(const NodeRecord loaded, LoadNodeRecord(folder / "n/node.json"));
  EXPECT_EQ(loaded.highest_generation, 1);
}

TEST(NodeRecordTest, ADamagedOneIsNotAnAbsentOne) {
  const TempFolder folder;
  EXPECT_THAT(LoadNodeRecord(folder / "none"), StatusIs(absl::StatusCode::kNotFound));
  for (const char* text : {"", "{", "[]", "{}", R"({"format":1,"node_id":"../../etc","highest_generation":1})",
                           R"({"format":2,"node_id":"11111111-1111-4111-8111-111111111111","highest_generation":1})"}) {
    LK_ASSERT_OK(WriteFileAtomically(folder / "node.json", text));
    EXPECT_THAT(LoadNodeRecord(folder / "node.json"), StatusIs(absl::StatusCode::kDataLoss)) << text;
  }
}

TEST(NodeRecordTest, AKeyThatWasEverNamedAsAnOwnersIsRemembered) {
  NodeRecord record = Fresh();
  DesiredNode desired = Desired(1);
  desired.root_is_escrow = true;
  LK_ASSERT_OK(Accept(desired, record));
  EXPECT_FALSE(record.NamedAsOwnerKey("local://escrow"));
  desired.generation = 2;
  desired.root.uri = "local://owner";
  desired.root_is_escrow = false;
  LK_ASSERT_OK(Accept(desired, record));
  desired.generation = 3;
  desired.root_is_escrow = true;
  LK_ASSERT_OK(Accept(desired, record));
  EXPECT_TRUE(record.NamedAsOwnerKey("local://owner"));
  EXPECT_FALSE(record.NamedAsOwnerKey("local://escrow"));
  // More names than are remembered do not push out the first ones.
  desired.root_is_escrow = false;
  for (; desired.generation < 400; ++desired.generation) {
    desired.root.uri = absl::StrCat("local://", desired.generation);
    LK_ASSERT_OK(Accept(desired, record));
  }
  EXPECT_LE(record.owner_uris.size(), 256u);
  EXPECT_TRUE(record.NamedAsOwnerKey("local://owner"));
  EXPECT_TRUE(record.NamedAsOwnerKey("local://399"));
}

TEST(NodeRecordTest, AMintedKekOfAnotherRootOrGenerationIsDropped) {
  NodeRecord record = Fresh();
  DesiredNode desired = Desired(1);
  desired.kek_generation = 2;
  LK_ASSERT_OK(Accept(desired, record));
  WrappedKek minted;
  minted.context.generation = 2;
  minted.root = desired.root;
  const auto kept = [&](const DesiredNode& next) {
    record.minted = minted;
    DesiredNode newer = next;
    newer.generation = record.highest_generation + 1;
    LK_EXPECT_OK(Accept(newer, record));
    return record.minted.has_value();
  };
  EXPECT_TRUE(kept(desired));
  DesiredNode changed = desired;
  changed.root.uri = "local://second";  // the same generation, as when the first one was never stored
  EXPECT_FALSE(kept(changed));
  changed = desired;
  changed.kek_generation = 3;
  EXPECT_FALSE(kept(changed));
  changed.kek_generation = 1;
  EXPECT_FALSE(kept(changed));
}

TEST(NodeRecordTest, NeverGoesBackToALowerGeneration) {
  NodeRecord record = Fresh();
  LK_ASSERT_OK(Accept(Desired(7), record));
  EXPECT_THAT(Accept(Desired(6), record), StatusIs(absl::StatusCode::kFailedPrecondition, StartsWith("GENERATION_BEHIND")));
  EXPECT_EQ(record.desired->generation, 7);
  LK_EXPECT_OK(Accept(Desired(8), record));
}

TEST(NodeRecordTest, ARevocationIsLiftedByAHigherGenerationOnly) {
  NodeRecord record = Fresh();
  DesiredNode revoked = Desired(7);
  revoked.revoked = true;
  LK_ASSERT_OK(Accept(revoked, record));
  EXPECT_TRUE(record.revoked_mark);
  EXPECT_THAT(Accept(Desired(7), record), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("lost the revocation")));
  EXPECT_TRUE(record.desired->revoked);
  LK_EXPECT_OK(Accept(Desired(8), record));
  EXPECT_FALSE(record.revoked_mark);
}

TEST(NodeRecordTest, AForgetfulHostTakesTheServersWordThatItWasMade) {
  NodeRecord record = Fresh();
  DesiredNode desired = Desired(7);
  desired.volume_id = kVolume;
  LK_ASSERT_OK(Accept(desired, record));
  EXPECT_EQ(record.volume_id, kVolume);
  EXPECT_TRUE(record.volume_created);
  EXPECT_TRUE(record.engine_initialised);
}

TEST(NodeRecordTest, AHostThatCouldNotWriteDownThatItWasMadeTakesTheServersWord) {
  NodeRecord record = Fresh();
  record.volume_id = kVolume;  // chosen, and never confirmed
  DesiredNode desired = Desired(7);
  desired.volume_id = kVolume;
  LK_ASSERT_OK(Accept(desired, record));
  EXPECT_TRUE(record.volume_created && record.engine_initialised);

  NodeRecord other = Fresh();
  other.volume_id = kVolume;
  desired.volume_id = "33333333-3333-4333-8333-333333333333";
  LK_ASSERT_OK(Accept(desired, other));
  EXPECT_EQ(other.volume_id, kVolume) << "a contradiction is reported, not resolved";
  EXPECT_FALSE(other.volume_created);
}

TEST(NodeRecordTest, KeepsAMintedKekUntilOneIsNamed) {
  NodeRecord record = Fresh();
  LK_ASSERT_OK(Accept(Desired(1), record));
  WrappedKek minted;
  minted.id = "mine";
  minted.context.generation = 1;
  minted.root = Desired(1).root;
  record.minted = minted;
  LK_ASSERT_OK(Accept(Desired(2), record));
  EXPECT_TRUE(record.minted);
  DesiredNode named = Desired(3);
  named.wrapped_keks = {minted};
  named.wrapped_keks[0].id = "another's";
  LK_ASSERT_OK(Accept(named, record));
  EXPECT_FALSE(record.minted);
  record.minted = minted;
  DesiredNode other_root = Desired(4);
  other_root.root.uri = "local://other";
  LK_ASSERT_OK(Accept(other_root, record));
  EXPECT_FALSE(record.minted);
}

TEST(NodeRecordTest, OnlyUuidsBecomeFolders) {
  EXPECT_TRUE(IsUuid(kNode));
  for (const char* text :
       {"", "..", "../../../../../../../../etc/passwd-x", "11111111-1111-4111-8111-11111111111/", "11111111-1111-4111-8111-11111111111A"}) {
    EXPECT_FALSE(IsUuid(text)) << text;
  }
}

}  // namespace
}  // namespace latchkey
