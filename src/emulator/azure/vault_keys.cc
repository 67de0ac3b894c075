// Operations on keys themselves: create, get, list, update, rotate, delete and what follows deletion.
#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "emulator/arn.h"
#include "emulator/azure/key_json.h"
#include "emulator/azure/key_material.h"
#include "emulator/azure/rotation.h"
#include "emulator/azure/vault_api.h"

namespace latchkey::emulator::azure {
namespace {

constexpr size_t kPage = 25;  // the most that the service gives, and what it gives unasked

HttpResponse Answer(const json::object& body) { return HttpResponse::Json(200, json::serialize(body)); }

// What a body says of a version, over what it is now.
struct Wishes {
  std::optional<bool> enabled;
  std::optional<absl::Time> not_before, expires;
  std::optional<std::vector<std::string>> operations;
  std::optional<json::object> tags;
};

absl::StatusOr<Wishes> ReadWishes(const json::object& body) {
  JsonReader reader(body);
  Wishes out;
  if (const json::object* attributes = reader.OptionalObject("attributes")) {
    JsonReader inner(*attributes, "attributes");
    const auto has = [&](const char* name) { return attributes->contains(name) && !attributes->at(name).is_null(); };
    if (has("enabled")) out.enabled = inner.OptionalBool("enabled", true);
    if (has("nbf")) out.not_before = absl::FromUnixSeconds(inner.Int("nbf"));
    if (has("exp")) out.expires = absl::FromUnixSeconds(inner.Int("exp"));
    if (inner.OptionalBool("exportable", false)) inner.Fault("exportable", "keys of this emulator cannot be exported");
    RETURN_IF_ERROR(inner.status());
    if (out.not_before && out.expires && *out.expires <= *out.not_before) return InvalidArgument("attributes.exp: must be later than nbf");
  }
  if (const json::array* operations = reader.OptionalArray("key_ops")) {
    out.operations.emplace();
    for (const json::value& item : *operations) {
      if (!item.is_string() || out.operations->size() >= 16) return InvalidArgument("key_ops: must hold a few strings");
      out.operations->emplace_back(item.get_string());
    }
  }
  if (const json::object* tags = reader.OptionalObject("tags")) out.tags = *tags;
  RETURN_IF_ERROR(reader.status());
  return out;
}

HttpResponse Create(VaultCall& call) {
  JsonReader reader(call.body);
  NewVaultKey wanted{.name = call.route.key};
  wanted.type = reader.String("kty");
  wanted.bits = reader.OptionalInt("key_size", 0);
  absl::StatusOr<Wishes> wishes = ReadWishes(call.body);
  if (!reader.status().ok()) return BadParameter(call.call, FromAbsl(reader.status().message()));
  if (!wishes.ok()) return BadParameter(call.call, FromAbsl(wishes.status().message()));
  wanted.enabled = wishes->enabled.value_or(true);
  wanted.not_before = wishes->not_before;
  wanted.expires = wishes->expires;
  if (wishes->operations) wanted.operations = *std::move(wishes->operations);
  if (wishes->tags) wanted.tags = *std::move(wishes->tags);
  const absl::StatusOr<VaultKey*> key = CreateKey(call.world, call.vault, std::move(wanted), call.call.now, call.call.random);
  if (key.ok()) {
    call.call.changed = true;
    return Answer(KeyBundle(call.vault, call.base, **key, (*key)->current()));
  }
  const std::string_view text = FromAbsl(key.status().message());
  if (absl::IsFailedPrecondition(key.status())) return Refuse(call.call, 409, "Conflict", "ObjectIsDeletedButRecoverable", text);
  if (absl::IsResourceExhausted(key.status())) return Refuse(call.call, 403, "Forbidden", "QuotaExceeded", text);
  return BadParameter(call.call, text);
}

HttpResponse Update(VaultCall& call, const VaultKey& key, KeyVersion& version) {
  absl::StatusOr<Wishes> wishes = ReadWishes(call.body);
  if (!wishes.ok()) return BadParameter(call.call, FromAbsl(wishes.status().message()));
  if (wishes->operations) {
    const std::vector<std::string> all = AllOperations(key.type);
    for (const std::string& operation : *wishes->operations) {
      if (std::find(all.begin(), all.end(), operation) == all.end()) {
        return BadParameter(call.call, "key_ops: " + Quotable(operation, 32) + " is not of this type of key");
      }
    }
    version.operations = *std::move(wishes->operations);
  }
  if (wishes->tags) {
    if (const absl::Status fit = CheckTags(*wishes->tags); !fit.ok()) return BadParameter(call.call, FromAbsl(fit.message()));
    version.tags = *std::move(wishes->tags);
  }
  if (wishes->enabled) version.enabled = *wishes->enabled;
  if (wishes->not_before) version.not_before = wishes->not_before;
  if (wishes->expires) version.expires = wishes->expires;
  version.updated = call.call.now;
  call.call.changed = true;
  return Answer(KeyBundle(call.vault, call.base, key, version));
}

// One page of `items`, each under a name by which they are ordered: {"value": […], "nextLink": address or null}.
HttpResponse Page(VaultCall& call, const std::map<std::string, json::object>& items) {
  const HttpRequest& request = call.call.request;
  const std::string most_text = request.Query("maxresults");
  size_t most = kPage;
  if (!most_text.empty()) {
    if (most_text.size() > 2 || most_text.find_first_not_of("0123456789") != std::string::npos || std::stoul(most_text) < 1 ||
        std::stoul(most_text) > kPage) {
      return BadParameter(call.call, "maxresults must be 1 to 25");
    }
    most = std::stoul(most_text);
  }
  auto at = items.begin();
  if (const std::string token = request.Query("$skiptoken"); !token.empty()) {
    const absl::StatusOr<std::vector<uint8_t>> last = Base64UrlDecode(token);
    if (!last.ok()) return BadParameter(call.call, "$skiptoken is invalid");
    at = items.upper_bound(std::string(AsText(*last)));
  }
  json::array value;
  std::string last;
  for (; at != items.end() && value.size() < most; ++at) {
    value.push_back(at->second);
    last = at->first;
  }
  json::object body;
  body["value"] = std::move(value);
  body["nextLink"] = nullptr;
  if (at != items.end()) {
    body["nextLink"] = absl::StrCat(call.base, request.path, "?api-version=", PercentEncode(request.Query("api-version")),
                                    "&maxresults=", most, "&$skiptoken=", Base64UrlEncode(AsBytes(last)));
  }
  return Answer(body);
}

HttpResponse List(VaultCall& call, bool deleted) {
  std::map<std::string, json::object> items;
  for (const auto& [name, key] : call.vault.keys) {
    if (key.deleted.has_value() == deleted) items[name] = KeyItem(call.vault, call.base, key, key.current(), false);
  }
  return Page(call, items);
}

HttpResponse Versions(VaultCall& call, const VaultKey& key) {
  std::map<std::string, json::object> items;
  for (const KeyVersion& version : key.versions) items[version.id] = KeyItem(call.vault, call.base, key, version, true);
  return Page(call, items);
}

HttpResponse SetRotationPolicy(VaultCall& call, VaultKey& key) {
  absl::StatusOr<RotationPolicy> policy = ReadRotationPolicy(call.body);
  if (!policy.ok()) return BadParameter(call.call, FromAbsl(policy.status().message()));
  policy->created = key.rotation ? key.rotation->created : call.call.now;
  policy->updated = call.call.now;
  key.rotation = *std::move(policy);
  call.call.changed = true;
  return Answer(RotationPolicyJson(key.rotation, KeyAddress(call.base, key)));
}

HttpResponse Rotate(VaultCall& call, VaultKey& key) {
  if (call.world.Versions() >= World::kMostVersions) {
    return Refuse(call.call, 403, "Forbidden", "QuotaExceeded", "the emulator holds as many keys as it takes");
  }
  if (const absl::Status made = AddVersion(key, call.call.now, call.call.random); !made.ok()) {
    return Refuse(call.call, 500, "InternalServerError", "", FromAbsl(made.message()));
  }
  call.call.changed = true;
  return Answer(KeyBundle(call.vault, call.base, key, key.current()));
}

HttpResponse OnDeleted(VaultCall& call, VaultKey& key) {
  const std::string& operation = call.route.operation;
  if (operation == "getdeleted") return Answer(KeyBundle(call.vault, call.base, key, key.current()));
  if (operation == "purge" && call.vault.purge_protection) {
    return Refuse(call.call, 403, "Forbidden", "ForbiddenByPolicy",
                  "Operation \"purge\" is not allowed because purge protection is enabled for this vault. Key Vault service will "
                  "automatically purge it after the retention period has passed.\r\nVault: " +
                      call.vault.name);
  }
  call.call.changed = true;
  if (operation == "purge") {
    call.vault.keys.erase(LowerCase(call.route.key));
    return {.status = 204};
  }
  key.deleted.reset();
  key.purge_at.reset();
  return Answer(KeyBundle(call.vault, call.base, key, key.current()));
}

}  // namespace

HttpResponse ManageKey(VaultCall& call) {
  const std::string& operation = call.route.operation;
  if (operation == "list" || operation == "listdeleted") return List(call, operation == "listdeleted");
  if (operation == "create") return Create(call);
  VaultKey* key = call.vault.Find(call.route.key);
  const bool of_deleted = operation == "getdeleted" || operation == "recover" || operation == "purge";
  if (key == nullptr || key->deleted.has_value() != of_deleted) return KeyNotFound(call.call, call.route.key);
  if (of_deleted) return OnDeleted(call, *key);
  if (operation == "versions") return Versions(call, *key);
  if (operation == "rotate") return Rotate(call, *key);
  if (operation == "getrotationpolicy") return Answer(RotationPolicyJson(key->rotation, KeyAddress(call.base, *key)));
  if (operation == "setrotationpolicy") return SetRotationPolicy(call, *key);
  if (operation == "delete") {
    DeleteKey(call.vault, *key, call.call.now);
    call.call.changed = true;
    return Answer(KeyBundle(call.vault, call.base, *key, key->current()));
  }
  KeyVersion* version = key->Version(call.route.version);
  if (version == nullptr) return KeyNotFound(call.call, call.route.key + "/" + call.route.version);
  if (operation == "update") return Update(call, *key, *version);
  return Answer(KeyBundle(call.vault, call.base, *key, *version));
}

}  // namespace latchkey::emulator::azure
