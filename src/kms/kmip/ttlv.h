// TTLV, the binary form of KMIP messages (OASIS KMIP 1.4, section 9.1): a writer, and a strict reader.
//
//    0        3      4            8                     8+L                    multiple of 8
//   ┌────────┬──────┬────────────┬─────────────────────┬──────────────────────┐
//   │ tag    │ type │ length L   │ value               │ padding, zeros       │   everything big-endian
//   └────────┴──────┴────────────┴─────────────────────┴──────────────────────┘
//
//   type  value                                          L
//    01   structure: items, one after the other          their sum, padding included
//    02   integer, signed                                4
//    03   long integer, signed                           8
//    04   big integer, two's complement                  multiple of 8, not 0
//    05   enumeration                                    4
//    06   boolean, 0 or 1                                8
//    07   text, UTF-8                                    any
//    08   bytes                                          any
//    09   date and time, seconds since 1970              8
//    0A   interval, seconds, unsigned                    4
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret_bytes.h"

namespace latchkey {

enum class TtlvType : uint8_t {
  kStructure = 1,
  kInteger = 2,
  kLongInteger = 3,
  kBigInteger = 4,
  kEnumeration = 5,
  kBoolean = 6,
  kText = 7,
  kBytes = 8,
  kDateTime = 9,
  kInterval = 10,
};

inline constexpr size_t kTtlvHeaderSize = 8;

struct TtlvLimits {
  size_t depth = 16;        // the root has depth 1
  size_t items = 1024;      // in the whole message
  size_t bytes = 64 << 10;  // of the whole message
};

// One item, read. Its value points into the message, which must outlive it.
class TtlvItem {
 public:
  uint32_t tag() const { return tag_; }
  TtlvType type() const { return type_; }
  // As on the wire, without padding; of a structure: its items.
  std::span<const uint8_t> value() const { return value_; }
  // In order; empty unless it is a structure.
  const std::vector<TtlvItem>& items() const { return items_; }

  // The first item of this structure with this tag; nullptr when there is none.
  const TtlvItem* Find(uint32_t tag) const;
  // The one item of this structure with this tag; InvalidArgument "<what>: …" when there is none or more than one.
  absl::StatusOr<const TtlvItem*> Only(uint32_t tag, std::string_view what) const;

  // nullopt when the item has another type.
  std::optional<int32_t> Integer() const;
  std::optional<uint32_t> Enumeration() const;
  std::optional<int64_t> DateTime() const;
  std::optional<std::string_view> Text() const;
  std::optional<std::span<const uint8_t>> Bytes() const;

 private:
  friend class TtlvReader;
  uint32_t tag_ = 0;
  TtlvType type_ = TtlvType::kStructure;
  std::span<const uint8_t> value_;
  std::vector<TtlvItem> items_;
};

// The message, one item and nothing behind it. InvalidArgument with the offset of the fault when anything is not exactly as drawn above: an
// item longer than what holds it, a type or length that does not exist, padding that is not zero, a boolean that is neither, text that is
// no UTF-8, a tag outside of the standard's (42) and the vendors' (54) range; or when a limit is passed.
absl::StatusOr<TtlvItem> ReadTtlv(std::span<const uint8_t> message, const TtlvLimits& limits = {});

// The size of the whole message, from its first 8 bytes: for reading from a stream. InvalidArgument when it does not begin a structure or
// is longer than `most`.
absl::StatusOr<size_t> TtlvMessageSize(std::span<const uint8_t> header, size_t most);

// Writes a message into secret memory of a fixed size, so that no copy of a secret is left behind by growing. Not thread-safe.
class TtlvWriter {
 public:
  explicit TtlvWriter(size_t capacity) : buffer_(capacity) {}

  // Items that are added until the matching End lie in the structure.
  void Begin(uint32_t tag);
  void End();
  void Integer(uint32_t tag, int32_t value);
  void LongInteger(uint32_t tag, int64_t value);
  void Enumeration(uint32_t tag, uint32_t value);
  void Boolean(uint32_t tag, bool value);
  void Text(uint32_t tag, std::string_view value);
  void Bytes(uint32_t tag, std::span<const uint8_t> value);
  void DateTime(uint32_t tag, int64_t seconds);
  void Interval(uint32_t tag, uint32_t seconds);
  // Any item as it was read, with all in it.
  void Copy(const TtlvItem& item);

  // What was written. ResourceExhausted when it was more than the capacity, Internal when a structure is still open.
  absl::StatusOr<SecretBytes> Finish() &&;

 private:
  void Item(uint32_t tag, TtlvType type, std::span<const uint8_t> value);
  void Number(uint32_t tag, TtlvType type, uint64_t value, size_t size);
  void Append(std::span<const uint8_t> bytes);

  SecretBytes buffer_;
  size_t size_ = 0;
  bool too_long_ = false;
  std::vector<size_t> open_;  // where the values of the open structures begin
};

}  // namespace latchkey
