#include "kms/aws/metadata.h"

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/status.h"
#include "kms/aws/answers.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

constexpr std::string_view kContainerHost = "http://169.254.170.2";
constexpr std::array<std::string_view, 3> kContainerHosts = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
constexpr std::string_view kInstanceEndpoint = "http://169.254.169.254";
constexpr std::string_view kInstanceEndpointV6 = "http://[fd00:ec2::254]";
constexpr std::string_view kRolesPath = "/latest/meta-data/iam/security-credentials/";
constexpr std::string_view kTokenSeconds = "21600";
constexpr absl::Duration kInstancePatience = absl::Seconds(2);
constexpr size_t kMaxToken = 20'000;

absl::Status Identity(const std::string& what, std::string_view message) {
  return KmsError(FailureClass::kIdentity, absl::StrCat(what, ": ", ToAbsl(message)));
}

bool IsPrintable(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c < 0x7f; });
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  return text;
}

// 127.0.0.0/8 in dotted form, ::1, and localhost by name.
bool IsLoopback(std::string_view host) {
  if (host == "localhost" || host == "[::1]") return true;
  return host.starts_with("127.") && std::count(host.begin(), host.end(), '.') == 3 &&
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

// "http://host:port/path" → "host"; empty when malformed. Only http and https, no user, nothing that a client may read in another way.
std::string_view HostOf(std::string_view url) {
  if (!IsPrintable(url) || url.find_first_of(" \\@#\"<>^`{|}") != std::string_view::npos) return {};
  const size_t scheme = url.starts_with("http://") ? 7 : url.starts_with("https://") ? 8 : 0;
  if (scheme == 0) return {};
  const std::string_view authority = url.substr(scheme, url.find_first_of("/?", scheme) - scheme);
  const size_t end = authority.starts_with('[') ? authority.find(']') : authority.find(':');
  if (authority.starts_with('[') && end == std::string_view::npos) return {};
  const std::string_view host = authority.starts_with('[') ? authority.substr(0, end + 1) : authority.substr(0, end);
  const std::string_view port = authority.substr(host.size());
  const bool good =
      port.empty() || (port.starts_with(':') && port.size() > 1 && port.find_first_not_of("0123456789", 1) == std::string_view::npos);
  return good ? host : std::string_view();
}

}  // namespace

absl::StatusOr<std::string> AwsContainerUrl(const std::string& relative, const std::string& full) {
  if (!relative.empty()) {
    std::string url = std::string(kContainerHost) + relative;
    if (relative.front() != '/' || HostOf(url) != kContainerHosts[0]) {
      return InvalidArgument("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: must be a path that begins with a slash");
    }
    return url;
  }
  const std::string_view host = HostOf(full);
  if (host.empty()) return InvalidArgument("AWS_CONTAINER_CREDENTIALS_FULL_URI: must be of the form http://host[:port]/path");
  if (!IsLoopback(host) && std::find(kContainerHosts.begin(), kContainerHosts.end(), host) == kContainerHosts.end()) {
    return InvalidArgument(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI: the host must be a loopback address, 169.254.170.2, 169.254.170.23 or "
        "[fd00:ec2::23]");
  }
  return full;
}

bool AwsMachine::HasContainer() const {
  return !call_.Variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").empty() || !call_.Variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").empty();
}

