// An emulator of AWS KMS and STS, for development and tests: signatures, roles with external ids, key policies and key states are checked
// as the service checks them, and answers have the recorded wire forms.
//
// NOT FOR PRODUCTION: keys and secrets stand in a plain file.
//
//   POST /            X-Amz-Target: TrentService.…    AWS KMS (awsJson1_1)
//   POST /            Action=…&Version=2011-06-15     AWS STS (awsQuery)
//   …    /_admin/…                                    the emulator's own API, loopback peers only (docs/kms-emulator.md)
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "emulator/call_log.h"
#include "emulator/world.h"
#include "http/message.h"

namespace latchkey {

struct EmulatorOptions {
  std::string state_file;  // one JSON document, 0600; empty: nothing is kept
  Clock* clock = &Clock::Real();
  Random* random = &Random::System();
};

struct EmulatorAnswer {
  // Status 0: close the connection without an answer.
  HttpResponse response;
  // How long to hold the answer back. It was decided already: what changes meanwhile does not change it.
  absl::Duration delay;
};

// What SeedDevelopment is to make. Everything has its default.
struct DevelopmentSeed {
  std::string external_id;  // of the owner's role; required
  std::vector<std::string> regions = {"us-east-1"};
};

// Thread-safe; one call is decided at a time.
class Emulator {
 public:
  // Reads state_file when it exists and takes its lock. Errors: the file is malformed or in use by another process.
  static absl::StatusOr<std::unique_ptr<Emulator>> Create(EmulatorOptions options);

  EmulatorAnswer Answer(const HttpRequest& request);
  // Answer without its delay.
  HttpResponse Handle(const HttpRequest& request) { return Answer(request).response; }

  // Makes what `latchkey dev` and the demo work with, as far as it is not there; a second call changes nothing and answers the same:
  //   operator account 111111111111: user "latchkey" with access key AKIDLATCHKEYDEV00001 and a random secret; a key alias/latchkey-escrow
  //   a region owner account 222222222222: role "latchkey-cmek" that the user may assume with the external id; keys alias/owner-key-1 and
  //   -2 a region → {"access_key_id", "secret_access_key", "user", "role", "external_id",
  //      "regions": {"us-east-1": {"escrow_key": ARN, "owner_key": ARN, "second_owner_key": ARN}}}
  // The external id of an existing role is set to the one given. Errors: InvalidArgument that names the field; the state file cannot be
  // written.
  absl::StatusOr<boost::json::object> SeedDevelopment(const DevelopmentSeed& seed);

 private:
  friend class EmulatorAdmin;
  Emulator(EmulatorOptions options, UniqueFd lock, emulator::World world);
  EmulatorAnswer AnswerAws(const HttpRequest& request, const std::string& service, const std::string& operation);
  absl::Time Now() const { return options_.clock->Now() + world_.clock_offset; }
  absl::Status Save();

  EmulatorOptions options_;
  UniqueFd lock_;
  std::mutex mutex_;
  emulator::World world_;    // guarded by mutex_
  emulator::CallLog calls_;  // guarded by mutex_
};

}  // namespace latchkey
