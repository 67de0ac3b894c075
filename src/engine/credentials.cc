#include "engine/credentials.h"

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"

namespace latchkey {
namespace {

std::string PathIn(const std::string& state_folder) { return state_folder + "/credentials"; }

}  // namespace

absl::StatusOr<EngineCredentials> ReadEngineCredentials(const std::string& state_folder) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(PathIn(state_folder), 4096));
  auto object = ParseJsonObject(text);
  Wipe(text);
  if (!object.ok()) return DataLoss(PathIn(state_folder), ": is not the JSON that was written there");
  JsonReader reader(*object);
  EngineCredentials credentials;
  credentials.username = reader.String("username");
  std::string password = reader.String("password");
  credentials.database = reader.String("database");
  if (!reader.status().ok()) {
    Wipe(password);
    return DataLoss(PathIn(state_folder), ": ", reader.status().message());
  }
  credentials.password = SecretBytes::CopyOf(std::string_view(password));
  Wipe(password);
  return credentials;
}

absl::StatusOr<EngineCredentials> ReadOrMakeEngineCredentials(const std::string& state_folder, const std::string& username,
                                                              const std::string& database, Random& random) {
  auto existing = ReadEngineCredentials(state_folder);
  if (existing.ok() || !absl::IsNotFound(existing.status())) return existing;
  std::string password = RandomAlphanumeric(random, 32);
  // Alphanumeric: needs no escaping.
  std::string text = absl::StrCat(R"({"username":)", json::serialize(json::value(username)), R"(,"password":")", password,
                                  R"(","database":)", json::serialize(json::value(database)), "}\n");
  const absl::Status written = WriteFileAtomically(PathIn(state_folder), text, 0600);
  Wipe(text);
  EngineCredentials made{username, SecretBytes::CopyOf(std::string_view(password)), database};
  Wipe(password);
  RETURN_IF_ERROR(written);
  return made;
}

}  // namespace latchkey
