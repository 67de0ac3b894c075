#include "keys/kek.h"

#include "base/encoding.h"
#include "base/testing.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "keys/testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

const RootKey kRoot = {.type = "AWS_KMS",
                       .uri = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                       .auth_principal = "arn:aws:iam::111122223333:role/latchkey",
                       .external_id = "3f0b6c1e-1111-4222-8333-444455556666"};

KekContext ContextOf(int64_t generation) {
  return {.organization = "3f0b6c1e-1111-4222-8333-444455556666",
          .cluster = "7a0b6c1e-1111-4222-8333-444455556666",
          .region = "us-east-1",
          .generation = generation};
}

Kek TestKek(uint8_t fill, KekContext context = ContextOf(1)) {
  SecretBytes bytes(kKekSize);
  for (uint8_t& b : bytes.RevealMutable(SecretAccess{})) b = fill;
  return *Kek::FromBytes(std::move(bytes), std::move(context));
}

class KekTest : public testing::Test {
 protected:
  absl::StatusOr<WrappedKek> Mint(int64_t generation, const Kek* previous) {
    return MintKek(kms_, kRoot, ContextOf(generation), previous, random_, clock_);
  }
  absl::StatusOr<Kek> Unwrap(const WrappedKek& record) { return UnwrapKek(kms_, record, kRoot, {}); }

  FakeKms* fake_ = nullptr;
  KmsSet kms_ = SetOf(std::make_unique<FakeKms>(), &fake_);
  FakeRandom random_;
  FakeClock clock_;
};

void ExpectCorrupt(const absl::Status& status) {
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(FailureClassOf(status), FailureClass::kCorrupt);
}

TEST_F(KekTest, HasAnIdThatItsBytesAndItsContextDecide) {
  const Kek kek = TestKek(1);
  // HKDF written out, so that no change of ours can move the ids of keys that are stored.
  const Sha256Digest prk = HmacSha256(std::span<const uint8_t>(std::array<uint8_t, 32>{}), kek.bytes().Reveal(SecretAccess{}));
  const std::string info =
      "latchkey kek id\n"
      "latchkey:cluster=7a0b6c1e-1111-4222-8333-444455556666\n"
      "latchkey:generation=1\n"
      "latchkey:organization=3f0b6c1e-1111-4222-8333-444455556666\n"
      "latchkey:region=us-east-1\n"
      "\x01";
  const Sha256Digest okm = HmacSha256(std::span<const uint8_t>(prk), AsBytes(info));
  EXPECT_EQ(kek.id(), HexEncode(std::span<const uint8_t>(okm).first(16)));

  KekContext other = ContextOf(1);
  other.region = "eu-west-1";
  EXPECT_NE(TestKek(1, other).id(), kek.id());
  EXPECT_NE(TestKek(1, ContextOf(2)).id(), kek.id());
  EXPECT_NE(TestKek(2).id(), kek.id());
}

TEST_F(KekTest, RefusesOtherLengthsAndContextsThatCouldForgeALine) {
  EXPECT_THAT(Kek::FromBytes(SecretBytes(31), ContextOf(1)), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Kek::FromBytes(SecretBytes(), ContextOf(1)), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Kek::FromBytes(SecretBytes(32), ContextOf(0)), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("generation")));
  KekContext forged = ContextOf(1);
  forged.cluster = "a\nlatchkey:generation=2";
  EXPECT_THAT(Kek::FromBytes(SecretBytes(32), forged), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cluster")));
  KekContext empty = ContextOf(1);
  empty.organization.clear();
  EXPECT_THAT(Kek::FromBytes(SecretBytes(32), empty), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("organization")));
  KekContext longer = ContextOf(1);
  longer.region = std::string(257, 'r');
  EXPECT_THAT(Kek::FromBytes(SecretBytes(32), longer), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("region")));
}

TEST_F(KekTest, BindsFourPairsIntoTheCall) {
  EXPECT_EQ(ToKmsContext(ContextOf(7)), (KmsContext{{"latchkey:organization", "3f0b6c1e-1111-4222-8333-444455556666"},
                                                    {"latchkey:cluster", "7a0b6c1e-1111-4222-8333-444455556666"},
                                                    {"latchkey:region", "us-east-1"},
                                                    {"latchkey:generation", "7"}}));
}

