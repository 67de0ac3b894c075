// What agent and server say to each other, over HTTPS with mutual TLS (port and CA of the server's own).
//
//   GET  /agent/v1/ca              → the CA certificate in PEM (its SHA-256 is in the join token)
//   POST /agent/v1/join            JoinRequest → JoinResponse      (no client certificate yet)
//   POST /agent/v1/sync            SyncRequest → SyncResponse      (client certificate: common name = agent id)
//   POST /agent/v1/renew           {"request_pem"} → {"certificate_pem"}
//
// Sync: the request carries everything that the agent observes, in full, every time. With wait_ms > 0 the server holds the request until
// this host's desired version is above `seen_version`, a key test is waiting for it, or wait_ms (at most 25,000) has passed. Reports of one
// boot_id are ordered by `sequence`; one that is not above the last stored is ignored, and its answer still given.
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/node.h"
#include "protocol/root_key.h"

namespace latchkey {

inline constexpr std::string_view kSyncPath = "/agent/v1/sync";
inline constexpr std::string_view kJoinPath = "/agent/v1/join";
inline constexpr std::string_view kCaPath = "/agent/v1/ca";
inline constexpr std::string_view kRenewPath = "/agent/v1/renew";
inline constexpr int64_t kMaxSyncWaitMs = 25'000;

// "<id>.<secret>.<sha256 of the CA certificate's DER form, hex>": id 16 hex, secret 43 characters of base64url (256 bit).
struct JoinToken {
  std::string id;
  std::string secret;
  std::string ca_sha256;
  std::string ToString() const { return id + "." + secret + "." + ca_sha256; }
  static absl::StatusOr<JoinToken> Parse(std::string_view text);
};

struct JoinRequest {
  std::string token_id, token_secret;
  std::string request_pem;  // PKCS #10
  std::string region;
  std::string hostname;
  std::string advertise_host;  // what clients of its databases connect to
  boost::json::object ToJson() const;
  static absl::StatusOr<JoinRequest> FromJson(const boost::json::object& object);
};
struct JoinResponse {
  std::string agent_id;  // UUID
  std::string organization;
  std::string certificate_pem;
  std::string ca_pem;
  boost::json::object ToJson() const;
  static absl::StatusOr<JoinResponse> FromJson(const boost::json::object& object);
};

// A key that the server wants tested from here: describe, wrap and unwrap a random probe with context, compare.
struct KeyTest {
  std::string id;  // UUID
  std::string cluster_id, region;
  RootKey root;
  absl::Duration answer_within = absl::Seconds(20);  // what the server waits; in whole milliseconds
  boost::json::object ToJson() const;
  static absl::StatusOr<KeyTest> FromJson(const boost::json::object& object, const std::string& path);
};
// One step of the way that a test of a key went, for people.
struct KeyVerdictStep {
  std::string name;  // "form", "credentials", "identity", "describe", "wrap", "unwrap", "context"; "pins": this host's own refusal
  bool ok = false;
  int64_t microseconds = 0;
  std::string found = {};
  bool operator==(const KeyVerdictStep&) const = default;
  boost::json::object ToJson() const;
  static absl::StatusOr<KeyVerdictStep> FromJson(const boost::json::object& object, const std::string& path);
};
struct KeyVerdict {
  // What is beyond these is cut off when a verdict is read; sizes in bytes.
  static constexpr size_t kMostSteps = 16, kLongestName = 32, kLongestText = 512, kLongestMessage = 2048;

  std::string test_id;
  bool ok = false;
  std::optional<FailureClass> failure;
  std::string message;
  std::vector<KeyVerdictStep> steps = {};  // what was done, a failed one last; empty from agents that do not tell
  boost::json::object ToJson() const;
  static absl::StatusOr<KeyVerdict> FromJson(const boost::json::object& object, const std::string& path);
};

struct SyncRequest {
  std::string boot_id;  // new at every start of the agent
  int64_t sequence = 0;
  int64_t seen_version = 0;  // highest SyncResponse::version applied; 0 at start
  int64_t wait_ms = 0;
  std::string hostname, advertise_host, region, agent_version;
  std::vector<std::string> warnings;  // "swap is on and not encrypted", …
  std::vector<ObservedNode> nodes;
  std::vector<KeyVerdict> verdicts;
  boost::json::object ToJson() const;
  static absl::StatusOr<SyncRequest> FromJson(const boost::json::object& object);
};
struct SyncResponse {
  int64_t version = 0;  // of this host's desired state as a whole; never falls while the server's store is kept
  std::vector<DesiredNode> nodes;
  std::vector<KeyTest> key_tests;
  boost::json::object ToJson() const;
  static absl::StatusOr<SyncResponse> FromJson(const boost::json::object& object);
};

}  // namespace latchkey
