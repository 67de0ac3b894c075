// A folder laid out for one engine, owned by an unprivileged user when the tests run as root. For tests only.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "base/testing.h"
#include "engine/engine.h"
#include "engine/user_file.h"

namespace latchkey {

class EngineFolders {
 public:
  EngineFolders() {
    if (geteuid() == 0) {
      const auto nobody = FindUser("nobody");
      if (nobody.ok()) user_ = *nobody;
    }
    chmod(temp_.path().c_str(), 0711);
    for (const char* name : {"mount", "run", "state"}) mkdir((temp_ / name).c_str(), 0700);
    if (user_) {
      for (const char* name : {"mount", "run"}) EXPECT_EQ(chown((temp_ / name).c_str(), user_->uid, user_->gid), 0);
    }
  }

  EngineLayout Layout(int port) const {
    return {.mount_point = temp_ / "mount",
            .run_folder = temp_ / "run",
            .state_folder = temp_ / "state",
            .host = "127.0.0.1",
            .port = port,
            .user = user_,
            .node_name = "c1-us-east-1-1"};
  }
  const std::optional<UserIds>& user() const { return user_; }
  std::string operator/(const std::string& name) const { return temp_ / name; }

 private:
  TempFolder temp_;
  std::optional<UserIds> user_;
};

}  // namespace latchkey
