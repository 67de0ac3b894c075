#include "protocol/root_key.h"

#include "base/json.h"
#include "base/testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;

WrappedKek SomeKek() {
  WrappedKek kek;
  kek.id = std::string(32, 'a');
  kek.context = {.organization = "o-1", .cluster = "c-1", .region = "us-east-1", .generation = 2};
  kek.created_at = "2026-01-02T03:04:05.000006Z";
  kek.root = {.type = "AWS_KMS", .uri = "arn:aws:kms:us-east-1:111122223333:key/1", .auth_principal = "arn:role", .external_id = "o-1"};
  kek.key_version = "v7";
  kek.ciphertext = "AQID";
  kek.previous = WrappedKek::Previous{.id = std::string(32, 'b'), .nonce = std::string(16, 'A'), .ciphertext = std::string(64, 'A')};
  kek.link = std::string(64, 'c');
  return kek;
}

absl::StatusOr<WrappedKek> Reread(json::object object) {
  auto parsed = ParseJsonObject(json::serialize(object));
  if (!parsed.ok()) return parsed.status();
  return WrappedKek::FromJson(*parsed, "kek");
}

TEST(RootKeyTest, ComesBackFromJsonAsItWas) {
  const RootKey key = SomeKek().root;
  LK_ASSERT_OK_AND_ASSIGN(const RootKey again, RootKey::FromJson(key.ToJson(), ""));
  EXPECT_EQ(again, key);
}

TEST(RootKeyTest, NamesTheFieldThatIsWrong) {
  EXPECT_THAT(RootKey::FromJson({{"type", "LOCAL"}}, "root"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("root.uri")));
  EXPECT_THAT(RootKey::FromJson({{"type", "LOCAL"}, {"uri", 7}}, "root"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("root.uri")));
  EXPECT_THAT(RootKey::FromJson({{"type", "LOCAL"}, {"uri", "local://a\nb"}}, "root"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("root.uri")));
}

TEST(KekContextTest, HasOneCanonicalFormWithSortedNames) {
  EXPECT_EQ(SomeKek().context.Canonical(),
            "latchkey:cluster=c-1\nlatchkey:generation=2\nlatchkey:organization=o-1\nlatchkey:region=us-east-1\n");
}

TEST(WrappedKekTest, ComesBackFromJsonAsItWas) {
  WrappedKek kek = SomeKek();
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek again, Reread(kek.ToJson()));
  EXPECT_EQ(again, kek);

  kek.previous.reset();
  kek.link.clear();
  kek.key_version.clear();
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek first, Reread(kek.ToJson()));
  EXPECT_EQ(first, kek);
}

TEST(WrappedKekTest, LeavesUnknownFieldsOfANewerPeerAlone) {
  json::object object = SomeKek().ToJson();
  object["colour"] = "green";
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek again, Reread(object));
  EXPECT_EQ(again, SomeKek());
}

TEST(WrappedKekTest, RefusesWhatIsNotOfItsForm) {
  const json::array faults = {
      {"format", 2},
      {"format", "1"},
      {"id", "A"},
      {"id", std::string(32, 'G')},
      {"organization", ""},
      {"region", "us-east-1\nlatchkey:region=eu"},
      {"generation", 0},
      {"generation", 1.5},
      {"created_at", nullptr},
      {"ciphertext", "not base64"},
      {"ciphertext", ""},
      {"ciphertext", std::string(8196, 'A')},
      {"link", "00"},
      {"root", "arn"},
      {"root", nullptr},
      {"previous", "x"},
  };
  for (const json::value& fault : faults) {
    const std::string name = fault.at(0).as_string().c_str();
    const json::value& value = fault.at(1);
    json::object object = SomeKek().ToJson();
    object[name] = value;
    EXPECT_THAT(Reread(object), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("kek." + name))) << name << " " << value;
  }
}

TEST(WrappedKekTest, RefusesAPreviousKeyOfAnotherLength) {
  for (const std::string name : {"id", "nonce", "ciphertext"}) {
    json::object object = SomeKek().ToJson();
    object["previous"].as_object()[name] = "AAAA";
    EXPECT_THAT(Reread(object), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("kek.previous." + name)));
  }
}

// Links of stored records are MACs over these bytes: this text may never change.
TEST(WrappedKekTest, LinksTheseVeryBytes) {
  WrappedKek kek = SomeKek();
  kek.previous.reset();
  EXPECT_EQ(kek.LinkedBytes(),
            "latchkey-wrapped-kek:1\n"
            "id:32:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
            "organization:3:o-1\n"
            "cluster:3:c-1\n"
            "region:9:us-east-1\n"
            "generation:1:2\n"
            "created_at:27:2026-01-02T03:04:05.000006Z\n"
            "root.type:7:AWS_KMS\n"
            "root.uri:40:arn:aws:kms:us-east-1:111122223333:key/1\n"
            "root.auth_principal:8:arn:role\n"
            "root.external_id:3:o-1\n"
            "key_version:2:v7\n"
            "ciphertext:4:AQID\n"
            "previous.id:0:\n"
            "previous.nonce:0:\n"
            "previous.ciphertext:0:\n");
}

TEST(WrappedKekTest, LinksEveryFieldButTheLinkItself) {
  const std::string before = SomeKek().LinkedBytes();
  const std::vector<void (*)(WrappedKek&)> changes = {
      [](WrappedKek& k) { k.id[0] = 'f'; },
      [](WrappedKek& k) { k.context.organization += "x"; },
      [](WrappedKek& k) { k.context.cluster += "x"; },
      [](WrappedKek& k) { k.context.region += "x"; },
      [](WrappedKek& k) { k.context.generation++; },
      [](WrappedKek& k) { k.created_at += "x"; },
      [](WrappedKek& k) { k.root.type += "x"; },
      [](WrappedKek& k) { k.root.uri += "x"; },
      [](WrappedKek& k) { k.root.auth_principal += "x"; },
      [](WrappedKek& k) { k.root.external_id += "x"; },
      [](WrappedKek& k) { k.key_version += "x"; },
      [](WrappedKek& k) { k.ciphertext += "x"; },
      [](WrappedKek& k) { k.previous->id[0] = 'f'; },
      [](WrappedKek& k) { k.previous->nonce[0] = 'B'; },
      [](WrappedKek& k) { k.previous->ciphertext[0] = 'B'; },
  };
  for (const auto& change : changes) {
    WrappedKek kek = SomeKek();
    change(kek);
    EXPECT_THAT(kek.LinkedBytes(), Not(before));
  }
  WrappedKek kek = SomeKek();
  kek.link[0] = 'd';
  EXPECT_EQ(kek.LinkedBytes(), before);
}

}  // namespace
}  // namespace latchkey
