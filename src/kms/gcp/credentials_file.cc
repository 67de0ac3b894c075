#include "kms/gcp/credentials_file.h"

#include <algorithm>

#include "base/json.h"
#include "base/status.h"
#include "kms/gcp/names.h"

namespace latchkey {
namespace {

constexpr size_t kMaxField = 2048;
// Google's bounds for token_lifetime_seconds.
constexpr int64_t kShortestLifetime = 600, kLongestLifetime = 12 * 3600;

void WipeTexts(json::value& value) {
  if (json::string* text = value.if_string()) {
    Wipe(text->data(), text->size());
  } else if (json::object* object = value.if_object()) {
    for (auto& member : *object) WipeTexts(member.value());
  } else if (json::array* array = value.if_array()) {
    for (json::value& element : *array) WipeTexts(element);
  }
}

// A parsed file, whose texts are wiped at the end.
struct WipedDocument {
  json::value value;
  explicit WipedDocument(json::object object) : value(std::move(object)) {}
  ~WipedDocument() { WipeTexts(value); }
  WipedDocument(const WipedDocument&) = delete;
  WipedDocument& operator=(const WipedDocument&) = delete;
};

// Bounded, and nothing that would break a header or a form.
std::string Field(JsonReader& reader, std::string_view name, std::string text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (!plain || text.size() > kMaxField) reader.Fault(name, "must be short and of printable ASCII without spaces");
  return text;
}

absl::StatusOr<GcpCredentialsFile> ServiceAccount(const json::object& object) {
  JsonReader reader(object);
  GcpServiceAccountKey key;
  key.client_email = Field(reader, "client_email", reader.String("client_email"));
  key.private_key_id = Field(reader, "private_key_id", reader.OptionalString("private_key_id"));
  key.token_uri = Field(reader, "token_uri", reader.OptionalString("token_uri", "https://oauth2.googleapis.com/token"));
  std::string pem = reader.String("private_key");
  key.private_key = SecretBytes::CopyOf(std::string_view(pem));
  Wipe(pem);
  RETURN_IF_ERROR(reader.status());
  return GcpCredentialsFile(std::move(key));
}

// ".../v1/projects/-/serviceAccounts/<email>:generateAccessToken"
absl::Status ReadImpersonation(const std::string& url, GcpExternalAccount& account) {
  constexpr std::string_view kPath = "/v1/projects/-/serviceAccounts/", kVerb = ":generateAccessToken";
  const size_t path = url.find(kPath);
  if (path == std::string::npos || !url.ends_with(kVerb) || path + kPath.size() + kVerb.size() > url.size()) {
    return InvalidArgument("must end in /v1/projects/-/serviceAccounts/<email>:generateAccessToken");
  }
  account.iam_endpoint = url.substr(0, path);
  const size_t begin = path + kPath.size();
  account.service_account = url.substr(begin, url.size() - kVerb.size() - begin);
  return CheckServiceAccount(account.service_account);
}

absl::StatusOr<GcpCredentialsFile> ExternalAccount(const json::object& object) {
  JsonReader reader(object);
  GcpExternalAccount account;
  account.audience = Field(reader, "audience", reader.String("audience"));
  account.subject_token_type = Field(reader, "subject_token_type", reader.String("subject_token_type"));
  account.token_url = Field(reader, "token_url", reader.OptionalString("token_url", "https://sts.googleapis.com/v1/token"));
  for (const char* other : {"client_id", "client_secret", "workforce_pool_user_project"}) {
    if (object.contains(other)) reader.Fault(other, "is not supported here");
  }
  const std::string url = Field(reader, "service_account_impersonation_url", reader.OptionalString("service_account_impersonation_url"));
  if (const json::object* impersonation = reader.OptionalObject("service_account_impersonation")) {
    JsonReader inner(*impersonation, "service_account_impersonation");
    const int64_t seconds = inner.OptionalInt("token_lifetime_seconds", 3600);
    if (seconds < kShortestLifetime || seconds > kLongestLifetime) inner.Fault("token_lifetime_seconds", "must be 600 to 43200");
    RETURN_IF_ERROR(inner.status());
    account.lifetime = absl::Seconds(seconds);
  }
  const json::object* source = reader.Object("credential_source");
  RETURN_IF_ERROR(reader.status());

  JsonReader from(*source, "credential_source");
  for (const char* other : {"url", "executable", "environment_id", "certificate"}) {
    if (source->contains(other)) from.Fault(other, "is not supported here; use a file");
  }
  account.token_file = from.String("file");
  if (const json::object* format = from.OptionalObject("format")) {
    JsonReader inner(*format, "credential_source.format");
    const std::string type = inner.OptionalString("type", "text");
    if (type == "json") {
      account.json_field = inner.String("subject_token_field_name");
    } else if (type != "text") {
      inner.Fault("type", "must be \"text\" or \"json\"");
    }
    RETURN_IF_ERROR(inner.status());
  }
  RETURN_IF_ERROR(from.status());
  if (!url.empty()) RETURN_IF_ERROR(Prefixed(ReadImpersonation(url, account), "service_account_impersonation_url"));
  return GcpCredentialsFile(std::move(account));
}

}  // namespace

absl::StatusOr<GcpCredentialsFile> ParseGcpCredentialsFile(std::string_view text) {
  auto parsed = ParseJsonObject(text);
  RETURN_IF_ERROR(parsed.status());
  const WipedDocument document(*std::move(parsed));
  const json::object& object = document.value.get_object();
  JsonReader reader(object);
  const std::string type = reader.String("type");
  if (const std::string universe = reader.OptionalString("universe_domain", "googleapis.com"); universe != "googleapis.com") {
    reader.Fault("universe_domain", "must be googleapis.com");
  }
  RETURN_IF_ERROR(reader.status());
  if (type == "service_account") return ServiceAccount(object);
  if (type == "external_account") return ExternalAccount(object);
  return InvalidArgument("type: must be \"service_account\" or \"external_account\"; other kinds are not supported here");
}

absl::Status CheckGoogleUrl(std::string_view url) {
  constexpr std::string_view kScheme = "https://";
  constexpr char kForm[] =
      "must be https:// with a host of OAuth, STS or IAM Credentials under googleapis.com; for another one, set the endpoint in the "
      "configuration";
  if (!url.starts_with(kScheme)) return InvalidArgument(kForm);
  std::string_view host = url.substr(kScheme.size());
  host = host.substr(0, host.find('/'));
  const bool plain = host.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string_view::npos;
  // Not every host under that name: whoever has a bucket has an address there. "sts.googleapis.com", "sts.mtls.googleapis.com",
  // "sts.europe-west1.rep.googleapis.com".
  constexpr std::string_view kServices[] = {"oauth2.", "sts.", "iamcredentials."};
  const bool google = host == "accounts.google.com" || (host.ends_with(".googleapis.com") &&
                                                        std::any_of(std::begin(kServices), std::end(kServices),
                                                                    [&](std::string_view service) { return host.starts_with(service); }));
  return plain && google ? absl::OkStatus() : InvalidArgument(kForm);
}

}  // namespace latchkey