TEST_F(KekTest, IsMintedAndUnwrapped) {
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek record, Mint(1, nullptr));
  EXPECT_EQ(record.context, ContextOf(1));
  EXPECT_EQ(record.root, kRoot);
  EXPECT_EQ(record.key_version, "1");
  EXPECT_EQ(record.created_at, latchkey::FormatTime(clock_.Now()));
  EXPECT_FALSE(record.previous.has_value());
  EXPECT_EQ(record.link, "");
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek read, WrappedKek::FromJson(record.ToJson(), ""));
  EXPECT_EQ(read, record);

  LK_ASSERT_OK_AND_ASSIGN(const Kek kek, Unwrap(record));
  EXPECT_EQ(kek.id(), record.id);
  EXPECT_EQ(kek.context(), ContextOf(1));
}

TEST_F(KekTest, TwoMintsGiveTwoKeys) {
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek one, Mint(1, nullptr));
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek two, Mint(1, nullptr));
  EXPECT_NE(one.id, two.id);
}

TEST_F(KekTest, MintingUnwrapsOnAFreshConnection) {
  LK_ASSERT_OK(Mint(1, nullptr));
  EXPECT_EQ(fake_->fresh_calls(), (std::vector<bool>{false, true}));
}

TEST_F(KekTest, MintingNeedsThePreviousKekOfTheSameRegion) {
  const Kek first = TestKek(1);
  KekContext elsewhere = ContextOf(1);
  elsewhere.region = "eu-west-1";
  const Kek foreign = TestKek(1, elsewhere);
  EXPECT_THAT(Mint(0, nullptr), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Mint(2, nullptr), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("previous")));
  EXPECT_THAT(Mint(3, &first), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("generation 2")));
  EXPECT_THAT(Mint(2, &foreign), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Mint(1, &first), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(fake_->calls(), 0u) << "the KMS was asked before the arguments were checked";
}

TEST_F(KekTest, MintingKeepsTheClassOfTheKmsFailureAndWipesTheKey) {
  const size_t before = SecretArena::BytesInUse();
  fake_->Fail(kRoot.uri, FailureClass::kDisabled);
  const auto refused = Mint(1, nullptr);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(FailureClassOf(refused.status()), FailureClass::kDisabled);

  fake_->Fail(kRoot.uri, std::nullopt);
  int calls = 0;
  fake_->OnCall([&] {
    if (++calls == 2) fake_->Fail(kRoot.uri, FailureClass::kUnreachable);
  });
  EXPECT_EQ(FailureClassOf(Mint(1, nullptr).status()), FailureClass::kUnreachable) << "a KEK that was never unwrapped must not be used";
  EXPECT_EQ(SecretArena::BytesInUse(), before);
}

TEST_F(KekTest, MintingLeavesNoSecretBehind) {
  const Kek first = TestKek(1);
  const size_t before = SecretArena::BytesInUse();
  LK_ASSERT_OK(Mint(2, &first));
  EXPECT_EQ(SecretArena::BytesInUse(), before);
}

TEST_F(KekTest, MintingSeesAKmsThatUnwrapsOtherBytes) {
  for (const auto vice : {CorruptKms::kFlipsABit, CorruptKms::kCutsShort, CorruptKms::kReturnsNothing}) {
    const KmsSet kms = SetOf(std::make_unique<CorruptKms>(vice));
    ExpectCorrupt(MintKek(kms, kRoot, ContextOf(1), nullptr, random_, clock_).status());
  }
}

TEST_F(KekTest, MintingRefusesAnAnswerThatNobodyCouldStore) {
  class VerboseKms : public FakeKms {
   public:
    absl::StatusOr<KmsWrapped> Wrap(const RootKey& key, const SecretBytes& plaintext, const KmsContext& context,
                                    const KmsCall& call) override {
      ASSIGN_OR_RETURN(KmsWrapped wrapped, FakeKms::Wrap(key, plaintext, context, call));
      wrapped.key_version = std::string(5000, 'v');
      return wrapped;
    }
  };
  const KmsSet kms = SetOf(std::make_unique<VerboseKms>());
  ExpectCorrupt(MintKek(kms, kRoot, ContextOf(1), nullptr, random_, clock_).status());
}

TEST_F(KekTest, AnotherRootKeyIsRefusedBeforeTheKmsIsAsked) {
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek record, Mint(1, nullptr));
  const size_t calls = fake_->calls();
  std::vector<RootKey> others(4, kRoot);
  others[0].type = "LOCAL";
  others[1].uri += "0";
  others[2].auth_principal.clear();
  others[3].external_id = "another";
  for (const RootKey& other : others) {
    const auto refused = UnwrapKek(kms_, record, other, {});
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("root")));
    EXPECT_EQ(FailureClassOf(refused.status()), std::nullopt);
  }
  EXPECT_EQ(fake_->calls(), calls);
}

