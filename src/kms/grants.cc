#include "kms/grants.h"

#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <vector>

#include "base/status.h"
#include "protocol/key_type.h"

namespace latchkey {
namespace {

// ---- AWS ----

constexpr char kAwsRolePolicy[] = R"({
  "Version": "2012-10-17",
  "Statement": [{
    "Sid": "LatchkeyUsesTheKey",
    "Effect": "Allow",
    "Action": ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:GetKeyRotationStatus"],
    "Resource": "{{key}}"
  }]
})";

constexpr char kAwsTrustPolicy[] = R"({
  "Version": "2012-10-17",
  "Statement": [{
    "Sid": "LatchkeyStepsIn",
    "Effect": "Allow",
    "Principal": {"AWS": "{{caller}}"},
    "Action": "sts:AssumeRole",
    "Condition": {"StringEquals": {"sts:ExternalId": "{{external_id}}"}}
  }]
})";

constexpr char kAwsKeyStatement[] = R"({
  "Sid": "LatchkeyUsesTheKey",
  "Effect": "Allow",
  "Principal": {"AWS": "{{principal}}"},
  "Action": ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:GetKeyRotationStatus"],
  "Resource": "*"
})";

constexpr char kAwsPolicy[] = R"(Trust policy of the role {{principal}}:
{{trust}}

Policy of that role:
{{role_policy}}

Only where the key's own policy does not leave access to IAM, a further statement in the key's policy:
{{key_statement}}
)";

constexpr char kAwsCommands[] = R"(cat > trust.json <<'END'
{{trust}}
END
cat > use-key.json <<'END'
{{role_policy}}
END
aws iam create-role --role-name {{role_name}} --assume-role-policy-document file://trust.json
aws iam put-role-policy --role-name {{role_name}} --policy-name latchkey-key --policy-document file://use-key.json
)";

constexpr char kAwsTerraform[] = R"(resource "aws_iam_role" "latchkey" {
  name = "{{role_name}}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = "{{caller}}" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "sts:ExternalId" = "{{external_id}}" } }
    }]
  })
}

resource "aws_iam_role_policy" "latchkey" {
  name = "latchkey-key"
  role = aws_iam_role.latchkey.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:GetKeyRotationStatus"]
      Resource = "{{key}}"
    }]
  })
}
)";

// ---- Google ----

constexpr char kGcpPolicy[] = R"(On the service account {{principal}} (projects/{{owner_project}}):
  roles/iam.serviceAccountTokenCreator for serviceAccount:{{caller}}
On the key {{key}}:
  a custom role with cloudkms.cryptoKeyVersions.useToEncrypt, cloudkms.cryptoKeyVersions.useToDecrypt and cloudkms.cryptoKeys.get
  for serviceAccount:{{principal}}
)";

constexpr char kGcpCommands[] = R"(gcloud services enable cloudkms.googleapis.com iamcredentials.googleapis.com --project {{owner_project}}
gcloud iam service-accounts create {{account_name}} --project {{owner_project}}
gcloud iam service-accounts add-iam-policy-binding {{principal}} --project {{owner_project}} \
  --member serviceAccount:{{caller}} --role roles/iam.serviceAccountTokenCreator
gcloud iam roles create latchkeyCmek --project {{project}} --title "Latchkey CMEK" \
  --permissions cloudkms.cryptoKeyVersions.useToEncrypt,cloudkms.cryptoKeyVersions.useToDecrypt,cloudkms.cryptoKeys.get
gcloud kms keys add-iam-policy-binding {{key_name}} --keyring {{ring}} --location {{location}} --project {{project}} \
  --member serviceAccount:{{principal}} --role projects/{{project}}/roles/latchkeyCmek
)";

constexpr char kGcpTerraform[] = R"(resource "google_service_account_iam_member" "latchkey" {
  service_account_id = "projects/{{owner_project}}/serviceAccounts/{{principal}}"
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = "serviceAccount:{{caller}}"
}

