// What a KMIP server's failure means for a key: the one table from Result Reasons to a FailureClass.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "kms/kmip/message.h"
#include "kms/kmip/tags.h"
#include "protocol/failure_class.h"

namespace latchkey {

struct KmipVerdict {
  FailureClass failure_class;
  bool retry = false;      // worth asking again within this operation
  bool ask_state = false;  // the reason does not tell the key's state from a denial: Get Attributes may
};
// Of an answer that is not a success. A failure without a reason is as one with a reason that we do not know.
KmipVerdict ClassifyKmipFailure(kmip::Operation operation, const KmipAnswer& answer);

// "Permission Denied"; "reason 0x…" where we have no name.
std::string KmipReasonName(std::optional<kmip::Reason> reason);
// "Decrypt", ….
std::string_view KmipOperationName(kmip::Operation operation);
// "Active", …; "Unknown" for numbers that the standard does not have.
std::string_view KmipStateName(kmip::State state);
// Why a key in this state cannot be used; nullopt when it can.
std::optional<FailureClass> FailureOfKmipState(kmip::State state);

// A failure of the TLS connection that the server has told by an alert (RFC 8446, section 6.2).
//
// `authenticated`: the alert came through a connection that was already set up (TLS 1.3 refuses a client's certificate so), not in the
// clear during the handshake, where anybody on the way can make one.
FailureClass ClassifyTlsAlert(int alert, bool authenticated);

}  // namespace latchkey
