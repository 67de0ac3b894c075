// Stopping: SIGINT and SIGTERM, taken by the thread that waits and by no other.
#pragma once

namespace latchkey {

// Blocks the two signals in this thread and all that it will start. Call it before starting any; SIGPIPE is ignored too.
void BlockStopSignals();
// Waits until one of them arrives; returns it.
int WaitForStopSignal();
// True when one has arrived and was not waited for yet.
bool StopSignalPending();

}  // namespace latchkey
