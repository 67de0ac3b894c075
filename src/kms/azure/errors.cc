#include "kms/azure/errors.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_replace.h>

#include <algorithm>

#include "base/json.h"
#include "base/status.h"
#include "kms/azure/json_fields.h"

namespace latchkey {
namespace {

using enum FailureClass;

// A row holds when the code or the inner code is equal (empty: any) and the message contains `text` (empty: always). The first that holds
// decides.
struct VaultRow {
  std::string_view code;
  std::string_view text;
  FailureClass c;
};

constexpr VaultRow kVaultRows[] = {
    {"KeyDisabled", "", kDisabled},
    // The same without an inner code, as older versions of the service and Managed HSM word it.
    {"Forbidden", "disabled key", kDisabled},
    // Outside of nbf and exp nothing more is wrapped, while unwrapping goes on: the key is no use for a new wrapping, and that must never
    // count as the owner's no to a running cluster.
    {"Forbidden", "expired key", kUnsuitable},
    {"Forbidden", "not yet valid", kUnsuitable},
    // No access policy, no role, an explicit deny assignment: the owner has not granted it or has taken it back.
    {"ForbiddenByPolicy", "", kDenied},
    {"ForbiddenByRbac", "", kDenied},
    {"AccessDenied", "", kDenied},
    // The owner took wrapKey or unwrapKey from the key's permitted operations, and can give it back.
    {"KeyOperationForbidden", "", kDenied},
    // The vault was reached and refuses by the owner's own network rule. Azure's databases, too, count a changed firewall as access that
    // was taken back. Were it an outage, the owner could not close the door this way for as long as the lease lasts.
    {"ForbiddenByFirewall", "", kDenied},
    {"ForbiddenByConnection", "", kDenied},
    // Deleted and recoverable: the same name cannot be used meanwhile.
    {"ObjectIsDeletedButRecoverable", "", kPendingDeletion},
    {"ObjectIsBeingDeleted", "", kPendingDeletion},
    // Keys are named in full: one that is not found was deleted. Whether it can be recovered, /deletedkeys tells (see azure_kms.cc).
    {"KeyNotFound", "", kDestroyed},
    // A policy that we do not know is a no all the same: the vault itself wrote it.
    {"Forbidden", "", kDenied},
    // Our token: missing, over, for another resource, of another tenant (AKV10032). What the vault grants was not judged yet.
    {"Unauthorized", "", kIdentity},
};

FailureClass ClassOfStatus(int status) {
  if (status == 429) return kThrottled;
  if (status == 401) return kIdentity;
  // What we do not know is not a no: nothing renews, and the lease bounds it. A proxy's or portal's page ends here, too.
  return kUnreachable;
}

struct EntraRow {
  int64_t code;
  FailureClass c;
};

// Numbers of learn.microsoft.com/entra/identity-platform/reference-error-codes and of recorded answers. The number goes before the OAuth
// word: 7000229 is answered as invalid_client, though it is the owner's doing.
constexpr EntraRow kEntraRows[] = {
    // The owner's tenant has no service principal of our application: never consented to, or deleted there.
    {700016, kDenied},
    {7000229, kDenied},
    {65001, kDenied},
    {650052, kDenied},
    {650057, kDenied},
    // An administrator switched sign-in off for our application in that tenant, or asks for an assignment that it has not.
    {7000112, kDenied},
    {501051, kDenied},
    // Conditional Access of that tenant.
    {53000, kDenied},
    {53003, kDenied},
    {530003, kDenied},
    // The tenant is gone, closed or was mistyped.
    {90002, kDenied},
    {5000224, kDenied},
    {5000225, kDenied},
    // Key Vault's own principal is missing from that tenant or switched off there.
    {500011, kDenied},
    {500014, kDenied},
    {900023, kUnsuitable},  // no tenant has such a name
    {900382, kUnsuitable},  // our application lives in another of Azure's clouds than the key
    // Our own secret: wrong, over, missing.
    {7000215, kIdentity},
    {7000222, kIdentity},
    {7000216, kIdentity},
    {7000218, kIdentity},
    // Our own certificate or assertion: not registered, wrong signature, outside its times, wrong audience, used twice.
    {700027, kIdentity},
    {700024, kIdentity},
    {700023, kIdentity},
    {700030, kIdentity},
    {50012, kIdentity},
    // Our federated token: no such trust on our application.
    {70021, kIdentity},
    {700211, kIdentity},
    {700212, kIdentity},
    {700213, kIdentity},
    {700222, kIdentity},
    {700038, kIdentity},  // our client id is malformed
    {90055, kThrottled},
    {50196, kThrottled},  // the same request too often
    {90006, kUnreachable},
    {90012, kUnreachable},
    {90024, kUnreachable},
    {90033, kUnreachable},
};

std::optional<absl::Duration> RetryAfter(const HttpResponse& response) {
  const auto it = response.headers.find("retry-after");
  int seconds = 0;
  if (it == response.headers.end() || !absl::SimpleAtoi(it->second, &seconds) || seconds < 0) return std::nullopt;
  return absl::Seconds(seconds);
}

bool IsServersTrouble(int status) { return status == 429 || status == 408 || status >= 500; }

// Letters, digits, '_' and '-' only: a code is looked up and shown, never interpreted.
std::string CleanCode(std::string code) {
  const bool good = code.size() <= 128 && std::ranges::all_of(code, [](unsigned char c) {
                      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
                    });
  return good ? code : std::string();
}

std::vector<int64_t> CodesOf(const json::object& object, std::string_view description) {
  std::vector<int64_t> codes;
  if (const json::value* value = object.if_contains("error_codes"); value != nullptr && value->is_array()) {
    for (const json::value& code : value->get_array()) {
      if (code.is_int64() && codes.size() < 8) codes.push_back(code.get_int64());
    }
  }
  constexpr std::string_view kMark = "AADSTS";
  if (const size_t at = description.find(kMark); codes.empty() && at != std::string_view::npos) {
    int64_t code = 0;
    const std::string_view digits = description.substr(at + kMark.size());
    if (absl::SimpleAtoi(ToAbsl(digits.substr(0, std::min<size_t>(digits.find_first_not_of("0123456789"), 12))), &code))
      codes.push_back(code);
  }
  return codes;
}

std::string Words(std::string_view message, std::string_view code, int http_status) {
  if (message.empty() && code.empty()) return absl::StrCat("answered with HTTP status ", http_status, " and no error of the service");
  if (message.empty()) return std::string(code);
  return code.empty() ? std::string(message) : absl::StrCat(ToAbsl(message), " (", ToAbsl(code), ")");
}

}  // namespace

AzureVaultError ReadAzureVaultError(const HttpResponse& response) {
  AzureVaultError out{.http_status = response.status};
  const auto body = ParseJsonObject(response.body);
  if (!body.ok()) return out;
  const json::object* error = ObjectField(*body, "error");
  if (error == nullptr) return out;
  out.code = CleanCode(TextField(*error, "code"));
  out.message = CleanWords(TextField(*error, "message"));
  while (out.message.ends_with(' ')) out.message.pop_back();
  const json::object* inner = ObjectField(*error, "innererror");
  if (inner == nullptr) inner = ObjectField(*error, "innerError");
  if (inner != nullptr) out.inner_code = CleanCode(TextField(*inner, "code"));
  return out;
}

FailureClass ClassifyAzureVaultError(const AzureVaultError& error, AzureOperation operation) {
  // The service's own trouble, whatever it calls it.
  if (error.http_status >= 500) return kUnreachable;
  if (error.http_status == 429) return kThrottled;
  for (const VaultRow& row : kVaultRows) {
    if (error.code.empty() || (row.code != error.code && row.code != error.inner_code)) continue;
    if (row.text.empty() || error.message.find(row.text) != std::string::npos) return row.c;
  }
  if (error.code == "BadParameter") {
    // "Error occurred while decoding OAEP padding": these bytes were not wrapped by this version. We write the rest of the request
    // ourselves, so the value is what is bad.
    if (operation == AzureOperation::kUnwrap) return kCorrupt;
    // An algorithm that this kind of key does not have.
    return kUnsuitable;
  }
  return ClassOfStatus(error.http_status);
}

KmsFailure AzureVaultFailure(const HttpResponse& response, AzureOperation operation) {
  const AzureVaultError error = ReadAzureVaultError(response);
  return {.failure_class = ClassifyAzureVaultError(error, operation),
          .words = Words(error.message, error.inner_code.empty() ? error.code : error.inner_code, error.http_status),
          .retry = IsServersTrouble(response.status),
          .retry_after = RetryAfter(response)};
}

EntraError ReadEntraError(const HttpResponse& response) {
  EntraError out{.http_status = response.status};
  const auto body = ParseJsonObject(response.body);
  if (!body.ok()) return out;
  out.error = CleanCode(TextField(*body, "error"));
  const std::string description = TextField(*body, "error_description");
  out.codes = CodesOf(*body, description);
  out.description = CleanWords(std::string_view(description).substr(0, description.find_first_of("\r\n")));
  // Newer answers put all into one line.
  out.description = out.description.substr(0, out.description.find(" Trace ID:"));
  return out;
}

FailureClass ClassifyEntraError(const EntraError& error, bool owners_tenant) {
  if (error.http_status == 429) return kThrottled;
  for (const EntraRow& row : kEntraRows) {
    if (std::ranges::find(error.codes, row.code) == error.codes.end()) continue;
    // In our own tenant nobody says no for the owner.
    return !owners_tenant && IsRefusal(row.c) ? kIdentity : row.c;
  }
  if (error.http_status >= 500 || error.error.empty() || error.error == "temporarily_unavailable" || error.error == "server_error") {
    return kUnreachable;
  }
  // An error that we do not know is not the owner's no: it counts as trouble of ours, which the lease bounds.
  return kIdentity;
}

KmsFailure EntraFailure(const HttpResponse& response, bool owners_tenant) {
  const EntraError error = ReadEntraError(response);
  const FailureClass c = ClassifyEntraError(error, owners_tenant);
  return {.failure_class = c,
          .words = Words(error.description, error.error, error.http_status),
          .retry = IsServersTrouble(response.status) || c == kThrottled || error.error == "temporarily_unavailable",
          .retry_after = RetryAfter(response)};
}

KmsFailure ManagedIdentityFailure(const HttpResponse& response) {
  const EntraError error = ReadEntraError(response);
  // 404 while the identity is being assigned, 410 while the service is updated (its documentation asks to try again).
  const bool again = IsServersTrouble(response.status) || response.status == 404 || response.status == 410;
  return {.failure_class = kIdentity,
          .words = Words(error.description, error.error, error.http_status),
          .retry = again,
          .retry_after = RetryAfter(response)};
}

HttpResponse WithoutSecrets(const HttpResponse& response, std::initializer_list<const SecretBytes*> secrets) {
  // What is shorter is no secret of any service, and would make words unreadable.
  constexpr size_t kLeast = 4;
  HttpResponse out{.status = response.status, .headers = response.headers, .body = response.body};
  for (const SecretBytes* secret : secrets) {
    if (secret->size() < kLeast) continue;
    std::string text = absl::StrReplaceAll(out.body, {{ToAbsl(secret->RevealText(SecretAccess{})), "[secret]"}});
    Wipe(out.body);
    out.body = std::move(text);
  }
  return out;
}

}  // namespace latchkey
