#include "kms/azure/identity.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/file.h"
#include "base/random.h"
#include "base/status.h"
#include "crypto/certificate.h"
#include "crypto/jwt.h"
#include "kms/azure/answers.h"
#include "kms/azure/errors.h"
#include "kms/azure/key_id.h"

namespace latchkey {
namespace {

constexpr absl::Duration kRenewBefore = absl::Minutes(5);
constexpr absl::Duration kAssertionLife = absl::Minutes(10);
constexpr size_t kMaxSecretFile = 64 << 10, kRoomForForm = 128 << 10;

absl::Status Identity(std::string_view message) {
  return KmsError(FailureClass::kIdentity, absl::StrCat("our own Azure credentials: ", ToAbsl(message)));
}

void AppendSecret(std::string& form, std::string_view name, const SecretBytes& value) {
  std::string encoded = PercentEncode(value.RevealText(SecretAccess{}));
  form.append("&").append(name).append("=").append(encoded);
  Wipe(encoded);
}

// A file that holds one secret, without the line end that editors put there.
absl::StatusOr<SecretBytes> ReadSecretFile(std::string_view what, const std::string& path) {
  auto text = ReadFile(path, kMaxSecretFile);
  if (!text.ok()) return Identity(absl::StrCat(ToAbsl(what), " ", path, ": ", text.status().message()));
  std::string_view trimmed = *text;
  while (!trimmed.empty() && static_cast<unsigned char>(trimmed.back()) <= ' ') trimmed.remove_suffix(1);
  SecretBytes secret = SecretBytes::CopyOf(trimmed);
  Wipe(*text);
  if (secret.empty()) return Identity(absl::StrCat(ToAbsl(what), " ", path, ": is empty"));
  return secret;
}

bool IsHttpUrl(std::string_view url) { return url.starts_with("https://") || url.starts_with("http://"); }

std::string WithoutSlash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

// Outside of Azure nothing answers there: that must not use up the time of the whole call.
KmsCallOptions ForMachine(KmsCallOptions options) {
  options.attempt_timeout = std::min(options.attempt_timeout, absl::Seconds(2));
  return options;
}

}  // namespace

AzureIdentity::AzureIdentity(const AzureKmsOptions& options, KmsTransport& transport)
    : options_(options), clock_(*options.call.clock), transport_(transport), machine_(ForMachine(options.call)), tokens_(clock_) {}

std::string AzureIdentity::Setting(const std::string& option, const char* variable) const {
  return option.empty() ? options_.call.Variable(variable) : option;
}

AzureIdentity::Credential AzureIdentity::FindCredential() const {
  const bool configured =
      !options_.client_certificate_file.empty() || !options_.federated_token_file.empty() || !options_.client_secret_file.empty();
  const auto path = [&](const std::string& option, const char* variable) {
    // A file that the configuration names goes before whatever the environment holds.
    return configured ? option : options_.call.Variable(variable);
  };
  if (std::string p = path(options_.client_certificate_file, "AZURE_CLIENT_CERTIFICATE_PATH"); !p.empty()) {
    return {Source::kCertificate, std::move(p)};
  }
  if (std::string p = path(options_.federated_token_file, "AZURE_FEDERATED_TOKEN_FILE"); !p.empty()) {
    return {Source::kFederatedToken, std::move(p)};
  }
  if (!options_.client_secret_file.empty()) return {Source::kSecretFile, options_.client_secret_file};
  std::string secret = options_.call.Variable("AZURE_CLIENT_SECRET");
  const bool has_secret = !secret.empty();
  Wipe(secret);
  return {has_secret ? Source::kSecretVariable : Source::kManagedIdentity, ""};
}

bool AzureIdentity::IsManaged() const { return FindCredential().source == Source::kManagedIdentity; }

absl::StatusOr<std::string> AzureIdentity::OwnTenant() const {
  if (IsManaged()) return std::string();
  const std::string tenant = Setting(options_.tenant_id, "AZURE_TENANT_ID");
  if (tenant.empty()) return std::string();
  auto parsed = ParseAzureTenant(tenant);
  if (!parsed.ok()) return Identity(absl::StrCat("tenant_id: ", parsed.status().message()));
  return parsed;
}

absl::StatusOr<SharedBearerToken> AzureIdentity::Token(const AzureTokenRequest& request, const CallBudget& budget) {
  const auto fetch = [&] { return Fetch(request, budget); };
  return tokens_.Get(absl::StrCat(request.tenant, "\n", request.authority, "\n", request.resource, "\n", request.owners_tenant ? 1 : 0),
                     request.fresh || !request.claims.empty(), fetch, budget,
                     KmsError(FailureClass::kUnreachable, "Entra ID token: no answer in time"));
}

absl::StatusOr<SharedBearerToken> AzureIdentity::Fetch(const AzureTokenRequest& request, const CallBudget& budget) {
  const Credential credential = FindCredential();
  if (credential.source == Source::kManagedIdentity) return FromMachine(request, budget);
  absl::StatusOr<SharedBearerToken> token = FromEntra(credential, request, budget);
  if (token.ok() || !request.owners_tenant || FailureClassOf(token.status()) != FailureClass::kDenied) return token;
  // An application that was deleted or switched off at home is refused by every tenant in the same words. Only where ours still takes it is
  // the refusal the owner's.
  ASSIGN_OR_RETURN(const std::string own, OwnTenant());
  if (own.empty() || own == request.tenant) return token;
  AzureTokenRequest at_home = request;
  at_home.tenant = own;
  at_home.owners_tenant = false;
  at_home.claims.clear();
  const auto home = FromEntra(credential, at_home, budget);
  if (FailureClassOf(home.status()) != FailureClass::kIdentity) return token;
  return Prefixed(home.status(), "our own tenant refuses our application, too");
}

absl::StatusOr<SharedBearerToken> AzureIdentity::FromEntra(const Credential& credential, const AzureTokenRequest& request,
                                                           const CallBudget& budget) {
  const std::string client_id = Setting(options_.client_id, "AZURE_CLIENT_ID");
  if (client_id.empty()) return Identity("client_id (AZURE_CLIENT_ID) is not set");
  const std::string authority = Setting(options_.authority, "AZURE_AUTHORITY_HOST");
  const std::string endpoint =
      absl::StrCat(WithoutSlash(authority.empty() ? request.authority : authority), "/", request.tenant, "/oauth2/v2.0/token");

  std::string form;
  // One allocation: no piece of the secret stays behind in a smaller one.
  form.reserve(kRoomForForm);
  absl::StrAppend(&form, "grant_type=client_credentials&client_id=", PercentEncode(client_id),
                  "&scope=", PercentEncode(request.resource + "/.default"));
  if (!request.claims.empty()) absl::StrAppend(&form, "&claims=", PercentEncode(request.claims));
  SecretBytes secret;
  switch (credential.source) {
    case Source::kCertificate: {
      ASSIGN_OR_RETURN(secret, SignAssertion(credential.path, client_id, endpoint));
      break;
    }
    case Source::kFederatedToken: {
      ASSIGN_OR_RETURN(secret, ReadSecretFile("federated token", credential.path));
      break;
    }
    case Source::kSecretFile: {
      ASSIGN_OR_RETURN(secret, ReadSecretFile("client secret", credential.path));
      break;
    }
    default: {
      std::string text = options_.call.Variable("AZURE_CLIENT_SECRET");
      secret = SecretBytes::CopyOf(std::string_view(text));
      Wipe(text);
    }
  }
  if (credential.source == Source::kCertificate || credential.source == Source::kFederatedToken) {
    form.append("&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer");
    AppendSecret(form, "client_assertion", secret);
  } else {
    AppendSecret(form, "client_secret", secret);
  }

  KmsExchange exchange{.what = "Entra ID token of tenant " + request.tenant,
                       .url = endpoint,
                       .request = {.method = "POST",
                                   .headers = {{"content-type", "application/x-www-form-urlencoded"}, {"accept", "application/json"}},
                                   .body = std::move(form)},
                       .fresh = request.fresh,
                       .configured = !authority.empty()};
  exchange.read_failure = [&](const HttpResponse& response) -> std::optional<KmsFailure> {
    if (response.status == 200) return std::nullopt;
    return EntraFailure(WithoutSecrets(response, {&secret}), request.owners_tenant);
  };
  const std::string what = exchange.what;
  ASSIGN_OR_RETURN(HttpResponse response, transport_.Send(std::move(exchange), budget));
  return ReadToken(response.body, what, request.owners_tenant, clock_.Now());
}

absl::StatusOr<SecretBytes> AzureIdentity::SignAssertion(const std::string& path, const std::string& client_id,
                                                         const std::string& audience) const {
  auto pem = ReadFile(path, kMaxSecretFile);
  if (!pem.ok()) return Identity(absl::StrCat("client certificate ", path, ": ", pem.status().message()));
  const auto key = RsaPrivateKey::FromPem(*pem);
  const auto certificate = ReadCertificate(*pem);
  const auto certified = RsaPublicKey::FromPem(*pem);
  Wipe(*pem);
  if (!key.ok()) return Identity(absl::StrCat("client certificate ", path, ": its private key: ", key.status().message()));
  if (!certificate.ok()) return Identity(absl::StrCat("client certificate ", path, ": ", certificate.status().message()));
  if (!certified.ok()) return Identity(absl::StrCat("client certificate ", path, ": ", certified.status().message()));
  ASSIGN_OR_RETURN(const std::vector<uint8_t> hash, HexDecode(certificate->sha256_hex));
  const int64_t now = absl::ToUnixSeconds(clock_.Now());
  ASSIGN_OR_RETURN(SecretBytes assertion, SignJwt({{"x5t#S256", Base64UrlEncode(hash)}},
                                                  {{"aud", audience},
                                                   {"iss", client_id},
                                                   {"sub", client_id},
                                                   {"nbf", now},
                                                   {"exp", now + absl::ToInt64Seconds(kAssertionLife)},
                                                   {"jti", NewUuid(Random::System())}},
                                                  *key, RsaSignature::kPssSha256));
  // Entra would say that the signature is wrong, which leaves people guessing.
  const auto decoded = DecodeJwt(assertion.RevealText(SecretAccess{}));
  if (!decoded.ok() || !VerifyJwt(*decoded, *certified)) {
    return Identity(absl::StrCat("client certificate ", path, ": the private key is not that of the certificate"));
  }
  return assertion;
}

absl::StatusOr<SharedBearerToken> AzureIdentity::FromMachine(const AzureTokenRequest& request, const CallBudget& budget) {
  if (!request.claims.empty()) return Identity("a managed identity gets no token for the claims that the vault asks for");
  const std::string client_id = Setting(options_.client_id, "AZURE_CLIENT_ID");
  std::string identity_endpoint = options_.metadata_endpoint.empty() ? options_.call.Variable("IDENTITY_ENDPOINT") : "";
  std::string header = options_.call.Variable("IDENTITY_HEADER");
  const SecretBytes secret = SecretBytes::CopyOf(std::string_view(header));
  KmsExchange exchange{
      .what = "Azure managed identity token", .fresh = request.fresh, .metadata = true, .no_answer = FailureClass::kIdentity};
  if (!identity_endpoint.empty() && !header.empty()) {
    exchange.url = absl::StrCat(identity_endpoint, "?api-version=2019-08-01");
    exchange.request.headers["x-identity-header"] = header;
  } else {
    std::string endpoint = Setting(options_.metadata_endpoint, "AZURE_POD_IDENTITY_AUTHORITY_HOST");
    if (endpoint.empty()) endpoint = "http://169.254.169.254";
    exchange.url = absl::StrCat(WithoutSlash(std::move(endpoint)), "/metadata/identity/oauth2/token?api-version=2018-02-01");
    exchange.request.headers["metadata"] = "true";
  }
  Wipe(header);
  if (!IsHttpUrl(exchange.url)) return Identity("the managed identity's endpoint is not of the form http://host[:port][/path]");
  absl::StrAppend(&exchange.url, "&resource=", PercentEncode(request.resource));
  if (!client_id.empty()) absl::StrAppend(&exchange.url, "&client_id=", PercentEncode(client_id));
  exchange.read_failure = [&](const HttpResponse& response) -> std::optional<KmsFailure> {
    if (response.status == 200) return std::nullopt;
    return ManagedIdentityFailure(WithoutSecrets(response, {&secret}));
  };
  const std::string what = exchange.what;
  ASSIGN_OR_RETURN(HttpResponse response, machine_.Send(std::move(exchange), budget));
  return ReadToken(response.body, what, request.owners_tenant, clock_.Now());
}

absl::StatusOr<SharedBearerToken> AzureIdentity::ReadToken(std::string& body, const std::string& what, bool owners_tenant,
                                                           absl::Time asked) const {
  ASSIGN_OR_RETURN(BearerToken token, ReadAzureToken(body, what, asked));
  token.expires -= kRenewBefore;
  // Kept for a shorter time than the tenant allows, so that consent that was taken away is noticed.
  if (owners_tenant) token.expires = std::min(token.expires, asked + options_.call.owner_credentials_age);
  return std::make_shared<const BearerToken>(std::move(token));
}

}  // namespace latchkey
