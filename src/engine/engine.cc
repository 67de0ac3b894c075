#include "engine/engine.h"

#include "base/status.h"

namespace latchkey {

absl::StatusOr<std::unique_ptr<Engine>> NewEngine(const std::string& name, EngineLayout layout) {
  if (name == "postgresql") return NewPostgresql({.layout = std::move(layout)});
  return NotFound("engine: \"", name, "\" is not built in");
}

}  // namespace latchkey
