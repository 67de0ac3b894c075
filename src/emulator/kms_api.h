// AWS KMS, the operations (docs.aws.amazon.com/kms/latest/APIReference). Requests and answers are the JSON of awsJson1_1; errors are worded
// as the service's were recorded.
#pragma once

#include <absl/time/time.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "base/random.h"
#include "emulator/outcome.h"
#include "emulator/policy.h"
#include "emulator/world.h"

namespace latchkey::emulator {

// What one call works on. The world is locked for its length.
struct KmsCallState {
  World& world;
  Random& random;
  absl::Time now;
  Caller caller;
  std::string region;
  bool changed = false;  // out: the world must be saved
  std::string key;       // out: ARN of the key, as far as it is known, for the log
};

using KmsOperation = Outcome<boost::json::object> (*)(KmsCallState& call, const boost::json::object& request);
// nullptr for what the emulator does not know: UnknownOperationException.
KmsOperation FindKmsOperation(std::string_view name);

// KeyMetadata of DescribeKey; also what the admin API shows.
boost::json::object DescribeKeyMetadata(const Key& key);

}  // namespace latchkey::emulator
