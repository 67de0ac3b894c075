// The services that give out access tokens.
//
//   OAuth             jwt-bearer grant of a service account's key (RFC 7523)
//   STS               token exchange of an external identity (RFC 8693; docs.cloud.google.com/iam/docs/reference/sts/rest)
//   IAM Credentials   generateAccessToken, for whoever may act as the account (googleapis google/iam/credentials/v1)
//   metadata server   the token of the machine's own account (docs.cloud.google.com/compute/docs/metadata)
//
// Times in JWTs are compared with the machine's clock, which their makers have; tokens given out expire by the emulator's.
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <string>

#include "emulator/cloud.h"
#include "emulator/gcp/world.h"

namespace latchkey::emulator::gcp {

// These three also fill the record's result.
HttpResponse OauthToken(const World& world, CloudCall& call);
HttpResponse ExchangeToken(const World& world, CloudCall& call);
// `path`: what stands behind /computeMetadata/v1/.
HttpResponse Metadata(const World& world, CloudCall& call, const std::string& path);
// `resource`: "-/" and the account's e-mail address or unique id.
absl::StatusOr<boost::json::object> GenerateAccessToken(const World& world, CloudCall& call, const std::string& resource);

}  // namespace latchkey::emulator::gcp
