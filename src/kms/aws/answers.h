// What AWS KMS, STS and the machine's credential services answer when they do what was asked: pure readers of the bodies of 200 answers.
//
// Each wipes the body that it reads. An answer that is no answer (not JSON, half of it missing, bytes that nobody wrapped) is UNREACHABLE,
// one that is of another key or longer than what can be sent back CORRUPT: whatever stands in a 200 answer, no reader finds a refusal in
// it.
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kms/aws/sigv4.h"
#include "kms/kms.h"

namespace latchkey {

// The longest ciphertext that AWS KMS makes, and takes back.
inline constexpr size_t kMostAwsCiphertext = 6144;

struct KmsPlaintext {
  SecretBytes bytes;
  std::string key_material_id;
};

// Texts are cleaned (CleanWords).
struct AwsKeyMetadata {
  std::string arn, key_state, key_usage, key_spec, key_material_id, origin;
  std::optional<absl::Time> deletion_date, valid_to;
};

struct AwsKeyRotation {
  bool enabled = false;
  std::optional<absl::Time> next;
};

// `key_arn`: the key that was asked for.
absl::StatusOr<std::vector<uint8_t>> ReadAwsEncrypted(std::string& body, std::string_view key_arn);
absl::StatusOr<KmsPlaintext> ReadAwsDecrypted(std::string& body, std::string_view key_arn);
absl::StatusOr<AwsKeyMetadata> ReadAwsKeyMetadata(std::string& body, std::string_view key_arn);
absl::StatusOr<AwsKeyRotation> ReadAwsKeyRotation(std::string& body, std::string_view key_arn);

// Why a key in this state cannot be used; nullopt when it can.
std::optional<FailureClass> FailureOfAwsState(std::string_view state);
KeyDescription DescribeAwsKey(const AwsKeyMetadata& metadata);

// STS's XML: <action>Response/<action>Result/Credentials. They are taken to last no longer than `lifetime`, which was asked for, after
// `asked`.
absl::StatusOr<SharedAwsCredentials> ReadStsCredentials(std::string& body, const std::string& action, absl::Time asked,
                                                        absl::Duration lifetime);

// Of the container and instance metadata services: the same document; the instance's also says how it went ("Code": "Success"). Every
// error is of class IDENTITY and begins with `what`.
absl::StatusOr<SharedAwsCredentials> ReadMachineCredentials(std::string& body, const std::string& what, absl::Time asked);
// The first line, a name of at most 64 bytes; IDENTITY when it is none.
absl::StatusOr<std::string> ReadInstanceRole(std::string_view body, const std::string& what);

}  // namespace latchkey
