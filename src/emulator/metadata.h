// Where machines find their credentials: the instance metadata service, version 2, and the container endpoint, both on AWS's port.
// docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html,
// docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
//
//   PUT /latest/api/token                                             → a token for the calls below, of at most six hours
//   GET /latest/meta-data/iam/security-credentials/[role]             → the name of the instance's role; its credentials
//   GET /v2/credentials/<id>     Authorization: what was agreed       → credentials of a container's role
#pragma once

#include <optional>

#include "emulator/cloud.h"
#include "emulator/world.h"

namespace latchkey::emulator {

// nullopt: no path of these two.
std::optional<OperationName> MetadataOperation(const HttpRequest& request);
// For a request that MetadataOperation names.
HttpResponse AnswerMetadata(const World& world, CloudCall& call);

}  // namespace latchkey::emulator
