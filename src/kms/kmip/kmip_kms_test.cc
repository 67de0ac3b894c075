#include "kms/kmip/kmip_kms.h"

#include "base/testing.h"
#include "kms/kmip/kmip_testing.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

const KmsContext kContext = {{"latchkey:cluster", "c-1"}, {"latchkey:generation", "1"}};
const KmsContext kOtherContext = {{"latchkey:cluster", "c-2"}, {"latchkey:generation", "1"}};

testing::Matcher<const absl::Status&> HasClass(FailureClass c) {
  return testing::ResultOf("failure class", [](const absl::Status& s) { return FailureClassOf(s); }, testing::Optional(c));
}

// One server for all tests of this file: it takes a second to start.
class KmipKmsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = std::make_unique<PyKmip>(); }
  static void TearDownTestSuite() { server_.reset(); }

  static std::unique_ptr<Kms> Make(KmipConnection connection) {
    return NewKmipKms({{"test", std::move(connection)}}, {.first_backoff = absl::Milliseconds(1)});
  }
  static SecretBytes Plain() { return SecretBytes::CopyOf(std::string_view("thirty-two bytes that are a key!")); }
  KmsWrapped Wrapped(const RootKey& key) {
    auto wrapped = kms_->Wrap(key, Plain(), kContext, {});
    EXPECT_THAT(wrapped, IsOk());
    return wrapped.value_or(KmsWrapped{});
  }
  absl::Status Unwrap(const RootKey& key, const KmsWrapped& wrapped, const KmsContext& context = kContext, const KmsCall& call = {}) {
    return kms_->Unwrap(key, wrapped, context, call).status();
  }

  static std::unique_ptr<PyKmip> server_;
  std::unique_ptr<Kms> kms_ = Make(server_->connection());
};
std::unique_ptr<PyKmip> KmipKmsTest::server_;

TEST_F(KmipKmsTest, UnwrapsWhatItWrappedUnderTheSameContextOnly) {
  const RootKey key = server_->NewKey("test");
  const KmsWrapped wrapped = Wrapped(key);
  EXPECT_EQ(wrapped.ciphertext.size(), 1U + 12 + 32 + 16);
  LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, kms_->Unwrap(key, wrapped, kContext, {}));
  EXPECT_TRUE(opened.Equals(Plain()));
  LK_EXPECT_OK(Unwrap(key, wrapped, kContext, {.fresh = true}));
  EXPECT_THAT(Unwrap(key, wrapped, kOtherContext), HasClass(FailureClass::kCorrupt));
}

TEST_F(KmipKmsTest, FindsEveryChangedByteOfTheWrappedKey) {
  const RootKey key = server_->NewKey("test");
  const KmsWrapped wrapped = Wrapped(key);
  for (const size_t at : {size_t{0}, size_t{1}, size_t{13}, size_t{44}, size_t{45}, size_t{60}}) {
    KmsWrapped changed = wrapped;
    changed.ciphertext[at] ^= 1;
    EXPECT_THAT(Unwrap(key, changed), HasClass(FailureClass::kCorrupt)) << at;
  }
  KmsWrapped shorter = wrapped;
  shorter.ciphertext.pop_back();
  EXPECT_THAT(Unwrap(key, shorter), HasClass(FailureClass::kCorrupt));
  EXPECT_THAT(Unwrap(key, {.ciphertext = {}}), HasClass(FailureClass::kCorrupt));
  EXPECT_THAT(Unwrap(server_->NewKey("test"), wrapped), HasClass(FailureClass::kCorrupt));
}

TEST_F(KmipKmsTest, TakesANewNonceEachTime) {
  const RootKey key = server_->NewKey("test");
  EXPECT_NE(Wrapped(key).ciphertext, Wrapped(key).ciphertext);
}

TEST_F(KmipKmsTest, WrapsAsMuchAsEveryTypeMust) {
  const RootKey key = server_->NewKey("test");
  const SecretBytes most(190);
  LK_ASSERT_OK_AND_ASSIGN(const KmsWrapped wrapped, kms_->Wrap(key, most, kContext, {}));
  LK_ASSERT_OK_AND_ASSIGN(const SecretBytes opened, kms_->Unwrap(key, wrapped, kContext, {}));
  EXPECT_TRUE(opened.Equals(most));
  EXPECT_THAT(kms_->Wrap(key, SecretBytes(191), kContext, {}).status(), HasClass(FailureClass::kUnsuitable));
  EXPECT_THAT(kms_->Wrap(key, SecretBytes(), kContext, {}).status(), HasClass(FailureClass::kUnsuitable));
}

