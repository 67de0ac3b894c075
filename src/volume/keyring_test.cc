#include "volume/keyring.h"

#include <thread>

#include "base/testing.h"
#include "volume/range_lock.h"
#include "volume/testing.h"

namespace latchkey {
namespace {

class KeyringTest : public testing::Test {
 protected:
  KeyringTest() {
    keyring_.SetKeys({NewTestKey()});
    keyring_.SetLease(clock_.BootTime() + absl::Minutes(1));
  }
  bool Admits(Keyring::Use use) { return static_cast<bool>(keyring_.Admit(use)); }
  FakeClock clock_;
  Keyring keyring_{clock_};
};

TEST_F(KeyringTest, AdmitsNobodyBeforeServing) { EXPECT_FALSE(Admits(Keyring::Use::kRequest)); }

TEST_F(KeyringTest, RefusesFromTheVeryMomentOfTheLeasesEnd) {
  keyring_.Serve();
  clock_.Advance(absl::Minutes(1) - absl::Nanoseconds(1));
  EXPECT_TRUE(Admits(Keyring::Use::kRequest));
  clock_.Advance(absl::Nanoseconds(1));
  EXPECT_FALSE(Admits(Keyring::Use::kRequest));
  EXPECT_FALSE(Admits(Keyring::Use::kWriteback));
}

TEST_F(KeyringTest, ALeaseThatEndedCannotBeExtended) {
  keyring_.Serve();
  clock_.Advance(absl::Minutes(2));
  EXPECT_FALSE(keyring_.ExtendLease(clock_.BootTime() + absl::Hours(1)));
  EXPECT_FALSE(Admits(Keyring::Use::kRequest));
}

TEST_F(KeyringTest, ExtendingNeverShortens) {
  const auto end = keyring_.lease_end();
  EXPECT_TRUE(keyring_.ExtendLease(clock_.BootTime() + absl::Seconds(1)));
  EXPECT_EQ(keyring_.lease_end(), end);
  keyring_.SetLease(std::nullopt);
  EXPECT_TRUE(keyring_.ExtendLease(clock_.BootTime() + absl::Seconds(1)));
  EXPECT_EQ(keyring_.lease_end(), std::nullopt);
}

TEST_F(KeyringTest, DrainingAdmitsOnlyTheKernelsWritebackAndRefusingNothing) {
  keyring_.Serve();
  keyring_.Drain();
  EXPECT_FALSE(Admits(Keyring::Use::kRequest));
  EXPECT_TRUE(Admits(Keyring::Use::kWriteback));
  keyring_.Refuse();
  EXPECT_FALSE(Admits(Keyring::Use::kWriteback));
}

TEST_F(KeyringTest, WaitsForRunningRequests) {
  keyring_.Serve();
  auto running = std::make_unique<Keyring::Admission>(keyring_.Admit(Keyring::Use::kRequest));
  keyring_.Refuse();
  EXPECT_FALSE(keyring_.WaitUntilIdle(absl::Milliseconds(1)));
  std::thread end([&] { running.reset(); });
  EXPECT_TRUE(keyring_.WaitUntilIdle(absl::Seconds(10)));
  end.join();
}

TEST_F(KeyringTest, ALeaseThatHasEndedIsNotReplaced) {
  keyring_.SetLease(clock_.BootTime() + absl::Seconds(10));
  EXPECT_TRUE(keyring_.ReplaceLease(clock_.BootTime() + absl::Seconds(5)));
  EXPECT_EQ(keyring_.lease_end(), clock_.BootTime() + absl::Seconds(5));
  clock_.Advance(absl::Seconds(5));
  EXPECT_FALSE(keyring_.ReplaceLease(clock_.BootTime() + absl::Hours(1)));
  EXPECT_FALSE(keyring_.ReplaceLease(std::nullopt));
  EXPECT_TRUE(keyring_.LeaseEnded());
}

TEST_F(KeyringTest, ClearingWipesKeysThatAreStillReferredTo) {
  const auto key = keyring_.Current();
  const FileHeader header;
  const HeaderMac before = key->MacOf(header);
  const SecretBytes file_key = key->FileKey(header.file_id);
  keyring_.Clear();
  EXPECT_EQ(keyring_.Current(), nullptr);
  EXPECT_NE(key->MacOf(header), before);
  EXPECT_FALSE(key->FileKey(header.file_id).Equals(file_key));
}

TEST(CipherCacheTest, KeepsAtMostItsLimitIdle) {
  CipherCache cache(2);
  const auto key = NewTestKey();
  for (uint64_t file = 1; file <= 5; ++file) ASSERT_TRUE(cache.Take(file, *key, FileId{}).ok());
  EXPECT_EQ(cache.idle(), 2u);
  {
    auto one = cache.Take(5, *key, FileId{});
    EXPECT_EQ(cache.idle(), 1u);
    auto another = cache.Take(5, *key, FileId{});
    EXPECT_EQ(cache.idle(), 1u);
  }
  EXPECT_EQ(cache.idle(), 2u);
  cache.Clear();
  EXPECT_EQ(cache.idle(), 0u);
}

TEST(RangeLockTest, ReadersShareAndRangesApartDoNotMeet) {
  RangeLock lock;
  const RangeLock::Guard a(lock, 0, 100, RangeLock::Mode::kShared);
  std::thread others([&] {
    const RangeLock::Guard b(lock, 50, 150, RangeLock::Mode::kShared);
    // A thread holds one range at a time; the third comes from a third.
    std::thread([&] { const RangeLock::Guard c(lock, 200, 300, RangeLock::Mode::kExclusive); }).join();
  });
  others.join();
}

TEST(RangeLockTest, AWriterOfAllIsNotOvertakenByLaterReaders) {
  RangeLock lock;
  std::vector<int> order;
  std::mutex mutex;
  const auto note = [&](int who) {
    std::lock_guard guard(mutex);
    order.push_back(who);
  };
  std::thread writer, reader;
  {
    const RangeLock::Guard first(lock, 0, 10, RangeLock::Mode::kShared);
    writer = std::thread([&] {
      const RangeLock::Guard all(lock, 0, UINT64_MAX, RangeLock::Mode::kExclusive);
      note(1);
    });
    while (lock.waiting() < 1) std::this_thread::yield();
    reader = std::thread([&] {
      const RangeLock::Guard later(lock, 0, 10, RangeLock::Mode::kShared);
      note(2);
    });
    while (lock.waiting() < 2) std::this_thread::yield();
    EXPECT_TRUE(order.empty());
  }
  writer.join();
  reader.join();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

}  // namespace
}  // namespace latchkey
