// Credential files of Google Cloud: who we are, as the operator was given it.
// docs.cloud.google.com/iam/docs/service-account-creds (service_account), google.aip.dev/auth/4117 (external_account)
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <string>
#include <variant>

#include "base/secret_bytes.h"

namespace latchkey {

// A key of a service account. The private key is a secret.
struct GcpServiceAccountKey {
  std::string client_email, private_key_id, token_uri;
  SecretBytes private_key;  // PEM
};

// Workload identity federation: somebody else's token, in a file that somebody else keeps fresh, exchanged for one of Google's.
struct GcpExternalAccount {
  std::string audience, subject_token_type, token_url;
  std::string token_file;
  std::string json_field;  // of the token in the file, when that holds JSON; empty: the file is the token
  // The service account of ours that is stepped into; empty: act as the federated identity itself.
  std::string service_account;
  std::string iam_endpoint;  // "https://iamcredentials.googleapis.com", as the file says; empty without `service_account`
  absl::Duration lifetime = absl::Hours(1);
};

using GcpCredentialsFile = std::variant<GcpServiceAccountKey, GcpExternalAccount>;

// InvalidArgument naming the field; never a value. The text is the caller's to wipe.
absl::StatusOr<GcpCredentialsFile> ParseGcpCredentialsFile(std::string_view text);

// OK for https:// with a host of Google's: files of this kind are also handed around by people who would like to get tokens sent elsewhere.
absl::Status CheckGoogleUrl(std::string_view url);

}  // namespace latchkey
