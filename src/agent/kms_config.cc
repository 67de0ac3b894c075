#include "agent/kms_config.h"

#include "agent/kms_config_reader.h"
#include "base/file.h"

namespace latchkey {
namespace {

constexpr size_t kMostCaBytes = 1 << 20;
constexpr size_t kLongestName = 63;

void ReadAws(const toml::table& table, AgentKmsConfig& config, absl::Status& fault) {
  TableReader values(table, "aws", fault);
  AwsKmsOptions& aws = config.kms.aws;
  values.String("kms_endpoint", aws.kms_endpoint);
  values.String("sts_endpoint", aws.sts_endpoint);
  values.String("ca_file", config.aws_ca_file);
  values.String("profile", aws.profile);
  values.String("shared_credentials_file", aws.shared_credentials_file);
  values.String("config_file", aws.config_file);
  values.RefuseUnknown();
}

void ReadGcp(const toml::table& table, AgentKmsConfig& config, absl::Status& fault) {
  TableReader values(table, "gcp", fault);
  GcpKmsOptions& gcp = config.kms.gcp;
  values.String("kms_endpoint", gcp.kms_endpoint);
  values.String("iam_credentials_endpoint", gcp.iam_credentials_endpoint);
  values.String("oauth_endpoint", gcp.oauth_endpoint);
  values.String("sts_endpoint", gcp.sts_endpoint);
  values.String("metadata_endpoint", gcp.metadata_endpoint);
  values.String("credentials_file", gcp.credentials_file);
  values.String("ca_file", config.gcp_ca_file);
  values.RefuseUnknown();
}

void ReadAzure(const toml::table& table, AgentKmsConfig& config, absl::Status& fault) {
  TableReader values(table, "azure", fault);
  AzureKmsOptions& azure = config.kms.azure;
  values.String("key_endpoint", azure.key_endpoint);
  values.String("authority", azure.authority);
  values.String("metadata_endpoint", azure.metadata_endpoint);
  values.String("tenant_id", azure.tenant_id);
  values.String("client_id", azure.client_id);
  values.String("client_certificate_file", azure.client_certificate_file);
  values.String("federated_token_file", azure.federated_token_file);
  values.String("client_secret_file", azure.client_secret_file);
  values.String("ca_file", config.azure_ca_file);
  values.RefuseUnknown();
}

VaultConnection ReadVault(TableReader& reader, std::string& ca_file) {
  VaultConnection vault;
  reader.String("address", vault.address);
  reader.String("namespace", vault.namespace_path);
  reader.String("ca_file", ca_file);
  reader.String("token_file", vault.token_file);
  reader.String("role_id", vault.role_id);
  reader.String("secret_id_file", vault.secret_id_file);
  reader.String("approle_mount", vault.approle_mount);
  reader.String("kubernetes_role", vault.kubernetes_role);
  reader.String("kubernetes_token_file", vault.kubernetes_token_file);
  reader.String("kubernetes_mount", vault.kubernetes_mount);
  return vault;
}

Pkcs11Connection ReadPkcs11(TableReader& reader) {
  Pkcs11Connection token;
  reader.String("module", token.module);
  reader.String("token_label", token.token_label);
  reader.String("pin_file", token.pin_file);
  return token;
}

KmipConnection ReadKmip(TableReader& reader) {
  KmipConnection kmip;
  reader.String("host", kmip.host);
  reader.Int("port", kmip.port);
  reader.String("ca_file", kmip.ca_file);
  reader.String("client_certificate_file", kmip.client_certificate_file);
  reader.String("client_key_file", kmip.client_key_file);
  reader.String("server_name", kmip.server_name);
  return kmip;
}

// Names stand in key URIs.
bool IsConnectionName(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

void Take(const absl::Status& checked, const std::string& path, absl::Status& fault) {
  if (fault.ok() && !checked.ok()) fault = InvalidArgument(path, ".", checked.message());
}

void ReadConnection(const std::string& name, const toml::table& table, AgentKmsConfig& config, absl::Status& fault) {
  const std::string path = "connections." + name;
  TableReader reader(table, path, fault);
  KmsConfig& kms = config.kms;
  std::string type;
  reader.String("type", type);
  if (!IsConnectionName(name)) {
    fault = InvalidArgument(path.substr(0, 96), ": a connection's name has 1 to ", kLongestName, " letters, digits, '-', '_' and '.'");
  } else if (type == "LOCAL") {
    std::string file;
    reader.String("path", file);
    if (file.empty() || file[0] != '/') reader.Fault("path", "must be an absolute path");
    kms.local_connections[name] = file;
  } else if (type == "VAULT_TRANSIT") {
    std::string ca_file;
    const VaultConnection vault = ReadVault(reader, ca_file);
    kms.vault_connections[name] = vault;
    if (!ca_file.empty()) config.vault_ca_files[name] = ca_file;
  } else if (type == "PKCS11") {
    kms.pkcs11_connections[name] = ReadPkcs11(reader);
  } else if (type == "KMIP") {
    kms.kmip_connections[name] = ReadKmip(reader);
  } else {
    reader.Fault("type", "must be LOCAL, VAULT_TRANSIT, PKCS11 or KMIP");
  }
  reader.RefuseUnknown();
}

absl::Status ReadCa(const std::string& key, const std::string& file, std::string& pem) {
  if (file.empty()) return absl::OkStatus();
  auto text = ReadFile(file, kMostCaBytes);
  if (!text.ok()) return Prefixed(text.status(), key);
  pem = *std::move(text);
  return absl::OkStatus();
}

}  // namespace

void ReadKmsConfig(TableReader& file, AgentKmsConfig& config, absl::Status& fault) {
  if (const toml::table* aws = file.Table("aws")) ReadAws(*aws, config, fault);
  if (const toml::table* gcp = file.Table("gcp")) ReadGcp(*gcp, config, fault);
  if (const toml::table* azure = file.Table("azure")) ReadAzure(*azure, config, fault);
  const toml::table* connections = file.Table("connections");
  if (connections == nullptr) return;
  for (const auto& [name, node] : *connections) {
    const toml::table* connection = node.as_table();
    if (connection != nullptr) {
      ReadConnection(std::string(name.str()), *connection, config, fault);
    } else if (fault.ok()) {
      fault = InvalidArgument("connections.", ToAbsl(std::string_view(name.str())), ": must be a table");
    }
    if (!fault.ok()) return;
  }
  for (const auto& [name, vault] : config.kms.vault_connections) Take(CheckVaultConnection(vault), "connections." + name, fault);
  for (const auto& [name, token] : config.kms.pkcs11_connections) Take(CheckPkcs11Connection(token), "connections." + name, fault);
  for (const auto& [name, kmip] : config.kms.kmip_connections) Take(CheckKmipConnection(kmip), "connections." + name, fault);
}

absl::StatusOr<KmsConfig> ResolveKmsConfig(const AgentKmsConfig& config) {
  KmsConfig kms = config.kms;
  RETURN_IF_ERROR(ReadCa("aws.ca_file", config.aws_ca_file, kms.aws.call.ca_pem));
  RETURN_IF_ERROR(ReadCa("gcp.ca_file", config.gcp_ca_file, kms.gcp.call.ca_pem));
  RETURN_IF_ERROR(ReadCa("azure.ca_file", config.azure_ca_file, kms.azure.call.ca_pem));
  for (const auto& [name, file] : config.vault_ca_files) {
    RETURN_IF_ERROR(ReadCa("connections." + name + ".ca_file", file, kms.vault_connections[name].ca_pem));
  }
  return kms;
}

}  // namespace latchkey
