#include "kms/kmip/ttlv.h"

#include "base/encoding.h"
#include "base/testing.h"
#include "kms/kmip/message.h"

namespace latchkey {
namespace {

using testing::HasSubstr;

std::vector<uint8_t> Hex(std::string_view hex) {
  std::string digits;
  for (const char c : hex) {
    if (c != ' ') digits += c;
  }
  return HexDecode(digits).value();
}

std::string Written(const std::function<void(TtlvWriter&)>& write) {
  TtlvWriter writer(256);
  write(writer);
  const auto message = std::move(writer).Finish();
  EXPECT_THAT(message, IsOk());
  return message.ok() ? HexEncode(message->Reveal(SecretAccess{})) : "";
}

std::string Joined(std::string_view hex) { return HexEncode(Hex(hex)); }

// The examples of the standard, KMIP 1.4 section 9.1.2.
TEST(TtlvTest, WritesTheExamplesOfTheStandard) {
  EXPECT_EQ(Written([](TtlvWriter& w) { w.Integer(0x420020, 8); }), Joined("42 00 20 02 00000004 00000008 00000000"));
  EXPECT_EQ(Written([](TtlvWriter& w) { w.LongInteger(0x420020, 123456789000000000); }), Joined("42 00 20 03 00000008 01B69B4BA5749200"));
  EXPECT_EQ(Written([](TtlvWriter& w) { w.Enumeration(0x420020, 255); }), Joined("42 00 20 05 00000004 000000FF 00000000"));
  EXPECT_EQ(Written([](TtlvWriter& w) { w.Boolean(0x420020, true); }), Joined("42 00 20 06 00000008 0000000000000001"));
  EXPECT_EQ(Written([](TtlvWriter& w) { w.Text(0x420020, "Hello World"); }),
            Joined("42 00 20 07 0000000B 48656C6C6F20576F726C640000000000"));
  EXPECT_EQ(Written([](TtlvWriter& w) { w.Bytes(0x420020, Hex("010203")); }), Joined("42 00 20 08 00000003 0102030000000000"));
  EXPECT_EQ(Written([](TtlvWriter& w) { w.DateTime(0x420020, 1205495800); }), Joined("42 00 20 09 00000008 0000000047DA67F8"));
  EXPECT_EQ(Written([](TtlvWriter& w) { w.Interval(0x420020, 864000); }), Joined("42 00 20 0A 00000004 000D2F0000000000"));
  EXPECT_EQ(Written([](TtlvWriter& w) {
              w.Begin(0x420020);
              w.Enumeration(0x420004, 254);
              w.Integer(0x420005, 255);
              w.End();
            }),
            Joined("42 00 20 01 00000020 42 00 04 05 00000004 000000FE 00000000 42 00 05 02 00000004 000000FF 00000000"));
}

TEST(TtlvTest, ReadsWhatTheStandardShows) {
  const auto message =
      Hex("42 00 20 01 00000048 42 00 04 05 00000004 000000FE 00000000 42 00 05 02 00000004 FFFFFFFF 00000000"
          "42 00 06 04 00000010 0000000003FD35EB6BC2DF4618080000 42 00 07 07 00000003 4869210000000000");
  LK_ASSERT_OK_AND_ASSIGN(const TtlvItem root, ReadTtlv(message));
  ASSERT_EQ(root.items().size(), 4U);
  EXPECT_EQ(root.Find(0x420004)->Enumeration(), 254U);
  EXPECT_EQ(root.Find(0x420005)->Integer(), -1);
  EXPECT_EQ(root.Find(0x420006)->value().size(), 16U);
  EXPECT_EQ(root.Find(0x420007)->Text(), "Hi!");
  EXPECT_EQ(root.Find(0x420007)->Bytes(), std::nullopt);
  EXPECT_EQ(root.Find(0x420008), nullptr);
}

TEST(TtlvTest, WritesAgainExactlyWhatItHasRead) {
  const auto message =
      Hex("42 00 20 01 00000030 42 00 04 01 00000010 42 00 05 02 00000004 FFFFFFFF 00000000 42 00 06 06 00000008 0000000000000001"
          "54 00 07 08 00000000");
  LK_ASSERT_OK_AND_ASSIGN(const TtlvItem root, ReadTtlv(message));
  EXPECT_EQ(Written([&](TtlvWriter& w) { w.Copy(root); }), HexEncode(message));
}

TEST(TtlvTest, RefusesWhatIsNotExactlyRight) {
  const std::tuple<std::string_view, std::string_view> rows[] = {
      {"", "no room"},
      {"42 00 20 02 000000", "no room"},
      {"42 00 20 02 00000004 00000008 00000001", "padding"},
      {"42 00 20 02 00000004 00000008", "longer than what holds it"},
      {"42 00 20 02 00000008 00000008 00000000", "a length"},
      {"42 00 20 03 00000004 00000008 00000000", "a length"},
      {"42 00 20 04 00000000", "a length"},
      {"42 00 20 05 00000000", "a length"},
      {"42 00 20 06 00000008 0000000000000002", "boolean"},
      {"42 00 20 06 00000008 0100000000000001", "boolean"},
      {"42 00 20 07 00000001 FF00000000000000", "UTF-8"},
      {"42 00 20 07 00000001 4100000000000001", "padding"},
      {"42 00 20 08 FFFFFFFF 4100000000000000", "longer than what holds it"},
      {"42 00 20 08 00000009 4100000000000000", "longer than what holds it"},
      {"42 00 20 00 00000008 0000000000000000", "unknown type"},
      {"42 00 20 0B 00000008 0000000000000000", "unknown type"},
      {"43 00 20 02 00000004 00000008 00000000", "tags"},
      {"42 00 20 02 00000004 00000008 00000000 00", "behind"},
      {"42 00 20 01 00000004 00000000", "a length"},
      {"42 00 20 01 00000010 42 00 04 02 00000004 00000001 00000000 00", "behind"},
      // An inner item that is longer than its structure, though not than the message.
      {"42 00 20 01 00000010 42 00 04 08 00000010 0000000000000000 0000000000000000", "longer than what holds it"},
  };
  for (const auto& [hex, fault] : rows) {
    EXPECT_THAT(ReadTtlv(Hex(hex)), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(fault)))) << hex;
  }
}

