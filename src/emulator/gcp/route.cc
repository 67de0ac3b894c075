#include "emulator/gcp/route.h"

#include <algorithm>
#include <iterator>

#include "emulator/gcp/names.h"
#include "http/message.h"

namespace latchkey::emulator::gcp {
namespace {

bool HasPrefix(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

struct KmsRoute {
  std::string_view method;
  size_t parts;           // of the path, "projects" being the first
  std::string_view verb;  // behind the colon
  std::string_view operation;
};
// googleapis google/cloud/kms/v1/service.proto, google/iam/v1/iam_policy.proto.
constexpr KmsRoute kKmsRoutes[] = {
    {"GET", 5, "", "ListKeyRings"},
    {"POST", 5, "", "CreateKeyRing"},
    {"GET", 6, "", "GetKeyRing"},
    {"GET", 7, "", "ListCryptoKeys"},
    {"POST", 7, "", "CreateCryptoKey"},
    {"GET", 8, "", "GetCryptoKey"},
    {"PATCH", 8, "", "UpdateCryptoKey"},
    {"POST", 8, "updatePrimaryVersion", "UpdateCryptoKeyPrimaryVersion"},
    {"POST", 8, "encrypt", "Encrypt"},
    {"POST", 8, "decrypt", "Decrypt"},
    {"GET", 8, "getIamPolicy", "GetIamPolicy"},
    // As the official clients ask, by the general rule of google/iam/v1.
    {"POST", 8, "getIamPolicy", "GetIamPolicy"},
    {"POST", 8, "setIamPolicy", "SetIamPolicy"},
    {"POST", 8, "testIamPermissions", "TestIamPermissions"},
    {"GET", 9, "", "ListCryptoKeyVersions"},
    {"POST", 9, "", "CreateCryptoKeyVersion"},
    {"GET", 10, "", "GetCryptoKeyVersion"},
    {"PATCH", 10, "", "UpdateCryptoKeyVersion"},
    {"POST", 10, "encrypt", "Encrypt"},
    {"POST", 10, "destroy", "DestroyCryptoKeyVersion"},
    {"POST", 10, "restore", "RestoreCryptoKeyVersion"},
};

Route KmsRouteOf(std::string_view method, std::string_view path) {
  Route out{.name = {"cloudkms", ""}, .resource = {}};
  std::string_view verb;
  const size_t slash = path.rfind('/');
  const size_t colon = path.find(':', slash);
  if (colon != std::string_view::npos) {
    verb = path.substr(colon + 1);
    path = path.substr(0, colon);
  }
  const size_t parts = static_cast<size_t>(std::count(path.begin(), path.end(), '/')) + 1;
  const auto* const found = std::find_if(std::begin(kKmsRoutes), std::end(kKmsRoutes), [&](const KmsRoute& route) {
    return route.method == method && route.parts == parts && route.verb == verb;
  });
  out.resource = std::string(path);
  if (found == std::end(kKmsRoutes)) return out;
  if (parts % 2 == 1) {
    // A collection: its name must be the one of its place.
    const std::string_view collection = path.substr(path.rfind('/') + 1);
    const std::string_view expected = parts == 5 ? "keyRings" : parts == 7 ? "cryptoKeys" : "cryptoKeyVersions";
    if (collection != expected) return out;
    out.resource = std::string(path.substr(0, path.rfind('/')));
  }
  out.name.operation = std::string(found->operation);
  return out;
}

Route MetadataRouteOf(std::string_view method, std::string_view path) {
  Route out{.name = {"metadata", "metadataOther"}, .resource = std::string(path)};
  constexpr std::string_view kAccounts = "instance/service-accounts/";
  const std::string_view last = path.substr(std::min(path.size(), path.rfind('/') + 1));
  if (method != "GET") {
    out.name.operation = "";
  } else if (path == "project/project-id" || path == "project/numeric-project-id") {
    out.name.operation = "metadataProject";
  } else if (HasPrefix(path, kAccounts)) {
    if (last == "token") out.name.operation = "metadataToken";
    if (last == "email") out.name.operation = "metadataEmail";
    if (last == "scopes") out.name.operation = "metadataScopes";
  }
  return out;
}

}  // namespace

Route RouteOf(std::string_view method, std::string_view encoded_path) {
  const std::optional<std::string> decoded = PercentDecode(encoded_path);
  if (!decoded) return {};
  const std::string_view path = *decoded;
  constexpr std::string_view kMetadata = "/computeMetadata/v1/";
  constexpr std::string_view kGenerate = ":generateAccessToken";
  if (path == "/token") return {.name = {"oauth2", method == "POST" ? "token" : ""}, .resource = {}};
  if (path == "/v1/token") return {.name = {"sts", method == "POST" ? "exchangeToken" : ""}, .resource = {}};
  if (path == "/" || path == "/computeMetadata/" || path == "/computeMetadata/v1") return MetadataRouteOf(method, "");
  if (HasPrefix(path, kMetadata)) return MetadataRouteOf(method, path.substr(kMetadata.size()));
  if (!HasPrefix(path, "/v1/projects/")) return {};
  const std::vector<std::string_view> parts = SplitText(path, '/');
  if (parts.size() == 6 && parts[4] == "serviceAccounts") {
    Route out{.name = {"iamcredentials", ""}, .resource = {}};
    const std::string_view last = parts[5];
    if (method != "POST" || last.size() <= kGenerate.size() || last.substr(last.size() - kGenerate.size()) != kGenerate) return out;
    out.name.operation = "generateAccessToken";
    out.resource = std::string(parts[3]) + "/" + std::string(last.substr(0, last.size() - kGenerate.size()));
    return out;
  }
  return KmsRouteOf(method, path.substr(std::string_view("/v1/").size()));
}

}  // namespace latchkey::emulator::gcp
