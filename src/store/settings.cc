#include "store/settings.h"

#include "base/status.h"

namespace latchkey {

absl::StatusOr<std::optional<std::string>> Settings::Get(std::string_view name) {
  ASSIGN_OR_RETURN(const auto row, tx_.QueryOne("SELECT value FROM settings WHERE name = :name", {{"name", std::string(name)}}));
  if (!row) return std::optional<std::string>();
  return std::optional<std::string>(row->Text("value"));
}

absl::Status Settings::Put(std::string_view name, std::string_view value) {
  return tx_
      .Execute("INSERT INTO settings (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
               {{"name", std::string(name)}, {"value", std::string(value)}})
      .status();
}

absl::StatusOr<int64_t> Settings::Next(std::string_view series) {
  // The write comes first: it holds the row until the transaction ends, on every engine.
  RETURN_IF_ERROR(
      tx_.Execute("INSERT INTO counters (name, value) VALUES (:name, 1) ON CONFLICT (name) DO UPDATE SET value = counters.value + 1",
                  {{"name", std::string(series)}})
          .status());
  ASSIGN_OR_RETURN(const auto row, tx_.QueryOne("SELECT value FROM counters WHERE name = :name", {{"name", std::string(series)}}));
  if (!row) return Internal("the series ", ToAbsl(series), " has no number");
  return row->Int("value");
}

}  // namespace latchkey
