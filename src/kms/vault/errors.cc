#include "kms/vault/errors.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/json.h"
#include "base/status.h"

namespace latchkey {
namespace {

using enum FailureClass;

// Longer pauses than an operation lasts are not worth waiting for.
constexpr int kMaxRetryAfterSeconds = 10;

// A row holds when the status is equal and the text contains `text` (empty: always). The first row that holds decides. These rows
// are for error documents of the service's own; a proxy's page is no answer, whatever its status.
struct Row {
  int status;
  std::string_view text;
  FailureClass c;
};

constexpr Row kKeyRows[] = {
    // A revoked, expired or unknown token; releases from 2024 on say so beside "permission denied".
    {403, "invalid token", kIdentity},
    {403, "bad token", kIdentity},             // the same, from looking a token up
    {403, "missing client token", kIdentity},  //
    {400, "missing client token", kIdentity},  // the same, in older releases
    {403, "", kDenied},                        // no policy of ours allows the path; older releases say this of dead tokens, too
    // Only raised bounds refuse a version by this name. The owner can lower them again, unless the version was trimmed away.
    {400, "too old", kDisabled},
    // OpenBao: soft-delete, which the owner can undo and which nothing but a real deletion ends.
    {400, "soft-deleted", kPendingDeletion},
    // We read a key before we encrypt, and decrypt only what it once encrypted: it was deleted.
    {400, "encryption key not found", kDestroyed},
    // A version that this key never had: a key of the same name was deleted, and another made.
    {400, "version is too new", kCorrupt},
    // Other bytes, another context or another key than was encrypted with; the words depend on product, release and cipher.
    {400, "message authentication failed", kCorrupt},
    {400, "invalid ciphertext", kCorrupt},
    {400, "unable to decrypt", kCorrupt},
    {400, "associated_data", kUnsuitable},  // "… provided for non-AEAD cipher suite"
    {400, "key derivation", kUnsuitable},   // "missing 'context' for key derivation": a derived key
    {400, "not support", kUnsuitable},      // "message encryption not supported for key type …"
    // A secondary for disasters takes no requests; it is promoted or it is not ours to ask.
    {400, "replication", kUnreachable},
    // The path does not exist at all: the engine was disabled or moved, or the namespace is another. Which of them is not said.
    {404, "no handler for route", kAmbiguous},
    {404, "namespace", kAmbiguous},
    {404, "unsupported path", kUnsuitable},  // another engine than Transit is mounted there
    {404, "", kAmbiguous},
    {405, "", kUnsuitable},  // "unsupported operation": another engine
};

// By the status alone, whoever answered, and before the other rows: nobody has judged the key.
constexpr Row kServiceRows[] = {
    {429, "", kThrottled},    // a rate limit or lease quota; a load balancer that asks a standby for its health shows 429, too
    {412, "", kUnreachable},  // a secondary has not yet seen what our token was made with
    {472, "", kUnreachable},  // a secondary for disasters, by its health
    {473, "", kUnreachable},  // a standby for performance, by its health
    {501, "", kUnreachable},  // not initialized
    {503, "", kUnreachable},  // sealed, or in maintenance
};

// Redirects are not followed: they would take the token to where an answer points.
bool IsStandby(const VaultError& error) {
  return error.http_status == 301 || error.http_status == 302 || error.http_status == 307 || error.http_status == 308;
}

const Row* Find(std::span<const Row> rows, const VaultError& error) {
  const auto it = std::find_if(rows.begin(), rows.end(), [&](const Row& row) {
    return row.status == error.http_status && (row.text.empty() || error.text.find(row.text) != std::string::npos);
  });
  return it == rows.end() ? nullptr : &*it;
}

std::string Words(const VaultError& error) {
  if (IsStandby(error)) {
    return absl::StrCat("this node is a standby and sends its clients elsewhere (HTTP status ", error.http_status,
                        "); the connection's address must be the active node's or a load balancer's");
  }
  if (!error.is_vaults) return absl::StrCat("answered with HTTP status ", error.http_status, " and no Vault error");
  if (error.text.empty() && error.http_status == 404) return "there is nothing at this path (HTTP status 404)";
  return absl::StrCat(error.text.empty() ? "no reason given" : error.text, " (HTTP status ", error.http_status, ")");
}

std::optional<absl::Duration> RetryAfter(const HttpResponse& response) {
  const auto header = response.headers.find("retry-after");
  if (header == response.headers.end()) return std::nullopt;
  int seconds = 0;
  const char* end = header->second.data() + header->second.size();
  const auto [at, error] = std::from_chars(header->second.data(), end, seconds);
  if (error != std::errc() || at != end || seconds < 0) return std::nullopt;
  return absl::Seconds(std::min(seconds, kMaxRetryAfterSeconds));
}

}  // namespace

VaultError ReadVaultError(const HttpResponse& response) {
  VaultError error{.http_status = response.status};
  const auto object = ParseJsonObject(response.body);
  if (!object.ok()) return error;
  const json::value* errors = object->if_contains("errors");
  if (errors == nullptr || !errors->is_array()) return error;
  error.is_vaults = true;
  std::string joined;
  for (const json::value& one : errors->get_array()) {
    if (!one.is_string()) continue;
    if (!joined.empty()) joined += "; ";
    joined.append(one.get_string().data(), one.get_string().size());
  }
  joined = CleanWords(joined);
  // "1 error occurred:\n\t* permission denied\n\n", with its line ends and tabs made spaces.
  std::unique_copy(joined.begin(), joined.end(), std::back_inserter(error.text), [](char a, char b) { return a == ' ' && b == ' '; });
  while (error.text.ends_with(' ')) error.text.pop_back();
  return error;
}

FailureClass ClassifyVaultKeyError(const VaultError& error) {
  if (const Row* row = Find(kServiceRows, error)) return row->c;
  if (error.is_vaults) {
    // {"errors": []}: the engine is there, and has no key of that name.
    if (error.http_status == 404 && error.text.empty()) return kDestroyed;
    if (const Row* row = Find(kKeyRows, error)) return row->c;
  }
  // What we do not know is not a no: nothing renews, and the lease bounds it. A proxy's or portal's page ends here, too.
  return kUnreachable;
}

FailureClass ClassifyVaultLoginError(const VaultError& error) {
  if (const Row* row = Find(kServiceRows, error)) return row->c;
  // Wrong or used-up secret id, a role that does not exist, a service account that is not bound, a mount that is not there.
  if (error.is_vaults && error.http_status >= 400 && error.http_status < 500) return kIdentity;
  // Kubernetes: the cluster's API server, which Vault asks in its turn, did not answer.
  return kUnreachable;
}

std::optional<KmsFailure> ReadVaultFailure(const HttpResponse& response, FailureClass (*classify)(const VaultError&)) {
  if (response.status == 200) return std::nullopt;
  const VaultError error = ReadVaultError(response);
  return KmsFailure{.failure_class = classify(error),
                    .words = Words(error),
                    .retry = error.http_status >= 500 || error.http_status == 429 || error.http_status == 412,
                    .retry_after = RetryAfter(response)};
}

}  // namespace latchkey