resource "google_project_iam_custom_role" "latchkey" {
  project     = "{{project}}"
  role_id     = "latchkeyCmek"
  title       = "Latchkey CMEK"
  permissions = ["cloudkms.cryptoKeyVersions.useToEncrypt", "cloudkms.cryptoKeyVersions.useToDecrypt", "cloudkms.cryptoKeys.get"]
}

resource "google_kms_crypto_key_iam_member" "latchkey" {
  crypto_key_id = "{{key}}"
  role          = google_project_iam_custom_role.latchkey.id
  member        = "serviceAccount:{{principal}}"
}
)";

// ---- Azure ----

constexpr char kAzurePolicy[] = R"(In the tenant {{principal}}:
  consent to the application {{caller}} (a service principal of it is made there)
On the key {{key}} (or its vault):
  the role "Key Vault Crypto Service Encryption User" for that service principal (get, wrapKey, unwrapKey)
)";

constexpr char kAzureCommands[] = R"text(az login --tenant {{principal}}
az ad sp create --id {{caller}}
az role assignment create --role "Key Vault Crypto Service Encryption User" \
  --assignee-object-id "$(az ad sp show --id {{caller}} --query id -o tsv)" --assignee-principal-type ServicePrincipal \
  --scope "$(az {{kind}} show --name {{vault}} --query id -o tsv)/keys/{{key_name}}"
)text";

constexpr char kAzureTerraform[] = R"(provider "azuread" {
  tenant_id = "{{principal}}"
}

resource "azuread_service_principal" "latchkey" {
  client_id = "{{caller}}"
}

data "azurerm_key_vault" "owner" {
  name                = "{{vault}}"
  resource_group_name = "RESOURCE-GROUP"
}

resource "azurerm_role_assignment" "latchkey" {
  scope                = "${data.azurerm_key_vault.owner.id}/keys/{{key_name}}"
  role_definition_name = "Key Vault Crypto Service Encryption User"
  principal_id         = azuread_service_principal.latchkey.object_id
}
)";

// ---- Vault ----

constexpr char kVaultPolicy[] = R"(path "{{mount}}/encrypt/{{key_name}}" {
  capabilities = ["update"]
}
path "{{mount}}/decrypt/{{key_name}}" {
  capabilities = ["update"]
}
path "{{mount}}/keys/{{key_name}}" {
  capabilities = ["read"]
}
)";

constexpr char kVaultCommands[] = R"(vault policy write latchkey-cmek - <<'END'
{{policy}}END
vault write auth/approle/role/{{caller}} token_policies=latchkey-cmek token_ttl=5m token_max_ttl=15m
vault read auth/approle/role/{{caller}}/role-id
vault write -f auth/approle/role/{{caller}}/secret-id
)";

constexpr char kVaultTerraform[] = R"(resource "vault_policy" "latchkey" {
  name   = "latchkey-cmek"
  policy = <<-END
{{policy}}  END
}

resource "vault_approle_auth_backend_role" "latchkey" {
  backend        = "approle"
  role_name      = "{{caller}}"
  token_policies = [vault_policy.latchkey.name]
  token_ttl      = 300
  token_max_ttl  = 900
}
)";

// ---- Those without a cloud ----

constexpr char kPkcs11Policy[] =
    R"(The token of the connection "{{connection}}" needs an AES-256 key with the label "{{key_name}}" and the attributes CKA_ENCRYPT and CKA_DECRYPT
(with modules that have no AES-GCM: CKA_WRAP and CKA_UNWRAP), not extractable; and the host a file with the user's PIN, mode 0600.
)";
constexpr char kPkcs11Commands[] =
    R"(pkcs11-tool --module MODULE --token-label TOKEN --login --keygen --key-type AES:32 --label '{{key_name}}' --id 01 --sensitive
install -m 0600 -o root /dev/stdin PIN-FILE   # the PIN, one line
)";
constexpr char kKmipPolicy[] =
    R"(The object {{key_name}} on the server of the connection "{{connection}}" must be a symmetric AES-256 key in the state Active with the usage
mask Encrypt | Decrypt, and the subject of the client certificate needs the operations Get Attributes, Encrypt and Decrypt on it.
)";
constexpr char kLocalPolicy[] =
    R"(The key file of the connection "{{connection}}" must belong to the agent's user with mode 0600. Whoever has a copy of it has the key.
)";
constexpr char kLocalCommands[] = "latchkey keys create-local PATH\n";