bool AwsMachine::HasInstance() const {
  std::string disabled = call_.Variable("AWS_EC2_METADATA_DISABLED");
  std::transform(disabled.begin(), disabled.end(), disabled.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return disabled != "true";
}

// One exchange with a metadata server; the answer may hold secrets.
absl::StatusOr<std::string> AwsMachine::Send(const std::string& what, const std::string& method, const std::string& url,
                                             HttpHeaders headers, const CallBudget& budget) {
  KmsExchange exchange{.what = what,
                       .url = url,
                       .request = {.method = method, .headers = std::move(headers)},
                       .metadata = true,
                       .no_answer = FailureClass::kIdentity};
  exchange.read_failure = [](const HttpResponse& response) -> std::optional<KmsFailure> {
    if (response.status == 200) return std::nullopt;
    // The status alone: what these services write in the body is not for people, and may quote what was sent.
    return KmsFailure{.failure_class = FailureClass::kIdentity,
                      .words = absl::StrCat("answered with HTTP status ", response.status),
                      .retry = response.status >= 500 || response.status == 429};
  };
  ASSIGN_OR_RETURN(HttpResponse response, transport_.Send(std::move(exchange), budget));
  return std::move(response.body);
}

absl::StatusOr<SecretBytes> AwsMachine::AuthorizationToken() const {
  const std::string file = call_.Variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  std::string text = file.empty() ? call_.Variable("AWS_CONTAINER_AUTHORIZATION_TOKEN") : "";
  if (!file.empty()) {
    auto read = ReadFile(file, kMaxToken);
    if (!read.ok()) return Identity("container credentials", absl::StrCat("token ", file, ": ", read.status().message()));
    text = *std::move(read);
  }
  const std::string_view trimmed = Trimmed(text);
  SecretBytes token = SecretBytes::CopyOf(trimmed);
  const bool good = trimmed.empty() ? file.empty() : IsPrintable(trimmed);
  Wipe(text);
  if (!good) return Identity("container credentials", "the authorization token is empty or not a text that a header can carry");
  return token;
}

absl::StatusOr<SharedAwsCredentials> AwsMachine::FromContainer(const CallBudget& budget) {
  const std::string what = "container credentials";
  const auto url =
      AwsContainerUrl(call_.Variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), call_.Variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
  if (!url.ok()) return Identity(what, FromAbsl(url.status().message()));
  ASSIGN_OR_RETURN(const SecretBytes token, AuthorizationToken());
  HttpHeaders headers = {{"accept", "application/json"}};
  if (!token.empty()) headers["authorization"] = std::string(token.RevealText(SecretAccess{}));
  const absl::Time asked = call_.clock->Now();
  ASSIGN_OR_RETURN(std::string answer, Send(what, "GET", *url, std::move(headers), budget));
  return ReadMachineCredentials(answer, what, asked);
}

absl::StatusOr<SharedAwsCredentials> AwsMachine::FromInstance(const CallBudget& whole) {
  const std::string what = "instance metadata";
  const CallBudget budget(std::min(kInstancePatience, whole.Remaining()));
  std::string base = call_.Variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (base.empty()) base = call_.Variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE") == "IPv6" ? kInstanceEndpointV6 : kInstanceEndpoint;
  if (base.ends_with('/')) base.pop_back();
  if (HostOf(base).empty() || base.find('/', base.find("://") + 3) != std::string::npos || base.find('?') != std::string::npos) {
    return Identity(what, "AWS_EC2_METADATA_SERVICE_ENDPOINT: must be of the form http://host[:port]");
  }
  ASSIGN_OR_RETURN(std::string token, Send(what, "PUT", base + "/latest/api/token",
                                           {{"x-aws-ec2-metadata-token-ttl-seconds", std::string(kTokenSeconds)}}, budget));
  const SecretBytes session = SecretBytes::CopyOf(Trimmed(token));
  Wipe(token);
  if (!IsPrintable(session.RevealText(SecretAccess{}))) return Identity(what, "the service gave no session token");
  const auto headers = [&session] { return HttpHeaders{{"x-aws-ec2-metadata-token", std::string(session.RevealText(SecretAccess{}))}}; };
  ASSIGN_OR_RETURN(const std::string roles,
                   Send(what + ": the instance's role", "GET", absl::StrCat(base, ToAbsl(kRolesPath)), headers(), budget));
  ASSIGN_OR_RETURN(const std::string role, ReadInstanceRole(roles, what));
  const absl::Time asked = call_.clock->Now();
  ASSIGN_OR_RETURN(std::string answer, Send(what, "GET", absl::StrCat(base, ToAbsl(kRolesPath), role), headers(), budget));
  return ReadMachineCredentials(answer, what, asked);
}

}  // namespace latchkey
