#include "emulator/cloud.h"

namespace latchkey::emulator {

std::vector<std::unique_ptr<Cloud>> NewClouds() {
  std::vector<std::unique_ptr<Cloud>> clouds;
  clouds.push_back(NewGcpCloud());
  clouds.push_back(NewAzureCloud());
  clouds.push_back(NewVaultCloud());
  return clouds;
}

}  // namespace latchkey::emulator
