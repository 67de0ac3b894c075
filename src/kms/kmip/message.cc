#include "kms/kmip/message.h"

#include <algorithm>

#include "base/status.h"

namespace latchkey {
namespace {

constexpr size_t kEnvelopeSize = 256;  // header and batch item around a payload: 160 bytes

absl::Status CheckHeader(const TtlvItem& message) {
  ASSIGN_OR_RETURN(const TtlvItem* header, message.Only(kmip::kResponseHeader, "Response Header"));
  ASSIGN_OR_RETURN(const TtlvItem* version, header->Only(kmip::kProtocolVersion, "Protocol Version"));
  ASSIGN_OR_RETURN(const TtlvItem* major, version->Only(kmip::kProtocolVersionMajor, "Protocol Version Major"));
  if (major->Integer() != 1) return InvalidArgument("Protocol Version Major: is not 1");
  ASSIGN_OR_RETURN(const TtlvItem* count, header->Only(kmip::kBatchCount, "Batch Count"));
  if (count->Integer() != 1) return InvalidArgument("Batch Count: is not 1");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SecretBytes> KmipRequest(kmip::Operation operation, size_t payload_size, const std::function<void(TtlvWriter&)>& payload) {
  TtlvWriter writer(kEnvelopeSize + payload_size);
  writer.Begin(kmip::kRequestMessage);
  writer.Begin(kmip::kRequestHeader);
  writer.Begin(kmip::kProtocolVersion);
  writer.Integer(kmip::kProtocolVersionMajor, 1);
  writer.Integer(kmip::kProtocolVersionMinor, 4);
  writer.End();
  writer.Integer(kmip::kMaximumResponseSize, kMaxKmipAnswer);
  writer.Integer(kmip::kBatchCount, 1);
  writer.End();
  writer.Begin(kmip::kBatchItem);
  writer.Enumeration(kmip::kOperation, static_cast<uint32_t>(operation));
  writer.Begin(kmip::kRequestPayload);
  payload(writer);
  writer.End();
  writer.End();
  writer.End();
  return std::move(writer).Finish();
}

absl::StatusOr<KmipAnswer> ReadKmipAnswer(std::span<const uint8_t> message, kmip::Operation operation) {
  ASSIGN_OR_RETURN(const TtlvItem root, ReadTtlv(message, {.bytes = kMaxKmipAnswer}));
  if (root.tag() != kmip::kResponseMessage) return InvalidArgument("not a Response Message");
  RETURN_IF_ERROR(CheckHeader(root));
  ASSIGN_OR_RETURN(const TtlvItem* item, root.Only(kmip::kBatchItem, "Batch Item"));

  ASSIGN_OR_RETURN(const TtlvItem* status, item->Only(kmip::kResultStatus, "Result Status"));
  const std::optional<uint32_t> status_value = status->Enumeration();
  if (!status_value || *status_value > static_cast<uint32_t>(kmip::ResultStatus::kUndone)) return InvalidArgument("Result Status: unknown");
  KmipAnswer answer{.status = static_cast<kmip::ResultStatus>(*status_value)};

  const bool success = answer.status == kmip::ResultStatus::kSuccess;
  if (success || item->Find(kmip::kOperation) != nullptr) {
    ASSIGN_OR_RETURN(const TtlvItem* named, item->Only(kmip::kOperation, "Operation"));
    if (named->Enumeration() != static_cast<uint32_t>(operation)) return InvalidArgument("Operation: is another one");
  }
  if (success) {
    ASSIGN_OR_RETURN(const TtlvItem* payload, item->Only(kmip::kResponsePayload, "Response Payload"));
    if (payload->type() != TtlvType::kStructure) return InvalidArgument("Response Payload: is not a structure");
    answer.payload = *payload;
    return answer;
  }
  if (item->Find(kmip::kResultReason) != nullptr) {
    ASSIGN_OR_RETURN(const TtlvItem* reason, item->Only(kmip::kResultReason, "Result Reason"));
    const std::optional<uint32_t> value = reason->Enumeration();
    if (!value) return InvalidArgument("Result Reason: is not an enumeration");
    answer.reason = static_cast<kmip::Reason>(*value);
  }
  if (const TtlvItem* words = item->Find(kmip::kResultMessage); words != nullptr) answer.words = words->Text().value_or("");
  return answer;
}

}  // namespace latchkey
