// volume.json: the volume's own key file, beside the ciphertext. It makes a volume self-describing: with its folder and access to the root
// key that the file names, and nothing else, the volume opens.
//
//   {"format": 1, "volume_id": uuid, "cipher": "AES-256-XTS", "revision": n, "current_dek": id,
//    "deks": [{"id", "generation", "created_at", "wrapped": [{"kek", "nonce", "ciphertext"}, …]}, …],
//    "keks": [WrappedKek, …],                      those that some wrapping above needs, and no others
//    "mac": hex(32)}                               HMAC-SHA256 of CanonicalBytes() under HKDF-SHA256(current DEK, "latchkey volume file
//    mac")
//
// The MAC tells a change by somebody without the current DEK. It does not tell an older file put back in place: `revision` does, to whoever
// remembers.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "keys/dek.h"
#include "protocol/root_key.h"

namespace latchkey {

inline constexpr char kVolumeFileName[] = "volume.json";
inline constexpr char kVolumeLockName[] = "volume.lock";

// What a file may hold; one that holds more is refused on reading, and never written.
inline constexpr size_t kMaxVolumeFileSize = 1 << 20;
inline constexpr size_t kMaxVolumeDeks = 64;
inline constexpr size_t kMaxWrappingsPerDek = 16;
inline constexpr size_t kMaxVolumeKeks = 64;

struct VolumeDek {
  std::string id;
  int64_t generation = 0;
  std::string created_at;           // RFC 3339
  std::vector<WrappedDek> wrapped;  // at least one; at most one by each KEK
  bool operator==(const VolumeDek&) const = default;
};

// A value: not thread-safe, copied freely. Holds nothing secret.
struct VolumeFile {
  std::string volume_id;  // 1 to 64 letters, digits, '-', '_' and '.'; a UUID when Latchkey made it
  std::string cipher = "AES-256-XTS";
  int64_t revision = 0;         // from 1; only rises
  std::string current_dek;      // the one of the highest generation
  std::vector<VolumeDek> deks;  // at least one, by rising generation
  std::vector<WrappedKek> keks;
  std::string mac;  // hex of 32 bytes

  bool operator==(const VolumeFile&) const = default;
  const VolumeDek* FindDek(const std::string& id) const;
  const WrappedKek* FindKek(const std::string& id) const;

  // Reads and checks form only (sizes, bounds, references, duplicates, unknown fields); the MAC needs a key. DataLoss with the field when
  // malformed.
  static absl::StatusOr<VolumeFile> Parse(std::string_view text);
  // Parse() of the file in `folder`. NotFound when there is none.
  static absl::StatusOr<VolumeFile> Load(const std::string& folder);
  // One line of JSON, ended by a line end.
  std::string Serialize() const;
  // What the MAC covers: every field but `mac`, in one fixed order, each as "<name>:<length>:<value>\n". Independent of the JSON that was
  // read.
  std::string CanonicalBytes() const;
  // Sets `mac` under the current DEK.
  void Sign(const Dek& current);
  // DataLoss when `current` is not the current DEK of this file, or when the file was changed by somebody without it. Constant-time
  // comparison.
  absl::Status Verify(const Dek& current) const;
  // write-new, fsync, rename, fsync of the folder; mode 0600. Writes nothing and answers Internal when Parse() would not read it back
  // equal.
  absl::Status Store(const std::string& folder) const;
};

// A new volume: one DEK of generation `dek_generation` wrapped by `kek`, revision 1, signed. Nothing is written.
// InvalidArgument when an argument is malformed or `kek_record` is not the record of `kek`.
struct NewVolume {
  VolumeFile file;
  Dek dek;
};
absl::StatusOr<NewVolume> MakeVolume(const std::string& volume_id, const Kek& kek, const WrappedKek& kek_record, int64_t dek_generation,
                                     Random& random, Clock& clock);

// All DEKs that `kek` wraps in this file, in the file's order (so the last is the current one), after checking the file's MAC with the
// current one. NotFound when this KEK does not wrap the current DEK; DataLoss when a wrapping by this KEK does not open, or when the MAC is
// wrong. A DEK that only other KEKs wrap is left out: compare the count with `deks` where all are needed.
absl::StatusOr<std::vector<Dek>> OpenDeks(const VolumeFile& file, const Kek& kek);

// The file after a re-wrap: every DEK is wrapped by `to` (opened again and compared with `deks`), wrappings by other KEKs and their records
// are gone, and, when `new_dek` is given, that DEK is added and current, wrapped by `to` only. Revision + 1, signed. Nothing is written.
// `deks` are the plaintext DEKs of exactly the file's entries, in any order. `from` and `to` may be the same KEK (a new DEK without a new
// KEK).
//
// FailedPrecondition when `from` (freshly unwrapped in the same step) does not open each DEK to the same bytes: once the owner has closed
// the old key, nobody can carry the data over to another. Also when `from` and `to` are not of one cluster region, `to` is of a lower
// generation, or another KEK of the same one; and when `new_dek` is not of this volume, not of a higher generation than the current one, or
// one too many. InvalidArgument when `to_record` is not the record of `to`. DataLoss when the file's MAC is wrong.
//
// It changes the file each time it is called; whoever repeats a re-wrap asks IsWrappedOnlyBy() first. That `to` is linked to the KEK before
// it (VerifyLink) is checked by the agent, which knows the whole chain.
absl::StatusOr<VolumeFile> Rewrap(const VolumeFile& file, const std::vector<Dek>& deks, const Kek& from, const Kek& to,
                                  const WrappedKek& to_record, const Dek* new_dek, Random& random, Clock& clock);

// True when every DEK is wrapped by this KEK and by no other: a re-wrap to it is done.
bool IsWrappedOnlyBy(const VolumeFile& file, const std::string& kek_id);

}  // namespace latchkey
