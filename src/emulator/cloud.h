// One cloud of the emulator, on a port of its own: its services, what it remembers, and its part of the admin API. AWS is the emulator's
// first and lives beside this (emulator.cc); the others are folders: gcp/, azure/, vault/.
//
// The emulator core does what is the same everywhere, in this order: outage, faults, the cloud's answer, the log, saving. A cloud is called
// with the emulator's lock held, one call at a time.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "emulator/call_log.h"
#include "emulator/faults.h"
#include "http/message.h"

namespace latchkey::emulator {

// What a request asks for, read from its method and path alone. Operations have names that are unique within the cloud and that faults are
// ordered by: "Decrypt", "unwrapkey", "generateAccessToken", ….
struct OperationName {
  std::string service, operation;  // "cloudkms", "Decrypt"; an unknown request has operation ""
};

struct CloudCall {
  const HttpRequest& request;
  const OperationName& name;
  absl::Time now;   // the emulator's clock, which an operator may have moved: tokens and keys expire by it
  absl::Time wall;  // the machine's clock
  Random& random;
  std::string base_url;  // where the caller reached us ("http://127.0.0.1:5567"), for addresses in answers
  // Out.
  bool changed = false;  // the state must be saved
  CallRecord record;     // principal, key, region, and result ("ok" unless set) are the cloud's to fill
};

// What answers a cloud's requests; AWS has such a part too.
class CloudService {
 public:
  virtual ~CloudService() = default;

  virtual OperationName NameOf(const HttpRequest& request) const = 0;
  virtual HttpResponse Answer(CloudCall& call) = 0;
  // The errors of faults in the cloud's own form. `fault.type` and `.message` may be empty.
  virtual HttpResponse Throttled(const OperationName& name) const = 0;
  virtual HttpResponse OrderedError(const OperationName& name, const Fault& fault) const = 0;
  // For the fault other-bytes: puts other plaintext of the same length into a right answer of a decryption, with matching checksums.
  virtual void ReplacePlaintext(const OperationName& name, HttpResponse& response, Random& random) const = 0;
};

class Cloud : public CloudService {
 public:
  virtual std::string_view name() const = 0;  // "gcp", "azure", "vault": in the state file, the admin API and the command line

  // Lets time pass: purges what is due. True when something changed.
  virtual bool Settle(absl::Time now, Random& random) = 0;
  // Everything to be remembered, secrets in the clear; and back. Restore replaces all that was there and refuses what is malformed, naming
  // the field. The core also uses the two to try a call that is to bite later, and to undo it.
  virtual boost::json::object ToJson() const = 0;
  virtual absl::Status Restore(const boost::json::object& state) = 0;

  // POST /_admin/<name>/<path> (the core checks peer and content type, takes "after_seconds" out of the body, and saves afterwards).
  // NotFound for a path that is not known; faults name the field. docs/kms-emulator.md lists the paths.
  virtual absl::StatusOr<boost::json::object> Admin(std::string_view path, const boost::json::object& body, absl::Time now,
                                                    Random& random) = 0;
  // For GET /_admin/state: what is there, without secrets.
  virtual boost::json::object State() const = 0;
  // Makes what `latchkey dev`, the demo and the contract tests work with; a second call changes nothing and answers the same. `wanted` may
  // have "base_url" ("http://127.0.0.1:5567", put there by the core when the cloud is served), for addresses in the answer. The answer
  // has for every cloud: "escrow": {"type", "uri", "auth_principal"}, "owner": the same, "second_owner": the same, "credentials": what a
  // client needs to be the operator (cloud-specific members), "environment": variables with which Latchkey's provider finds that identity.
  virtual absl::StatusOr<boost::json::object> Seed(const boost::json::object& wanted, absl::Time now, Random& random) = 0;
};

std::unique_ptr<Cloud> NewGcpCloud();
std::unique_ptr<Cloud> NewAzureCloud();
std::unique_ptr<Cloud> NewVaultCloud();

// All of them but AWS, in the order of their default ports (clouds.cc).
std::vector<std::unique_ptr<Cloud>> NewClouds();

}  // namespace latchkey::emulator
