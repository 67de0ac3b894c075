#include "kms/aws/credentials.h"

#include "base/file.h"
#include "base/status.h"
#include "kms/kms.h"

namespace latchkey {
namespace {

constexpr absl::Duration kRenewBefore = absl::Minutes(5);
constexpr size_t kMaxToken = 20'000;

absl::Status Identity(std::string_view message) {
  return KmsError(FailureClass::kIdentity, absl::StrCat("our own AWS credentials: ", ToAbsl(message)));
}

// Parsed settings of a file; empty when there is no file.
absl::StatusOr<IniSections> ReadIniFile(const std::string& path) {
  auto text = ReadFile(path, 1 << 20);
  if (absl::IsNotFound(text.status())) return IniSections();
  if (!text.ok()) return Identity(absl::StrCat(path, ": ", text.status().message()));
  auto sections = ParseIni(*text);
  Wipe(*text);
  if (!sections.ok()) return Identity(absl::StrCat(path, ": ", sections.status().message()));
  return sections;
}

std::string Setting(const IniSections& sections, const std::string& section, std::string_view name) {
  const auto it = sections.find(section);
  if (it == sections.end()) return "";
  const auto setting = it->second.find(name);
  return setting == it->second.end() ? "" : setting->second;
}

// Static credentials; wipes what it is given.
absl::StatusOr<SharedAwsCredentials> Static(std::string_view where, std::string id, std::string secret, std::string token) {
  auto credentials = std::make_shared<AwsCredentials>();
  credentials->access_key_id = std::move(id);
  credentials->secret_access_key = SecretBytes::CopyOf(std::string_view(secret));
  credentials->session_token = SecretBytes::CopyOf(std::string_view(token));
  Wipe(secret);
  Wipe(token);
  if (credentials->access_key_id.empty() || credentials->secret_access_key.empty()) {
    return Identity(absl::StrCat("access key id and secret access key must be given together, in ", ToAbsl(where)));
  }
  return SharedAwsCredentials(std::move(credentials));
}

}  // namespace

std::string AwsIdentity::PathOf(const std::string& option, const char* variable, const char* under_home) const {
  if (!option.empty()) return option;
  if (std::string path = Environment(variable); !path.empty()) return path;
  const std::string home = Environment("HOME");
  return home.empty() ? "" : absl::StrCat(home, "/.aws/", under_home);
}

absl::StatusOr<SharedAwsCredentials> AwsIdentity::Get(const StsTarget& target, bool fresh, const CallBudget& budget) {
  std::string id = Environment("AWS_ACCESS_KEY_ID"), secret = Environment("AWS_SECRET_ACCESS_KEY");
  if (!id.empty() || !secret.empty()) {
    return Static("the environment", std::move(id), std::move(secret), Environment("AWS_SESSION_TOKEN"));
  }
  const WebIdentity web{.token_file = Environment("AWS_WEB_IDENTITY_TOKEN_FILE"),
                        .role_arn = Environment("AWS_ROLE_ARN"),
                        .session_name = Environment("AWS_ROLE_SESSION_NAME")};
  if (!web.token_file.empty()) {
    if (web.role_arn.empty()) return Identity("AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not");
    return FromWebIdentity(web, target, fresh, budget);
  }
  ASSIGN_OR_RETURN(SharedAwsCredentials of_profile, FromProfile(target, fresh, budget));
  if (of_profile != nullptr) return of_profile;
  return FromMachine(fresh, budget);
}

absl::StatusOr<SharedAwsCredentials> AwsIdentity::FromWebIdentity(const WebIdentity& web, const StsTarget& target, bool fresh,
                                                                  const CallBudget& budget) {
  const auto valid = [this](const SharedAwsCredentials& c) { return options_.call.clock->Now() < c->expires - kRenewBefore; };
  const auto fetch = [&]() -> absl::StatusOr<SharedAwsCredentials> {
    auto text = ReadFile(web.token_file, kMaxToken);
    if (!text.ok()) return Identity(absl::StrCat("web identity token ", web.token_file, ": ", text.status().message()));
    std::string_view trimmed = *text;
    while (!trimmed.empty() && static_cast<unsigned char>(trimmed.back()) <= ' ') trimmed.remove_suffix(1);
    const SecretBytes token = SecretBytes::CopyOf(trimmed);
    Wipe(*text);
    if (token.empty()) return Identity(absl::StrCat("web identity token ", web.token_file, ": is empty"));
    return AssumeRoleWithWebIdentity(transport_, target, web.role_arn, web.session_name, token, budget);
  };
  return web_identity_.Get(fresh, valid, fetch, budget.end(),
                           KmsError(FailureClass::kUnreachable, "AWS STS AssumeRoleWithWebIdentity: no answer in time"));
}

absl::StatusOr<SharedAwsCredentials> AwsIdentity::FromProfile(const StsTarget& target, bool fresh, const CallBudget& budget) {
  std::string profile = options_.profile.empty() ? Environment("AWS_PROFILE") : options_.profile;
  const bool named = !profile.empty();
  if (profile.empty()) profile = "default";
  const std::string credentials_path = PathOf(options_.shared_credentials_file, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
  const std::string config_path = PathOf(options_.config_file, "AWS_CONFIG_FILE", "config");
  struct Wiped {
    IniSections sections;
    ~Wiped() { WipeSections(sections); }
  } credentials, config;
  if (!credentials_path.empty()) {
    ASSIGN_OR_RETURN(credentials.sections, ReadIniFile(credentials_path));
  }
  if (!config_path.empty()) {
    ASSIGN_OR_RETURN(config.sections, ReadIniFile(config_path));
  }
  const std::string config_section = profile == "default" ? profile : "profile " + profile;

  // The credentials file goes before the config file, for credentials and for a role alike.
  struct Place {
    const IniSections& sections;
    const std::string& section;
    const std::string& path;
  };
  for (const Place& place : {Place{credentials.sections, profile, credentials_path}, Place{config.sections, config_section, config_path}}) {
    const auto get = [&place](std::string_view name) { return Setting(place.sections, place.section, name); };
    const std::string where = absl::StrCat("profile ", profile, " of ", place.path);
    if (WebIdentity web{get("web_identity_token_file"), get("role_arn"), get("role_session_name")}; !web.token_file.empty()) {
      if (web.role_arn.empty()) return Identity(where + ": web_identity_token_file is set and role_arn is not");
      return FromWebIdentity(web, target, fresh, budget);
    }
    for (const char* other : {"role_arn", "credential_process", "sso_session", "sso_start_url"}) {
      if (!get(other).empty()) return Identity(absl::StrCat(where, ": ", other, " is not supported here"));
    }
    if (!get("aws_access_key_id").empty() || !get("aws_secret_access_key").empty()) {
      return Static(where, get("aws_access_key_id"), get("aws_secret_access_key"), get("aws_session_token"));
    }
  }
  // A profile that was named must be there.
  if (named) return Identity(absl::StrCat("none in profile ", profile, " of ", credentials_path, " or ", config_path));
  return SharedAwsCredentials();
}

absl::StatusOr<SharedAwsCredentials> AwsIdentity::FromMachine(bool fresh, const CallBudget& budget) {
  constexpr std::string_view kNone = "none in the environment, no web identity, none in profile default and no container";
  const bool container = machine_.HasContainer();
  if (!container && !machine_.HasInstance())
    return Identity(absl::StrCat(ToAbsl(kNone), "; the instance is not asked, as AWS_EC2_METADATA_DISABLED says"));
  const auto valid = [this](const SharedAwsCredentials& c) { return options_.call.clock->Now() < c->expires - kRenewBefore; };
  const auto fetch = [&] { return container ? machine_.FromContainer(budget) : machine_.FromInstance(budget); };
  absl::StatusOr<SharedAwsCredentials> credentials =
      machine_identity_.Get(fresh, valid, fetch, budget.end(), KmsError(FailureClass::kIdentity, "no answer in time"));
  if (credentials.ok()) return credentials;
  return Prefixed(credentials.status(), container ? "our own AWS credentials"
                                                  : absl::StrCat("our own AWS credentials: ", ToAbsl(kNone), ", and not of the instance"));
}

}  // namespace latchkey