TEST_F(KekTest, ATypeWithoutProviderIsUnsuitable) {
  RootKey azure = kRoot;
  azure.type = "AZURE_KEY_VAULT";
  EXPECT_EQ(FailureClassOf(MintKek(kms_, azure, ContextOf(1), nullptr, random_, clock_).status()), FailureClass::kUnsuitable);
}

TEST_F(KekTest, UnwrappingPassesTheCallOnAndKeepsTheClass) {
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek record, Mint(1, nullptr));
  LK_ASSERT_OK(UnwrapKek(kms_, record, kRoot, KmsCall{.fresh = true}));
  LK_ASSERT_OK(UnwrapKek(kms_, record, kRoot, KmsCall{.fresh = false}));
  EXPECT_EQ(fake_->fresh_calls(), (std::vector<bool>{false, true, true, false}));

  const KmsSet refusing = SetOf(std::make_unique<RefusingKms>(FailureClass::kPendingDeletion));
  EXPECT_EQ(FailureClassOf(UnwrapKek(refusing, record, kRoot, {}).status()), FailureClass::kPendingDeletion);
  const KmsSet silent = SetOf(std::make_unique<SilentKms>());
  EXPECT_EQ(FailureClassOf(UnwrapKek(silent, record, kRoot, {}).status()), FailureClass::kUnreachable);
}

TEST_F(KekTest, AnythingUnexpectedIsCorrupt) {
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek record, Mint(1, nullptr));
  for (const auto vice : {CorruptKms::kFlipsABit, CorruptKms::kCutsShort, CorruptKms::kReturnsNothing}) {
    const KmsSet kms = SetOf(std::make_unique<CorruptKms>(vice));
    ExpectCorrupt(UnwrapKek(kms, record, kRoot, {}).status());
  }
  WrappedKek other_id = record;
  other_id.id[0] = other_id.id[0] == '0' ? '1' : '0';
  ExpectCorrupt(Unwrap(other_id).status());
  WrappedKek no_base64 = record;
  no_base64.ciphertext = "!";
  ExpectCorrupt(Unwrap(no_base64).status());
  no_base64.ciphertext.clear();
  ExpectCorrupt(Unwrap(no_base64).status());
}

// What a KMS without a context of its own would do: only the id tells that the record's context was changed.
TEST_F(KekTest, AChangedContextIsCorruptEvenWhereTheKmsDoesNotBindIt) {
  const KmsSet kms = SetOf(std::make_unique<CorruptKms>(CorruptKms::kIgnoresTheContext));
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek record, MintKek(kms, kRoot, ContextOf(1), nullptr, random_, clock_));
  LK_ASSERT_OK(UnwrapKek(kms, record, kRoot, {}));
  std::vector<WrappedKek> changed(5, record);
  changed[0].context.organization = "x";
  changed[1].context.cluster = "x";
  changed[2].context.region = "x";
  changed[3].context.generation = 2;
  changed[4].context.region = "x\ny";
  for (const WrappedKek& other : changed) ExpectCorrupt(UnwrapKek(kms, other, kRoot, {}).status());
}

class KekChainTest : public KekTest {
 protected:
  void SetUp() override {
    LK_ASSERT_OK_AND_ASSIGN(first_record_, Mint(1, nullptr));
    LK_ASSERT_OK_AND_ASSIGN(first_, Unwrap(first_record_));
    LK_ASSERT_OK_AND_ASSIGN(second_record_, Mint(2, &*first_));
    LK_ASSERT_OK_AND_ASSIGN(second_, Unwrap(second_record_));
  }
  WrappedKek first_record_, second_record_;
  std::optional<Kek> first_, second_;
};

TEST_F(KekChainTest, TheNewerOpensTheOlder) {
  LK_ASSERT_OK_AND_ASSIGN(const Kek opened, OpenPrevious(*second_, second_record_));
  EXPECT_EQ(opened.id(), first_->id());
  EXPECT_EQ(opened.context(), ContextOf(1));
  EXPECT_TRUE(opened.bytes().Equals(first_->bytes()));
}

TEST_F(KekChainTest, TheSealIsBoundToBothIds) {
  LK_ASSERT_OK_AND_ASSIGN(const auto nonce, Base64Decode(second_record_.previous->nonce));
  LK_ASSERT_OK_AND_ASSIGN(const auto sealed, Base64Decode(second_record_.previous->ciphertext));
  const std::string aad = "latchkey kek previous\n" + second_->id() + "\n" + first_->id();
  LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, GcmOpen(second_->bytes(), nonce, aad, sealed));
  EXPECT_TRUE(opened.Equals(first_->bytes()));
}

