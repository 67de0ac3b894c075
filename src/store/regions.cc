#include "store/regions.h"

#include "base/status.h"

namespace latchkey {

absl::Status Regions::Insert(const RegionRow& row) {
  return tx_
      .Execute(
          "INSERT INTO regions (cluster_id, name, generation, change_kind, change_generation, root_type, root_uri, root_principal, "
          "root_external_id, "
          "root_is_escrow, kek_generation, dek_generation, owner_dek_generation, revoked, revoked_by, revoked_at, revoked_generation, "
          "notice) "
          "VALUES (:cluster_id, :name, :generation, :change_kind, :change_generation, :root_type, :root_uri, :root_principal, "
          ":root_external_id, "
          ":root_is_escrow, :kek_generation, :dek_generation, :owner_dek_generation, :revoked, :revoked_by, :revoked_at, "
          ":revoked_generation, "
          ":notice)",
          {{"cluster_id", row.cluster_id},
           {"name", row.name},
           {"generation", row.generation},
           {"change_kind", row.change_kind},
           {"change_generation", row.change_generation},
           {"root_type", row.root.type},
           {"root_uri", row.root.uri},
           {"root_principal", row.root.auth_principal},
           {"root_external_id", row.root.external_id},
           {"root_is_escrow", SqlBool(row.root_is_escrow)},
           {"kek_generation", row.kek_generation},
           {"dek_generation", row.dek_generation},
           {"owner_dek_generation", row.owner_dek_generation},
           {"revoked", SqlBool(row.revoked)},
           {"revoked_by", row.revoked_by},
           {"revoked_at", SqlTime(row.revoked_at)},
           {"revoked_generation", row.revoked_generation},
           {"notice", row.notice}})
      .status();
}

absl::Status Regions::Update(const RegionRow& row, int64_t expected_generation) {
  ASSIGN_OR_RETURN(
      const int64_t changed,
      tx_.Execute("UPDATE regions SET generation = :generation, change_kind = :change_kind, change_generation = :change_generation, "
                  "root_type = :root_type, root_uri = :root_uri, root_principal = :root_principal, root_external_id = :root_external_id, "
                  "root_is_escrow = :root_is_escrow, kek_generation = :kek_generation, dek_generation = :dek_generation, "
                  "owner_dek_generation = :owner_dek_generation, revoked = :revoked, revoked_by = :revoked_by, revoked_at = :revoked_at, "
                  "revoked_generation = :revoked_generation, notice = :notice "
                  "WHERE cluster_id = :cluster_id AND name = :name AND generation = :expected",
                  {{"generation", row.generation},
                   {"change_kind", row.change_kind},
                   {"change_generation", row.change_generation},
                   {"root_type", row.root.type},
                   {"root_uri", row.root.uri},
                   {"root_principal", row.root.auth_principal},
                   {"root_external_id", row.root.external_id},
                   {"root_is_escrow", SqlBool(row.root_is_escrow)},
                   {"kek_generation", row.kek_generation},
                   {"dek_generation", row.dek_generation},
                   {"owner_dek_generation", row.owner_dek_generation},
                   {"revoked", SqlBool(row.revoked)},
                   {"revoked_by", row.revoked_by},
                   {"revoked_at", SqlTime(row.revoked_at)},
                   {"revoked_generation", row.revoked_generation},
                   {"notice", row.notice},
                   {"cluster_id", row.cluster_id},
                   {"name", row.name},
                   {"expected", expected_generation}}));
  if (changed != 1) return absl::AbortedError("the region was changed meanwhile; try again");
  return absl::OkStatus();
}

absl::StatusOr<std::vector<RegionRow>> Regions::OfCluster(const std::string& cluster_id) {
  ASSIGN_OR_RETURN(
      const auto rows,
      tx_.Query(
          "SELECT cluster_id, name, generation, change_kind, change_generation, root_type, root_uri, root_principal, root_external_id, "
          "root_is_escrow, kek_generation, dek_generation, owner_dek_generation, revoked, revoked_by, revoked_at, revoked_generation, "
          "notice "
          "FROM regions WHERE cluster_id = :cluster_id ORDER BY name",
          {{"cluster_id", cluster_id}}));
  std::vector<RegionRow> regions;
  for (const Row& row : rows) {
    regions.push_back({.cluster_id = row.Text("cluster_id"),
                       .name = row.Text("name"),
                       .generation = row.Int("generation"),
                       .change_kind = row.Text("change_kind"),
                       .change_generation = row.Int("change_generation"),
                       .root = {row.Text("root_type"), row.Text("root_uri"), row.Text("root_principal"), row.Text("root_external_id")},
                       .root_is_escrow = row.Bool("root_is_escrow"),
                       .kek_generation = row.Int("kek_generation"),
                       .dek_generation = row.Int("dek_generation"),
                       .owner_dek_generation = row.Int("owner_dek_generation"),
                       .revoked = row.Bool("revoked"),
                       .revoked_by = row.Text("revoked_by"),
                       .revoked_at = row.OptionalTime("revoked_at"),
                       .revoked_generation = row.Int("revoked_generation"),
                       .notice = row.Text("notice")});
  }
  return regions;
}

}  // namespace latchkey
