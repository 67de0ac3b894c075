// ApiKeyService over Core.
#pragma once

#include <memory>

#include "control/core.h"

namespace latchkey {

// `core` outlives it.
std::unique_ptr<ApiKeyService> MakeApiKeyService(Core& core);

}  // namespace latchkey
