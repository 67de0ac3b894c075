#include <algorithm>
#include <string_view>

#include "base/status.h"
#include "kms/vault/uri.h"
#include "kms/vault/vault_kms.h"

namespace latchkey {
namespace {

// "a/b/c" of good parts; slashes at the ends are refused.
bool IsPath(std::string_view path) {
  for (;;) {
    const size_t slash = path.find('/');
    if (!IsVaultPathPart(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

bool IsLoopback(std::string_view host) {
  if (host == "localhost" || host == "[::1]") return true;
  // 127.0.0.0/8 in dotted form only.
  return host.starts_with("127.") && std::count(host.begin(), host.end(), '.') == 3 &&
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

absl::Status CheckAddress(std::string_view address) {
  const bool plain = address.starts_with("http://");
  if (!plain && !address.starts_with("https://")) return InvalidArgument("address: must begin with https://");
  std::string_view authority = address.substr(plain ? 7 : 8);
  if (authority.ends_with('/')) authority.remove_suffix(1);
  const bool clean = std::all_of(authority.begin(), authority.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._:[]").find(c) != std::string_view::npos;
  });
  if (authority.empty() || !clean) return InvalidArgument("address: must be of the form https://host[:port], without a path");
  if (!plain) return absl::OkStatus();
  const size_t port = authority.starts_with('[') ? authority.find("]:") : authority.find(':');
  std::string_view host = authority;
  if (port != std::string_view::npos) host = authority.substr(0, authority.starts_with('[') ? port + 1 : port);
  // Tokens travel in a header: without TLS only where nobody else can listen.
  return IsLoopback(host) ? absl::OkStatus() : InvalidArgument("address: http is for loopback addresses only");
}

}  // namespace

absl::Status CheckVaultConnection(const VaultConnection& connection) {
  RETURN_IF_ERROR(CheckAddress(connection.address));
  std::string_view ns = connection.namespace_path;
  if (ns.ends_with('/')) ns.remove_suffix(1);
  if (!connection.namespace_path.empty() && !IsPath(ns)) return InvalidArgument("namespace: must be a path of names, as in teams/a");
  const int ways =
      (connection.token_file.empty() ? 0 : 1) + (connection.role_id.empty() ? 0 : 1) + (connection.kubernetes_role.empty() ? 0 : 1);
  if (ways != 1) return InvalidArgument("token_file, role_id, kubernetes_role: exactly one must be given");
  if (connection.role_id.empty() != connection.secret_id_file.empty()) {
    return InvalidArgument("secret_id_file: must be given together with role_id");
  }
  if (!IsPath(connection.approle_mount)) return InvalidArgument("approle_mount: must be a path of names, as in approle");
  if (!IsPath(connection.kubernetes_mount)) return InvalidArgument("kubernetes_mount: must be a path of names, as in kubernetes");
  if (!connection.kubernetes_role.empty() && connection.kubernetes_token_file.empty()) {
    return InvalidArgument("kubernetes_token_file: must be given together with kubernetes_role");
  }
  return absl::OkStatus();
}

}  // namespace latchkey