using Values = std::vector<std::pair<std::string, std::string>>;

std::string Fill(std::string_view text, const Values& values) {
  std::vector<std::pair<std::string, std::string>> replacements;
  for (const auto& [name, value] : values) replacements.emplace_back("{{" + name + "}}", value);
  return absl::StrReplaceAll(ToAbsl(text), replacements);
}

// What may stand in quotes of a shell, of JSON and of Terraform alike.
absl::Status CheckPlain(const char* field, std::string_view value) {
  const bool plain = value.size() <= 2048 && std::all_of(value.begin(), value.end(), [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                              std::string_view(":/._-@=+,").find(c) != std::string_view::npos;
                     });
  if (plain) return absl::OkStatus();
  return InvalidArgument(field, ": has characters that cannot be put into a command or policy safely");
}

std::string Or(std::string_view value, std::string_view placeholder) { return std::string(value.empty() ? placeholder : value); }

std::vector<std::string> Parts(std::string_view text) { return absl::StrSplit(ToAbsl(text), '/'); }

std::string PartOf(const std::vector<std::string>& parts, size_t i) { return i < parts.size() ? parts[i] : ""; }

Values AwsValues(const GrantRequest& request) {
  const std::string principal = Or(request.key.auth_principal, "ARN-OF-THE-ROLE");
  Values values = {{"key", request.key.uri},
                   {"principal", principal},
                   {"role_name", Or(principal.substr(principal.rfind('/') + 1), "ROLE")},
                   {"caller", Or(request.caller, "ARN-OF-LATCHKEYS-IDENTITY")},
                   {"external_id", Or(request.key.external_id, "ORGANIZATION-ID")}};
  values.emplace_back("trust", Fill(kAwsTrustPolicy, values));
  values.emplace_back("role_policy", Fill(kAwsRolePolicy, values));
  values.emplace_back("key_statement", Fill(kAwsKeyStatement, values));
  return values;
}

Values GcpValues(const GrantRequest& request) {
  // projects/P/locations/L/keyRings/R/cryptoKeys/K
  const std::vector<std::string> name = Parts(request.key.uri);
  const std::string principal = Or(request.key.auth_principal, "OWNER-ACCOUNT@OWNER-PROJECT.iam.gserviceaccount.com");
  const size_t at = principal.find('@');
  const std::string domain = at == std::string::npos ? "" : principal.substr(at + 1);
  return {{"key", request.key.uri},
          {"project", PartOf(name, 1)},
          {"location", PartOf(name, 3)},
          {"ring", PartOf(name, 5)},
          {"key_name", PartOf(name, 7)},
          {"principal", principal},
          {"account_name", principal.substr(0, at)},
          {"owner_project", Or(domain.substr(0, domain.find('.')), "OWNER-PROJECT")},
          {"caller", Or(request.caller, "LATCHKEYS-ACCOUNT@PROJECT.iam.gserviceaccount.com")}};
}

Values AzureValues(const GrantRequest& request) {
  // https://VAULT.vault.azure.net/keys/NAME[/VERSION]
  const std::vector<std::string> name = Parts(request.key.uri);
  const std::string host = PartOf(name, 2);
  return {{"key", request.key.uri},
          {"vault", host.substr(0, host.find('.'))},
          {"kind", host.find(".managedhsm.") != std::string::npos ? "keyvault --hsm-name" : "keyvault"},
          {"key_name", PartOf(name, 4)},
          {"principal", Or(request.key.auth_principal, "OWNERS-TENANT-ID")},
          {"caller", Or(request.caller, "LATCHKEYS-APPLICATION-ID")}};
}

