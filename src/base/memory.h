// How much memory the programs of this machine may use.
#pragma once

#include <cstdint>
#include <string>

namespace latchkey {

// The machine's memory, or the least that a control group above this process allows (cgroups(7), version 1 or 2), in bytes. What cannot be
// read limits nothing. `root`: where /proc and /sys are, for tests.
uint64_t UsableMemory(const std::string& root = "");

}  // namespace latchkey
