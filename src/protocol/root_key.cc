#include "protocol/root_key.h"

#include "base/status.h"
#include "protocol/fields.h"

namespace latchkey {
namespace {

constexpr int64_t kFormat = 1;
constexpr size_t kMaxName = 256;
constexpr size_t kMaxUri = 2048;
// AWS accepts 6,144 bytes of ciphertext for Decrypt; no other KMS gives more for so short a plaintext.
constexpr size_t kMaxCiphertext = 6144;

// One field of a canonical form. The length makes the form unambiguous whatever the value holds.
void AppendField(std::string& out, std::string_view name, std::string_view value) {
  absl::StrAppend(&out, ToAbsl(name), ":", value.size(), ":", ToAbsl(value), "\n");
}

}  // namespace

json::object RootKey::ToJson() const {
  return {{"type", type}, {"uri", uri}, {"auth_principal", auth_principal}, {"external_id", external_id}};
}

absl::StatusOr<RootKey> RootKey::FromJson(const json::object& object, const std::string& path) {
  JsonReader reader(object, path);
  RootKey key;
  key.type = reader.String("type");
  key.uri = reader.String("uri");
  key.auth_principal = reader.OptionalString("auth_principal");
  key.external_id = reader.OptionalString("external_id");
  CheckText(reader, "type", key.type, kMaxName);
  CheckText(reader, "uri", key.uri, kMaxUri);
  CheckText(reader, "auth_principal", key.auth_principal, kMaxUri);
  CheckText(reader, "external_id", key.external_id, kMaxUri);
  RETURN_IF_ERROR(reader.status());
  return key;
}

std::string KekContext::Canonical() const {
  return absl::StrCat("latchkey:cluster=", cluster, "\nlatchkey:generation=", generation, "\nlatchkey:organization=", organization,
                      "\nlatchkey:region=", region, "\n");
}

json::object WrappedKek::ToJson() const {
  json::object object = {
      {"format", kFormat},
      {"id", id},
      {"organization", context.organization},
      {"cluster", context.cluster},
      {"region", context.region},
      {"generation", context.generation},
      {"created_at", created_at},
      {"root", root.ToJson()},
      {"key_version", key_version},
      {"ciphertext", ciphertext},
  };
  if (previous) {
    object["previous"] = json::object{{"id", previous->id}, {"nonce", previous->nonce}, {"ciphertext", previous->ciphertext}};
  }
  if (!link.empty()) object["link"] = link;
  return object;
}

absl::StatusOr<WrappedKek> WrappedKek::FromJson(const json::object& object, const std::string& path) {
  JsonReader reader(object, path);
  WrappedKek kek;
  if (reader.Int("format") != kFormat) reader.Fault("format", "is not one that this version reads");
  kek.id = reader.String("id");
  kek.context.organization = reader.String("organization");
  kek.context.cluster = reader.String("cluster");
  kek.context.region = reader.String("region");
  kek.context.generation = reader.Int("generation");
  kek.created_at = reader.String("created_at");
  kek.key_version = reader.OptionalString("key_version");
  kek.ciphertext = reader.String("ciphertext");
  kek.link = reader.OptionalString("link");

  CheckHex(reader, "id", kek.id, 16);
  CheckText(reader, "organization", kek.context.organization, kMaxName);
  CheckText(reader, "cluster", kek.context.cluster, kMaxName);
  CheckText(reader, "region", kek.context.region, kMaxName);
  if (kek.context.generation < 1) reader.Fault("generation", "must be 1 or more");
  CheckText(reader, "created_at", kek.created_at, 64);
  CheckText(reader, "key_version", kek.key_version, kMaxName);
  CheckBase64(reader, "ciphertext", kek.ciphertext, 1, kMaxCiphertext);
  if (!kek.link.empty()) CheckHex(reader, "link", kek.link, 32);

  if (const json::object* inner = reader.OptionalObject("previous")) {
    JsonReader previous_reader(*inner, reader.PathOf("previous"));
    Previous previous;
    previous.id = previous_reader.String("id");
    previous.nonce = previous_reader.String("nonce");
    previous.ciphertext = previous_reader.String("ciphertext");
    CheckHex(previous_reader, "id", previous.id, 16);
    CheckBase64(previous_reader, "nonce", previous.nonce, 12, 12);
    CheckBase64(previous_reader, "ciphertext", previous.ciphertext, 48, 48);
    RETURN_IF_ERROR(reader.status());
    RETURN_IF_ERROR(previous_reader.status());
    kek.previous = std::move(previous);
  }
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(kek.root, ReadRecord<RootKey>(reader, "root"));
  return kek;
}

// Format 1, in this order and no other, since the link of every stored record is a MAC over it:
//   "latchkey-wrapped-kek:1\n", then "<name>:<length of value in bytes>:<value>\n" for each field below.
// The three fields of `previous` are empty in generation 1.
std::string WrappedKek::LinkedBytes() const {
  const Previous none;
  const Previous& before = previous ? *previous : none;
  std::string out = "latchkey-wrapped-kek:1\n";
  AppendField(out, "id", id);
  AppendField(out, "organization", context.organization);
  AppendField(out, "cluster", context.cluster);
  AppendField(out, "region", context.region);
  AppendField(out, "generation", FromAbsl(absl::AlphaNum(context.generation).Piece()));
  AppendField(out, "created_at", created_at);
  AppendField(out, "root.type", root.type);
  AppendField(out, "root.uri", root.uri);
  AppendField(out, "root.auth_principal", root.auth_principal);
  AppendField(out, "root.external_id", root.external_id);
  AppendField(out, "key_version", key_version);
  AppendField(out, "ciphertext", ciphertext);
  AppendField(out, "previous.id", before.id);
  AppendField(out, "previous.nonce", before.nonce);
  AppendField(out, "previous.ciphertext", before.ciphertext);
  return out;
}

}  // namespace latchkey
