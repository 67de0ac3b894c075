#include "kms/gcp/errors.h"

#include <algorithm>
#include <span>

#include "base/json.h"
#include "base/status.h"

namespace latchkey {
namespace {

using enum FailureClass;

constexpr size_t kMaxDetails = 16;
constexpr size_t kMaxWords = 1024;

// A row holds when the status is equal (empty: any), one of the details is equal (a last '*': begins so; empty: any) and the message
// contains `text` (empty: any). The first row that holds decides.
struct Row {
  std::string_view status, detail, text;
  FailureClass c;
};

// An API that is off, or a project without billing, suspended or deleted. It is the project of the account that calls: Google counts
// and allows by it. So as the owner's service account it is the owner's no, and as ourselves trouble of our own.
constexpr Row kProjectRows[] = {
    {"PERMISSION_DENIED", "SERVICE_DISABLED", "", kDenied},
    {"PERMISSION_DENIED", "BILLING_DISABLED", "", kDenied},
    {"PERMISSION_DENIED", "CONSUMER_INVALID", "", kDenied},
    {"PERMISSION_DENIED", "CONSUMER_SUSPENDED", "", kDenied},
    {"PERMISSION_DENIED", "USER_PROJECT_DENIED", "", kDenied},
    // The same without details, as older answers have it.
    {"PERMISSION_DENIED", "", "API has not been used in", kDenied},
    {"PERMISSION_DENIED", "", "requires billing to be enabled", kDenied},
};

// Trouble with who we are, wherever it is answered: nobody has judged the owner's key.
constexpr Row kIdentityRows[] = {
    {"UNAUTHENTICATED", "", "", kIdentity},                                   // a token that is over, revoked or none
    {"PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "", kIdentity},  // a machine whose scopes leave Cloud KMS out
    {"PERMISSION_DENIED", "", "insufficient authentication scopes", kIdentity},
};

// Nobody judged anything: too many calls, or the service's own trouble.
constexpr Row kOutageRows[] = {
    {"RESOURCE_EXHAUSTED", "", "", kThrottled},  {"", "RATE_LIMIT_EXCEEDED", "", kThrottled}, {"UNAVAILABLE", "", "", kUnreachable},
    {"DEADLINE_EXCEEDED", "", "", kUnreachable}, {"INTERNAL", "", "", kUnreachable},          {"UNKNOWN", "", "", kUnreachable},
    {"ABORTED", "", "", kUnreachable},           {"CANCELLED", "", "", kUnreachable},         {"DATA_LOSS", "", "", kUnreachable},
};

constexpr Row kKmsRows[] = {
    // External keys: what the owner's own key manager answered to Google. Its no is the owner's; its silence is an outage.
    {"FAILED_PRECONDITION", "EXTERNAL_PERMISSION_DENIED", "", kDenied},
    {"FAILED_PRECONDITION", "EXTERNAL_NOT_FOUND", "", kDestroyed},
    {"FAILED_PRECONDITION", "EXTERNAL_*", "", kUnreachable},
    // A disabled version whose message does not name the state. (The state in the message goes before all rows.)
    {"FAILED_PRECONDITION", "KEY_DISABLED", "", kDisabled},
    {"FAILED_PRECONDITION", "KEY_DESTROYED", "", kDestroyed},
    // The API is off in the key's own project. The key is not disabled, but the owner's side says no.
    {"FAILED_PRECONDITION", "", "API has not been used in", kDenied},
    // No primary version, a state without a name, or something new: a no all the same, and the key itself may tell which.
    {"FAILED_PRECONDITION", "", "", kAmbiguous},
    // A perimeter (VPC Service Controls) or a policy of the owner's organization.
    {"PERMISSION_DENIED", "SECURITY_POLICY_VIOLATED", "", kDenied},
    {"PERMISSION_DENIED", "", "prohibited by organization's policy", kDenied},
    {"PERMISSION_DENIED", "ORG_RESTRICTION_VIOLATION", "", kDenied},
    // Google does not tell a key that is gone from one that is denied.
    {"PERMISSION_DENIED", "", "(or it may not exist)", kAmbiguous},
    {"PERMISSION_DENIED", "", "", kDenied},
    // The request went to another location than the name says: never a key of this name.
    {"NOT_FOUND", "", "concerns location", kUnsuitable},
    // Whoever reads this may see the key ring: the key was there and is not any more.
    {"NOT_FOUND", "", "", kDestroyed},
    // Other bytes, another context or another key than at encryption.
    {"INVALID_ARGUMENT", "", "Decryption failed", kCorrupt},
    // Bytes that were changed on their way to Google; repeated before this is believed.
    {"INVALID_ARGUMENT", "", "did not match the data in field", kCorrupt},
    // A malformed name, another location, a key for signatures or MACs.
    {"INVALID_ARGUMENT", "", "", kUnsuitable},
    {"OUT_OF_RANGE", "", "", kUnsuitable},
    {"UNIMPLEMENTED", "", "", kUnsuitable},
};

constexpr Row kImpersonationRows[] = {
    // The account does not let us in, or there is none of that name: either way the owner's side says no.
    {"PERMISSION_DENIED", "", "", kDenied},
    {"NOT_FOUND", "", "", kDenied},
    // An account that is disabled.
    {"FAILED_PRECONDITION", "", "", kDenied},
    {"INVALID_ARGUMENT", "", "", kUnsuitable},  // no address of a service account
};

bool HasDetail(const GcpError& error, std::string_view wanted) {
  const bool prefix = wanted.ends_with('*');
  if (prefix) wanted.remove_suffix(1);
  return std::any_of(error.details.begin(), error.details.end(),
                     [&](const std::string& detail) { return prefix ? detail.starts_with(wanted) : detail == wanted; });
}

const Row* Find(std::span<const Row> rows, const GcpError& error) {
  const auto it = std::find_if(rows.begin(), rows.end(), [&](const Row& row) {
    return (row.status.empty() || row.status == error.status) && (row.detail.empty() || HasDetail(error, row.detail)) &&
           (row.text.empty() || error.message.find(row.text) != std::string::npos);
  });
  return it == rows.end() ? nullptr : &*it;
}

FailureClass Classify(std::initializer_list<std::span<const Row>> tables, const GcpError& error) {
  // A proxy or a portal between us and Google has judged nothing, except that a 401 is always about who asks.
  if (error.status.empty()) return error.http_status == 401 ? kIdentity : error.http_status == 429 ? kThrottled : kUnreachable;
  for (const std::span<const Row> rows : tables) {
    if (const Row* row = Find(rows, error)) return row->c;
  }
  return kUnreachable;
}

// "… is not enabled, current state is: DESTROY_SCHEDULED." → "DESTROY_SCHEDULED"
std::string_view StateIn(std::string_view message) {
  constexpr std::string_view kMark = "current state is: ";
  const size_t at = message.find(kMark);
  if (at == std::string_view::npos) return "";
  message.remove_prefix(at + kMark.size());
  return message.substr(0, message.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_"));
}

std::string TextOf(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}
const json::array* ArrayOf(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  return value == nullptr ? nullptr : value->if_array();
}

// Capitals, digits and '_' only: a code is looked up and shown, never interpreted.
std::string Code(std::string code) {
  const bool good = code.size() <= 64 && code.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == std::string::npos;
  return good ? code : std::string();
}

// How much of `text` at its beginning is a credential: one that was sent, or what begins like an access token of Google's or a JWT.
size_t SecretAt(std::string_view text, std::initializer_list<std::string_view> secrets) {
  for (const std::string_view secret : secrets) {
    if (!secret.empty() && text.starts_with(secret)) return secret.size();
  }
  if (!text.starts_with("ya29.") && !text.starts_with("eyJ")) return 0;
  const size_t end = text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=");
  return end == std::string_view::npos ? text.size() : end;
}

// Cleaned, with the credentials that an answer quotes taken out first: cut in the middle they would not be known any more.
std::string WithoutSecrets(std::string_view text, std::initializer_list<std::string_view> secrets) {
  std::string out;
  while (!text.empty() && out.size() <= kMaxWords) {
    const size_t secret = SecretAt(text, secrets);
    if (secret > 0) {
      out.append("[secret]");
    } else {
      out.push_back(text.front());
    }
    text.remove_prefix(std::max<size_t>(secret, 1));
  }
  return CleanWords(out);
}

void AddDetails(const json::array& details, GcpError& error) {
  const auto add = [&error](std::string code) {
    code = Code(std::move(code));
    if (!code.empty() && error.details.size() < kMaxDetails) error.details.push_back(std::move(code));
  };
  for (const json::value& value : details) {
    const json::object* detail = value.if_object();
    if (detail == nullptr) continue;
    add(TextOf(*detail, "reason"));
    const json::array* violations = ArrayOf(*detail, "violations");
    if (violations == nullptr) continue;
    for (const json::value& violation : *violations) {
      if (const json::object* object = violation.if_object()) add(TextOf(*object, "type"));
    }
  }
}

}  // namespace

GcpError ReadGcpError(const HttpResponse& response, std::initializer_list<std::string_view> secrets) {
  GcpError error{.http_status = response.status, .status = {}, .message = {}, .details = {}};
  const auto document = ParseJsonObject(response.body);
  if (!document.ok()) return error;
  const json::value* value = document->if_contains("error");
  const json::object* body = value == nullptr ? nullptr : value->if_object();
  if (body == nullptr) return error;
  error.status = Code(TextOf(*body, "status"));
  error.message = WithoutSecrets(TextOf(*body, "message"), secrets);
  if (const json::array* details = ArrayOf(*body, "details")) AddDetails(*details, error);
  return error;
}

std::optional<FailureClass> FailureOfVersionState(std::string_view state) {
  struct State {
    std::string_view name;
    FailureClass c;
  };
  static constexpr State kStates[] = {
      {"DISABLED", kDisabled},
      {"DESTROY_SCHEDULED", kPendingDeletion},  // restored, it comes back as DISABLED
      {"DESTROYED", kDestroyed},
      {"PENDING_GENERATION", kUnreachable},  // still being made: asked again, it is there
      // No key material is there; where there was some, it was destroyed and waits to be imported again.
      {"PENDING_IMPORT", kDestroyed},
      {"IMPORT_FAILED", kDestroyed},
      {"GENERATION_FAILED", kDestroyed},
      // Destroyed for Google, whatever the external key manager still holds.
      {"PENDING_EXTERNAL_DESTRUCTION", kDestroyed},
      {"EXTERNAL_DESTRUCTION_FAILED", kDestroyed},
  };
  if (state == "ENABLED") return std::nullopt;
  const auto it = std::find_if(std::begin(kStates), std::end(kStates), [&](const State& s) { return s.name == state; });
  return it == std::end(kStates) ? kAmbiguous : it->c;
}

FailureClass ClassifyGcpKmsError(const GcpError& error, GcpActor actor) {
  if (error.status == "FAILED_PRECONDITION") {
    // The version's own word for it goes before all codes.
    if (const std::string_view state = StateIn(error.message); !state.empty()) return FailureOfVersionState(state).value_or(kAmbiguous);
  }
  if (Find(kProjectRows, error) != nullptr) return actor == GcpActor::kOwner ? kDenied : kIdentity;
  return Classify({kIdentityRows, kOutageRows, kKmsRows}, error);
}

FailureClass ClassifyImpersonationError(const GcpError& error) {
  // We ask as ourselves, so a project without the API is ours.
  if (Find(kProjectRows, error) != nullptr) return kIdentity;
  return Classify({kIdentityRows, kOutageRows, kImpersonationRows}, error);
}

KmsFailure GcpFailure(const GcpError& error, FailureClass c) {
  KmsFailure failure{.failure_class = c, .words = {}, .retry = false, .retry_after = {}};
  if (error.status.empty()) {
    failure.words = absl::StrCat("answered with HTTP status ", error.http_status, " and no error of Google Cloud's");
  } else {
    const std::string detail = error.details.empty() ? "" : absl::StrCat(", ", error.details.front());
    failure.words = absl::StrCat(error.message, error.message.empty() ? "" : " ", "(", error.status, detail, ")");
  }
  failure.retry = Find(kOutageRows, error) != nullptr || error.http_status >= 500 || error.http_status == 429 ||
                  error.message.find("did not match the data in field") != std::string::npos;
  return failure;
}

KmsFailure IdentityFailure(const HttpResponse& response, std::initializer_list<std::string_view> secrets) {
  KmsFailure failure{.failure_class = kIdentity, .words = {}, .retry = response.status >= 500 || response.status == 429, .retry_after = {}};
  const auto document = ParseJsonObject(response.body);
  const std::string code = document.ok() ? TextOf(*document, "error") : std::string();
  if (!code.empty()) {
    const std::string description = TextOf(*document, "error_description");
    failure.words = WithoutSecrets(description.empty() ? code : absl::StrCat(description, " (", code, ")"), secrets);
    return failure;
  }
  failure.words = GcpFailure(ReadGcpError(response, secrets), kIdentity).words;
  return failure;
}

}  // namespace latchkey
