#include "keys/volume_file.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/encoding.h"
#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"
#include "crypto/digest.h"
#include "keys/volume_fixture.h"

namespace latchkey {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST_F(VolumeFileTest, ANewVolumeHasOneDekWrappedByOneKek) {
  EXPECT_EQ(file_.volume_id, kVolume);
  EXPECT_EQ(file_.revision, 1);
  EXPECT_EQ(file_.cipher, "AES-256-XTS");
  ASSERT_EQ(file_.deks.size(), 1u);
  EXPECT_EQ(file_.deks[0].generation, 1);
  EXPECT_EQ(file_.deks[0].created_at, latchkey::FormatTime(clock_.Now()));
  EXPECT_EQ(file_.current_dek, file_.deks[0].id);
  ASSERT_EQ(file_.deks[0].wrapped.size(), 1u);
  EXPECT_EQ(file_.deks[0].wrapped[0].kek_id, first_->id());
  ASSERT_EQ(file_.keks.size(), 1u);
  EXPECT_EQ(file_.keks[0], first_record_);
  EXPECT_THAT(file_.Verify(deks_[0]), IsOk());
  LK_ASSERT_OK_AND_ASSIGN(const auto opened, OpenDeks(file_, *first_));
  ASSERT_EQ(opened.size(), 1u);
  EXPECT_TRUE(opened[0].bytes().Equals(deks_[0].bytes()));
}

TEST_F(VolumeFileTest, ANewVolumeNeedsAProperIdGenerationAndRecord) {
  const auto invalid = StatusIs(absl::StatusCode::kInvalidArgument);
  for (const std::string& id : {std::string(), std::string("../x"), std::string("a b"), std::string(65, 'a')}) {
    EXPECT_THAT(MakeVolume(id, *first_, first_record_, 1, random_, clock_), invalid) << id;
  }
  EXPECT_THAT(MakeVolume(kVolume, *first_, first_record_, 0, random_, clock_), invalid);
  EXPECT_THAT(MakeVolume(kVolume, *first_, second_record_, 1, random_, clock_), invalid);
}

TEST_F(VolumeFileTest, IsReadBackAsItWasWritten) {
  LK_ASSERT_OK_AND_ASSIGN(const VolumeFile read, VolumeFile::Parse(file_.Serialize()));
  EXPECT_EQ(read, file_);
  EXPECT_THAT(read.Verify(deks_[0]), IsOk());
  EXPECT_EQ(read.FindDek(file_.current_dek)->generation, 1);
  EXPECT_EQ(read.FindDek("x"), nullptr);
  EXPECT_EQ(read.FindKek(first_->id())->root, kEscrow);
  EXPECT_EQ(read.FindKek("x"), nullptr);
}

TEST_F(VolumeFileTest, HoldsNothingSecret) {
  const std::string text = file_.Serialize();
  for (const SecretBytes* secret : {&deks_[0].bytes(), &first_->bytes()}) {
    EXPECT_THAT(text, Not(HasSubstr(Base64Encode(secret->Reveal(SecretAccess{})))));
    EXPECT_THAT(text, Not(HasSubstr(HexEncode(secret->Reveal(SecretAccess{})))));
  }
}

TEST_F(VolumeFileTest, TheMacDoesNotDependOnTheOrderOfTheJsonThatWasRead) {
  const json::object object = *ParseJsonObject(file_.Serialize());
  json::object reversed;
  std::vector<std::string> names;
  for (const auto& field : object) names.emplace_back(field.key());
  for (auto it = names.rbegin(); it != names.rend(); ++it) reversed[*it] = object.at(*it);
  const std::string text = "  " + json::serialize(reversed) + "\n\n";
  ASSERT_NE(text, file_.Serialize());
  LK_ASSERT_OK_AND_ASSIGN(const VolumeFile read, VolumeFile::Parse(text));
  EXPECT_THAT(read.Verify(deks_[0]), IsOk());
}

// Written out once, so that no change of ours can orphan the files that are on disks.
TEST_F(VolumeFileTest, TheMacCoversTheCanonicalFormOfFormatOne) {
  VolumeFile file;
  file.volume_id = "v";
  file.revision = 12;
  file.current_dek = "d1";
  file.deks = {{.id = "d1", .generation = 3, .created_at = "t", .wrapped = {{.kek_id = "k", .nonce = "nn", .ciphertext = "cc"}}}};
  WrappedKek kek;
  kek.id = "k";
  kek.link = "ll";
  file.keks = {kek};
  EXPECT_EQ(file.CanonicalBytes(),
            "latchkey-volume-file:1\nvolume_id:1:v\ncipher:11:AES-256-XTS\nrevision:2:12\ncurrent_dek:2:d1\n"
            "deks:1:1\ndek.id:2:d1\ndek.generation:1:3\ndek.created_at:1:t\ndek.wrapped:1:1\n"
            "wrapped.kek:1:k\nwrapped.nonce:2:nn\nwrapped.ciphertext:2:cc\nkeks:1:1\nkek:" +
                std::to_string(kek.LinkedBytes().size()) + ":" + kek.LinkedBytes() + "\nkek.link:2:ll\n");
  const SecretBytes key = HkdfSha256(deks_[0].bytes(), {}, "latchkey volume file mac", 32);
  EXPECT_EQ(file_.mac, HexEncode(HmacSha256(key, std::string_view(file_.CanonicalBytes()))));
}

TEST_F(VolumeFileTest, AnyChangeBreaksTheMac) {
  const auto changes = std::vector<std::function<void(VolumeFile&)>>{
      [](VolumeFile& f) { f.revision = 2; },
      [](VolumeFile& f) { f.cipher = "none"; },
      [](VolumeFile& f) { f.deks[0].generation = 2; },
      [](VolumeFile& f) { f.deks[0].created_at += "0"; },
      [](VolumeFile& f) { f.deks[0].wrapped[0].nonce = Base64Encode(std::vector<uint8_t>(12)); },
      [](VolumeFile& f) { f.deks[0].wrapped[0].ciphertext = Base64Encode(std::vector<uint8_t>(48)); },
      [](VolumeFile& f) { f.deks[0].wrapped.push_back(f.deks[0].wrapped[0]); },
      [](VolumeFile& f) { f.deks.push_back(f.deks[0]); },
      [](VolumeFile& f) { f.keks[0].root.uri += "0"; },
      [](VolumeFile& f) { f.keks[0].ciphertext = "AAAA"; },
      [](VolumeFile& f) { f.keks[0].link = std::string(64, '0'); },
      [](VolumeFile& f) { f.keks.clear(); },
      [](VolumeFile& f) { f.mac = std::string(64, '0'); },
      [](VolumeFile& f) { f.mac.clear(); },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    VolumeFile changed = file_;
    changes[i](changed);
    EXPECT_THAT(changed.Verify(deks_[0]), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("mac"))) << i;
  }
  VolumeFile renamed = file_;
  renamed.volume_id = "another";
  EXPECT_THAT(renamed.Verify(deks_[0]), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(file_.Verify(Dek::Generate(kVolume, 1, random_)), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("current")));
}

