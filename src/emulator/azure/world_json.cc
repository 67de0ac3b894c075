// The state as JSON:
//
//   {"tenants": [{"id", "domain"}], "applications": [{…, "secrets": […], "certificates": […], "federated": […]}],
//    "principals": [{"tenant", "client_id", "object_id", "consented"}], "identities": […],
//    "vaults": [{…, "keys": [{…, "versions": [{…, "material": PEM or base64}]}], "roles": […], "denials": […]}],
//    "wrap_on_disabled": false, "token_key": …, "identity_header": …}
//
// Byte strings are base64, keys PEM, times microseconds since 1970.
#include <algorithm>
#include <functional>

#include "base/encoding.h"
#include "base/json.h"
#include "base/status.h"
#include "emulator/azure/certificate.h"
#include "emulator/azure/key_material.h"
#include "emulator/azure/roles.h"
#include "emulator/azure/world.h"

namespace latchkey::emulator::azure {
namespace {

void PutTime(json::object& out, const char* name, const std::optional<absl::Time>& time) {
  if (time) out[name] = absl::ToUnixMicros(*time);
}

std::optional<absl::Time> TakeTime(JsonReader& reader, const json::object& object, const char* name) {
  if (!object.contains(name)) return std::nullopt;
  return absl::FromUnixMicros(reader.Int(name));
}

std::string Text(const SecretBytes& bytes) { return Base64Encode(bytes.Reveal(SecretAccess{})); }

SecretBytes TakeSecret(JsonReader& reader, const char* name, size_t least, size_t most) {
  absl::StatusOr<std::vector<uint8_t>> bytes = Base64Decode(reader.OptionalString(name));
  if (!bytes.ok() || bytes->size() < least || bytes->size() > most) {
    reader.Fault(name, "is not base64 of the right length");
    return {};
  }
  SecretBytes out = SecretBytes::CopyOf(*bytes);
  Wipe(bytes->data(), bytes->size());
  return out;
}

// Every element of the list `name` of at most `most`.
absl::Status Each(JsonReader& reader, const char* name, size_t most, const std::function<absl::Status(const json::object&)>& read) {
  const json::array* list = reader.Array(name);
  RETURN_IF_ERROR(reader.status());
  if (list->size() > most) return InvalidArgument(reader.PathOf(name), ": has more than ", most, " elements");
  for (const json::value& item : *list) {
    if (!item.is_object()) return InvalidArgument(reader.PathOf(name), ": must hold objects");
    RETURN_IF_ERROR(read(item.get_object()));
  }
  return absl::OkStatus();
}

template <typename List, typename Make>
json::array ArrayOf(const List& list, const Make& make) {
  json::array out;
  for (const auto& item : list) out.push_back(make(item));
  return out;
}

json::object ToJsonOf(const Application& application) {
  json::object out{{"client_id", application.client_id},
                   {"name", application.name},
                   {"tenant", application.tenant},
                   {"multi_tenant", application.multi_tenant}};
  out["secrets"] = ArrayOf(application.secrets, [](const ClientSecret& s) {
    json::object one{{"value", Text(s.value)}};
    PutTime(one, "expires", s.expires);
    return one;
  });
  out["certificates"] = ArrayOf(application.certificates, [](const ClientCertificate& c) {
    return json::object{{"pem", c.pem}, {"private_key", Text(c.private_key_pem)}};
  });
  out["federated"] = ArrayOf(application.federated, [](const FederatedCredential& f) {
    return json::object{
        {"issuer", f.issuer}, {"subject", f.subject}, {"audience", f.audience}, {"key_pem", f.key_pem}, {"token_sha256", f.token_sha256}};
  });
  return out;
}

absl::StatusOr<Application> ApplicationFrom(const json::object& object) {
  JsonReader reader(object, "applications");
  Application out;
  out.client_id = reader.String("client_id");
  out.name = reader.String("name");
  out.tenant = reader.String("tenant");
  out.multi_tenant = reader.OptionalBool("multi_tenant", false);
  RETURN_IF_ERROR(Each(reader, "secrets", World::kMostCredentials, [&](const json::object& item) {
    JsonReader inner(item, "applications.secrets");
    ClientSecret secret;
    secret.value = TakeSecret(inner, "value", 1, 256);
    secret.expires = TakeTime(inner, item, "expires");
    out.secrets.push_back(std::move(secret));
    return inner.status();
  }));
  RETURN_IF_ERROR(Each(reader, "certificates", World::kMostCredentials, [&](const json::object& item) -> absl::Status {
    JsonReader inner(item, "applications.certificates");
    const std::string pem = inner.String("pem");
    SecretBytes private_key = TakeSecret(inner, "private_key", 0, 8192);
    if (!inner.status().ok()) return inner.status();
    ASSIGN_OR_RETURN(ClientCertificate certificate, ReadClientCertificate(pem));
    certificate.private_key_pem = std::move(private_key);
    out.certificates.push_back(std::move(certificate));
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(Each(reader, "federated", World::kMostCredentials, [&](const json::object& item) {
    JsonReader inner(item, "applications.federated");
    out.federated.push_back({.issuer = inner.String("issuer"),
                             .subject = inner.String("subject"),
                             .audience = inner.String("audience"),
                             .key_pem = inner.OptionalString("key_pem"),
                             .token_sha256 = inner.OptionalString("token_sha256")});
    return inner.status();
  }));
  return out;
}

json::object ToJsonOf(const KeyVersion& version) {
  json::object out{{"id", version.id}, {"enabled", version.enabled}};
  out["operations"] = json::array(version.operations.begin(), version.operations.end());
  out["tags"] = version.tags;
  out["material"] = version.rsa != nullptr ? version.rsa->ToPem() : Text(version.octets);
  PutTime(out, "created", version.created);
  PutTime(out, "updated", version.updated);
  PutTime(out, "not_before", version.not_before);
  PutTime(out, "expires", version.expires);
  return out;
}

absl::StatusOr<KeyVersion> VersionFrom(const json::object& object, const std::string& type) {
  JsonReader reader(object, "keys.versions");
  KeyVersion out;
  out.id = reader.String("id");
  out.enabled = reader.OptionalBool("enabled", true);
  out.created = absl::FromUnixMicros(reader.Int("created"));
  out.updated = absl::FromUnixMicros(reader.Int("updated"));
  out.not_before = TakeTime(reader, object, "not_before");
  out.expires = TakeTime(reader, object, "expires");
  const json::array* operations = reader.Array("operations");
  const json::object* tags = reader.Object("tags");
  if (type == "oct-HSM") {
    out.octets = TakeSecret(reader, "material", 32, 32);
  } else {
    absl::StatusOr<RsaPrivateKey> key = RsaPrivateKey::FromPem(reader.String("material"));
    if (!key.ok()) {
      reader.Fault("material", "is no RSA key in PEM");
    } else {
      out.rsa = std::make_shared<const RsaPrivateKey>(*std::move(key));
    }
  }
  RETURN_IF_ERROR(reader.status());
  RETURN_IF_ERROR(CheckTags(*tags));
  out.tags = *tags;
  const std::vector<std::string> all = AllOperations(type);
  for (const json::value& item : *operations) {
    if (!item.is_string() || std::find(all.begin(), all.end(), std::string_view(item.get_string())) == all.end()) {
      return InvalidArgument("keys.versions.operations: is not of this type of key");
    }
    out.operations.emplace_back(item.get_string());
  }
  return out;
}

json::object ToJsonOf(const VaultKey& key) {
  json::object out{{"name", key.name}, {"type", key.type}, {"bits", key.bits}};
  out["versions"] = ArrayOf(key.versions, [](const KeyVersion& v) { return ToJsonOf(v); });
  PutTime(out, "deleted", key.deleted);
  PutTime(out, "purge_at", key.purge_at);
  if (key.rotation) {
    const RotationPolicy& p = *key.rotation;
    json::object rotation{{"rotate_after_create", p.rotate_after_create},
                          {"rotate_before_expiry", p.rotate_before_expiry},
                          {"notify_after_create", p.notify_after_create},
                          {"notify_before_expiry", p.notify_before_expiry},
                          {"expiry_time", p.expiry_time}};
    PutTime(rotation, "created", p.created);
    PutTime(rotation, "updated", p.updated);
    out["rotation"] = std::move(rotation);
  }
  return out;
}

absl::StatusOr<VaultKey> KeyFrom(const json::object& object) {
  JsonReader reader(object, "keys");
  VaultKey out;
  out.name = reader.String("name");
  out.type = reader.String("type");
  out.bits = static_cast<int>(reader.Int("bits"));
  out.deleted = TakeTime(reader, object, "deleted");
  out.purge_at = TakeTime(reader, object, "purge_at");
  if (!IsKeyName(out.name)) reader.Fault("name", "is no name of a key");
  if (out.type != "RSA" && out.type != "RSA-HSM" && out.type != "oct-HSM") reader.Fault("type", "is not one that this program knows");
  if (out.deleted.has_value() != out.purge_at.has_value()) reader.Fault("purge_at", "goes with deleted");
  if (const json::object* rotation = reader.OptionalObject("rotation")) {
    JsonReader inner(*rotation, "keys.rotation");
    out.rotation = {.rotate_after_create = inner.OptionalString("rotate_after_create"),
                    .rotate_before_expiry = inner.OptionalString("rotate_before_expiry"),
                    .notify_before_expiry = inner.OptionalString("notify_before_expiry"),
                    .notify_after_create = inner.OptionalString("notify_after_create"),
                    .expiry_time = inner.OptionalString("expiry_time"),
                    .created = absl::FromUnixMicros(inner.Int("created")),
                    .updated = absl::FromUnixMicros(inner.Int("updated"))};
    RETURN_IF_ERROR(inner.status());
  }
  RETURN_IF_ERROR(Each(reader, "versions", World::kMostVersions, [&](const json::object& item) -> absl::Status {
    ASSIGN_OR_RETURN(KeyVersion version, VersionFrom(item, out.type));
    if (version.rsa != nullptr && version.rsa->bits() != out.bits) return InvalidArgument("keys.bits: are not the key's");
    out.versions.push_back(std::move(version));
    return absl::OkStatus();
  }));
  if (out.versions.empty()) return InvalidArgument("keys.versions: must not be empty");
  return out;
}

json::object ToJsonOf(const Vault& vault) {
  json::object out{{"name", vault.name},
                   {"tenant", vault.tenant},
                   {"location", vault.location},
                   {"managed_hsm", vault.managed_hsm},
                   {"retention_days", vault.retention_days},
                   {"purge_protection", vault.purge_protection},
                   {"firewall_closed", vault.firewall_closed}};
  out["keys"] = ArrayOf(vault.keys, [](const auto& item) { return ToJsonOf(item.second); });
  out["roles"] = ArrayOf(
      vault.roles, [](const RoleAssignment& r) { return json::object{{"role", r.role}, {"client_id", r.client_id}, {"key", r.key}}; });
  out["denials"] = ArrayOf(vault.denials, [](const Denial& d) { return json::object{{"client_id", d.client_id}, {"key", d.key}}; });
  return out;
}

absl::StatusOr<Vault> VaultFrom(const json::object& object) {
  JsonReader reader(object, "vaults");
  Vault out;
  out.name = reader.String("name");
  out.tenant = reader.String("tenant");
  out.location = reader.String("location");
  out.managed_hsm = reader.OptionalBool("managed_hsm", false);
  out.retention_days = reader.Int("retention_days");
  out.purge_protection = reader.OptionalBool("purge_protection", false);
  out.firewall_closed = reader.OptionalBool("firewall_closed", false);
  if (!IsVaultName(out.name)) reader.Fault("name", "is no name of a vault");
  if (out.retention_days < 7 || out.retention_days > 90) reader.Fault("retention_days", "must be 7 to 90");
  RETURN_IF_ERROR(Each(reader, "keys", World::kMostKeys, [&](const json::object& item) -> absl::Status {
    ASSIGN_OR_RETURN(VaultKey key, KeyFrom(item));
    std::string name = LowerCase(key.name);
    out.keys.insert_or_assign(std::move(name), std::move(key));
    return absl::OkStatus();
  }));
  RETURN_IF_ERROR(Each(reader, "roles", World::kMostRoles, [&](const json::object& item) {
    JsonReader inner(item, "vaults.roles");
    out.roles.push_back({.role = inner.String("role"), .client_id = inner.String("client_id"), .key = inner.OptionalString("key")});
    if (!IsRole(out.roles.back().role)) inner.Fault("role", "is not one that this program knows");
    return inner.status();
  }));
  RETURN_IF_ERROR(Each(reader, "denials", World::kMostRoles, [&](const json::object& item) {
    JsonReader inner(item, "vaults.denials");
    out.denials.push_back({.client_id = inner.String("client_id"), .key = inner.OptionalString("key")});
    return inner.status();
  }));
  return out;
}

}  // namespace

json::object World::ToJson() const {
  json::object out;
  out["tenants"] = ArrayOf(tenants, [](const auto& item) { return json::object{{"id", item.first}, {"domain", item.second}}; });
  out["applications"] = ArrayOf(applications, [](const auto& item) { return ToJsonOf(item.second); });
  out["principals"] = ArrayOf(principals, [](const ServicePrincipal& p) {
    return json::object{{"tenant", p.tenant}, {"client_id", p.client_id}, {"object_id", p.object_id}, {"consented", p.consented}};
  });
  out["identities"] = ArrayOf(identities, [](const auto& item) {
    const ManagedIdentity& i = item.second;
    return json::object{{"client_id", i.client_id}, {"name", i.name}, {"tenant", i.tenant}, {"system_assigned", i.system_assigned}};
  });
  out["vaults"] = ArrayOf(vaults, [](const auto& item) { return ToJsonOf(item.second); });
  out["wrap_on_disabled"] = wrap_on_disabled;
  out["token_key"] = Text(token_key);
  out["identity_header"] = Text(identity_header);
  return out;
}

absl::StatusOr<World> World::FromJson(const json::object& object) {
  JsonReader reader(object);
  World world;
  world.wrap_on_disabled = reader.OptionalBool("wrap_on_disabled", false);
  world.token_key = TakeSecret(reader, "token_key", 32, 32);
  world.identity_header = TakeSecret(reader, "identity_header", 16, 256);
  RETURN_IF_ERROR(Each(reader, "tenants", kMostTenants, [&](const json::object& item) {
    JsonReader inner(item, "tenants");
    const std::string id = inner.String("id");
    if (!IsUuid(id)) inner.Fault("id", "must be a UUID in lower case");
    world.tenants[id] = inner.OptionalString("domain");
    return inner.status();
  }));
  RETURN_IF_ERROR(Each(reader, "applications", kMostApplications, [&](const json::object& item) -> absl::Status {
    ASSIGN_OR_RETURN(Application application, ApplicationFrom(item));
    std::string id = application.client_id;
    world.applications.insert_or_assign(std::move(id), std::move(application));
    return absl::OkStatus();
  }));
  if (world.MadeCertificates() > kMostMadeCertificates) return InvalidArgument("applications.certificates: are too many");
  RETURN_IF_ERROR(Each(reader, "principals", kMostPrincipals, [&](const json::object& item) {
    JsonReader inner(item, "principals");
    world.principals.push_back({.tenant = inner.String("tenant"),
                                .client_id = inner.String("client_id"),
                                .object_id = inner.String("object_id"),
                                .consented = inner.OptionalBool("consented", true)});
    return inner.status();
  }));
  RETURN_IF_ERROR(Each(reader, "identities", kMostApplications, [&](const json::object& item) {
    JsonReader inner(item, "identities");
    ManagedIdentity identity{.client_id = inner.String("client_id"),
                             .name = inner.String("name"),
                             .tenant = inner.String("tenant"),
                             .system_assigned = inner.OptionalBool("system_assigned", false)};
    std::string id = identity.client_id;
    world.identities.insert_or_assign(std::move(id), std::move(identity));
    return inner.status();
  }));
  RETURN_IF_ERROR(Each(reader, "vaults", kMostVaults, [&](const json::object& item) -> absl::Status {
    ASSIGN_OR_RETURN(Vault vault, VaultFrom(item));
    std::string host = vault.Host();
    world.vaults.insert_or_assign(std::move(host), std::move(vault));
    return absl::OkStatus();
  }));
  if (world.Keys() > kMostKeys || world.Versions() > kMostVersions) return InvalidArgument("vaults.keys: are too many");
  RETURN_IF_ERROR(reader.status());
  return world;
}

}  // namespace latchkey::emulator::azure
