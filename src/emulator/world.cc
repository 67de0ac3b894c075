#include "emulator/world.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/status.h"
#include "emulator/arn.h"

namespace latchkey::emulator {
namespace {

bool IsAlias(std::string_view text) {
  return text.size() > 6 && text.size() <= 256 && text.substr(0, 6) == "alias/" &&
         text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_-", 6) == std::string_view::npos;
}

// What a usage may be combined with. Only SYMMETRIC_DEFAULT has real cryptography here; the others exist to be refused by clients.
bool SpecFitsUsage(std::string_view spec, std::string_view usage) {
  if (spec == "SYMMETRIC_DEFAULT") return usage == "ENCRYPT_DECRYPT";
  if (spec == "RSA_2048" || spec == "RSA_3072" || spec == "RSA_4096") return usage == "ENCRYPT_DECRYPT" || usage == "SIGN_VERIFY";
  if (spec == "ECC_NIST_P256" || spec == "ECC_NIST_P384") return usage == "SIGN_VERIFY";
  if (spec == "HMAC_256" || spec == "HMAC_384" || spec == "HMAC_512") return usage == "GENERATE_VERIFY_MAC";
  return false;
}

}  // namespace

KeyMaterial NewMaterial(absl::Time now, std::string rotation, Random& random) {
  return {.id = RandomHex(random, 32), .bytes = random.Secret(32), .created = now, .rotation = std::move(rotation)};
}

bool World::Settle(absl::Time now, Random& random) {
  bool changed = std::erase_if(keys, [&](const auto& item) {
                   return item.second.state == "PendingDeletion" && item.second.deletion_date && *item.second.deletion_date <= now;
                 }) > 0;
  for (auto& [arn, key] : keys) {
    if (!key.rotates || key.state != "Enabled" || key.next_rotation > now || Materials() >= kMostMaterials) continue;
    key.materials.push_back(NewMaterial(now, "AUTOMATIC", random));
    key.next_rotation = now + absl::Hours(24) * key.rotation_days;
    changed = true;
  }
  return changed;
}

absl::Status World::Postpone(PendingChange change) {
  if (pending.size() >= kMostPending) return absl::ResourceExhaustedError("after_seconds: too many changes are waiting");
  const auto at =
      std::upper_bound(pending.begin(), pending.end(), change.due, [](absl::Time due, const PendingChange& p) { return due < p.due; });
  pending.insert(at, std::move(change));
  return absl::OkStatus();
}

std::optional<PendingChange> World::TakeDue(absl::Time now) {
  if (pending.empty() || pending.front().due > now) return std::nullopt;
  PendingChange first = std::move(pending.front());
  pending.erase(pending.begin());
  return first;
}

size_t World::Materials() const {
  size_t total = 0;
  for (const auto& [arn, key] : keys) total += key.materials.size();
  return total;
}

absl::StatusOr<Key*> World::FindKeyForAdmin(const std::string& reference) {
  Key* found = nullptr;
  for (auto& [arn, key] : keys) {
    if (reference != arn && reference != key.id && (key.alias.empty() || (reference != key.alias && "alias/" + reference != key.alias)))
      continue;
    if (found != nullptr) return InvalidArgument("key: ", Quotable(reference), " means more than one; give the ARN");
    found = &key;
  }
  if (found == nullptr) return NotFound("key: there is no key ", Quotable(reference));
  return found;
}

absl::StatusOr<Key*> AddKey(World& world, NewKey wanted, absl::Time now, Random& random) {
  if (!IsAccountId(wanted.account)) return InvalidArgument("account: must be 12 digits");
  if (!IsRegion(wanted.region)) return InvalidArgument("region: must be the name of a region");
  if (wanted.id.empty()) wanted.id = NewUuid(random);
  if (!IsKeyId(wanted.id)) return InvalidArgument("key_id: must be a UUID in lower case");
  if (wanted.usage.empty()) wanted.usage = "ENCRYPT_DECRYPT";
  if (wanted.spec.empty()) wanted.spec = "SYMMETRIC_DEFAULT";
  if (!SpecFitsUsage(wanted.spec, wanted.usage)) return InvalidArgument("key_spec: ", wanted.spec, " does not go with ", wanted.usage);
  if (wanted.origin.empty()) wanted.origin = "AWS_KMS";
  if (wanted.origin != "AWS_KMS" && wanted.origin != "EXTERNAL") return InvalidArgument("origin: must be AWS_KMS or EXTERNAL");
  if (wanted.description.size() > 8192) return InvalidArgument("description: longer than 8192 bytes");
  if (!wanted.alias.empty()) {
    if (wanted.alias.substr(0, 6) != "alias/") wanted.alias.insert(0, "alias/");
    if (!IsAlias(wanted.alias)) return InvalidArgument("alias: letters, digits, / _ and - only");
    for (const auto& [arn, key] : world.keys) {
      if (key.alias == wanted.alias && key.account == wanted.account && key.region == wanted.region) {
        return absl::AlreadyExistsError(absl::StrCat("alias: ", wanted.alias, " belongs to ", arn));
      }
    }
  }
  if (wanted.policy.empty()) wanted.policy = KeyPolicy::DefaultText(wanted.account);
  if (world.keys.size() >= World::kMostKeys || world.Materials() >= World::kMostMaterials)
    return absl::ResourceExhaustedError("key: there are too many keys");

  Key key;
  ASSIGN_OR_RETURN(key.policy, KeyPolicy::Parse(wanted.policy));
  key.id = wanted.id;
  key.account = wanted.account;
  key.region = wanted.region;
  key.arn = KeyArn(key.region, key.account, key.id);
  key.alias = wanted.alias;
  key.description = wanted.description;
  key.usage = wanted.usage;
  key.spec = wanted.spec;
  key.origin = wanted.origin;
  key.policy_text = wanted.policy;
  key.created = now;
  if (key.origin == "EXTERNAL") {
    key.state = "PendingImport";
  } else if (key.symmetric()) {
    key.materials.push_back(NewMaterial(now, "", random));
  }
  const auto [at, added] = world.keys.try_emplace(key.arn, std::move(key));
  if (!added) return absl::AlreadyExistsError(absl::StrCat("key_id: ", at->first, " exists already"));
  world.accounts.insert(wanted.account);
  return &at->second;
}

}  // namespace latchkey::emulator
