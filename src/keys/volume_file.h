// volume.json: the volume's own key file, beside the ciphertext. It makes a volume self-describing: with its folder and access to the root key
// that the file names, and nothing else, the volume opens.
//
//   {"format": 1, "volume_id": uuid, "cipher": "AES-256-XTS", "revision": n, "current_dek": id,
//    "deks": [{"id", "generation", "created_at", "wrapped": [{"kek", "nonce", "ciphertext"}, …]}, …],
//    "keks": [WrappedKek, …],                      those that some wrapping above needs, and no others
//    "mac": hex(32)}                               HMAC-SHA256 of all the above (canonical) under HKDF(current DEK, "latchkey volume file mac")
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>
#include <vector>

#include "keys/dek.h"
#include "protocol/root_key.h"

namespace latchkey {

inline constexpr char kVolumeFileName[] = "volume.json";
inline constexpr char kVolumeLockName[] = "volume.lock";

struct VolumeDek {
  std::string id;
  int64_t generation = 0;
  std::string created_at;
  std::vector<WrappedDek> wrapped;
};

struct VolumeFile {
  std::string volume_id;
  std::string cipher = "AES-256-XTS";
  int64_t revision = 0;
  std::string current_dek;
  std::vector<VolumeDek> deks;     // by rising generation
  std::vector<WrappedKek> keks;
  std::string mac;

  const VolumeDek* FindDek(const std::string& id) const;
  const WrappedKek* FindKek(const std::string& id) const;

  // Reads and checks form only (sizes, references, duplicates); the MAC needs a key. DataLoss with the field when malformed.
  static absl::StatusOr<VolumeFile> Parse(std::string_view text);
  static absl::StatusOr<VolumeFile> Load(const std::string& folder);
  std::string Serialize() const;
  // Sets `mac` under the current DEK.
  void Sign(const Dek& current);
  // DataLoss when it was changed by somebody without the current DEK.
  absl::Status Verify(const Dek& current) const;
  // write-new, fsync, rename, fsync of the folder.
  absl::Status Store(const std::string& folder) const;
};

// A new volume: one DEK of generation `dek_generation` wrapped by `kek`, revision 1, signed. Nothing is written.
struct NewVolume {
  VolumeFile file;
  Dek dek;
};
absl::StatusOr<NewVolume> MakeVolume(const std::string& volume_id, const Kek& kek, const WrappedKek& kek_record, int64_t dek_generation,
                                     Random& random, Clock& clock);

// All DEKs that `kek` wraps in this file, checked against the MAC. PermissionDenied-free: DataLoss when one does not open; NotFound when this KEK wraps
// the current DEK in no form.
absl::StatusOr<std::vector<Dek>> OpenDeks(const VolumeFile& file, const Kek& kek);

// The file after a re-wrap: every DEK is wrapped by `to` (opened again and compared with `deks`), wrappings by other KEKs and their records are gone, and, when
// `new_dek` is given, that DEK is added and current, wrapped by `to` only. Revision + 1, signed. Nothing is written. `deks` are the plaintext DEKs of all
// entries. FailedPrecondition when `from` (freshly unwrapped in the same step) does not open each DEK to the same bytes: once the owner has
// closed the old key, nobody can carry the data over to another.
absl::StatusOr<VolumeFile> Rewrap(const VolumeFile& file, const std::vector<Dek>& deks, const Kek& from, const Kek& to, const WrappedKek& to_record,
                                  const Dek* new_dek, Random& random, Clock& clock);

}  // namespace latchkey
