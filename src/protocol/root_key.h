// Names of keys, and wrapped keys as records that anyone may carry: nothing here is secret.
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace latchkey {

// A key in a KMS: an owner key or the operator's escrow key.
struct RootKey {
  std::string type;            // one of key_type.h
  std::string uri;             // AWS: key ARN; LOCAL: local://<connection>; the others: see the header of the provider, kms/<…>_kms.h
  std::string auth_principal;  // AWS: ARN of the owner's role; Google: the owner's service account; Azure: the owner's tenant; may be empty
  std::string external_id;     // given to the owner's side when stepping into the role: the organization's id; no secret

  bool operator==(const RootKey&) const = default;
  boost::json::object ToJson() const;
  // Faults name the field below `path`.
  static absl::StatusOr<RootKey> FromJson(const boost::json::object& object, const std::string& path);
};

// What a KEK belongs to. Bound into the KMS call and into the KEK's id.
struct KekContext {
  std::string organization;  // UUID
  std::string cluster;       // UUID
  std::string region;
  int64_t generation = 0;  // from 1

  bool operator==(const KekContext&) const = default;
  // `latchkey:organization=…` and so on, sorted, one a line: the canonical form for HKDF, AAD and SHA-256.
  std::string Canonical() const;
};

// A KEK wrapped by a root key.
//
//   {"format": 1, "id": hex(16), "organization": …, "cluster": …, "region": …, "generation": g, "created_at": RFC 3339,
//    "root": {"type", "uri", "auth_principal", "external_id"}, "key_version": …, "ciphertext": base64,
//    "previous": {"id": hex(16), "nonce": base64(12), "ciphertext": base64(48)},   from generation 2: KEK g−1 sealed by this one
//    "link": hex(32)}                                                              from generation 2: HMAC of the record by KEK g−1
struct WrappedKek {
  struct Previous {
    std::string id;
    std::string nonce;       // base64, 12 bytes
    std::string ciphertext;  // base64, 32 + 16 bytes
    bool operator==(const Previous&) const = default;
  };
  std::string id;
  KekContext context;
  std::string created_at;
  RootKey root;
  std::string key_version;  // what the KMS tells (AWS: KeyMaterialId); empty when it tells nothing
  std::string ciphertext;   // base64
  std::optional<Previous> previous;
  std::string link;  // empty in generation 1

  bool operator==(const WrappedKek&) const = default;
  boost::json::object ToJson() const;
  static absl::StatusOr<WrappedKek> FromJson(const boost::json::object& object, const std::string& path);
  // The record without `link`, in the canonical form that the link's MAC covers.
  std::string LinkedBytes() const;
};

}  // namespace latchkey
