// What other threads hand to a node's own, and how they wake it.
#pragma once

#include <absl/status/statusor.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "agent/key_desk.h"
#include "protocol/node.h"

namespace latchkey {

struct NodeMail {
  std::optional<DesiredNode> desired;
  bool stray = false;
  std::map<std::string, absl::StatusOr<FreshKek>> keks;  // by KEK id
  std::map<int64_t, absl::StatusOr<WrappedKek>> minted;  // by the number of the order
};

// Shared with the key desk's callbacks, which may come after the runner is gone.
struct NodeMailbox {
  std::mutex mutex;
  std::condition_variable wake;
  NodeMail mail;
  bool awake = false, stopping = false;

  void Wake() {
    {
      const std::lock_guard lock(mutex);
      awake = true;
    }
    wake.notify_all();
  }
};

}  // namespace latchkey
