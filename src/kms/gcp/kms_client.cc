#include "kms/gcp/kms_client.h"

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "kms/gcp/crc32c.h"

namespace latchkey {
namespace {

// Of one operation, because bytes were changed on the way.
constexpr int kMostTransfers = 3;

// One exchange: the body of an answer of 200, which may hold secrets.
absl::StatusOr<std::string> Call(KmsTransport& transport, const GcpKmsTarget& target, std::string_view what, HttpRequest request,
                                 std::string_view path, bool fresh, std::string_view secret, const CallBudget& budget) {
  request.headers["authorization"] = BearerHeader(*target.token);
  request.headers["accept"] = "application/json";
  KmsExchange exchange{.what = absl::StrCat("Google Cloud KMS ", ToAbsl(what)),
                       .url = JoinUrl(target.endpoint, path),
                       .request = std::move(request),
                       .fresh = target.fresh || fresh,
                       .configured = target.configured};
  exchange.read_failure = [&](const HttpResponse& response) -> std::optional<KmsFailure> {
    if (response.status == 200) return std::nullopt;
    const GcpError error = ReadGcpError(response, {target.token->token.RevealText(SecretAccess{}), secret});
    if (target.refusal != nullptr) *target.refusal = error;
    return GcpFailure(error, ClassifyGcpKmsError(error, target.actor));
  };
  ASSIGN_OR_RETURN(HttpResponse response, transport.Send(std::move(exchange), budget));
  return std::move(response.body);
}

// Asks again while what came was changed on its way: `transfer` sets its argument then. On other connections, for the one may be to blame.
template <typename T, typename Transfer>
absl::StatusOr<T> Repeated(const Transfer& transfer) {
  for (int attempt = 1;; ++attempt) {
    bool changed = false;
    absl::StatusOr<T> result = transfer(attempt > 1, changed);
    if (!changed || attempt >= kMostTransfers) return result;
  }
}

// Everything but a secret: the context and its checksum, and what `fields` holds.
std::string RequestBody(json::object fields, std::string_view aad) {
  if (!aad.empty()) {
    fields["additionalAuthenticatedData"] = Base64Encode(AsBytes(aad));
    fields["additionalAuthenticatedDataCrc32c"] = absl::StrCat(Crc32c(AsBytes(aad)));
  }
  return json::serialize(fields);
}

HttpRequest Post(std::string body) {
  return {.method = "POST", .headers = {{"content-type", "application/json"}}, .body = std::move(body)};
}

std::string PathOf(std::string_view key, std::string_view verb) { return absl::StrCat("/v1/", ToAbsl(key), ToAbsl(verb)); }

}  // namespace

std::string BearerHeader(const BearerToken& token) {
  const std::string_view text = token.token.RevealText(SecretAccess{});
  std::string header;
  header.reserve(text.size() + 8);
  header.append("Bearer ").append(text);
  return header;
}

std::string JoinUrl(std::string_view base, std::string_view path) {
  while (base.ends_with('/')) base.remove_suffix(1);
  return absl::StrCat(ToAbsl(base), ToAbsl(path));
}

absl::StatusOr<GcpEncrypted> GcpEncrypt(KmsTransport& transport, const GcpKmsTarget& target, std::string_view key,
                                        const SecretBytes& plaintext, std::string_view aad, const CallBudget& budget) {
  std::string encoded = Base64Encode(plaintext.Reveal(SecretAccess{}));
  const std::string rest = RequestBody({{"plaintextCrc32c", absl::StrCat(Crc32c(plaintext.Reveal(SecretAccess{})))}}, aad);
  auto result = Repeated<GcpEncrypted>([&](bool again, bool& changed) -> absl::StatusOr<GcpEncrypted> {
    // Written by hand around the secret, so that it stands in one string that is wiped, and in no JSON tree.
    std::string body;
    body.reserve(rest.size() + encoded.size() + 32);
    body.append(rest, 0, rest.size() - 1).append(",\"plaintext\":\"").append(encoded).append("\"}");
    ASSIGN_OR_RETURN(std::string answer,
                     Call(transport, target, "encrypt", Post(std::move(body)), PathOf(key, ":encrypt"), again, encoded, budget));
    return ReadGcpEncrypted(answer, key, !aad.empty(), changed);
  });
  Wipe(encoded);
  return result;
}

absl::StatusOr<SecretBytes> GcpDecrypt(KmsTransport& transport, const GcpKmsTarget& target, std::string_view key,
                                       const std::vector<uint8_t>& ciphertext, std::string_view aad, const CallBudget& budget) {
  const std::string body =
      RequestBody({{"ciphertext", Base64Encode(ciphertext)}, {"ciphertextCrc32c", absl::StrCat(Crc32c(ciphertext))}}, aad);
  return Repeated<SecretBytes>([&](bool again, bool& changed) -> absl::StatusOr<SecretBytes> {
    ASSIGN_OR_RETURN(std::string answer, Call(transport, target, "decrypt", Post(body), PathOf(key, ":decrypt"), again, "", budget));
    return ReadGcpDecrypted(answer, changed);
  });
}

absl::StatusOr<GcpKey> GcpGetCryptoKey(KmsTransport& transport, const GcpKmsTarget& target, std::string_view key,
                                       const CallBudget& budget) {
  ASSIGN_OR_RETURN(std::string answer, Call(transport, target, "get key", {.method = "GET"}, PathOf(key, ""), false, "", budget));
  return ReadGcpKey(answer, key);
}

}  // namespace latchkey