TEST_F(VolumeFileTest, OpenDeksSeesAFileThatWasChanged) {
  VolumeFile changed = file_;
  changed.revision = 9;
  EXPECT_THAT(OpenDeks(changed, *first_), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("mac")));
  VolumeFile broken = file_;
  broken.deks[0].wrapped[0].ciphertext = Base64Encode(std::vector<uint8_t>(48));
  EXPECT_THAT(OpenDeks(broken, *first_), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("does not open")));
  EXPECT_THAT(OpenDeks(file_, *second_), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(VolumeFileTest, ParseRefusesMalformedFieldsAndNamesThem) {
  const auto refuses = [&](std::string_view field, auto change) {
    EXPECT_THAT(ParseChanged(change),
                StatusIs(absl::StatusCode::kDataLoss, testing::AllOf(StartsWith("volume.json: "), HasSubstr(std::string(field)))));
  };
  const auto set = [](const char* name, json::value value) { return [name, value](json::object& o) { o[name] = value; }; };
  const auto drop = [](const char* name) { return [name](json::object& o) { o.erase(name); }; };
  for (const char* name : {"format", "volume_id", "cipher", "revision", "current_dek", "deks", "keks", "mac"}) {
    refuses(name, drop(name));
    refuses(name, set(name, nullptr));
    refuses(name, set(name, true));
  }
  refuses("format", set("format", 2));
  refuses("format", set("format", 0));
  refuses("volume_id", set("volume_id", "a/b"));
  refuses("volume_id", set("volume_id", json::string(65, 'a')));
  refuses("cipher", set("cipher", "AES-128-ECB"));
  refuses("revision", set("revision", 0));
  refuses("revision", set("revision", -1));
  refuses("revision", set("revision", 1.5));
  refuses("current_dek", set("current_dek", json::string(32, '0')));
  refuses("current_dek", set("current_dek", "abc"));
  refuses("mac", set("mac", json::string(63, '0')));
  refuses("mac", set("mac", json::string(64, 'G')));
  refuses("deks", set("deks", json::array{}));
  refuses("keks", set("keks", json::array{}));
  refuses("deks[0]", set("deks", json::array{1}));
  refuses("colour", set("colour", "red"));
}

TEST_F(VolumeFileTest, ParseRefusesMalformedDeks) {
  const auto refuses = [&](std::string_view field, auto change) {
    const auto changed = ParseChanged([&](json::object& o) { change(o["deks"].as_array()[0].as_object()); });
    EXPECT_THAT(changed, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("deks[0]." + std::string(field))));
  };
  refuses("id", [](json::object& d) { d["id"] = std::string(32, 'A'); });
  refuses("generation", [](json::object& d) { d["generation"] = 0; });
  refuses("generation", [](json::object& d) { d["generation"] = "1"; });
  refuses("created_at", [](json::object& d) { d["created_at"] = "yesterday"; });
  refuses("created_at", [](json::object& d) { d["created_at"] = "2026-01-02T03:04:05Z\n"; });
  refuses("wrapped", [](json::object& d) { d["wrapped"] = json::array{}; });
  refuses("wrapped", [](json::object& d) { d.erase("wrapped"); });
  refuses("wrapped[0]", [](json::object& d) { d["wrapped"] = json::array{"x"}; });
  refuses("wrapped[0].nonce", [](json::object& d) { d["wrapped"].as_array()[0].as_object()["nonce"] = "AA=="; });
  refuses("wrapped[0].kek", [](json::object& d) { d["wrapped"].as_array()[0].as_object()["kek"] = std::string(32, '0'); });
  refuses("wrapped[1].kek", [](json::object& d) { d["wrapped"].as_array().push_back(json::value(d["wrapped"].as_array()[0])); });
  refuses("extra", [](json::object& d) { d["extra"] = 1; });
}

