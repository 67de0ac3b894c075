#include "cli/commands.h"

int main(int argc, char** argv) { return latchkey::RunCli(argc, argv); }
