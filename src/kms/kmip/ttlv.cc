#include "kms/kmip/ttlv.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/encoding.h"
#include "base/status.h"
#include "base/utf8.h"

namespace latchkey {
namespace {

constexpr uint8_t kStandardTags = 0x42, kVendorTags = 0x54;

size_t Padded(size_t n) { return (n + 7) / 8 * 8; }

uint64_t BigEndian(std::span<const uint8_t> bytes) {
  uint64_t value = 0;
  for (const uint8_t b : bytes) value = value << 8 | b;
  return value;
}

std::array<uint8_t, 8> BigEndian8(uint64_t value) {
  std::array<uint8_t, 8> out{};
  for (size_t i = 8; i-- > 0; value >>= 8) out[i] = static_cast<uint8_t>(value);
  return out;
}

// True when a value of this type may have this length.
bool IsLengthOf(TtlvType type, size_t length) {
  switch (type) {
    case TtlvType::kInteger:
    case TtlvType::kEnumeration:
    case TtlvType::kInterval:
      return length == 4;
    case TtlvType::kLongInteger:
    case TtlvType::kBoolean:
    case TtlvType::kDateTime:
      return length == 8;
    case TtlvType::kBigInteger:
      return length > 0 && length % 8 == 0;
    case TtlvType::kStructure:
      return length % 8 == 0;
    case TtlvType::kText:
    case TtlvType::kBytes:
      return true;
  }
  return false;
}

}  // namespace

class TtlvReader {
 public:
  TtlvReader(std::span<const uint8_t> message, const TtlvLimits& limits) : message_(message), limits_(limits) {}

  absl::StatusOr<TtlvItem> Message() {
    if (message_.size() > limits_.bytes) return InvalidArgument("TTLV: longer than ", limits_.bytes, " bytes");
    TtlvItem root;
    RETURN_IF_ERROR(Read(message_.size(), 1, root));
    if (at_ != message_.size()) return Fault("something lies behind the message");
    return root;
  }

 private:
  absl::Status Fault(std::string_view what) const { return InvalidArgument("TTLV at byte ", at_, ": ", ToAbsl(what)); }

  // Reads the item at at_, which must end at or before `end`.
  absl::Status Read(size_t end, size_t depth, TtlvItem& item) {
    if (depth > limits_.depth) return Fault("too deep");
    if (++items_ > limits_.items) return Fault("too many items");
    if (end - at_ < kTtlvHeaderSize) return Fault("no room for an item's header");
    const std::span<const uint8_t> header = message_.subspan(at_, kTtlvHeaderSize);
    if (header[0] != kStandardTags && header[0] != kVendorTags) return Fault("an unknown range of tags");
    item.tag_ = static_cast<uint32_t>(BigEndian(header.first(3)));
    if (header[3] < 1 || header[3] > 10) return Fault("an unknown type");
    item.type_ = static_cast<TtlvType>(header[3]);
    const size_t length = BigEndian(header.subspan(4));
    if (!IsLengthOf(item.type_, length)) return Fault("a length that the type does not have");
    if (length > end - at_ - kTtlvHeaderSize || Padded(length) > end - at_ - kTtlvHeaderSize) {
      return Fault("longer than what holds it");
    }
    at_ += kTtlvHeaderSize;
    item.value_ = message_.subspan(at_, length);
    if (item.type_ == TtlvType::kStructure) {
      const size_t inner_end = at_ + length;
      while (at_ < inner_end) RETURN_IF_ERROR(Read(inner_end, depth + 1, item.items_.emplace_back()));
      return absl::OkStatus();
    }
    if (item.type_ == TtlvType::kBoolean && BigEndian(item.value_) > 1) return Fault("a boolean that is neither true nor false");
    if (item.type_ == TtlvType::kText && CutUtf8(AsText(item.value_), length) != AsText(item.value_))
      return Fault("text that is not UTF-8");
    const std::span<const uint8_t> padding = message_.subspan(at_ + length, Padded(length) - length);
    if (std::ranges::any_of(padding, [](uint8_t b) { return b != 0; })) return Fault("padding that is not zero");
    at_ += Padded(length);
    return absl::OkStatus();
  }