TEST_F(VolumeFileTest, ParseRefusesDoubledAndUselessEntries) {
  const auto loss = [](std::string_view what) { return StatusIs(absl::StatusCode::kDataLoss, HasSubstr(std::string(what))); };
  EXPECT_THAT(ParseChanged([](json::object& o) { o["deks"].as_array().push_back(json::value(o["deks"].as_array()[0])); }),
              loss("deks[1].id"));
  EXPECT_THAT(ParseChanged([](json::object& o) {
                json::value second = o["deks"].as_array()[0];
                second.as_object()["id"] = std::string(32, '1');
                o["deks"].as_array().push_back(second);
              }),
              loss("deks[1].generation"));
  EXPECT_THAT(ParseChanged([](json::object& o) { o["keks"].as_array().push_back(json::value(o["keks"].as_array()[0])); }),
              loss("keks[1].id"));
  EXPECT_THAT(ParseChanged([&](json::object& o) { o["keks"].as_array().push_back(second_record_.ToJson()); }),
              loss("keks[1].id: wraps no DEK"));
  EXPECT_THAT(ParseChanged([](json::object& o) { o["keks"].as_array()[0].as_object()["ciphertext"] = "?"; }), loss("keks[0].ciphertext"));
}

TEST_F(VolumeFileTest, TheCurrentDekIsTheNewestOne) {
  const Dek newer = Dek::Generate(kVolume, 2, random_);
  LK_ASSERT_OK_AND_ASSIGN(VolumeFile two, RewrapToSecond(&newer));
  ASSERT_THAT(VolumeFile::Parse(two.Serialize()), IsOk());
  two.current_dek = two.deks[0].id;
  EXPECT_THAT(VolumeFile::Parse(two.Serialize()), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("current_dek")));
}

TEST_F(VolumeFileTest, ParseRefusesWhatIsNoJsonOrTooMuch) {
  const auto loss = StatusIs(absl::StatusCode::kDataLoss);
  EXPECT_THAT(VolumeFile::Parse(""), loss);
  EXPECT_THAT(VolumeFile::Parse("[]"), loss);
  EXPECT_THAT(VolumeFile::Parse("{}"), loss);
  EXPECT_THAT(VolumeFile::Parse(file_.Serialize() + "x"), loss);
  std::string doubled = file_.Serialize();
  doubled.insert(1, R"("revision":7,)");
  EXPECT_THAT(VolumeFile::Parse(doubled), loss);
  EXPECT_THAT(VolumeFile::Parse(file_.Serialize() + std::string(kMaxVolumeFileSize, ' ')),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("longer")));
  for (size_t cut = 0; cut + 2 < file_.Serialize().size(); cut += 7) EXPECT_THAT(VolumeFile::Parse(file_.Serialize().substr(0, cut)), loss);
}

