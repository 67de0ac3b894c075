#include "keys/volume_file.h"

#include <absl/strings/str_cat.h>
#include <absl/time/time.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/encoding.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "crypto/digest.h"
#include "keys/canonical.h"
#include "protocol/fields.h"

namespace latchkey {
namespace {

constexpr int64_t kFormat = 1;
constexpr std::string_view kCipher = "AES-256-XTS";

bool IsVolumeId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
  });
}

// The objects of a required array field; fewer than 1 or more than `most` is a fault.
absl::StatusOr<std::vector<const json::object*>> ReadObjects(JsonReader& reader, std::string_view name, size_t most) {
  const json::array* array = reader.Array(name);
  if (array == nullptr) return reader.status();
  if (array->empty() || array->size() > most) return InvalidArgument(reader.PathOf(name), ": must have 1 to ", most, " elements");
  std::vector<const json::object*> objects;
  for (const json::value& value : *array) {
    if (value.if_object() == nullptr) return InvalidArgument(reader.PathOf(name), "[", objects.size(), "]: must be an object");
    objects.push_back(value.if_object());
  }
  return objects;
}

std::string Element(const std::string& list, size_t index) { return absl::StrCat(list, "[", index, "]"); }

absl::StatusOr<VolumeDek> ReadDek(const json::object& object, const std::string& path) {
  JsonReader reader(object, path);
  VolumeDek dek;
  dek.id = reader.String("id");
  dek.generation = reader.Int("generation");
  dek.created_at = reader.String("created_at");
  CheckHex(reader, "id", dek.id, 16);
  if (dek.generation < 1) reader.Fault("generation", "must be 1 or more");
  CheckText(reader, "created_at", dek.created_at, 64);
  absl::Time ignored;
  if (!absl::ParseTime(absl::RFC3339_full, dek.created_at, &ignored, nullptr)) reader.Fault("created_at", "must be a time as in RFC 3339");
  ASSIGN_OR_RETURN(const auto objects, ReadObjects(reader, "wrapped", kMaxWrappingsPerDek));
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());

  std::set<std::string> keks;
  for (const json::object* wrapping : objects) {
    const std::string at = Element(reader.PathOf("wrapped"), dek.wrapped.size());
    ASSIGN_OR_RETURN(WrappedDek wrapped, WrappedDek::FromJson(*wrapping, at));
    if (!keks.insert(wrapped.kek_id).second) return InvalidArgument(at, ".kek: wraps this DEK twice");
    dek.wrapped.push_back(std::move(wrapped));
  }
  return dek;
}

absl::StatusOr<VolumeFile> ReadFields(const json::object& object) {
  JsonReader reader(object);
  VolumeFile file;
  // First, and alone: of another format nothing else can be said.
  if (const int64_t format = reader.Int("format"); reader.status().ok() && format != kFormat) {
    reader.Fault("format", absl::StrCat(format, " is not one that this version reads (", kFormat, ")"));
  }
  RETURN_IF_ERROR(reader.status());
  file.volume_id = reader.String("volume_id");
  file.cipher = reader.String("cipher");
  file.revision = reader.Int("revision");
  file.current_dek = reader.String("current_dek");
  file.mac = reader.String("mac");
  if (!IsVolumeId(file.volume_id)) reader.Fault("volume_id", "must be 1 to 64 letters, digits, '-', '_' or '.'");
  if (file.cipher != kCipher) reader.Fault("cipher", "is not one that this version reads");
  if (file.revision < 1) reader.Fault("revision", "must be 1 or more");
  CheckHex(reader, "current_dek", file.current_dek, 16);
  CheckHex(reader, "mac", file.mac, 32);
  ASSIGN_OR_RETURN(const auto deks, ReadObjects(reader, "deks", kMaxVolumeDeks));
  ASSIGN_OR_RETURN(const auto keks, ReadObjects(reader, "keks", kMaxVolumeKeks));
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());

  for (const json::object* dek : deks) {
    ASSIGN_OR_RETURN(VolumeDek read, ReadDek(*dek, Element("deks", file.deks.size())));
    file.deks.push_back(std::move(read));
  }
  for (const json::object* kek : keks) {
    ASSIGN_OR_RETURN(WrappedKek read, WrappedKek::FromJson(*kek, Element("keks", file.keks.size())));
    file.keks.push_back(std::move(read));
  }
  return file;
}

