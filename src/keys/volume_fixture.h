// A volume's key file with its KEKs, for the tests of this room.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/testing.h"
#include "keys/testing.h"
#include "keys/volume_file.h"

namespace latchkey {

inline constexpr char kVolume[] = "c2a9d1f4-1111-4222-8333-444455556666";
inline const RootKey kEscrow = {
    .type = "AWS_KMS", .uri = "arn:aws:kms:us-east-1:999900001111:key/escrow", .auth_principal = "", .external_id = ""};
inline const RootKey kOwner = {.type = "AWS_KMS",
                               .uri = "arn:aws:kms:us-east-1:111122223333:key/owner",
                               .auth_principal = "arn:aws:iam::111122223333:role/latchkey",
                               .external_id = "org"};

inline KekContext ContextOf(int64_t generation, std::string region = "us-east-1") {
  return {.organization = "org", .cluster = "cluster", .region = std::move(region), .generation = generation};
}

// A chain of two KEKs (escrow, then owner) and a volume made under the first.
class VolumeFileTest : public testing::Test {
 protected:
  void SetUp() override {
    LK_ASSERT_OK_AND_ASSIGN(first_record_, MintKek(kms_, kEscrow, ContextOf(1), nullptr, random_, clock_));
    LK_ASSERT_OK_AND_ASSIGN(first_, UnwrapKek(kms_, first_record_, kEscrow, {}));
    LK_ASSERT_OK_AND_ASSIGN(second_record_, MintKek(kms_, kOwner, ContextOf(2), &*first_, random_, clock_));
    LK_ASSERT_OK_AND_ASSIGN(second_, UnwrapKek(kms_, second_record_, kOwner, {}));
    LK_ASSERT_OK_AND_ASSIGN(NewVolume made, MakeVolume(kVolume, *first_, first_record_, 1, random_, clock_));
    file_ = made.file;
    deks_.push_back(std::move(made.dek));
  }

  Kek MakeKek(int64_t generation, std::string region = "us-east-1") {
    return *Kek::FromBytes(random_.Secret(kKekSize), ContextOf(generation, std::move(region)));
  }
  // A record with this KEK's names; nobody unwraps it here.
  WrappedKek RecordOf(const Kek& kek) {
    WrappedKek record = second_record_;
    record.id = kek.id();
    record.context = kek.context();
    return record;
  }
  absl::StatusOr<VolumeFile> RewrapToSecond(const Dek* new_dek = nullptr) {
    return Rewrap(file_, deks_, *first_, *second_, second_record_, new_dek, random_, clock_);
  }
  // The file's JSON, changed.
  template <typename Change>
  absl::StatusOr<VolumeFile> ParseChanged(Change change) {
    json::object object = *ParseJsonObject(file_.Serialize());
    change(object);
    return VolumeFile::Parse(json::serialize(object));
  }

  FakeRandom random_;
  FakeClock clock_;
  KmsSet kms_ = SetOf(std::make_unique<FakeKms>());
  WrappedKek first_record_, second_record_;
  std::optional<Kek> first_, second_;
  VolumeFile file_;
  std::vector<Dek> deks_;
};

}  // namespace latchkey
