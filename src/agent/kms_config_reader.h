// The part of agent/config.cc that reads kms_config.h. As base/toml_reader.h: for .cc files only.
#pragma once

#include "agent/kms_config.h"
#include "base/toml_reader.h"

namespace latchkey {

void ReadKmsConfig(TableReader& file, AgentKmsConfig& config, absl::Status& fault);

}  // namespace latchkey
