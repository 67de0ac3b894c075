#include "store/keks.h"

#include "base/json.h"
#include "base/status.h"

namespace latchkey {

absl::StatusOr<bool> Keks::InsertFirst(const WrappedKek& kek, absl::Time now) {
  ASSIGN_OR_RETURN(const int64_t inserted,
                   tx_.Execute("INSERT INTO keks (cluster_id, region, generation, id, record, created_at) "
                               "VALUES (:cluster_id, :region, :generation, :id, :record, :created_at) ON CONFLICT DO NOTHING",
                               {{"cluster_id", kek.context.cluster},
                                {"region", kek.context.region},
                                {"generation", kek.context.generation},
                                {"id", kek.id},
                                {"record", json::serialize(kek.ToJson())},
                                {"created_at", SqlTime(now)}}));
  return inserted == 1;
}

absl::StatusOr<std::vector<WrappedKek>> Keks::OfCluster(const std::string& cluster_id) {
  ASSIGN_OR_RETURN(const auto rows, tx_.Query("SELECT record FROM keks WHERE cluster_id = :cluster_id ORDER BY region, generation",
                                              {{"cluster_id", cluster_id}}));
  std::vector<WrappedKek> keks;
  for (const Row& row : rows) {
    const auto object = ParseJsonObject(row.Text("record"));
    if (!object.ok()) return DataLoss("a stored KEK record of cluster ", cluster_id, " is not JSON");
    auto kek = WrappedKek::FromJson(*object, "kek");
    if (!kek.ok()) return DataLoss("a stored KEK record of cluster ", cluster_id, " is damaged: ", kek.status().message());
    keks.push_back(*std::move(kek));
  }
  return keks;
}

}  // namespace latchkey