TEST_F(KmipKmsTest, DescribesAnActiveKey) {
  const RootKey key = server_->NewKey("test");
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(key, {}));
  EXPECT_EQ(description.resolved_uri, key.uri);
  EXPECT_EQ(description.state, "Active");
  EXPECT_TRUE(description.usable);
  EXPECT_EQ(description.failure, std::nullopt);
  EXPECT_EQ(description.key_version, "");
  EXPECT_EQ(description.protection_level, "");
}

TEST_F(KmipKmsTest, PassesTheWholeKeyTest) {
  KmsSet set;
  set.Add(Make(server_->connection()));
  std::vector<KeyTestStep> steps;
  LK_EXPECT_OK(TestKey(set, server_->NewKey("test"), kContext, &steps));
  EXPECT_EQ(steps.size(), 5U);
}

TEST_F(KmipKmsTest, TakesAPreActiveKeyForDisabledUntilItIsActivated) {
  const RootKey key = server_->NewPreActiveKey("test");
  const absl::Status status = kms_->Wrap(key, Plain(), kContext, {}).status();
  EXPECT_THAT(status, HasClass(FailureClass::kDisabled));
  EXPECT_THAT(std::string(status.message()), HasSubstr("must be in the Active state"));
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(key, {}));
  EXPECT_EQ(description.state, "Pre-Active");
  EXPECT_EQ(description.failure, FailureClass::kDisabled);
}

TEST_F(KmipKmsTest, TakesARevokedKeyForDisabledAndADestroyedOneForDestroyed) {
  const RootKey key = server_->NewKey("test");
  const KmsWrapped wrapped = Wrapped(key);
  server_->Revoke(key);
  EXPECT_THAT(Unwrap(key, wrapped), HasClass(FailureClass::kDisabled));
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(key, {}));
  EXPECT_EQ(description.state, "Deactivated");
  EXPECT_FALSE(description.usable);
  EXPECT_EQ(description.failure, FailureClass::kDisabled);
  server_->Destroy(key);
  EXPECT_THAT(Unwrap(key, wrapped), HasClass(FailureClass::kDestroyed));
  EXPECT_THAT(kms_->Describe(key, {}).status(), HasClass(FailureClass::kDestroyed));
}

TEST_F(KmipKmsTest, TakesACompromisedKeyForDisabled) {
  const RootKey key = server_->NewKey("test");
  const KmsWrapped wrapped = Wrapped(key);
  server_->Revoke(key, kKmipKeyCompromise);
  EXPECT_THAT(Unwrap(key, wrapped), HasClass(FailureClass::kDisabled));
  EXPECT_EQ(kms_->Describe(key, {})->state, "Compromised");
}

TEST_F(KmipKmsTest, IsDeniedWhileTheOwnersPolicySaysSoAndNoLonger) {
  const RootKey key = server_->NewKey("test");
  const KmsWrapped wrapped = Wrapped(key);
  server_->Deny();
  const absl::Status status = Unwrap(key, wrapped);
  EXPECT_THAT(status, HasClass(FailureClass::kDenied));
  EXPECT_THAT(std::string(status.message()), HasSubstr("KMIP Decrypt"));
  EXPECT_THAT(kms_->Wrap(key, Plain(), kContext, {.fresh = true}).status(), HasClass(FailureClass::kDenied));
  server_->Allow();
  LK_EXPECT_OK(Unwrap(key, wrapped));
}

TEST_F(KmipKmsTest, IsDeniedAKeyThatItsOwnerAloneMayUse) {
  // The server's default policy: everything is the owner's.
  const RootKey key = server_->NewKey("test", {.policy = ""});
  EXPECT_THAT(kms_->Describe(key, {}).status(), HasClass(FailureClass::kDenied));
  EXPECT_THAT(kms_->Wrap(key, Plain(), kContext, {}).status(), HasClass(FailureClass::kDenied));
  const auto as_owner = Make(server_->owner_connection());
  LK_EXPECT_OK(as_owner->Wrap(key, Plain(), kContext, {}));
}