TEST(TtlvTest, KeepsToItsLimits) {
  const auto nested = [](int depth) {
    TtlvWriter writer(1024);
    for (int i = 0; i < depth; ++i) writer.Begin(0x420020);
    for (int i = 0; i < depth; ++i) writer.End();
    return std::move(writer).Finish().value();
  };
  LK_EXPECT_OK(ReadTtlv(nested(16).Reveal(SecretAccess{})));
  EXPECT_THAT(ReadTtlv(nested(17).Reveal(SecretAccess{})), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too deep")));

  TtlvWriter writer(1024);
  writer.Begin(0x420020);
  for (int i = 0; i < 8; ++i) writer.Bytes(0x420020, {});
  writer.End();
  LK_ASSERT_OK_AND_ASSIGN(const SecretBytes many, std::move(writer).Finish());
  LK_EXPECT_OK(ReadTtlv(many.Reveal(SecretAccess{}), {.items = 9}));
  EXPECT_THAT(ReadTtlv(many.Reveal(SecretAccess{}), {.items = 8}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too many")));
  EXPECT_THAT(ReadTtlv(many.Reveal(SecretAccess{}), {.bytes = 71}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("longer")));
}

TEST(TtlvTest, RefusesToWriteBeyondItsCapacityOrAnOpenStructure) {
  TtlvWriter small(15);
  small.Integer(0x420020, 1);
  EXPECT_THAT(std::move(small).Finish(), StatusIs(absl::StatusCode::kResourceExhausted));
  TtlvWriter open(64);
  open.Begin(0x420020);
  EXPECT_THAT(std::move(open).Finish(), StatusIs(absl::StatusCode::kInternal));
}

TEST(TtlvTest, TellsTheSizeOfAMessageFromItsFirstBytes) {
  EXPECT_EQ(TtlvMessageSize(Hex("42 00 7B 01 00000010"), 24).value(), 24U);
  EXPECT_FALSE(TtlvMessageSize(Hex("42 00 7B 01 00000011"), 24).ok());
  EXPECT_FALSE(TtlvMessageSize(Hex("42 00 7B 01 FFFFFFF8"), 1 << 20).ok());
  EXPECT_FALSE(TtlvMessageSize(Hex("48 54 54 50 2F312E31"), 1 << 20).ok());  // "HTTP/1.1"
  EXPECT_FALSE(TtlvMessageSize(Hex("42 00 7B"), 24).ok());
}

TEST(KmipMessageTest, FindsFieldsThatAreMissingOrTwice) {
  const auto answer = [](int batch_items, int32_t major, uint32_t operation) {
    TtlvWriter w(512);
    w.Begin(kmip::kResponseMessage);
    w.Begin(kmip::kResponseHeader);
    w.Begin(kmip::kProtocolVersion);
    w.Integer(kmip::kProtocolVersionMajor, major);
    w.End();
    w.Integer(kmip::kBatchCount, 1);
    w.End();
    for (int i = 0; i < batch_items; ++i) {
      w.Begin(kmip::kBatchItem);
      w.Enumeration(kmip::kOperation, operation);
      w.Enumeration(kmip::kResultStatus, 0);
      w.Begin(kmip::kResponsePayload);
      w.End();
      w.End();
    }
    w.End();
    return std::move(w).Finish().value();
  };
  const auto read = [](const SecretBytes& message) {
    return ReadKmipAnswer(message.Reveal(SecretAccess{}), kmip::Operation::kDecrypt).status();
  };
  LK_EXPECT_OK(read(answer(1, 1, 0x20)));
  EXPECT_THAT(read(answer(0, 1, 0x20)), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("Batch Item: is missing")));
  EXPECT_THAT(read(answer(2, 1, 0x20)), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("Batch Item: is there more than once")));
  EXPECT_THAT(read(answer(1, 2, 0x20)), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("Protocol Version Major")));
  EXPECT_THAT(read(answer(1, 1, 0x1F)), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("Operation")));
}

}  // namespace
}  // namespace latchkey
