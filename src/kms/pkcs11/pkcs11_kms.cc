#include "kms/pkcs11/pkcs11_kms.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/encoding.h"
#include "base/status.h"
#include "base/utf8.h"
#include "kms/pkcs11/key_use.h"
#include "kms/pkcs11/token_worker.h"

namespace latchkey {
namespace {

constexpr std::string_view kScheme = "pkcs11://";
constexpr size_t kMaxConnectionName = 63;
constexpr size_t kMaxKeyLabel = 255;
constexpr size_t kMaxTokenLabel = 32;  // by the standard
constexpr size_t kMaxPath = 4095;

bool IsAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool IsConnectionName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxConnectionName &&
         std::ranges::all_of(name, [](char c) { return IsAlphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

// Text that people can read: UTF-8 without control characters.
bool IsPlainText(std::string_view text) {
  return CutUtf8(text, text.size()) == text &&
         std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// A path segment of RFC 3986, decoded; nullopt when it is none.
std::optional<std::string> DecodeSegment(std::string_view segment) {
  constexpr std::string_view kOthers = "-._~!$&'()*+,;=:@";
  std::string out;
  for (size_t i = 0; i < segment.size(); ++i) {
    const char c = segment[i];
    if (IsAlphanumeric(c) || kOthers.find(c) != std::string_view::npos) {
      out.push_back(c);
      continue;
    }
    const auto byte = c == '%' && i + 2 < segment.size() ? HexDecode(segment.substr(i + 1, 2)) : InvalidArgument("");
    if (!byte.ok()) return std::nullopt;
    out.push_back(static_cast<char>(byte->front()));
    i += 2;
  }
  return out;
}

struct KeyName {
  std::string connection, label;
};

absl::StatusOr<KeyName> ParseUri(std::string_view uri) {
  const absl::Status malformed = KmsError(FailureClass::kUnsuitable, "uri: must be pkcs11://<connection>/<label of the AES key>");
  if (!uri.starts_with(kScheme)) return malformed;
  uri.remove_prefix(kScheme.size());
  const size_t slash = uri.find('/');
  if (slash == std::string_view::npos || !IsConnectionName(uri.substr(0, slash))) return malformed;
  const std::optional<std::string> label = DecodeSegment(uri.substr(slash + 1));
  if (!label) return KmsError(FailureClass::kUnsuitable, "uri: the label has characters that must be written as %XX");
  if (label->empty()) return malformed;
  if (label->size() > kMaxKeyLabel || !IsPlainText(*label)) {
    return KmsError(FailureClass::kUnsuitable, absl::StrCat("uri: the label must be at most ", kMaxKeyLabel, " bytes of readable UTF-8"));
  }
  return KeyName{.connection = std::string(uri.substr(0, slash)), .label = *label};
}

absl::Status CheckAbsolutePath(std::string_view field, std::string_view path) {
  if (path.starts_with('/') && path.size() <= kMaxPath && path.find('\0') == std::string_view::npos) return absl::OkStatus();
  return InvalidArgument(ToAbsl(field), ": must be an absolute path");
}

class Pkcs11Kms : public Kms {
 public:
  Pkcs11Kms(std::map<std::string, Pkcs11Connection> connections, KmsCallOptions call)
      : connections_(std::move(connections)), call_(std::move(call)) {}

  std::string_view type() const override { return "PKCS11"; }

  absl::Status Check(const RootKey& key) const override { return Parse(key).status(); }

  absl::StatusOr<KeyDescription> Describe(const RootKey& key, const KmsCall& call) override {
    ASSIGN_OR_RETURN(KeyName name, Parse(key));
    const std::string connection = name.connection;
    auto description = OnToken<KeyDescription>(
        "describe", connection, call, [label = std::move(name.label)](TokenSession& token) { return DescribeTokenKey(token, label); });
    if (description.ok()) description->resolved_uri = key.uri;
    return description;
  }

  absl::StatusOr<KmsWrapped> Wrap(const RootKey& key, const SecretBytes& plaintext, const KmsContext& context,
                                  const KmsCall& call) override {
    if (plaintext.empty() || plaintext.size() > kMaxPkcs11Plaintext) {
      return KmsError(FailureClass::kUnsuitable, absl::StrCat("plaintext: must be 1 to ", kMaxPkcs11Plaintext, " bytes"));
    }
    ASSIGN_OR_RETURN(KeyName name, Parse(key));
    const std::string connection = name.connection;
    // The thread's own: it may still use it when our caller has gone.
    const auto secret = std::make_shared<const SecretBytes>(plaintext.Clone());
    return OnToken<KmsWrapped>("wrap", connection, call, [label = std::move(name.label), secret, context](TokenSession& token) {
      return WrapWithTokenKey(token, label, *secret, context);
    });
  }

  absl::StatusOr<SecretBytes> Unwrap(const RootKey& key, const KmsWrapped& wrapped, const KmsContext& context,
                                     const KmsCall& call) override {
    ASSIGN_OR_RETURN(KeyName name, Parse(key));
    RETURN_IF_ERROR(ParsePkcs11Ciphertext(wrapped.ciphertext).status());
    const std::string connection = name.connection;
    return OnToken<SecretBytes>("unwrap", connection, call, [label = std::move(name.label), wrapped, context](TokenSession& token) {
      return UnwrapWithTokenKey(token, label, wrapped, context);
    });
  }

 private:
  absl::StatusOr<KeyName> Parse(const RootKey& key) const {
    ASSIGN_OR_RETURN(KeyName name, ParseUri(key.uri));
    if (!key.auth_principal.empty()) return KmsError(FailureClass::kUnsuitable, "auth_principal: must be empty for a PKCS11 key");
    if (!connections_.contains(name.connection)) {
      return KmsError(FailureClass::kUnsuitable,
                      absl::StrCat("uri: no PKCS #11 connection \"", name.connection, "\" is configured on this host"));
    }
    return name;
  }

  template <typename T>
  absl::StatusOr<T> OnToken(std::string_view what, const std::string& name, const KmsCall& call,
                            std::function<absl::StatusOr<T>(TokenSession&)> use) {
    const CallBudget budget(call_.call_budget);
    const std::function<absl::StatusOr<T>(TokenSession&)> work =
        [use = std::move(use), pin_file = connections_.at(name).pin_file, fresh = call.fresh, now = call_.clock->BootTime(),
         most_age = call_.owner_credentials_age](TokenSession& token) -> absl::StatusOr<T> {
      std::optional<absl::StatusOr<T>> result;
      RETURN_IF_ERROR(token.Use({.pin_file = pin_file, .fresh = fresh, .now = now, .most_age = most_age}, [&] {
        result = use(token);
        return result->status();
      }));
      return *std::move(result);
    };
    absl::StatusOr<T> result = WorkerOf(name).template Run<T>(work, budget);
    if (!result.ok()) return Prefixed(result.status(), absl::StrCat("PKCS #11 ", ToAbsl(what)));
    return result;
  }

  // Made at the first use: before that, the process may fork.
  TokenWorker& WorkerOf(const std::string& name) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<TokenWorker>& worker = workers_[name];
    if (worker == nullptr) worker = TokenWorker::Of(connections_.at(name).module, connections_.at(name).token_label);
    return *worker;
  }

  const std::map<std::string, Pkcs11Connection> connections_;
  const KmsCallOptions call_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<TokenWorker>> workers_;  // by connection
};

}  // namespace

absl::Status CheckPkcs11Connection(const Pkcs11Connection& connection) {
  RETURN_IF_ERROR(CheckAbsolutePath("module", connection.module));
  if (connection.token_label.empty() || connection.token_label.size() > kMaxTokenLabel || !IsPlainText(connection.token_label) ||
      connection.token_label.ends_with(' ')) {
    return InvalidArgument("token_label: must be 1 to ", kMaxTokenLabel, " bytes of readable UTF-8, not ending with a blank");
  }
  return CheckAbsolutePath("pin_file", connection.pin_file);
}

std::unique_ptr<Kms> NewPkcs11Kms(std::map<std::string, Pkcs11Connection> connections, KmsCallOptions call) {
  return std::make_unique<Pkcs11Kms>(std::move(connections), std::move(call));
}

}  // namespace latchkey
