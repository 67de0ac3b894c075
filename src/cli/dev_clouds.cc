#include "cli/dev_clouds.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_format.h>

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"

namespace latchkey {
namespace {

using Tables = absl::StatusOr<std::string>;

// Google's libraries and ours read the same file: the service account's key as its owner downloads it.
Tables Gcp(const std::string& folder, const std::string& url, const json::object& credentials) {
  JsonReader reader(credentials, "gcp.credentials");
  const json::object* account = reader.Object("service_account");
  RETURN_IF_ERROR(reader.status());
  const std::string file = folder + "/gcp-credentials.json";
  RETURN_IF_ERROR(WriteFileAtomically(file, json::serialize(*account)));
  std::string out = absl::StrFormat("\n[gcp]\ncredentials_file = \"%s\"\n", file);
  for (const char* service : {"kms", "iam_credentials", "oauth", "sts", "metadata"}) {
    absl::StrAppendFormat(&out, "%s_endpoint = \"%s\"\n", service, url);
  }
  return out;
}

Tables Azure(const std::string& folder, const std::string& url, const json::object& credentials) {
  JsonReader reader(credentials, "azure.credentials");
  const std::string tenant = reader.String("tenant_id"), client = reader.String("client_id"), pem = reader.String("certificate_pem");
  RETURN_IF_ERROR(reader.status());
  const std::string file = folder + "/azure-client.pem";
  RETURN_IF_ERROR(WriteFileAtomically(file, pem));
  return absl::StrFormat(
      "\n[azure]\nkey_endpoint = \"%s\"\nauthority = \"%s\"\nmetadata_endpoint = \"%s\"\ntenant_id = \"%s\"\nclient_id = \"%s\"\n"
      "client_certificate_file = \"%s\"\n",
      url, url, url, tenant, client, file);
}

// The name of the connection is the one in the seed's key URIs.
Tables Vault(const std::string& folder, const std::string& url, const json::object& credentials) {
  JsonReader reader(credentials, "vault.credentials");
  const std::string role = reader.String("role_id"), secret = reader.String("secret_id");
  RETURN_IF_ERROR(reader.status());
  const std::string file = folder + "/vault-secret-id";
  RETURN_IF_ERROR(WriteFileAtomically(file, secret));
  return absl::StrFormat("\n[connections.vault]\ntype = \"VAULT_TRANSIT\"\naddress = \"%s\"\nrole_id = \"%s\"\nsecret_id_file = \"%s\"\n",
                         url, role, file);
}

}  // namespace

absl::StatusOr<std::string> WriteDevCloudAccess(const std::string& folder, const std::map<std::string, DevCloud>& clouds) {
  std::string out;
  for (const auto& [name, write] : {std::pair{"gcp", &Gcp}, {"azure", &Azure}, {"vault", &Vault}}) {
    const auto cloud = clouds.find(name);
    if (cloud == clouds.end()) continue;
    JsonReader reader(cloud->second.seed, name);
    const json::object* credentials = reader.Object("credentials");
    RETURN_IF_ERROR(reader.status());
    ASSIGN_OR_RETURN(const std::string tables, write(folder, cloud->second.url, *credentials));
    out += tables;
  }
  return out;
}

absl::StatusOr<std::string> DevCloudVariables(const std::map<std::string, DevCloud>& clouds) {
  std::string out;
  for (const auto& [name, cloud] : clouds) {
    const std::string prefix = absl::AsciiStrToUpper(name);
    for (const auto& [member, variable] : {std::pair{"owner", "OWNER_KEY"}, {"second_owner", "SECOND_OWNER_KEY"}}) {
      JsonReader reader(cloud.seed, name);
      const json::object* key = reader.Object(member);
      RETURN_IF_ERROR(reader.status());
      JsonReader key_reader(*key, absl::StrCat(name, ".", member));
      const std::string uri = key_reader.String("uri"), principal = key_reader.OptionalString("auth_principal");
      RETURN_IF_ERROR(key_reader.status());
      absl::StrAppend(&out, "export ", prefix, "_", variable, "=", uri, "\n");
      if (member == std::string_view("owner") && !principal.empty()) {
        absl::StrAppend(&out, "export ", prefix, "_OWNER_PRINCIPAL=", principal, "\n");
      }
    }
  }
  return out;
}

}  // namespace latchkey
