#include "kms/aws/errors.h"

#include <algorithm>
#include <span>

#include "base/json.h"
#include "kms/aws/xml.h"

namespace latchkey {
namespace {

using enum FailureClass;

constexpr size_t kMaxMessage = 1024;

// A row holds when the code is equal and the message contains `text` (empty: always). The first row that holds decides.
struct Row {
  std::string_view code;
  std::string_view text;
  FailureClass c;
};

// Trouble with who we are, wherever it is answered: nobody has judged the owner's key.
constexpr Row kIdentityRows[] = {
    {"InvalidSignatureException", "", kIdentity},            // our secret key or our clock
    {"SignatureDoesNotMatch", "", kIdentity},                // the same, in STS's words
    {"IncompleteSignatureException", "", kIdentity},         // our signer, or something between that rewrites headers
    {"IncompleteSignature", "", kIdentity},                  //
    {"UnrecognizedClientException", "", kIdentity},          // an access key that KMS does not know (any more)
    {"InvalidClientTokenId", "", kIdentity},                 // an access key that STS does not know (any more)
    {"InvalidAccessKeyId", "", kIdentity},                   //
    {"ExpiredTokenException", "", kIdentity},                // our temporary credentials are over
    {"ExpiredToken", "", kIdentity},                         //
    {"MissingAuthenticationTokenException", "", kIdentity},  //
    {"MissingAuthenticationToken", "", kIdentity},           //
    {"RequestExpired", "", kIdentity},                       // our clock
    {"RequestTimeTooSkewed", "", kIdentity},                 // our clock
    {"OptInRequired", "", kIdentity},                        // our account may not use the service
};

// Nobody judged anything: too many calls, or the service's own trouble. KMS does not model throttling, so these are known by their names
// only.
constexpr Row kOutageRows[] = {
    {"ThrottlingException", "", kThrottled},
    {"Throttling", "", kThrottled},
    {"ThrottledException", "", kThrottled},
    {"TooManyRequestsException", "", kThrottled},
    {"RequestLimitExceeded", "", kThrottled},
    {"RequestThrottled", "", kThrottled},
    {"RequestThrottledException", "", kThrottled},
    {"LimitExceededException", "", kThrottled},
    {"SlowDown", "", kThrottled},
    {"DependencyTimeoutException", "", kUnreachable},
    {"KMSInternalException", "", kUnreachable},
    {"KeyUnavailableException", "", kUnreachable},
    {"InternalFailure", "", kUnreachable},
    {"InternalError", "", kUnreachable},
    {"InternalServerError", "", kUnreachable},
    {"ServiceUnavailable", "", kUnreachable},
    {"ServiceUnavailableException", "", kUnreachable},
    {"RequestTimeout", "", kUnreachable},
    {"RequestTimeoutException", "", kUnreachable},
};

constexpr Row kKmsRows[] = {
    // KMS documents both exceptions for a key that waits for its deletion, so the text goes before the name.
    {"DisabledException", "pending deletion", kPendingDeletion},
    {"DisabledException", "", kDisabled},
    {"KMSInvalidStateException", "pending deletion", kPendingDeletion},
    {"KMSInvalidStateException", "pending replica deletion", kPendingDeletion},
    // Imported key material that expired or was deleted: the key cannot decrypt until the owner imports the same material again.
    {"KMSInvalidStateException", "pending import", kDestroyed},
    // A custom or external key store that is cut off: it answers nothing, and the lease bounds that.
    {"KMSInvalidStateException", "is unavailable", kUnreachable},
    {"KMSInvalidStateException", "is creating", kUnreachable},
    {"KMSInvalidStateException", "is updating", kUnreachable},
    // A state that we do not know is a no all the same; DescribeKey may tell which.
    {"KMSInvalidStateException", "", kAmbiguous},
    {"CloudHsmClusterInvalidConfigurationException", "", kUnreachable},
    {"CustomKeyStoreInvalidStateException", "", kUnreachable},
    // "Invalid arn us-west-2", "Invalid keyId 'x'": not a key of this region, or no key at all; it never was one.
    {"NotFoundException", "Invalid arn", kUnsuitable},
    {"NotFoundException", "Invalid keyId", kUnsuitable},
    // We name keys by ARN: one that does not exist has been deleted.
    {"NotFoundException", "", kDestroyed},
    // Two wordings, old and new, in which KMS does not tell deletion from denial.
    {"AccessDeniedException", "does not exist", kAmbiguous},
    {"AccessDeniedException", "", kDenied},
    {"AccessDenied", "", kDenied},
    {"KMSInvalidMacException", "", kCorrupt},
    // Other bytes or another context than were encrypted. Comes without a message.
    {"InvalidCiphertextException", "", kCorrupt},
    // We pass the key's ARN with Decrypt: the ciphertext was made by another key.
    {"IncorrectKeyException", "", kCorrupt},
    {"InvalidKeyUsageException", "", kUnsuitable},  // a key for signatures or MACs
    {"InvalidArnException", "", kUnsuitable},
    {"ValidationException", "", kUnsuitable},
    {"UnsupportedOperationException", "", kUnsuitable},
    {"InvalidGrantTokenException", "", kUnsuitable},
};

constexpr Row kAssumeRoleRows[] = {
    // AWS says which policy refused (IAM User Guide, "Troubleshoot access denied error messages"). One of our own account's is no word of
    // the owner's: that we may not step into anybody's role is trouble with our identity.
    {"AccessDenied", "identity-based policy", kIdentity},
    {"AccessDenied", "service control policy", kIdentity},
    {"AccessDenied", "permissions boundary", kIdentity},
    {"AccessDenied", "session policy", kIdentity},
    // The role's trust does not name us or not with this external id, or there is no such role: the owner's side says no.
    {"AccessDenied", "", kDenied},
    {"AccessDeniedException", "", kDenied},
    // The owner's account has switched STS off in the key's region.
    {"RegionDisabledException", "", kDenied},
    {"ValidationError", "", kUnsuitable},  // the role's ARN or the external id is malformed
    {"ValidationException", "", kUnsuitable},
};

const Row* Find(std::span<const Row> rows, const AwsError& error) {
  const auto it = std::find_if(rows.begin(), rows.end(), [&](const Row& row) {
    return row.code == error.code && (row.text.empty() || error.message.find(row.text) != std::string::npos);
  });
  return it == rows.end() ? nullptr : &*it;
}

FailureClass Classify(std::span<const Row> own, const AwsError& error) {
  for (const std::span<const Row> rows : {own, std::span<const Row>(kIdentityRows), std::span<const Row>(kOutageRows)}) {
    if (const Row* row = Find(rows, error)) return row->c;
  }
  if (error.http_status == 429) return kThrottled;
  // What we do not know is not a no: nothing renews, and the lease bounds it. A proxy's or portal's page ends here, too.
  return kUnreachable;
}

std::string CleanMessage(std::string_view message) {
  // Signature errors may go on with the canonical request, and with it the session token.
  for (const std::string_view mark : {"The Canonical String", "The String-to-Sign"}) message = message.substr(0, message.find(mark));
  std::string out(message.substr(0, kMaxMessage));
  std::replace_if(out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

// Letters, digits, '.', '_' and '-' only: a code is looked up and shown, never interpreted.
std::string CleanCode(std::string_view code) {
  if (const size_t hash = code.rfind('#'); hash != std::string_view::npos) code.remove_prefix(hash + 1);
  if (const size_t colon = code.find(':'); colon != std::string_view::npos) code = code.substr(0, colon);
  const bool good = std::all_of(code.begin(), code.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
  });
  return good && code.size() <= 128 ? std::string(code) : std::string();
}

std::string TextOf(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

}  // namespace

AwsError ReadJsonError(const HttpResponse& response) {
  AwsError error{.http_status = response.status};
  if (const auto object = ParseJsonObject(response.body); object.ok()) {
    error.code = CleanCode(TextOf(*object, "__type"));
    std::string message = TextOf(*object, "message");
    if (message.empty()) message = TextOf(*object, "Message");
    error.message = CleanMessage(message);
  }
  if (const auto header = response.headers.find("x-amzn-errortype"); error.code.empty() && header != response.headers.end()) {
    error.code = CleanCode(header->second);
  }
  return error;
}

AwsError ReadXmlError(const HttpResponse& response) {
  AwsError error{.http_status = response.status};
  error.code = CleanCode(XmlText(response.body, {"ErrorResponse", "Error", "Code"}).value_or(""));
  error.message = CleanMessage(XmlText(response.body, {"ErrorResponse", "Error", "Message"}).value_or(""));
  return error;
}

FailureClass ClassifyKmsError(const AwsError& error) { return Classify(kKmsRows, error); }
FailureClass ClassifyAssumeRoleError(const AwsError& error) { return Classify(kAssumeRoleRows, error); }

FailureClass ClassifyWebIdentityError(const AwsError& error) {
  // The identity provider could not be asked; asking again may help.
  if (error.code == "IDPCommunicationError") return kUnreachable;
  if (const Row* row = Find(kOutageRows, error)) return row->c;
  if (error.http_status == 429) return kThrottled;
  return error.http_status >= 500 || error.code.empty() ? kUnreachable : kIdentity;
}

bool IsWorthRetrying(const AwsError& error) {
  return Find(kOutageRows, error) != nullptr || error.code == "IDPCommunicationError" || error.http_status >= 500 ||
         error.http_status == 429;
}

bool IsAboutSignatureTime(const AwsError& error) {
  static constexpr std::string_view kCodes[] = {"InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired",
                                                "RequestTimeTooSkewed"};
  return std::find(std::begin(kCodes), std::end(kCodes), error.code) != std::end(kCodes);
}

}  // namespace latchkey
