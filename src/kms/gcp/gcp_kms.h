// Google Cloud KMS over REST (cloudkms v1), through the owner's service account (IAM Credentials generateAccessToken).
// Wire: googleapis google/cloud/kms/v1/service.proto, google/iam/credentials/v1, docs.cloud.google.com/iam/docs (workload identity
// federation).
//
//   uri             projects/P/locations/L/keyRings/R/cryptoKeys/K
//   auth_principal  e-mail address of the owner's service account, impersonated; empty: act as ourselves
#pragma once

#include <memory>
#include <string>

#include "kms/call.h"
#include "kms/kms.h"

namespace latchkey {

struct GcpKmsOptions {
  // Overrides, "" = the real one. They never come over the API.
  std::string kms_endpoint;              // https://cloudkms.googleapis.com
  std::string iam_credentials_endpoint;  // https://iamcredentials.googleapis.com
  std::string oauth_endpoint;            // https://oauth2.googleapis.com (path /token); goes before a credentials file's token_uri
  std::string sts_endpoint;              // https://sts.googleapis.com (path /v1/token); goes before a credentials file's token_url
  std::string metadata_endpoint;         // http://metadata.google.internal; "" also looks at GCE_METADATA_HOST
  // Our identity: this file ("" = GOOGLE_APPLICATION_CREDENTIALS, then ~/.config/gcloud/application_default_credentials.json), of type
  // service_account or external_account with a credential_source of type file; without any file, the metadata server.
  std::string credentials_file;
  KmsCallOptions call;
};

std::unique_ptr<Kms> NewGcpKms(GcpKmsOptions options);

}  // namespace latchkey