TEST_F(VolumeFileTest, BoundsHoldForDeksWrappingsAndKeks) {
  VolumeFile many = file_;
  const auto add_dek = [&] {
    VolumeDek dek = many.deks.back();
    ++dek.generation;
    dek.id = RandomHex(random_, 16);
    many.deks.push_back(dek);
    many.current_dek = dek.id;
  };
  while (many.deks.size() < kMaxVolumeDeks) add_dek();
  EXPECT_THAT(VolumeFile::Parse(many.Serialize()), IsOk());
  add_dek();
  EXPECT_THAT(VolumeFile::Parse(many.Serialize()), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("deks: must have 1 to 64")));

  VolumeFile wrapped = file_;
  const auto add_wrapping = [](VolumeFile& file, VolumeDek& dek, Random& random) {
    WrappedKek kek = file.keks.back();
    kek.id = RandomHex(random, 16);
    WrappedDek by_it = dek.wrapped.back();
    by_it.kek_id = kek.id;
    file.keks.push_back(kek);
    dek.wrapped.push_back(by_it);
  };
  while (wrapped.deks[0].wrapped.size() < kMaxWrappingsPerDek) add_wrapping(wrapped, wrapped.deks[0], random_);
  EXPECT_THAT(VolumeFile::Parse(wrapped.Serialize()), IsOk());
  VolumeFile one_too_many = wrapped;
  add_wrapping(one_too_many, one_too_many.deks[0], random_);
  EXPECT_THAT(VolumeFile::Parse(one_too_many.Serialize()), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("wrapped: must have 1 to 16")));

  VolumeFile keks = many;
  keks.deks.pop_back();
  keks.current_dek = keks.deks.back().id;
  for (size_t i = 1; i < keks.deks.size(); ++i) {
    keks.deks[i].wrapped = file_.deks[0].wrapped;
    add_wrapping(keks, keks.deks[i], random_);
  }
  ASSERT_EQ(keks.keks.size(), kMaxVolumeKeks);
  EXPECT_THAT(VolumeFile::Parse(keks.Serialize()), IsOk());
  add_wrapping(keks, keks.deks[1], random_);
  EXPECT_THAT(VolumeFile::Parse(keks.Serialize()), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("keks: must have 1 to 64")));
}

// Whatever byte is changed: the file is refused, or its MAC is wrong, or it says the same as before (a line end turned into a blank).
TEST_F(VolumeFileTest, NoChangedByteGoesUnnoticed) {
  const Dek newer = Dek::Generate(kVolume, 2, random_);
  LK_ASSERT_OK_AND_ASSIGN(const VolumeFile file, RewrapToSecond(&newer));
  const std::string text = file.Serialize();
  for (size_t at = 0; at < text.size(); ++at) {
    for (const int change : {0x01, 0x20, 0x80, 0xff}) {
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ change);
      const auto read = VolumeFile::Parse(changed);
      if (!read.ok() || *read == file) continue;
      EXPECT_THAT(OpenDeks(*read, *second_), Not(IsOk())) << at << " " << change;
    }
  }
}

TEST_F(VolumeFileTest, IsStoredAndLoaded) {
  const TempFolder folder;
  EXPECT_THAT(VolumeFile::Load(folder.path()), StatusIs(absl::StatusCode::kNotFound));
  LK_ASSERT_OK(file_.Store(folder.path()));
  LK_ASSERT_OK_AND_ASSIGN(const VolumeFile loaded, VolumeFile::Load(folder.path()));
  EXPECT_EQ(loaded, file_);
  struct stat facts = {};
  ASSERT_EQ(stat((folder / kVolumeFileName).c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0600u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1) << "nothing is left beside it";
  EXPECT_THAT(file_.Store(folder / "missing"), Not(IsOk()));
}

TEST_F(VolumeFileTest, NeverReplacesAGoodFileByOneThatCannotBeRead) {
  const TempFolder folder;
  LK_ASSERT_OK(file_.Store(folder.path()));
  VolumeFile bad = file_;
  bad.mac.clear();
  EXPECT_THAT(bad.Store(folder.path()), StatusIs(absl::StatusCode::kInternal, HasSubstr("mac")));
  bad = file_;
  bad.keks.clear();
  EXPECT_THAT(bad.Store(folder.path()), StatusIs(absl::StatusCode::kInternal));
  LK_ASSERT_OK_AND_ASSIGN(const VolumeFile loaded, VolumeFile::Load(folder.path()));
  EXPECT_EQ(loaded, file_);
}

TEST_F(VolumeFileTest, LoadingBoundsWhatItReads) {
  const TempFolder folder;
  std::ofstream(folder / kVolumeFileName) << std::string(kMaxVolumeFileSize + 1, ' ');
  EXPECT_THAT(VolumeFile::Load(folder.path()), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("longer")));
}

}  // namespace
}  // namespace latchkey
