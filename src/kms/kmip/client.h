// Talks to one KMIP server: keeps connections, repeats what may help, and tells failures by their class.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "kms/call.h"
#include "kms/kmip/errors.h"
#include "kms/kmip/kmip_kms.h"
#include "kms/kmip/message.h"
#include "kms/kmip/tls_channel.h"

namespace latchkey {

struct KmipReply {
  SecretBytes message;  // what `payload` points into
  TtlvItem payload;
};

// How a call ended.
struct KmipOutcome {
  absl::Status status;                 // with a class, and the words "KMIP <operation>: …", when not OK
  std::optional<KmipReply> reply;      // when OK
  std::optional<kmip::Reason> reason;  // when the server gave one
  bool ask_state = false;              // see KmipVerdict
};

// Thread-safe. Calls run side by side, each on a connection of its own; up to 4 connections are kept between calls, for up to 5 minutes.
class KmipClient {
 public:
  KmipClient(KmipConnection connection, const KmsCallOptions& options) : connection_(std::move(connection)), options_(options) {}

  // Sends the request (KmipRequest) and reads its answer, in up to three attempts, all within `budget`. An operation may reach the server
  // more than once. `fresh`: on a new connection. `secret`: what of the request no message may hold, whatever the server says.
  KmipOutcome Call(kmip::Operation operation, const SecretBytes& request, bool fresh, const CallBudget& budget,
                   const SecretBytes* secret = nullptr);

 private:
  absl::StatusOr<KmipAnswer> Ask(kmip::Operation operation, const SecretBytes& request, bool fresh, const CallBudget& budget,
                                 SecretBytes& message);
  // nullptr when none is kept.
  std::unique_ptr<TlsChannel> TakeKept();
  void Keep(std::unique_ptr<TlsChannel> channel);

  const KmipConnection connection_;
  const KmsCallOptions options_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<TlsChannel>> kept_;  // the last one was used last
};

}  // namespace latchkey