  const std::span<const uint8_t> message_;
  const TtlvLimits limits_;
  size_t at_ = 0;
  size_t items_ = 0;
};

absl::StatusOr<TtlvItem> ReadTtlv(std::span<const uint8_t> message, const TtlvLimits& limits) {
  return TtlvReader(message, limits).Message();
}

absl::StatusOr<size_t> TtlvMessageSize(std::span<const uint8_t> header, size_t most) {
  if (header.size() < kTtlvHeaderSize || header[0] != kStandardTags || header[3] != static_cast<uint8_t>(TtlvType::kStructure)) {
    return InvalidArgument("not a KMIP message");
  }
  const size_t size = kTtlvHeaderSize + BigEndian(header.subspan(4, 4));
  if (size > most) return InvalidArgument("a KMIP message of more than ", most, " bytes");
  return size;
}

const TtlvItem* TtlvItem::Find(uint32_t tag) const {
  const auto it = std::ranges::find(items_, tag, &TtlvItem::tag);
  return it == items_.end() ? nullptr : &*it;
}

absl::StatusOr<const TtlvItem*> TtlvItem::Only(uint32_t tag, std::string_view what) const {
  const auto n = std::ranges::count(items_, tag, &TtlvItem::tag);
  if (n != 1) return InvalidArgument(ToAbsl(what), n == 0 ? ": is missing" : ": is there more than once");
  return Find(tag);
}

std::optional<int32_t> TtlvItem::Integer() const {
  if (type_ != TtlvType::kInteger) return std::nullopt;
  return static_cast<int32_t>(BigEndian(value_));
}

std::optional<uint32_t> TtlvItem::Enumeration() const {
  if (type_ != TtlvType::kEnumeration) return std::nullopt;
  return static_cast<uint32_t>(BigEndian(value_));
}

std::optional<int64_t> TtlvItem::DateTime() const {
  if (type_ != TtlvType::kDateTime) return std::nullopt;
  return static_cast<int64_t>(BigEndian(value_));
}

std::optional<std::string_view> TtlvItem::Text() const {
  if (type_ != TtlvType::kText) return std::nullopt;
  return AsText(value_);
}

std::optional<std::span<const uint8_t>> TtlvItem::Bytes() const {
  if (type_ != TtlvType::kBytes) return std::nullopt;
  return value_;
}

void TtlvWriter::Append(std::span<const uint8_t> bytes) {
  const std::span<uint8_t> out = buffer_.RevealMutable(SecretAccess{});
  if (bytes.size() > out.size() - size_) {
    too_long_ = true;
    return;
  }
  std::ranges::copy(bytes, out.begin() + static_cast<ptrdiff_t>(size_));
  size_ += bytes.size();
}

void TtlvWriter::Item(uint32_t tag, TtlvType type, std::span<const uint8_t> value) {
  Append(BigEndian8(uint64_t{tag} << 40 | uint64_t{static_cast<uint8_t>(type)} << 32 | value.size()));
  Append(value);
  static constexpr std::array<uint8_t, 8> kZeros{};
  Append(std::span(kZeros).first(Padded(value.size()) - value.size()));
}

void TtlvWriter::Number(uint32_t tag, TtlvType type, uint64_t value, size_t size) {
  const std::array<uint8_t, 8> bytes = BigEndian8(value);
  Item(tag, type, std::span(bytes).last(size));
}

void TtlvWriter::Begin(uint32_t tag) {
  Item(tag, TtlvType::kStructure, {});
  open_.push_back(size_);
}

void TtlvWriter::End() {
  if (open_.empty() || too_long_) return;
  const size_t begin = open_.back();
  open_.pop_back();
  const std::array<uint8_t, 8> length = BigEndian8(size_ - begin);
  const std::span<uint8_t> field = buffer_.RevealMutable(SecretAccess{}).subspan(begin - 4, 4);
  std::ranges::copy(std::span(length).last(4), field.begin());
}

void TtlvWriter::Integer(uint32_t tag, int32_t value) { Number(tag, TtlvType::kInteger, static_cast<uint32_t>(value), 4); }
void TtlvWriter::LongInteger(uint32_t tag, int64_t value) { Number(tag, TtlvType::kLongInteger, static_cast<uint64_t>(value), 8); }
void TtlvWriter::Enumeration(uint32_t tag, uint32_t value) { Number(tag, TtlvType::kEnumeration, value, 4); }
void TtlvWriter::Boolean(uint32_t tag, bool value) { Number(tag, TtlvType::kBoolean, value ? 1 : 0, 8); }
void TtlvWriter::Text(uint32_t tag, std::string_view value) { Item(tag, TtlvType::kText, AsBytes(value)); }
void TtlvWriter::Bytes(uint32_t tag, std::span<const uint8_t> value) { Item(tag, TtlvType::kBytes, value); }
void TtlvWriter::DateTime(uint32_t tag, int64_t seconds) { Number(tag, TtlvType::kDateTime, static_cast<uint64_t>(seconds), 8); }
void TtlvWriter::Interval(uint32_t tag, uint32_t seconds) { Number(tag, TtlvType::kInterval, seconds, 4); }

void TtlvWriter::Copy(const TtlvItem& item) {
  if (item.type() != TtlvType::kStructure) return Item(item.tag(), item.type(), item.value());
  Begin(item.tag());
  for (const TtlvItem& inner : item.items()) Copy(inner);
  End();
}

absl::StatusOr<SecretBytes> TtlvWriter::Finish() && {
  if (too_long_) return absl::ResourceExhaustedError("a KMIP message that does not fit");
  if (!open_.empty()) return Internal("a KMIP message with an open structure");
  return SecretBytes::CopyOf(buffer_.Reveal(SecretAccess{}).first(size_));
}

}  // namespace latchkey
