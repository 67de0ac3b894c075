#include "volume/control_messages.h"

#include "base/status.h"

namespace latchkey {

int64_t ToNanoseconds(absl::Duration d) { return absl::ToInt64Nanoseconds(d); }

json::object ToJson(const KekContext& context) {
  return {
      {"organization", context.organization}, {"cluster", context.cluster}, {"region", context.region}, {"generation", context.generation}};
}

absl::StatusOr<KekContext> KekContextFromJson(const json::object& object, const std::string& path) {
  JsonReader reader(object, path);
  KekContext context;
  context.organization = reader.String("organization");
  context.cluster = reader.String("cluster");
  context.region = reader.String("region");
  context.generation = reader.Int("generation");
  reader.RefuseUnknown();
  RETURN_IF_ERROR(reader.status());
  return context;
}

json::object ToJson(const VolumeStatus& status) {
  json::array deks;
  for (const ObservedDek& dek : status.deks) {
    deks.push_back(
        {{"id", dek.id}, {"generation", dek.generation}, {"kek_id", dek.kek_id}, {"current", dek.current}, {"bytes", dek.bytes}});
  }
  json::object object = {{"volume_id", status.volume_id},     {"state", std::string(VolumeStateName(status.state))},
                         {"revision", status.revision},       {"deks", std::move(deks)},
                         {"mount_point", status.mount_point}, {"lower_folder", status.lower_folder},
                         {"pid", status.daemon.pid},          {"start_ticks", static_cast<int64_t>(status.daemon.start_ticks)},
                         {"seal_reason", status.seal_reason}, {"unsynced_headers", status.unsynced_headers}};
  if (status.lease_end) object["lease_end_ns"] = ToNanoseconds(*status.lease_end);
  return object;
}

absl::StatusOr<VolumeStatus> VolumeStatusFromJson(const json::object& object) {
  JsonReader reader(object);
  VolumeStatus status;
  status.volume_id = reader.OptionalString("volume_id");
  const std::string state = reader.String("state");
  for (const VolumeState candidate : {VolumeState::kSealed, VolumeState::kOpen, VolumeState::kSealing}) {
    if (VolumeStateName(candidate) == state) status.state = candidate;
  }
  if (VolumeStateName(status.state) != state) reader.Fault("state", "is not a state of a daemon");
  status.revision = reader.Int("revision");
  if (const json::array* deks = reader.Array("deks"); deks != nullptr) {
    for (const json::value& value : *deks) {
      if (!value.is_object()) return InvalidArgument("deks: must hold objects");
      JsonReader dek_reader(value.get_object(), "deks[]");
      ObservedDek dek;
      dek.id = dek_reader.String("id");
      dek.generation = dek_reader.Int("generation");
      dek.kek_id = dek_reader.String("kek_id");
      dek.current = dek_reader.OptionalBool("current", false);
      dek.bytes = dek_reader.Int("bytes");
      RETURN_IF_ERROR(dek_reader.status());
      status.deks.push_back(std::move(dek));
    }
  }
  status.mount_point = reader.OptionalString("mount_point");
  status.lower_folder = reader.OptionalString("lower_folder");
  status.daemon.pid = static_cast<pid_t>(reader.Int("pid"));
  status.daemon.start_ticks = static_cast<uint64_t>(reader.Int("start_ticks"));
  status.seal_reason = reader.OptionalString("seal_reason");
  status.unsynced_headers = reader.Int("unsynced_headers");
  if (object.contains("lease_end_ns")) status.lease_end = absl::Nanoseconds(reader.Int("lease_end_ns"));
  RETURN_IF_ERROR(reader.status());
  return status;
}

}  // namespace latchkey
