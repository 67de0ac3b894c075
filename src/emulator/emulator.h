// An emulator of cloud key services, for development and tests: identities, policies and key states are checked as the services check them,
// and answers have the recorded wire forms. AWS KMS and STS are answered here; the other clouds (cloud.h) each have a port of their own.
//
// NOT FOR PRODUCTION: keys and secrets stand in a plain file.
//
//   POST /            X-Amz-Target: TrentService.…    AWS KMS (awsJson1_1)
//   POST /            Action=…&Version=2011-06-15     AWS STS (awsQuery)
//   …    /_admin/…                                    the emulator's own API, on every port, loopback peers only (docs/kms-emulator.md)
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <boost/json.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "emulator/call_log.h"
#include "emulator/cloud.h"
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

  // `cloud` is the one whose port the request came to, one of CloudNames(); empty: AWS. `base_url` is where the caller reached it, for
  // addresses in answers.
  EmulatorAnswer Answer(const HttpRequest& request, std::string_view cloud = "", const std::string& base_url = "");
  // Answer without its delay.
  HttpResponse Handle(const HttpRequest& request, std::string_view cloud = "", const std::string& base_url = "") {
    return Answer(request, cloud, base_url).response;
  }
  // The clouds beside AWS: "gcp", ….
  std::vector<std::string> CloudNames() const;

  // Makes what `latchkey dev` and the demo work with, as far as it is not there; a second call changes nothing and answers the same:
  //   operator account 111111111111: user "latchkey" with access key AKIDLATCHKEYDEV00001 and a random secret; a key alias/latchkey-escrow
  //   a region owner account 222222222222: role "latchkey-cmek" that the user may assume with the external id; keys alias/owner-key-1 and
  //   -2 a region → {"access_key_id", "secret_access_key", "user", "role", "external_id",
  //      "regions": {"us-east-1": {"escrow_key": ARN, "owner_key": ARN, "second_owner_key": ARN}}}
  // The external id of an existing role is set to the one given. Errors: InvalidArgument that names the field; the state file cannot be
  // written.
  absl::StatusOr<boost::json::object> SeedDevelopment(const DevelopmentSeed& seed);
  // The same for another cloud: Cloud::Seed. Errors: NotFound for a cloud that is not one of CloudNames().
  absl::StatusOr<boost::json::object> SeedCloud(std::string_view cloud, boost::json::object wanted);
  // Where a cloud is served ("": AWS), for the addresses in what Seed answers.
  void SetBaseUrl(const std::string& cloud, std::string url);

 private:
  friend class EmulatorAdmin;
  Emulator(EmulatorOptions options, UniqueFd lock, emulator::World world);
  // nullptr: no such cloud. AWS is none of them.
  emulator::Cloud* FindCloud(std::string_view name);
  absl::StatusOr<boost::json::object> SeedLocked(emulator::Cloud& cloud, boost::json::object wanted);
  // Faults, answer, log and saving: what is the same for every cloud. `cloud` is its name, "aws" for AWS.
  EmulatorAnswer Serve(emulator::CloudService& service, std::string_view cloud, const HttpRequest& request, const std::string& base_url);
  absl::Time Now() const { return at_ ? *at_ : options_.clock->Now() + world_.clock_offset; }
  // Carries out what was ordered for a time that has come, and lets the clouds purge. True when something changed.
  bool Settle();
  bool SettleClouds();
  boost::json::object Document() const;
  absl::Status Save();

  EmulatorOptions options_;
  UniqueFd lock_;
  mutable std::mutex mutex_;
  emulator::World world_;                                 // this and what follows is guarded by mutex_
  std::unique_ptr<emulator::CloudService> aws_;           // on world_
  std::vector<std::unique_ptr<emulator::Cloud>> clouds_;  // the list itself never changes
  std::map<std::string, std::string, std::less<>> base_urls_;
  emulator::CallLog calls_;
  std::optional<absl::Time> at_;  // the time of a change that was ordered for it, while that is carried out
};

}  // namespace latchkey
