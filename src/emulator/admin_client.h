// Typed calls on the admin API of a running emulator, for the command line and for tests. docs/kms-emulator.md describes the API itself.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "http/client.h"

namespace latchkey {

// Thread-safe. Keys are named by ARN, key id or alias. Every call answers the emulator's JSON. Errors: InvalidArgument (the message names
// the field), NotFound, FailedPrecondition (409: exists already, or not in this state), PermissionDenied (not a loopback peer), Unavailable
// (no emulator there).
class EmulatorAdminClient {
 public:
  using Result = absl::StatusOr<boost::json::object>;
  // "http://127.0.0.1:5566"; `ca_pem` where it speaks TLS with its own CA.
  explicit EmulatorAdminClient(std::string url, std::string ca_pem = "");

  Result Health() const;
  Result State() const;
  // {"calls": [{number, time, service, operation, principal, key, region, result, status}], "last": n, "oldest": n}
  Result Calls(int64_t since, int64_t limit = 1000) const;

  // As Emulator::SeedDevelopment.
  Result Seed(const std::string& external_id, const std::vector<std::string>& regions) const;
  Result CreateAccount(const std::string& id) const;
  // → arn, access_key_id, secret_access_key
  Result CreateUser(const std::string& account, const std::string& name) const;
  Result CreateRole(const std::string& account, const std::string& name, const std::vector<std::string>& principals,
                    const std::string& external_id) const;
  // → KeyMetadata, with Alias when it has one
  Result CreateKey(const std::string& account, const std::string& region, const std::string& alias) const;
  Result EnableKey(const std::string& key) const;
  Result DisableKey(const std::string& key) const;
  Result ScheduleDeletion(const std::string& key, int64_t days) const;
  // A window shorter than the service's, for tests.
  Result ScheduleDeletionIn(const std::string& key, absl::Duration window) const;
  Result CancelDeletion(const std::string& key) const;
  Result SetKeyState(const std::string& key, const std::string& state) const;
  Result SetKeyPolicy(const std::string& key, const boost::json::object& policy) const;
  Result RotateKey(const std::string& key) const;
  // `key` empty: every key.
  Result Deny(const std::string& principal, const std::string& key = "") const;
  Result Undeny(const std::string& principal, const std::string& key = "") const;
  // Takes a role's trust away, and gives it back as it was.
  Result Untrust(const std::string& role) const;
  Result Trust(const std::string& role) const;

  // Faults of AWS, or with AddFault's "cloud" of another cloud, for `operation` ("Decrypt", …, or "*"): the next `times` calls, or all
  // calls until cleared when `times` is 0.
  Result Throttle(const std::string& operation, int64_t times) const;
  Result Delay(const std::string& operation, absl::Duration delay, int64_t times) const;
  Result Drop(const std::string& operation, int64_t times) const;
  // Any fault, in the form of POST /_admin/faults.
  Result AddFault(const boost::json::object& fault) const;
  // `cloud` empty: all of them.
  Result Outage(bool on, const std::string& cloud = "") const;
  Result ClearFaults(const std::string& cloud = "") const;
  Result AdvanceClock(absl::Duration by) const;

  // POST /_admin/<cloud>/<path>, or /_admin/<path> for "aws": what a cloud's owner does there ("gcp", "keys/disable"). With "after_seconds"
  // in the body it bites only then.
  Result Change(const std::string& cloud, const std::string& path, const boost::json::object& body) const;
  // As Cloud::Seed.
  Result SeedCloud(const std::string& cloud, const boost::json::object& wanted = {}) const;

 private:
  Result Get(const std::string& path) const;
  Result Post(const std::string& path, const boost::json::object& body) const;
  Result Read(const absl::StatusOr<HttpResponse>& answer) const;
  Result FaultOf(boost::json::object fault, int64_t times) const;

  std::string url_;
  HttpClient http_;
};

}  // namespace latchkey
