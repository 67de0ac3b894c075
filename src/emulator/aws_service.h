// AWS's part of the answering: KMS and STS by POST /.
#pragma once

#include <memory>

#include "base/random.h"
#include "emulator/cloud.h"
#include "emulator/world.h"

namespace latchkey::emulator {

// Both outlive the service. Not thread-safe: the emulator's lock is held during every call.
std::unique_ptr<CloudService> NewAwsService(World& world, Random& random);

}  // namespace latchkey::emulator