// <scheme>://CONNECTION/MOUNT…/KEY
Values ConnectionValues(const GrantRequest& request) {
  const std::vector<std::string> name = Parts(request.key.uri);
  std::string mount;
  for (size_t i = 3; i + 1 < name.size(); ++i) mount += (mount.empty() ? "" : "/") + name[i];
  Values values = {{"connection", PartOf(name, 2)},
                   {"mount", Or(mount, "transit")},
                   {"key_name", name.size() > 3 ? name.back() : PartOf(name, 2)},
                   {"caller", Or(request.caller, "latchkey")}};
  values.emplace_back("policy", Fill(kVaultPolicy, values));
  return values;
}

struct Texts {
  std::string_view type, policy, commands, terraform;  // empty: there is no such form
  Values (*values)(const GrantRequest& request);
};

constexpr Texts kTexts[] = {
    {"AWS_KMS", kAwsPolicy, kAwsCommands, kAwsTerraform, AwsValues},
    {"GCP_CLOUD_KMS", kGcpPolicy, kGcpCommands, kGcpTerraform, GcpValues},
    {"AZURE_KEY_VAULT", kAzurePolicy, kAzureCommands, kAzureTerraform, AzureValues},
    {"VAULT_TRANSIT", kVaultPolicy, kVaultCommands, kVaultTerraform, ConnectionValues},
    {"PKCS11", kPkcs11Policy, kPkcs11Commands, "", ConnectionValues},
    {"KMIP", kKmipPolicy, "", "", ConnectionValues},
    {"LOCAL", kLocalPolicy, kLocalCommands, "", ConnectionValues},
};

const Texts* TextsOf(std::string_view type) {
  const auto* found = std::find_if(std::begin(kTexts), std::end(kTexts), [&](const Texts& t) { return t.type == type; });
  return found == std::end(kTexts) ? nullptr : found;
}

// The identity could not step to the owner's side, or has no side to step from.
bool IsIdentityStep(std::string_view step) { return step == "credentials" || step == "identity"; }

}  // namespace

absl::StatusOr<std::string> Grants(const GrantRequest& request, GrantForm form) {
  const Texts* texts = TextsOf(request.key.type);
  if (texts == nullptr) return InvalidArgument("type: must be one of ", KeyTypeList());
  RETURN_IF_ERROR(CheckPlain("uri", request.key.uri));
  RETURN_IF_ERROR(CheckPlain("auth_principal", request.key.auth_principal));
  RETURN_IF_ERROR(CheckPlain("external_id", request.key.external_id));
  RETURN_IF_ERROR(CheckPlain("caller", request.caller));
  const std::string_view text = form == GrantForm::kPolicy     ? texts->policy
                                : form == GrantForm::kCommands ? texts->commands
                                                               : texts->terraform;
  if (text.empty()) return absl::UnimplementedError(absl::StrCat("there is no such form for ", request.key.type));
  return Fill(text, texts->values(request));
}

std::string Remedy(const GrantRequest& request, std::string_view step, FailureClass c) {
  const bool refused = c == FailureClass::kDenied || c == FailureClass::kAmbiguous;
  const Texts* texts = TextsOf(request.key.type);
  if (!refused || texts == nullptr) return std::string(NextStep(c));
  if (request.key.type == "AWS_KMS") {
    const Values values = AwsValues(request);
    // Stepping in needs the trust, using the key the policy.
    return IsIdentityStep(step) ? Fill("Trust policy of the role {{principal}}:\n{{trust}}", values)
                                : Fill("Policy of {{principal}}:\n{{role_policy}}", values);
  }
  if (request.key.type == "GCP_CLOUD_KMS" && IsIdentityStep(step)) {
    return Fill(
        "gcloud iam service-accounts add-iam-policy-binding {{principal}} --project {{owner_project}} --member serviceAccount:{{caller}} "
        "--role roles/iam.serviceAccountTokenCreator",
        GcpValues(request));
  }
  if (request.key.type == "AZURE_KEY_VAULT" && IsIdentityStep(step)) {
    return Fill("az ad sp create --id {{caller}}   # in the tenant {{principal}}", AzureValues(request));
  }
  auto text = Grants(request, request.key.type == "VAULT_TRANSIT" || texts->commands.empty() ? GrantForm::kPolicy : GrantForm::kCommands);
  return text.ok() ? *std::move(text) : std::string(NextStep(c));
}

}  // namespace latchkey
