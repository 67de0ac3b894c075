#include "emulator/gcp/world.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/status.h"
#include "emulator/arn.h"

namespace latchkey::emulator::gcp {
namespace {

constexpr absl::Duration kLeastRotation = absl::Hours(24);
constexpr absl::Duration kMostRotation = absl::Hours(876'000);
constexpr absl::Duration kLeastDestroy = absl::Hours(24);
constexpr absl::Duration kMostDestroy = absl::Hours(24 * 120);

// Only GOOGLE_SYMMETRIC_ENCRYPTION has real cryptography here; the others exist to be refused by clients.
bool AlgorithmFits(std::string_view purpose, std::string_view algorithm) {
  if (purpose == "ENCRYPT_DECRYPT") return algorithm == "GOOGLE_SYMMETRIC_ENCRYPTION";
  if (purpose == "ASYMMETRIC_SIGN") return algorithm == "RSA_SIGN_PSS_2048_SHA256" || algorithm == "EC_SIGN_P256_SHA256";
  if (purpose == "ASYMMETRIC_DECRYPT") return algorithm == "RSA_DECRYPT_OAEP_2048_SHA256";
  return purpose == "MAC" && algorithm == "HMAC_SHA256";
}

bool IsLabelText(std::string_view text) {
  return text.size() <= 63 && text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
}

std::string DecimalDigits(Random& random, size_t count) {
  std::string out;
  for (const uint8_t b : random.Bytes(count)) out.push_back(static_cast<char>('0' + b % 10));
  if (out.front() == '0') out.front() = '1';
  return out;
}

}  // namespace

KeyVersion* CryptoKey::Version(int64_t number) {
  return number < 1 || static_cast<size_t>(number) > versions.size() ? nullptr : &versions[static_cast<size_t>(number) - 1];
}
const KeyVersion* CryptoKey::Version(int64_t number) const {
  return number < 1 || static_cast<size_t>(number) > versions.size() ? nullptr : &versions[static_cast<size_t>(number) - 1];
}

std::string Provider::Pool() const { return absl::StrCat("projects/", number, "/locations/global/workloadIdentityPools/", pool); }
std::string Provider::Audience() const { return absl::StrCat("//iam.googleapis.com/", Pool(), "/providers/", id); }
std::string Provider::Principal(const std::string& subject) const {
  return absl::StrCat("principal://iam.googleapis.com/", Pool(), "/subject/", subject);
}

void Destroy(KeyVersion& version, absl::Time now) {
  version.state = "DESTROYED";
  version.material = SecretBytes();
  version.destroy_time.reset();
  version.destroyed = now;
}

bool World::Settle(absl::Time now, Random& random) {
  bool changed = false;
  for (auto& [name, key] : keys) {
    for (KeyVersion& version : key.versions) {
      if (version.state != "DESTROY_SCHEDULED" || !version.destroy_time || *version.destroy_time > now) continue;
      Destroy(version, *version.destroy_time);
      changed = true;
    }
    if (!key.rotation_period || !key.next_rotation || *key.next_rotation > now) continue;
    const absl::StatusOr<KeyVersion*> version = AddVersion(*this, key, now, random);
    if (!version.ok()) continue;
    key.primary = (*version)->number;
    // One version, however many periods went by: a clock that was moved by years must not fill the key.
    const int64_t periods = (now - *key.next_rotation) / *key.rotation_period + 1;
    key.next_rotation = *key.next_rotation + periods * *key.rotation_period;
    changed = true;
  }
  return changed;
}

size_t World::Versions() const {
  size_t total = 0;
  for (const auto& [name, key] : keys) total += key.versions.size();
  return total;
}

absl::StatusOr<Project*> World::UseProject(const std::string& id, Random& random) {
  if (!IsProjectId(id)) return InvalidArgument("project: must be 6 to 30 small letters, digits or hyphens, beginning with a letter");
  const auto found = projects.find(id);
  if (found != projects.end()) return &found->second;
  if (projects.size() >= kMostIdentities) return absl::ResourceExhaustedError("project: there are too many projects");
  return &projects.emplace(id, Project{.number = DecimalDigits(random, 12), .bindings = {}}).first->second;
}

const ServiceAccount* World::Account(const std::string& email_or_unique_id) const {
  const auto found = accounts.find(email_or_unique_id);
  if (found != accounts.end()) return &found->second;
  for (const auto& [email, account] : accounts) {
    if (account.unique_id == email_or_unique_id) return &account;
  }
  return nullptr;
}

absl::StatusOr<KeyVersion*> AddVersion(World& world, CryptoKey& key, absl::Time now, Random& random) {
  if (world.Versions() >= World::kMostVersions) return absl::ResourceExhaustedError("There are too many CryptoKeyVersions.");
  KeyVersion version{
      .number = static_cast<int64_t>(key.versions.size()) + 1, .material = {}, .created = now, .destroy_time = {}, .destroyed = {}};
  if (key.symmetric()) version.material = random.Secret(32);
  key.versions.push_back(std::move(version));
  return &key.versions.back();
}

absl::Status CheckRotation(const std::optional<absl::Duration>& period, const std::optional<absl::Time>& next, absl::Time now) {
  if (period && (*period < kLeastRotation || *period > kMostRotation)) {
    return InvalidArgument("rotation_period must be at least 24 hours and at most 876,000 hours.");
  }
  if (period && !next) return InvalidArgument("next_rotation_time must be set when rotation_period is.");
  if (next && *next <= now) return InvalidArgument("next_rotation_time must be in the future.");
  return absl::OkStatus();
}

absl::Status CheckLabels(const std::map<std::string, std::string>& labels) {
  if (labels.size() > World::kMostLabels) return InvalidArgument("There are more than 64 labels.");
  for (const auto& [name, value] : labels) {
    if (name.empty() || !IsLabelText(name) || !IsLabelText(value)) return InvalidArgument("Invalid label: ", Quotable(name), ".");
  }
  return absl::OkStatus();
}

absl::StatusOr<CryptoKey*> AddCryptoKey(World& world, NewCryptoKey wanted, absl::Time now, Random& random) {
  CryptoKey key;
  key.name = wanted.name;
  if (!wanted.purpose.empty()) key.purpose = wanted.purpose;
  if (!wanted.algorithm.empty()) key.algorithm = wanted.algorithm;
  if (!wanted.protection.empty()) key.protection = wanted.protection;
  if (!AlgorithmFits(key.purpose, key.algorithm)) {
    return InvalidArgument("The algorithm ", Quotable(key.algorithm), " does not go with the purpose ", Quotable(key.purpose), ".");
  }
  if (key.protection != "SOFTWARE" && key.protection != "HSM") {
    return absl::UnimplementedError(absl::StrCat("The emulator has no protection level ", Quotable(key.protection), "."));
  }
  if (!key.symmetric() && (wanted.rotation_period || wanted.next_rotation)) {
    return InvalidArgument("Only keys with the purpose ENCRYPT_DECRYPT rotate.");
  }
  RETURN_IF_ERROR(CheckRotation(wanted.rotation_period, wanted.next_rotation, now));
  RETURN_IF_ERROR(CheckLabels(wanted.labels));
  if (wanted.destroy_scheduled) {
    if (*wanted.destroy_scheduled < kLeastDestroy || *wanted.destroy_scheduled > kMostDestroy) {
      return InvalidArgument("destroy_scheduled_duration must be 24 hours to 120 days.");
    }
    key.destroy_scheduled = *wanted.destroy_scheduled;
  }
  const std::string name = key.name.Key();
  if (world.keys.contains(name)) return absl::AlreadyExistsError(absl::StrCat("CryptoKey ", name, " already exists."));
  if (world.keys.size() >= World::kMostKeys || world.Versions() >= World::kMostVersions) {
    return absl::ResourceExhaustedError("There are too many CryptoKeys.");
  }
  key.id = RandomHex(random, 16);
  key.labels = std::move(wanted.labels);
  key.created = now;
  key.rotation_period = wanted.rotation_period;
  key.next_rotation = wanted.next_rotation;
  if (!wanted.without_version) {
    ASSIGN_OR_RETURN(const KeyVersion* version, AddVersion(world, key, now, random));
    if (key.symmetric()) key.primary = version->number;
  }
  return &world.keys.emplace(name, std::move(key)).first->second;
}

absl::StatusOr<AccountKey> ReadAccountKey(std::string id, SecretBytes pem) {
  ASSIGN_OR_RETURN(const RsaPrivateKey key, RsaPrivateKey::FromPem(pem.RevealText(SecretAccess{})));
  ASSIGN_OR_RETURN(RsaPublicKey public_key, RsaPublicKey::FromNumbers(key.public_numbers()));
  return AccountKey{.id = std::move(id), .pem = std::move(pem), .public_key = std::make_shared<const RsaPublicKey>(std::move(public_key))};
}

absl::StatusOr<AccountKey> NewAccountKey(Random& random) {
  ASSIGN_OR_RETURN(const RsaPrivateKey key, RsaPrivateKey::Generate(2048));
  std::string text = key.ToPem();
  SecretBytes pem = SecretBytes::CopyOf(std::string_view(text));
  Wipe(text);
  return ReadAccountKey(RandomHex(random, 20), std::move(pem));
}

}  // namespace latchkey::emulator::gcp