TEST_F(KmipKmsTest, RefusesKeysOfAnotherKind) {
  const RootKey shorter = server_->NewKey("test", {.bits = 128, .policy = "latchkey"});
  LK_ASSERT_OK_AND_ASSIGN(const KeyDescription description, kms_->Describe(shorter, {}));
  EXPECT_EQ(description.failure, FailureClass::kUnsuitable);
  EXPECT_THAT(description.unusable_because, HasSubstr("128 bits"));

  const RootKey decrypt_only = server_->NewKey("test", {.usage_mask = kmip::kUsageDecrypt, .policy = "latchkey"});
  EXPECT_EQ(kms_->Describe(decrypt_only, {})->failure, FailureClass::kUnsuitable);
  EXPECT_THAT(kms_->Wrap(decrypt_only, Plain(), kContext, {}).status(), HasClass(FailureClass::kUnsuitable));
}

TEST_F(KmipKmsTest, TakesAKeyThatNeverWasForDestroyed) {
  EXPECT_THAT(kms_->Describe({.type = "KMIP", .uri = "kmip://test/999999"}, {}).status(), HasClass(FailureClass::kDestroyed));
}

TEST_F(KmipKmsTest, IsUnreachableWhileTheServerIsDownAndBackWithoutHelp) {
  const RootKey key = server_->NewKey("test");
  const KmsWrapped wrapped = Wrapped(key);
  server_->Stop();
  EXPECT_THAT(Unwrap(key, wrapped), HasClass(FailureClass::kUnreachable));
  server_->Start();
  LK_EXPECT_OK(Unwrap(key, wrapped));
  // With a connection kept that has ended meanwhile.
  server_->Stop();
  server_->Start();
  LK_EXPECT_OK(Unwrap(key, wrapped));
}

TEST_F(KmipKmsTest, RefusesAServerThatIsNotTheOneExpected) {
  KmipConnection connection = server_->connection();
  connection.server_name = "kmip.example";
  const RootKey key = server_->NewKey("test");
  absl::Status status = Make(connection)->Describe(key, {}).status();
  EXPECT_THAT(status, HasClass(FailureClass::kUnreachable));
  EXPECT_THAT(std::string(status.message()), HasSubstr("certificate is not accepted"));

  const auto other = NewCa("another ca", absl::Now(), absl::Hours(1));
  connection = server_->connection();
  connection.ca_file = server_->folder() / "other-ca.pem";
  LK_ASSERT_OK(WriteFileAtomically(connection.ca_file, other->certificate_pem));
  status = Make(connection)->Describe(key, {}).status();
  EXPECT_THAT(status, HasClass(FailureClass::kUnreachable));
  EXPECT_THAT(std::string(status.message()), HasSubstr("certificate is not accepted"));
}

TEST_F(KmipKmsTest, TakesARefusedCertificateForTroubleOfItsOwn) {
  const RootKey key = server_->NewKey("test");
  const auto other = NewCa("another ca", absl::Now(), absl::Hours(1));
  const auto stranger = IssueNew(*other, {.common_name = "latchkey", .for_client = true, .now = absl::Now(), .valid = absl::Hours(1)});
  LK_ASSERT_OK(WriteFileAtomically(server_->folder() / "stranger.pem", stranger->certificate_pem));
  LK_ASSERT_OK(WriteFileAtomically(server_->folder() / "stranger.key", stranger->private_key_pem));
  absl::Status status = Make(server_->As("stranger"))->Describe(key, {}).status();
  EXPECT_THAT(status, HasClass(FailureClass::kIdentity));
  EXPECT_THAT(std::string(status.message()), HasSubstr("refuses the TLS connection"));
}

TEST_F(KmipKmsTest, TakesTheServersOwnRefusalOfACertificateForItsOwnersNo) {
  const RootKey key = server_->NewKey("test");
  // PyKMIP wants certificates that are marked for clients, and looks at that only when a request comes.
  server_->Issue("unmarked", {.common_name = "latchkey"});
  const absl::Status status = Make(server_->As("unmarked"))->Describe(key, {}).status();
  EXPECT_THAT(status, HasClass(FailureClass::kDenied));
  EXPECT_THAT(std::string(status.message()), HasSubstr("Authentication Not Successful"));
}

