#include "agent/key_chain.h"

#include "base/testing.h"
#include "keys/testing.h"

namespace latchkey {
namespace {

class KeyChainTest : public testing::Test {
 protected:
  KeyChainTest() : kms_(SetOf(std::make_unique<FakeKms>("LOCAL"))) {
    KekContext context{.organization = "o", .cluster = "c", .region = "r", .generation = 1};
    for (; context.generation <= 3; ++context.generation) {
      auto minted = MintKek(kms_, root_, context, keks_.empty() ? nullptr : &keks_.back(), Random::System(), Clock::Real());
      EXPECT_THAT(minted, IsOk());
      auto opened = UnwrapKek(kms_, *minted, root_, {});
      EXPECT_THAT(opened, IsOk());
      desired_.wrapped_keks.push_back(*std::move(minted));
      keks_.push_back(*std::move(opened));
    }
  }

  const RootKey root_{.type = "LOCAL", .uri = "local://a", .auth_principal = "", .external_id = ""};
  KmsSet kms_;
  DesiredNode desired_;
  std::vector<Kek> keks_;  // by rising generation
};

TEST_F(KeyChainTest, LeadsFromTheNewestToEachOlderOne) {
  for (const Kek& kek : keks_) {
    LK_ASSERT_OK_AND_ASSIGN(const Kek reached, DescendTo(keks_.back(), kek.id(), desired_));
    EXPECT_TRUE(reached.bytes().Equals(kek.bytes()));
  }
}

TEST_F(KeyChainTest, BreaksWhereALinkWasChanged) {
  std::string& link = desired_.wrapped_keks[1].link;
  link[0] = link[0] == '0' ? '1' : '0';
  EXPECT_THAT(DescendTo(keks_[2], keks_[0].id(), desired_), StatusIs(absl::StatusCode::kDataLoss));
  LK_EXPECT_OK(DescendTo(keks_[2], keks_[1].id(), desired_));
}

TEST_F(KeyChainTest, EndsWhereNoRecordIsNamed) {
  EXPECT_THAT(DescendTo(keks_.back(), "another", desired_), StatusIs(absl::StatusCode::kNotFound));
  desired_.wrapped_keks.erase(desired_.wrapped_keks.begin() + 1);
  EXPECT_THAT(DescendTo(keks_.back(), keks_[0].id(), desired_), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace latchkey
