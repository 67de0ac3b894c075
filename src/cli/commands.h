// The commands, a function each: cli/<name>.cc. What they do is in their help texts.
#pragma once

#include "cli/command.h"

namespace latchkey {

Command ServerCommand();
Command AgentCommand();
Command KmsEmulatorCommand();
Command DevCommand();
Command ClustersCommand();
Command CmekCommand();
Command VolumeCommand();
Command KeysCommand();
Command AgentsCommand();
Command ApiKeysCommand();
Command AuditCommand();

// All of them, as the program has them.
Command RootCommand();

// The whole program. Never throws.
int RunCli(int argc, char** argv);

}  // namespace latchkey