TEST_F(KekChainTest, EachSealHasANonceOfItsOwn) {
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek again, Mint(2, &*first_));
  EXPECT_NE(again.previous->nonce, second_record_.previous->nonce);
}

TEST_F(KekChainTest, WithoutAPreviousKekThereIsNothingToOpen) {
  EXPECT_THAT(OpenPrevious(*first_, first_record_), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(KekChainTest, AChangedSealDoesNotOpen) {
  const auto open = [&](auto change) {
    WrappedKek record = second_record_;
    change(record);
    return OpenPrevious(*second_, record);
  };
  const auto loss = StatusIs(absl::StatusCode::kDataLoss);
  EXPECT_THAT(open([](WrappedKek& r) { r.previous->id = std::string(32, '0'); }), loss);
  EXPECT_THAT(open([](WrappedKek& r) { r.previous->nonce = Base64Encode(std::vector<uint8_t>(12)); }), loss);
  EXPECT_THAT(open([](WrappedKek& r) { r.previous->nonce = "AAAA"; }), loss);
  EXPECT_THAT(open([](WrappedKek& r) { r.previous->ciphertext = Base64Encode(std::vector<uint8_t>(48)); }), loss);
  EXPECT_THAT(open([](WrappedKek& r) { r.previous->ciphertext = "?"; }), loss);
  EXPECT_THAT(open([](WrappedKek& r) { r.id = std::string(32, '0'); }), loss);
  EXPECT_THAT(open([](WrappedKek& r) { r.context.generation = 3; }), loss);
  EXPECT_THAT(OpenPrevious(*first_, second_record_), loss);
}

// Whoever mints might seal another key than it names.
TEST_F(KekChainTest, AnotherKeyUnderTheSealIsSeen) {
  const std::vector<uint8_t> nonce(12, 7);
  const Kek impostor = TestKek(9);
  LK_ASSERT_OK_AND_ASSIGN(const auto sealed,
                          GcmSeal(second_->bytes(), nonce, "latchkey kek previous\n" + second_->id() + "\n" + first_->id(),
                                  impostor.bytes().Reveal(SecretAccess{})));
  WrappedKek record = second_record_;
  record.previous->nonce = Base64Encode(nonce);
  record.previous->ciphertext = Base64Encode(sealed);
  EXPECT_THAT(OpenPrevious(*second_, record), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("is not KEK")));
}

TEST_F(KekChainTest, TheLinkIsTheMacOfTheRecordUnderTheOlderKek) {
  EXPECT_THAT(VerifyLink(*first_, second_record_), IsOk());
  const SecretBytes key = HkdfSha256(first_->bytes(), {}, "latchkey kek link", 32);
  EXPECT_EQ(second_record_.link, HexEncode(HmacSha256(key, std::string_view(second_record_.LinkedBytes()))));
}

TEST_F(KekChainTest, AKekThatSomebodySlippedInHasNoLink) {
  const auto verify = [&](auto change) {
    WrappedKek record = second_record_;
    change(record);
    return VerifyLink(*first_, record);
  };
  const auto loss = StatusIs(absl::StatusCode::kDataLoss);
  EXPECT_THAT(verify([](WrappedKek& r) { r.link.clear(); }), loss);
  EXPECT_THAT(verify([](WrappedKek& r) { r.link = std::string(64, '0'); }), loss);
  EXPECT_THAT(verify([](WrappedKek& r) { r.link.resize(62); }), loss);
  EXPECT_THAT(verify([](WrappedKek& r) { r.link = "zz"; }), loss);
  EXPECT_THAT(verify([](WrappedKek& r) { r.ciphertext = "AAAA"; }), loss);
  EXPECT_THAT(verify([](WrappedKek& r) { r.root.uri += "0"; }), loss);
  EXPECT_THAT(verify([](WrappedKek& r) { r.id = std::string(32, '0'); }), loss);
  EXPECT_THAT(verify([](WrappedKek& r) { r.created_at += "0"; }), loss);
  EXPECT_THAT(verify([](WrappedKek& r) { r.previous.reset(); }), loss);
  EXPECT_THAT(verify([](WrappedKek& r) { r.context.generation = 3; }), loss);
  EXPECT_THAT(verify([](WrappedKek& r) { r.context.region = "eu-west-1"; }), loss);

  const Kek stranger = TestKek(9);
  LK_ASSERT_OK_AND_ASSIGN(const WrappedKek slipped_in, Mint(2, &stranger));
  EXPECT_THAT(VerifyLink(*first_, slipped_in), loss);
}

}  // namespace
}  // namespace latchkey
