// LOCAL: a key file, whose owner is whoever may write its folder.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/testing.h"
#include "emulator/contract/contract_subject.h"
#include "kms/local/local_kms.h"

namespace latchkey {

class LocalSubject : public ContractSubject {
 public:
  explicit LocalSubject(const KmsCallOptions&) : kms_(NewLocalKms({{"one", folder_ / "one"}, {"two", folder_ / "two"}})) {
    for (const char* name : {"one", "two"}) {
      LK_EXPECT_OK(CreateLocalKeyFile(folder_ / name));
      const std::string text = ReadFile(folder_ / name).value_or("");
      planted_.push_back(text.substr(text.find('\n') + 1, 64));
    }
  }

  Kms& kms() override { return *kms_; }
  RootKey key() const override { return {.type = "LOCAL", .uri = "local://one"}; }
  RootKey other_key() const override { return {.type = "LOCAL", .uri = "local://two"}; }

  // Nobody knows of a file that was moved away whether it comes back.
  Consequence TakeAway() override {
    EXPECT_EQ(rename((folder_ / "one").c_str(), (folder_ / "away").c_str()), 0);
    return {.classes = {FailureClass::kDestroyed}};
  }
  void GiveBack() override { EXPECT_EQ(rename((folder_ / "away").c_str(), (folder_ / "one").c_str()), 0); }
  // One that others may read is refused by whoever runs the test; root could read it without any right.
  Consequence Deny() override {
    EXPECT_EQ(chmod((folder_ / "one").c_str(), 0644), 0);
    return {.classes = {FailureClass::kDenied}};
  }
  void Allow() override { EXPECT_EQ(chmod((folder_ / "one").c_str(), 0600), 0); }
  Consequence Delete() override {
    EXPECT_EQ(unlink((folder_ / "one").c_str()), 0);
    return {.classes = {FailureClass::kDestroyed}};
  }

  Consequence Throttle(int) override { return Consequence::None("nobody counts who reads a file"); }
  Consequence Outage() override { return Consequence::None("a file of this host is there or is not"); }
  Consequence Slow(absl::Duration) override { return Consequence::None("a file is read at once"); }
  Consequence HalfAnswer() override {
    EXPECT_EQ(truncate((folder_ / "one").c_str(), 50), 0);
    return {.classes = {FailureClass::kCorrupt}};
  }
  Consequence AnswerForAnotherKey() override { return Consequence::None("a file is asked by its name and says no other"); }
  Consequence OtherBytes() override { return Consequence::None("what is unwrapped is authenticated in this process"); }
  Consequence Quote(const std::string&, bool) override { return Consequence::None("a file has no words"); }
  Consequence RedirectTo(const std::string&) override { return Consequence::None("a file is not on a network"); }
  void ClearFaults() override {}

  std::vector<std::string> Secrets() override { return planted_; }
  std::vector<std::string> HostileUris() const override {
    return {"local://three",
            "local:///etc/passwd",
            "local://../one",
            "local://one/..",
            "local://one/",
            "local://o%6ee",
            "local://one#x",
            "local://one?x",
            "local://user@one",
            "local://one:1",
            "local://\xc3\xb6",
            "local://one\n",
            "file:///one",
            "LOCAL://one",
            "local:one",
            "local://",
            "one",
            ""};
  }

 private:
  const TempFolder folder_;
  std::vector<std::string> planted_;
  const std::unique_ptr<Kms> kms_;
};

}  // namespace latchkey
