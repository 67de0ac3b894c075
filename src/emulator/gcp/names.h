// Resource names of Cloud KMS and how the wire writes times and durations (googleapis google/cloud/kms/v1/resources.proto; protobuf's JSON
// mapping).
//
//   projects/P/locations/L[/keyRings/R[/cryptoKeys/K[/cryptoKeyVersions/N]]]
#pragma once

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace latchkey::emulator::gcp {

// A location, or what lies in it; what is not there is empty (0 for the version).
struct ResourceName {
  std::string project, location, ring, key;
  int64_t version = 0;

  std::string Location() const;  // "projects/P/locations/L"
  std::string Ring() const;
  std::string Key() const;
  std::string Version() const { return VersionName(Key(), version); }
  // The whole name.
  std::string Text() const;
  static std::string VersionName(const std::string& key, int64_t version);
};

// InvalidArgument, worded for the wire, when the name is malformed. The location is not looked at: see IsServedLocation.
absl::StatusOr<ResourceName> ParseResourceName(std::string_view name);

bool IsProjectId(std::string_view text);     // 6 to 30 of [a-z0-9-], beginning with a letter
bool IsResourceId(std::string_view text);    // 1 to 63 of [a-zA-Z0-9_-]: key rings and keys
bool IsAccountName(std::string_view text);   // 6 to 30, as projects: what stands before the @ of a service account
bool IsAccountEmail(std::string_view text);  // name@project.iam.gserviceaccount.com
// Whether the service is there: "global", a multi-region, or a region's name ("us-east1").
bool IsServedLocation(std::string_view text);
// A role's member that the emulator understands: serviceAccount:…, user:…, principal://…, principalSet://…, allAuthenticatedUsers.
bool IsMember(std::string_view text);

// "2026-01-02T03:04:05.000006Z" and "86400s".
std::string WireTime(absl::Time t);
std::string WireDuration(absl::Duration d);
std::optional<absl::Time> ReadWireTime(std::string_view text);
std::optional<absl::Duration> ReadWireDuration(std::string_view text);

std::vector<std::string_view> SplitText(std::string_view text, char at);

}  // namespace latchkey::emulator::gcp