absl::Status CheckReferences(const VolumeFile& file) {
  std::set<std::string> kek_ids;
  for (size_t i = 0; i < file.keks.size(); ++i) {
    if (!kek_ids.insert(file.keks[i].id).second) return InvalidArgument(Element("keks", i), ".id: is there twice");
  }
  std::set<std::string> dek_ids;
  std::set<std::string> needed;
  for (size_t i = 0; i < file.deks.size(); ++i) {
    const VolumeDek& dek = file.deks[i];
    const std::string at = Element("deks", i);
    if (!dek_ids.insert(dek.id).second) return InvalidArgument(at, ".id: is there twice");
    if (i > 0 && dek.generation <= file.deks[i - 1].generation) return InvalidArgument(at, ".generation: must rise from DEK to DEK");
    for (size_t j = 0; j < dek.wrapped.size(); ++j) {
      if (!kek_ids.contains(dek.wrapped[j].kek_id)) return InvalidArgument(Element(at + ".wrapped", j), ".kek: is not in keks");
      needed.insert(dek.wrapped[j].kek_id);
    }
  }
  for (size_t i = 0; i < file.keks.size(); ++i) {
    if (!needed.contains(file.keks[i].id)) return InvalidArgument(Element("keks", i), ".id: wraps no DEK");
  }
  if (file.current_dek != file.deks.back().id) return InvalidArgument("current_dek: must be the DEK of the highest generation");
  return absl::OkStatus();
}

Sha256Digest Mac(const VolumeFile& file, const Dek& current) {
  const SecretBytes key = current.Derive({}, "latchkey volume file mac", 32);
  return HmacSha256(key, file.CanonicalBytes());
}

}  // namespace

const VolumeDek* VolumeFile::FindDek(const std::string& id) const {
  const auto it = std::find_if(deks.begin(), deks.end(), [&](const VolumeDek& dek) { return dek.id == id; });
  return it == deks.end() ? nullptr : &*it;
}

const WrappedKek* VolumeFile::FindKek(const std::string& id) const {
  const auto it = std::find_if(keks.begin(), keks.end(), [&](const WrappedKek& kek) { return kek.id == id; });
  return it == keks.end() ? nullptr : &*it;
}

absl::StatusOr<VolumeFile> VolumeFile::Parse(std::string_view text) {
  if (text.size() > kMaxVolumeFileSize) return DataLoss(kVolumeFileName, ": is longer than ", kMaxVolumeFileSize, " bytes");
  const auto object = ParseJsonObject(text);
  if (!object.ok()) return DataLoss(kVolumeFileName, ": ", object.status().message());
  auto file = ReadFields(*object);
  const absl::Status status = file.ok() ? CheckReferences(*file) : file.status();
  if (!status.ok()) return DataLoss(kVolumeFileName, ": ", status.message());
  return file;
}

absl::StatusOr<VolumeFile> VolumeFile::Load(const std::string& folder) {
  const auto text = ReadFile(absl::StrCat(folder, "/", kVolumeFileName), kMaxVolumeFileSize);
  if (absl::IsOutOfRange(text.status())) return DataLoss(kVolumeFileName, ": is longer than ", kMaxVolumeFileSize, " bytes");
  RETURN_IF_ERROR(text.status());
  return Parse(*text);
}

std::string VolumeFile::Serialize() const {
  json::array dek_array;
  for (const VolumeDek& dek : deks) {
    dek_array.push_back(
        json::object{{"id", dek.id}, {"generation", dek.generation}, {"created_at", dek.created_at}, {"wrapped", ToArray(dek.wrapped)}});
  }
  const json::object object = {
      {"format", kFormat},          {"volume_id", volume_id}, {"cipher", cipher},      {"revision", revision},
      {"current_dek", current_dek}, {"deks", dek_array},      {"keks", ToArray(keks)}, {"mac", mac},
  };
  return json::serialize(object) + "\n";
}

