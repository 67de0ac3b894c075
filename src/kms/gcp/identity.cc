#include "kms/gcp/identity.h"

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/jwt.h"
#include "kms/gcp/kms_client.h"
#include "kms/gcp/token_request.h"

namespace latchkey {
namespace {

constexpr size_t kMaxFile = 64 << 10;
constexpr size_t kMaxSubjectToken = 16 << 10;
// The longest that Google accepts for an assertion.
constexpr int64_t kAssertionSeconds = 3600;

absl::Status Identity(std::string_view message) {
  return KmsError(FailureClass::kIdentity, absl::StrCat("our own Google Cloud identity: ", ToAbsl(message)));
}

SecretBytes Value(std::string_view text) { return SecretBytes::CopyOf(text); }

// The token in the file of an external account; wiped after it.
absl::StatusOr<SecretBytes> SubjectToken(const GcpExternalAccount& account) {
  auto text = ReadFile(account.token_file, kMaxSubjectToken);
  if (!text.ok()) return Identity(absl::StrCat("token file ", account.token_file, ": ", text.status().message()));
  SecretBytes token;
  if (account.json_field.empty()) {
    std::string_view trimmed = *text;
    while (!trimmed.empty() && static_cast<unsigned char>(trimmed.back()) <= ' ') trimmed.remove_suffix(1);
    token = SecretBytes::CopyOf(trimmed);
  } else if (auto object = ParseJsonObject(*text); object.ok()) {
    json::value* value = object->if_contains(account.json_field);
    if (json::string* field = value == nullptr ? nullptr : value->if_string()) {
      token = SecretBytes::CopyOf(std::string_view(field->data(), field->size()));
      Wipe(field->data(), field->size());
    }
  }
  Wipe(*text);
  if (token.empty()) {
    return Identity(absl::StrCat("token file ", account.token_file, ": ",
                                 account.json_field.empty() ? "is empty" : "holds no JSON object with the field of the token"));
  }
  return token;
}

// GCE_METADATA_HOST: "host" or "host:port".
bool IsAuthority(std::string_view text) {
  return text.size() <= 255 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:[]") == std::string_view::npos;
}

}  // namespace

std::string GcpIdentity::CredentialsPath() const {
  if (!options_.credentials_file.empty()) return options_.credentials_file;
  if (std::string path = options_.call.Variable("GOOGLE_APPLICATION_CREDENTIALS"); !path.empty()) return path;
  const std::string home = options_.call.Variable("HOME");
  if (home.empty()) return "";
  std::string well_known = absl::StrCat(home, "/.config/gcloud/application_default_credentials.json");
  return PathExists(well_known) ? well_known : "";
}

absl::StatusOr<SharedBearerToken> GcpIdentity::Get(bool fresh, const CallBudget& budget) {
  return tokens_.Get(
      "own", fresh, [&] { return Fetch(budget); }, budget,
      KmsError(FailureClass::kIdentity, "our own Google Cloud identity: no answer in time"));
}

absl::StatusOr<SharedBearerToken> GcpIdentity::Fetch(const CallBudget& budget) {
  const std::string path = CredentialsPath();
  if (path.empty()) return FromMetadata(budget);
  auto text = ReadFile(path, kMaxFile);
  if (!text.ok()) return Identity(absl::StrCat(path, ": ", text.status().message()));
  const auto credentials = ParseGcpCredentialsFile(*text);
  Wipe(*text);
  if (!credentials.ok()) return Identity(absl::StrCat(path, ": ", credentials.status().message()));
  if (const auto* key = std::get_if<GcpServiceAccountKey>(&*credentials)) return FromServiceAccount(*key, budget);
  return FromExternalAccount(std::get<GcpExternalAccount>(*credentials), budget);
}

absl::StatusOr<SharedBearerToken> GcpIdentity::FromServiceAccount(const GcpServiceAccountKey& key, const CallBudget& budget) {
  OwnTokenRequest request{.what = absl::StrCat("Google OAuth token for ", key.client_email),
                          .url = key.token_uri,
                          .configured = !options_.oauth_endpoint.empty(),
                          .metadata = false,
                          .form = {}};
  if (request.configured) {
    request.url = JoinUrl(options_.oauth_endpoint, "/token");
  } else if (const absl::Status good = CheckGoogleUrl(key.token_uri); !good.ok()) {
    return Identity(absl::StrCat("token_uri: ", good.message()));
  }
  const auto rsa = RsaPrivateKey::FromPem(key.private_key.RevealText(SecretAccess{}));
  if (!rsa.ok()) return Identity("private_key: is no RSA key of 2,048 bits or more in PEM");
  const int64_t now = absl::ToUnixSeconds(options_.call.clock->Now());
  json::object header;
  if (!key.private_key_id.empty()) header["kid"] = key.private_key_id;
  const json::object claims = {{"iss", key.client_email},
                               {"scope", std::string(kGcpCloudPlatformScope)},
                               {"aud", key.token_uri},
                               {"iat", now},
                               {"exp", now + kAssertionSeconds}};
  auto assertion = SignJwt(std::move(header), claims, *rsa, RsaSignature::kPkcs1Sha256);
  if (!assertion.ok()) return Identity("private_key: the assertion could not be signed");
  request.form.emplace_back("grant_type", Value("urn:ietf:params:oauth:grant-type:jwt-bearer"));
  request.form.emplace_back("assertion", *std::move(assertion));
  return RequestOwnToken(transport_, std::move(request), *options_.call.clock, budget);
}

absl::StatusOr<SharedBearerToken> GcpIdentity::FromExternalAccount(const GcpExternalAccount& account, const CallBudget& budget) {
  OwnTokenRequest request{.what = "Google STS token exchange",
                          .url = account.token_url,
                          .configured = !options_.sts_endpoint.empty(),
                          .metadata = false,
                          .form = {}};
  if (request.configured) {
    request.url = JoinUrl(options_.sts_endpoint, "/v1/token");
  } else if (const absl::Status good = CheckGoogleUrl(account.token_url); !good.ok()) {
    return Identity(absl::StrCat("token_url: ", good.message()));
  }
  const bool iam_configured = !options_.iam_credentials_endpoint.empty();
  if (!account.service_account.empty() && !iam_configured) {
    const absl::Status good = CheckGoogleUrl(account.iam_endpoint);
    if (!good.ok()) return Identity(absl::StrCat("service_account_impersonation_url: ", good.message()));
  }
  ASSIGN_OR_RETURN(SecretBytes subject, SubjectToken(account));
  request.form.emplace_back("grant_type", Value("urn:ietf:params:oauth:grant-type:token-exchange"));
  request.form.emplace_back("audience", Value(account.audience));
  request.form.emplace_back("scope", Value(kGcpCloudPlatformScope));
  request.form.emplace_back("requested_token_type", Value("urn:ietf:params:oauth:token-type:access_token"));
  request.form.emplace_back("subject_token_type", Value(account.subject_token_type));
  request.form.emplace_back("subject_token", std::move(subject));
  ASSIGN_OR_RETURN(SharedBearerToken federated, RequestOwnToken(transport_, std::move(request), *options_.call.clock, budget));
  if (account.service_account.empty()) return federated;
  const ImpersonationRequest impersonation{.endpoint = iam_configured ? options_.iam_credentials_endpoint : account.iam_endpoint,
                                           .configured = iam_configured,
                                           .service_account = account.service_account,
                                           .scope = kGcpCloudPlatformScope,
                                           .lifetime = account.lifetime,
                                           .as = std::move(federated),
                                           .fresh = false,
                                           .own_account = true};
  return GenerateAccessToken(transport_, impersonation, *options_.call.clock, budget, nullptr);
}

absl::StatusOr<SharedBearerToken> GcpIdentity::FromMetadata(const CallBudget& budget) {
  std::string base = options_.metadata_endpoint;
  if (base.empty()) {
    const std::string host = options_.call.Variable("GCE_METADATA_HOST");
    if (!IsAuthority(host)) return Identity("GCE_METADATA_HOST: must be host or host:port");
    base = host.empty() ? "http://metadata.google.internal" : "http://" + host;
  }
  OwnTokenRequest request{.what = "our own Google Cloud identity: no credentials file is set, and of the metadata server",
                          .url = JoinUrl(base, "/computeMetadata/v1/instance/service-accounts/default/token"),
                          .configured = !options_.metadata_endpoint.empty(),
                          .metadata = true,
                          .form = {}};
  return RequestOwnToken(transport_, std::move(request), *options_.call.clock, budget);
}

}  // namespace latchkey
