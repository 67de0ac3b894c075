#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "keys/volume_file.h"

namespace latchkey {
namespace {

const Dek* Find(const std::vector<Dek>& deks, const std::string& id) {
  const auto it = std::find_if(deks.begin(), deks.end(), [&](const Dek& dek) { return dek.id() == id; });
  return it == deks.end() ? nullptr : &*it;
}

bool SameDek(const Dek& a, const Dek& b) {
  return a.volume_id() == b.volume_id() && a.id() == b.id() && a.generation() == b.generation() && a.bytes().Equals(b.bytes());
}

absl::Status CheckKeks(const Kek& from, const Kek& to, const WrappedKek& to_record) {
  if (to_record.id != to.id() || to_record.context != to.context()) {
    return InvalidArgument("KEK ", to.id(), " is not the one of record ", to_record.id);
  }
  const KekContext& a = from.context();
  const KekContext& b = to.context();
  if (a.organization != b.organization || a.cluster != b.cluster || a.region != b.region) {
    return FailedPrecondition("KEK ", to.id(), " belongs to another cluster region than KEK ", from.id());
  }
  if (b.generation < a.generation) return FailedPrecondition("KEK ", to.id(), " is older than KEK ", from.id());
  if (b.generation == a.generation && from.id() != to.id()) {
    return FailedPrecondition("KEK ", to.id(), " is another one of the generation of KEK ", from.id());
  }
  return absl::OkStatus();
}

absl::Status CheckNewDek(const VolumeFile& file, const Dek& dek) {
  if (dek.volume_id() != file.volume_id) return FailedPrecondition("the new DEK belongs to volume ", dek.volume_id());
  if (file.FindDek(dek.id()) != nullptr) return FailedPrecondition("the new DEK ", dek.id(), " is there already");
  if (dek.generation() <= file.deks.back().generation) {
    return FailedPrecondition("the new DEK's generation ", dek.generation(), " is not above ", file.deks.back().generation);
  }
  if (file.deks.size() >= kMaxVolumeDeks) {
    return FailedPrecondition("the volume has ", file.deks.size(), " DEKs; an old one has to be given up before another is made");
  }
  return absl::OkStatus();
}

// That `from` opens this entry to the bytes of `dek`.
absl::Status CheckOpens(const Kek& from, const VolumeDek& entry, const Dek& dek) {
  const auto wrapped = std::find_if(entry.wrapped.begin(), entry.wrapped.end(), [&](const WrappedDek& w) { return w.kek_id == from.id(); });
  if (wrapped == entry.wrapped.end()) return FailedPrecondition("KEK ", from.id(), " does not wrap DEK ", entry.id);
  const auto opened = UnwrapDek(from, *wrapped, dek.volume_id(), entry.id, entry.generation);
  if (!opened.ok()) return FailedPrecondition("KEK ", from.id(), " does not open its wrapping: ", opened.status().message());
  if (!SameDek(*opened, dek)) return FailedPrecondition("KEK ", from.id(), " opens DEK ", entry.id, " to other bytes than those in use");
  return absl::OkStatus();
}

// Wraps, opens what it wrapped, and compares.
absl::StatusOr<WrappedDek> WrapAndCheck(const Kek& to, const Dek& dek, Random& random) {
  ASSIGN_OR_RETURN(WrappedDek wrapped, WrapDek(to, dek, random));
  ASSIGN_OR_RETURN(const Dek opened, UnwrapDek(to, wrapped, dek.volume_id(), dek.id(), dek.generation()));
  if (!SameDek(opened, dek)) return Internal("the new wrapping of DEK ", dek.id(), " opens to other bytes");
  return wrapped;
}

}  // namespace

absl::StatusOr<VolumeFile> Rewrap(const VolumeFile& file, const std::vector<Dek>& deks, const Kek& from, const Kek& to,
                                  const WrappedKek& to_record, const Dek* new_dek, Random& random, Clock& clock) {
  RETURN_IF_ERROR(CheckKeks(from, to, to_record));
  const Dek* current = Find(deks, file.current_dek);
  if (file.deks.empty() || deks.size() != file.deks.size() || current == nullptr) {
    return FailedPrecondition("the DEKs in use are not those of the key file");
  }
  RETURN_IF_ERROR(file.Verify(*current));
  if (new_dek != nullptr) RETURN_IF_ERROR(CheckNewDek(file, *new_dek));

  VolumeFile next = file;
  for (VolumeDek& entry : next.deks) {
    const Dek* dek = Find(deks, entry.id);
    if (dek == nullptr) return FailedPrecondition("DEK ", entry.id, " of the key file is not in use");
    RETURN_IF_ERROR(CheckOpens(from, entry, *dek));
    ASSIGN_OR_RETURN(WrappedDek wrapped, WrapAndCheck(to, *dek, random));
    entry.wrapped = {std::move(wrapped)};
  }
  if (new_dek != nullptr) {
    ASSIGN_OR_RETURN(WrappedDek wrapped, WrapAndCheck(to, *new_dek, random));
    next.deks.push_back({.id = new_dek->id(),
                         .generation = new_dek->generation(),
                         .created_at = latchkey::FormatTime(clock.Now()),
                         .wrapped = {std::move(wrapped)}});
    next.current_dek = new_dek->id();
  }
  next.keks = {to_record};
  ++next.revision;
  next.Sign(new_dek != nullptr ? *new_dek : *current);
  return next;
}

bool IsWrappedOnlyBy(const VolumeFile& file, const std::string& kek_id) {
  return std::all_of(file.deks.begin(), file.deks.end(),
                     [&](const VolumeDek& dek) { return dek.wrapped.size() == 1 && dek.wrapped.front().kek_id == kek_id; });
}

}  // namespace latchkey
