// Certificates with RSA keys, which applications prove themselves with to Entra ID.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <string_view>

#include "emulator/azure/world.h"

namespace latchkey::emulator::azure {

// A new 2,048-bit key and its self-signed certificate, valid from five minutes before `now`. Takes up to a second.
absl::StatusOr<ClientCertificate> NewClientCertificate(std::string_view common_name, absl::Time now, absl::Duration valid);
// The first certificate of `pem`, without a private key. InvalidArgument when it is none, or not of an RSA key.
absl::StatusOr<ClientCertificate> ReadClientCertificate(std::string_view pem);

}  // namespace latchkey::emulator::azure