// Format 1, in this order and no other: the MAC of every volume on disk is made over it.
std::string VolumeFile::CanonicalBytes() const {
  std::string out = "latchkey-volume-file:1\n";
  AppendField(out, "volume_id", volume_id);
  AppendField(out, "cipher", cipher);
  AppendField(out, "revision", revision);
  AppendField(out, "current_dek", current_dek);
  AppendField(out, "deks", static_cast<int64_t>(deks.size()));
  for (const VolumeDek& dek : deks) {
    AppendField(out, "dek.id", dek.id);
    AppendField(out, "dek.generation", dek.generation);
    AppendField(out, "dek.created_at", dek.created_at);
    AppendField(out, "dek.wrapped", static_cast<int64_t>(dek.wrapped.size()));
    for (const WrappedDek& wrapped : dek.wrapped) {
      AppendField(out, "wrapped.kek", wrapped.kek_id);
      AppendField(out, "wrapped.nonce", wrapped.nonce);
      AppendField(out, "wrapped.ciphertext", wrapped.ciphertext);
    }
  }
  AppendField(out, "keks", static_cast<int64_t>(keks.size()));
  for (const WrappedKek& kek : keks) {
    AppendField(out, "kek", kek.LinkedBytes());
    AppendField(out, "kek.link", kek.link);
  }
  return out;
}

void VolumeFile::Sign(const Dek& current) { mac = HexEncode(Mac(*this, current)); }

absl::Status VolumeFile::Verify(const Dek& current) const {
  if (current.volume_id() != volume_id || current.id() != current_dek) {
    return DataLoss(kVolumeFileName, ": DEK ", current.id(), " is not the current one of volume ", volume_id);
  }
  const auto claimed = HexDecode(mac);
  if (!claimed.ok() || !EqualInConstantTime(*claimed, Mac(*this, current))) {
    return DataLoss(kVolumeFileName, ": mac: the file was changed by somebody without its key");
  }
  return absl::OkStatus();
}

absl::Status VolumeFile::Store(const std::string& folder) const {
  const std::string text = Serialize();
  const auto read_back = Parse(text);
  if (!read_back.ok()) return Internal("refusing to write a key file that cannot be read back: ", read_back.status().message());
  if (*read_back != *this) return Internal("refusing to write a key file that reads back differently");
  return WriteFileAtomically(absl::StrCat(folder, "/", kVolumeFileName), text, 0600);
}

absl::StatusOr<NewVolume> MakeVolume(const std::string& volume_id, const Kek& kek, const WrappedKek& kek_record, int64_t dek_generation,
                                     Random& random, Clock& clock) {
  if (!IsVolumeId(volume_id)) return InvalidArgument("volume_id: must be 1 to 64 letters, digits, '-', '_' or '.'");
  if (kek_record.id != kek.id() || kek_record.context != kek.context()) {
    return InvalidArgument("KEK ", kek.id(), " is not the one of record ", kek_record.id);
  }
  NewVolume made{.file = {}, .dek = Dek::Generate(volume_id, dek_generation, random)};
  ASSIGN_OR_RETURN(WrappedDek wrapped, WrapDek(kek, made.dek, random));
  made.file.volume_id = volume_id;
  made.file.revision = 1;
  made.file.current_dek = made.dek.id();
  made.file.deks.push_back({.id = made.dek.id(),
                            .generation = dek_generation,
                            .created_at = latchkey::FormatTime(clock.Now()),
                            .wrapped = {std::move(wrapped)}});
  made.file.keks.push_back(kek_record);
  made.file.Sign(made.dek);
  return made;
}

absl::StatusOr<std::vector<Dek>> OpenDeks(const VolumeFile& file, const Kek& kek) {
  std::vector<Dek> deks;
  const Dek* current = nullptr;
  deks.reserve(file.deks.size());
  for (const VolumeDek& entry : file.deks) {
    for (const WrappedDek& wrapped : entry.wrapped) {
      if (wrapped.kek_id != kek.id()) continue;
      ASSIGN_OR_RETURN(Dek dek, UnwrapDek(kek, wrapped, file.volume_id, entry.id, entry.generation));
      deks.push_back(std::move(dek));
      if (entry.id == file.current_dek) current = &deks.back();
      break;
    }
  }
  if (current == nullptr) return NotFound(kVolumeFileName, ": KEK ", kek.id(), " does not wrap the current DEK");
  RETURN_IF_ERROR(file.Verify(*current));
  return deks;
}

}  // namespace latchkey
