// KMIP messages of one operation each: a request is written, an answer is read.
//
//   Request Message                                     Response Message
//   ├─ Request Header                                   ├─ Response Header
//   │  ├─ Protocol Version 1.4                          │  ├─ Protocol Version 1.x
//   │  ├─ Maximum Response Size                         │  ├─ Time Stamp
//   │  └─ Batch Count 1                                 │  └─ Batch Count 1
//   └─ Batch Item                                       └─ Batch Item
//      ├─ Operation                                        ├─ Operation
//      └─ Request Payload                                  ├─ Result Status
//                                                          ├─ Result Reason, Result Message    of a failure
//                                                          └─ Response Payload                 of a success
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <optional>
#include <string>

#include "base/secret_bytes.h"
#include "kms/kmip/tags.h"
#include "kms/kmip/ttlv.h"

namespace latchkey {

// No answer that we ask for comes near it. Answers are read into locked memory, of which there is not much.
inline constexpr size_t kMaxKmipAnswer = 16 << 10;

// `payload` writes what stands in the Request Payload, at most `payload_size` bytes.
absl::StatusOr<SecretBytes> KmipRequest(kmip::Operation operation, size_t payload_size, const std::function<void(TtlvWriter&)>& payload);

// Points into the message that it was read from.
struct KmipAnswer {
  kmip::ResultStatus status;
  std::optional<kmip::Reason> reason;
  std::string words;                // Result Message, as sent; may be empty
  std::optional<TtlvItem> payload;  // there when the status is kSuccess
};
// InvalidArgument when it is not an answer to one such operation. A server that could not read a request does not name the operation.
absl::StatusOr<KmipAnswer> ReadKmipAnswer(std::span<const uint8_t> message, kmip::Operation operation);

}  // namespace latchkey
