// libFuzzer over what a KMS, or somebody who stands in for one, can answer. The input is an answer as people write it down: a line with the
// status, header lines, an empty line, the body. Every provider reads every answer.
//
// What must hold whatever comes: words for people are bounded and clean, secrets that an answer quotes are taken out, and no answer that
// is not the service's own error document is the owner's no, for that seals data.
#include <charconv>
#include <cstdlib>

#include "base/encoding.h"
#include "base/json.h"
#include "base/utf8.h"
#include "crypto/jwt.h"
#include "kms/aws/errors.h"
#include "kms/aws/profile.h"
#include "kms/azure/challenge.h"
#include "kms/azure/errors.h"
#include "kms/azure/key_id.h"
#include "kms/gcp/credentials_file.h"
#include "kms/gcp/errors.h"
#include "kms/vault/errors.h"

namespace latchkey {
namespace {

constexpr std::string_view kSecret = "kept-from-people-0123456789";
constexpr size_t kMostWords = 1024;

void Must(bool holds) {
  if (!holds) std::abort();
}

HttpResponse ReadAnswer(std::string_view text) {
  HttpResponse response;
  const auto line = [&text] {
    const size_t end = text.find('\n');
    const std::string_view out = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    return out;
  };
  const std::string_view status = line();
  response.status = 400;
  std::from_chars(status.data(), status.data() + status.size(), response.status);
  for (std::string_view header = line(); !header.empty(); header = line()) {
    if (const size_t colon = header.find(": "); colon != std::string_view::npos) {
      response.headers.emplace(std::string(header.substr(0, colon)), std::string(header.substr(colon + 2)));
    }
  }
  response.body = std::string(text);
  return response;
}

bool IsClean(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return true;
}
void CheckWords(std::string_view words, size_t more = 0) {
  Must(words.size() <= kMostWords + more && IsClean(words) && CutUtf8(words, words.size()) == words);
}
void CheckFailure(const KmsFailure& failure) {
  // The provider's words, and a code and a status beside them.
  CheckWords(failure.words, 320);
  Must(!FailureClassName(failure.failure_class).empty());
  if (failure.retry_after) Must(*failure.retry_after >= absl::ZeroDuration());
}
void CheckQuotesNo(std::string_view words) { Must(words.find(kSecret) == std::string_view::npos); }

void CheckAws(const HttpResponse& response) {
  for (const AwsError& error : {ReadJsonError(response), ReadXmlError(response)}) {
    Must(error.http_status == response.status && error.message.size() <= kMostWords && IsClean(error.message));
    Must(error.code.size() <= 128 && error.code.find_first_of(" #:\"<>") == std::string::npos);
    Must(IsClean(error.code));
    Must(!IsRefusal(ClassifyWebIdentityError(error)));
    if (error.code.empty()) {
      Must(!IsRefusal(ClassifyKmsError(error)) && !IsRefusal(ClassifyAssumeRoleError(error)));
    }
    // What is repeated is about the service, not about the key.
    if (IsWorthRetrying(error) && error.http_status < 500 && error.http_status != 429) Must(!IsRefusal(ClassifyKmsError(error)));
  }
}

void CheckGcp(const HttpResponse& response) {
  const GcpError error = ReadGcpError(response, {kSecret});
  CheckWords(error.message);
  CheckQuotesNo(error.message);
  Must(error.message.find("ya29.") == std::string::npos);
  Must(error.details.size() <= 16 && error.status.size() <= 64);
  for (const GcpActor actor : {GcpActor::kOwner, GcpActor::kSelf}) {
    const FailureClass c = ClassifyGcpKmsError(error, actor);
    if (error.status.empty()) Must(!IsRefusal(c) && !IsRefusal(ClassifyImpersonationError(error)));
    CheckFailure(GcpFailure(error, c));
  }
  const KmsFailure own = IdentityFailure(response, {kSecret});
  CheckFailure(own);
  CheckQuotesNo(own.words);
  Must(own.failure_class == FailureClass::kIdentity);
}

void CheckAzure(const HttpResponse& quoting) {
  const SecretBytes secret = SecretBytes::CopyOf(kSecret);
  const HttpResponse response = WithoutSecrets(quoting, {&secret});
  CheckQuotesNo(response.body);
  const AzureVaultError error = ReadAzureVaultError(response);
  CheckWords(error.message);
  for (const AzureOperation operation : {AzureOperation::kGet, AzureOperation::kWrap, AzureOperation::kUnwrap}) {
    const KmsFailure failure = AzureVaultFailure(response, operation);
    CheckFailure(failure);
    Must(failure.failure_class == ClassifyAzureVaultError(error, operation));
    if (error.code.empty() || error.http_status >= 500 || error.http_status == 429) Must(!IsRefusal(failure.failure_class));
    if (operation != AzureOperation::kUnwrap) Must(failure.failure_class != FailureClass::kCorrupt);
  }
  const EntraError entra = ReadEntraError(response);
  CheckWords(entra.description);
  Must(entra.codes.size() <= 8);
  CheckFailure(EntraFailure(response, true));
  const KmsFailure own = EntraFailure(response, false);
  CheckFailure(own);
  Must(!IsRefusal(own.failure_class));
  if (entra.error.empty() && entra.codes.empty()) Must(!IsRefusal(ClassifyEntraError(entra, true)));
  const KmsFailure machine = ManagedIdentityFailure(response);
  CheckFailure(machine);
  Must(machine.failure_class == FailureClass::kIdentity);

  const auto challenge = ParseAzureChallenge(quoting.headers.contains("www-authenticate") ? quoting.headers.at("www-authenticate") : "");
  if (!challenge.ok()) return;
  Must(ParseAzureTenant(challenge->tenant).value_or("") == challenge->tenant);
  Must(!challenge->resource.empty() && challenge->resource.size() <= 256 && challenge->resource.find_first_of(" \"\\/") != 0);
  Must(challenge->claims.empty() || ParseJsonObject(challenge->claims).ok());
  if (CheckAzureChallenge(*challenge, "vault.azure.net", "").ok()) Must(challenge->resource == "https://vault.azure.net");
  Must(CheckAzureChallenge(*challenge, "", challenge->tenant).ok());
}

void CheckVault(const HttpResponse& response) {
  const VaultError error = ReadVaultError(response);
  CheckWords(error.text);
  const auto failure = ReadVaultFailure(response, ClassifyVaultKeyError);
  Must(failure.has_value() == (response.status != 200));
  if (failure) {
    CheckFailure(*failure);
    if (!error.is_vaults || error.http_status >= 500) Must(!IsRefusal(failure->failure_class));
  }
  const auto login = ReadVaultFailure(response, ClassifyVaultLoginError);
  if (login) Must(!IsRefusal(login->failure_class));
}

// What stands in answers and files beside errors.
void CheckDocuments(std::string_view text) {
  if (const auto token = DecodeJwt(text); token.ok()) {
    Must(token->signed_part + "." + Base64UrlEncode(token->signature) == text);
  }
  if (const auto file = ParseGcpCredentialsFile(text); file.ok()) {
    if (const auto* account = std::get_if<GcpServiceAccountKey>(&*file)) {
      Must(!account->client_email.empty() && account->private_key.size() > 0);
    } else {
      Must(!std::get<GcpExternalAccount>(*file).token_file.empty());
    }
  } else {
    Must(file.status().message().find("PRIVATE KEY") == absl::string_view::npos);
  }
  if (auto sections = ParseIni(text); sections.ok()) WipeSections(*sections);
}

}  // namespace
}  // namespace latchkey

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace latchkey;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const HttpResponse response = ReadAnswer(text);
  CheckAws(response);
  CheckGcp(response);
  CheckAzure(response);
  CheckVault(response);
  // The same words from a service in trouble, which is no answer about a key.
  HttpResponse trouble = response;
  trouble.status = 503;
  CheckAzure(trouble);
  CheckVault(trouble);
  CheckDocuments(response.body);
  return 0;
}
