// Azure Key Vault and Managed HSM keys (data plane, api-version 7.4), through a multi-tenant application in the owner's tenant (Entra ID).
// Wire: learn.microsoft.com/rest/api/keyvault/keys, learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow.
//
//   uri             https://<vault>.vault.azure.net/keys/<name>[/<32 hex digits>] or https://<hsm>.managedhsm.azure.net/keys/…
//                   (also the sovereign clouds' suffixes). Without a version: the key's current one, which the wrapping then names.
//   auth_principal  the owner's tenant (UUID); empty: our own tenant
// RSA keys: RSA-OAEP-256 over plaintext ‖ SHA-256(context) (bound_payload.h), so that one of 2,048 bits takes plaintexts up to 158 bytes.
// oct-HSM keys (256 bits): A256KW over the same ‖ 0x80 ‖ zeros up to a multiple of 8.
#pragma once

#include <memory>
#include <string>

#include "kms/call.h"
#include "kms/kms.h"

namespace latchkey {

struct AzureKmsOptions {
  // Overrides, "" = the real one. They never come over the API.
  // Requests to a vault go here instead, with the vault's own name in the Host header; its challenge is then not held against our host.
  std::string key_endpoint;
  std::string authority;          // https://login.microsoftonline.com; "" also looks at AZURE_AUTHORITY_HOST
  std::string metadata_endpoint;  // http://169.254.169.254; "" also looks at AZURE_POD_IDENTITY_AUTHORITY_HOST
  // Our application; "" = the variables of the Azure SDKs: AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_CERTIFICATE_PATH,
  // AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_SECRET. Which credential: certificate, federated token, secret, in this order; with none of
  // them the managed identity (IDENTITY_ENDPOINT and IDENTITY_HEADER, or the machine's metadata server), which has no other tenant.
  // Where a file is named here, credentials of the variables are not looked at.
  std::string tenant_id, client_id;
  std::string client_certificate_file;  // PEM: private key and certificate
  std::string federated_token_file;
  std::string client_secret_file;
  KmsCallOptions call;
};

std::unique_ptr<Kms> NewAzureKms(AzureKmsOptions options);

}  // namespace latchkey
