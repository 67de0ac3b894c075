#include "control/api_key_service.h"

#include <algorithm>
#include <unordered_map>

#include "base/encoding.h"
#include "base/status.h"
#include "base/utf8.h"
#include "crypto/digest.h"
#include "store/api_keys.h"

namespace latchkey {
namespace {

constexpr std::string_view kPrefix = "LKEY1_";
constexpr size_t kIdRandom = 22, kSecretRandom = 40;
constexpr absl::Duration kRemember = absl::Seconds(5);
constexpr size_t kMostRemembered = 1024;

absl::Status BadKey() { return absl::UnauthenticatedError("the API key is missing, unknown or wrong"); }

// The id inside a secret, or empty for what has not the form of one.
std::string_view IdOf(std::string_view bearer) {
  const size_t id_size = kPrefix.size() + kIdRandom;
  if (bearer.size() != id_size + 1 + kSecretRandom || bearer.substr(0, kPrefix.size()) != kPrefix || bearer[id_size] != '_') return "";
  return bearer.substr(0, id_size);
}

class Service : public ApiKeyService {
 public:
  explicit Service(Core& core) : core_(core) {}

  absl::StatusOr<NewApiKey> Create(const Caller& caller, const std::string& name) override {
    const bool fine =
        !name.empty() && name.size() <= 100 && std::all_of(name.begin(), name.end(), [](char c) { return c >= 0x20 && c != 0x7f; });
    if (!fine) {
      const absl::Status status = InvalidArgument("name: must be 1 to 100 printable ASCII characters");
      core_.AuditRefusal(caller, "API_KEY_CREATE", "", {}, status);
      return status;
    }
    Random& random = *core_.options.random;
    NewApiKey key;
    key.id = absl::StrCat(ToAbsl(kPrefix), RandomAlphanumeric(random, kIdRandom));
    std::string secret = absl::StrCat(key.id, "_", RandomAlphanumeric(random, kSecretRandom));
    key.secret = SecretBytes::CopyOf(secret);
    Wipe(secret);
    const std::string hash = HexEncode(Sha256(key.secret.Reveal(SecretAccess{})));
    if (const absl::Status done = core_.database->Write([&](Transaction& tx) -> absl::Status {
          RETURN_IF_ERROR(ApiKeys(tx).Insert({key.id, name, hash, ActorName(caller), core_.Now()}));
          return core_.Audit(tx, caller, "API_KEY_CREATE", nullptr, {{"id", key.id}, {"name", name}});
        });
        !done.ok())
      return done;
    return key;
  }

  absl::StatusOr<std::vector<ApiKeyView>> List() override {
    std::vector<ApiKeyView> views;
    if (const absl::Status done = core_.database->Read([&](Transaction& tx) -> absl::Status {
          ASSIGN_OR_RETURN(const auto rows, ApiKeys(tx).List());
          for (const ApiKeyRow& row : rows) views.push_back({row.id, row.name, row.created_at});
          return absl::OkStatus();
        });
        !done.ok())
      return done;
    return views;
  }

  absl::Status Delete(const Caller& caller, const std::string& id) override {
    const absl::Status status = core_.database->Write([&](Transaction& tx) -> absl::Status {
      ASSIGN_OR_RETURN(const bool deleted, ApiKeys(tx).Delete(id));
      if (!deleted) return NotFound("API key '", CutUtf8(id, 64), "' not found");
      return core_.Audit(tx, caller, "API_KEY_DELETE", nullptr, {{"id", id}});
    });
    if (!status.ok()) {
      core_.AuditRefusal(caller, "API_KEY_DELETE", "", {{"id", CutUtf8(id, 64)}}, status);
      return status;
    }
    std::lock_guard lock(mutex_);
    ++deletions_;
    remembered_.clear();
    return absl::OkStatus();
  }

  absl::StatusOr<Caller> Authenticate(std::string_view bearer) override {
    const std::string id(IdOf(bearer));
    if (id.empty()) return BadKey();
    const std::string hash = HexEncode(Sha256(bearer));
    const absl::Duration now = core_.options.clock->BootTime();
    uint64_t seen;
    {
      std::lock_guard lock(mutex_);
      const auto it = remembered_.find(hash);
      if (it != remembered_.end() && now < it->second.until) return it->second.caller;
      seen = deletions_;
    }
    std::optional<ApiKeyRow> row;
    if (const absl::Status done = core_.database->Read([&](Transaction& tx) -> absl::Status {
          ASSIGN_OR_RETURN(row, ApiKeys(tx).Find(id));
          return absl::OkStatus();
        });
        !done.ok())
      return done;
    if (!row || !EqualInConstantTime(AsBytes(row->secret_sha256), AsBytes(hash))) return BadKey();
    Caller caller{.api_key_id = row->id, .name = row->name, .remote = ""};
    std::lock_guard lock(mutex_);
    // A key that was deleted while it was looked up is not remembered.
    if (seen == deletions_) {
      if (remembered_.size() >= kMostRemembered) remembered_.clear();
      remembered_[hash] = {caller, now + kRemember};
    }
    return caller;
  }

 private:
  struct Remembered {
    Caller caller;
    absl::Duration until;
  };
  Core& core_;
  std::mutex mutex_;
  uint64_t deletions_ = 0;
  std::unordered_map<std::string, Remembered> remembered_;  // by SHA-256 of the secret
};

}  // namespace

std::unique_ptr<ApiKeyService> MakeApiKeyService(Core& core) { return std::make_unique<Service>(core); }

}  // namespace latchkey
