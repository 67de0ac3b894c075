// What is wrong with the host itself, in words for the owner's status page.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace latchkey {

// From the text of /proc/swaps: a warning when memory may be written to a disk that is not encrypted (anything but zram and dm-crypt, as
// far as names tell).
std::vector<std::string> SwapWarnings(std::string_view proc_swaps);
std::vector<std::string> HostWarnings();

}  // namespace latchkey
