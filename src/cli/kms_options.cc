#include "cli/kms_options.h"

#include "agent/config.h"
#include "base/file.h"
#include "base/status.h"
#include "kms/config.h"
#include "protocol/key_type.h"

namespace latchkey {

std::vector<CommandOption> KmsOptionList(KmsArgs* args) {
  return {
      {.names = "--type", .help = "type of the root key", .target = &args->key.type, .choices = KeyTypeNames()},
      {.names = "--uri", .help = "the root key, as its type names it", .target = &args->key.uri, .required = true},
      {.names = "--principal",
       .help = "whom to act as on the owner's side: AWS role ARN, Google service account, Azure tenant",
       .target = &args->key.auth_principal},
      {.names = "--external-id", .help = "external id for that role", .target = &args->key.external_id},
      {.names = "--as-caller", .help = "leave the owner's role out and act with the caller's own rights", .target = &args->as_caller},
      {.names = "--agent-config", .help = "take endpoints and connections from an agent's configuration", .target = &args->agent_config},
      {.names = "--connection", .help = "LOCAL keys: name=path of the key file (repeatable)", .target = &args->connections},
      {.names = "--kms-endpoint", .help = "AWS KMS endpoint (default: the key's region)", .target = &args->kms_endpoint},
      {.names = "--sts-endpoint", .help = "AWS STS endpoint (default: the key's region)", .target = &args->sts_endpoint},
      {.names = "--kms-ca-file", .help = "PEM file with the CA of those endpoints", .target = &args->ca_file},
      {.names = "--profile", .help = "profile in the AWS credentials file", .target = &args->profile},
  };
}

absl::StatusOr<KmsSet> KmsFor(const KmsArgs& args) {
  KmsConfig config;
  if (!args.agent_config.empty()) {
    ASSIGN_OR_RETURN(const AgentConfig agent, LoadAgentConfig(args.agent_config));
    ASSIGN_OR_RETURN(config, KmsConfigOf(agent));
  }
  for (const std::string& text : args.connections) {
    const size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) return InvalidArgument("--connection: must be name=path, not '", text, "'");
    config.local_connections[text.substr(0, equals)] = text.substr(equals + 1);
  }
  if (!args.kms_endpoint.empty()) config.aws.kms_endpoint = args.kms_endpoint;
  if (!args.sts_endpoint.empty()) config.aws.sts_endpoint = args.sts_endpoint;
  if (!args.profile.empty()) config.aws.profile = args.profile;
  if (!args.ca_file.empty()) {
    ASSIGN_OR_RETURN(config.aws.call.ca_pem, ReadFile(args.ca_file, 1 << 20));
  }
  return BuildKmsSet(config);
}

RootKey KeyOf(const KmsArgs& args) {
  RootKey key = args.key;
  if (args.as_caller) key.auth_principal.clear();
  return key;
}

}  // namespace latchkey
