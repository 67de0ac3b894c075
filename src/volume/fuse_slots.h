// Whether, and with how many slots for each processor, a volume is served by FUSE over io_uring on this kernel.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace latchkey {

struct FuseSlotFacts {
  std::string kernel_release;  // uname -r: "6.18.3-amd64"
  // The kernel's parameter of its module fuse, enable_uring: "Y" where the administrator, or AllowFuseRings(), lets daemons have it.
  std::string enabled;
  // Lists of processors as in /sys/devices/system/cpu/{possible,online}: "0-3,8". The kernel has a queue for each possible one.
  std::string possible, online;
};
// What this host says. Facts that cannot be read are empty.
FuseSlotFacts ReadFuseSlotFacts();

// The queue of each slot; empty where /dev/fuse alone is used: before Linux 6.18 (io_uring came with 6.14, and we trust the first kernel
// with long-term support that has it), where it is not enabled, and where processors are too many or are not numbered 0 to n - 1. Every
// queue has a slot, without which the kernel would serve nobody; those of processors that are online have four, two where they are many: a
// request that waits for the disk keeps a slot, and the kernel gives those of one processor to no other queue.
std::vector<uint16_t> FuseSlots(const FuseSlotFacts& facts);

// Lets FUSE daemons of this host have io_uring, where the kernel is one for which FuseSlots has slots. For root, before mounting: a
// connection that has it keeps it. Where it cannot be set (a container, a kernel without it) nothing is lost but speed.
void AllowFuseRings();

}  // namespace latchkey