TEST_F(KmipKmsTest, NamesTheFileThatItCannotUse) {
  const RootKey key = server_->NewKey("test");
  const auto describe = [&](const KmipConnection& connection) { return Make(connection)->Describe(key, {}).status(); };
  KmipConnection connection = server_->connection();
  connection.client_certificate_file = server_->folder() / "nowhere";
  EXPECT_THAT(describe(connection), HasClass(FailureClass::kIdentity));
  EXPECT_THAT(std::string(describe(connection).message()), HasSubstr("client_certificate_file"));

  connection = server_->connection();
  connection.client_key_file = server_->folder() / "owner.key";
  EXPECT_THAT(std::string(describe(connection).message()), HasSubstr("does not belong to client_certificate_file"));
  LK_ASSERT_OK(WriteFileAtomically(server_->folder() / "open.key", ReadFile(server_->connection().client_key_file).value(), 0640));
  connection.client_key_file = server_->folder() / "open.key";
  EXPECT_THAT(describe(connection), HasClass(FailureClass::kIdentity));
  EXPECT_THAT(std::string(describe(connection).message()), HasSubstr("0600"));

  connection = server_->connection();
  connection.ca_file = server_->folder() / "nowhere";
  EXPECT_THAT(describe(connection), HasClass(FailureClass::kUnreachable));
  EXPECT_THAT(std::string(describe(connection).message()), HasSubstr("ca_file"));
}

TEST_F(KmipKmsTest, ChecksTheFormOfNames) {
  LK_EXPECT_OK(kms_->Check({.type = "KMIP", .uri = "kmip://test/7f5a:1"}));
  for (const char* uri :
       {"", "kmip://test", "kmip://test/", "kmip:///1", "kmip://test/a/b", "kmip://test/a b", "kmip://other/1", "http://test/1"}) {
    const absl::Status status = kms_->Check({.type = "KMIP", .uri = uri});
    EXPECT_THAT(status, HasClass(FailureClass::kUnsuitable)) << uri;
    EXPECT_THAT(std::string(status.message()), HasSubstr("uri: "));
  }
  const absl::Status status = kms_->Check({.type = "KMIP", .uri = "kmip://test/1", .auth_principal = "x"});
  EXPECT_THAT(status, HasClass(FailureClass::kUnsuitable));
  EXPECT_THAT(std::string(status.message()), HasSubstr("auth_principal: "));
}

TEST(KmipConnectionTest, NamesTheFieldThatIsWrong) {
  const KmipConnection good{.host = "kmip.example", .ca_file = "/ca", .client_certificate_file = "/c", .client_key_file = "/k"};
  LK_EXPECT_OK(CheckKmipConnection(good));
  const auto with = [&](const auto& change) {
    KmipConnection connection = good;
    change(connection);
    return CheckKmipConnection(connection);
  };
  LK_EXPECT_OK(with([](auto& c) { c.host = "2001:db8::1"; }));
  using testing::StartsWith;
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(with([](auto& c) { c.host = ""; }), StatusIs(kInvalid, StartsWith("host: ")));
  EXPECT_THAT(with([](auto& c) { c.host = "a/b@c"; }), StatusIs(kInvalid, StartsWith("host: ")));
  EXPECT_THAT(with([](auto& c) { c.port = 0; }), StatusIs(kInvalid, StartsWith("port: ")));
  EXPECT_THAT(with([](auto& c) { c.port = 65536; }), StatusIs(kInvalid, StartsWith("port: ")));
  EXPECT_THAT(with([](auto& c) { c.server_name = "*.x"; }), StatusIs(kInvalid, StartsWith("server_name: ")));
  EXPECT_THAT(with([](auto& c) { c.ca_file = ""; }), StatusIs(kInvalid, StartsWith("ca_file: ")));
  EXPECT_THAT(with([](auto& c) { c.client_certificate_file = ""; }), StatusIs(kInvalid, StartsWith("client_certificate_file: ")));
  EXPECT_THAT(with([](auto& c) { c.client_key_file = ""; }), StatusIs(kInvalid, StartsWith("client_key_file: ")));
}

}  // namespace
}  // namespace latchkey
