// What the readers of good answers share. Whoever answers is not trusted: nothing here is longer than its bound, secrets go straight to
// where secrets live, and times are ones that can be written down.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/secret_bytes.h"

namespace latchkey {

// Far more than what we have wrapped, a KEK and perhaps the hash of its context, so that a KMS which unwraps something else is seen to do
// so (CORRUPT) and not taken for one that is out of order; and little beside the memory for secrets.
inline constexpr size_t kMostUnwrapped = 4096;
// The longest token or key of an identity. Google promises to stay below 2 KiB, AWS sets no bound; Azure's, with groups in them, are
// longest.
inline constexpr size_t kMostToken = 24 << 10;

// The body as a JSON object; wipes the body.
absl::StatusOr<json::object> TakeAnswer(std::string& body);

// Empty when the field is absent or of another type.
std::string AnswerText(const json::object& answer, std::string_view name);
// The same, cleaned and cut for people (CleanWords).
std::string AnswerWords(const json::object& answer, std::string_view name);
// Whether the field is there and true.
bool AnswerIsTrue(const json::object& answer, std::string_view name);
// A text that is a secret of at most `most` bytes; otherwise empty. Wiped in the object, whatever it is.
SecretBytes TakeAnswerSecret(json::object& answer, std::string_view name, size_t most = kMostToken);

enum class AnswerBytes { kBase64, kBase64Url };
// The secret bytes that stand in a field; empty when it is absent, not what the encoding makes, or of more than kMostUnwrapped bytes. Wiped
// in the object.
SecretBytes TakeAnswerBytes(json::object& answer, std::string_view name, AnswerBytes encoding);

// Printable ASCII without blanks: what may stand in a header without ending it. Not empty.
bool IsHeaderText(std::string_view text);

// RFC 3339, from 1970 to the end of 9999; nullopt for everything else, "infinite-future" included.
std::optional<absl::Time> ReadAnswerTime(std::string_view text);

// `expires`, but no later than `longest` after `asked`, and not before `asked`: an end that a service or its clock makes up is neither kept
// for ever nor a time before the token was there.
absl::Time BoundExpiry(absl::Time expires, absl::Time asked, absl::Duration longest);

}  // namespace latchkey
