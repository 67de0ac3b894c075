// The volume daemon as a program of its own, for this room's tests: `latchkey volume-daemon` without the rest of latchkey.
#include "volume/client.h"

int main(int argc, char** argv) { return latchkey::RunVolumeDaemon(argc - 1, argv + 1); }
