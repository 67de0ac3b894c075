// What our use of a KMS costs, for `./run bench kms`: requests per operation, and the time that the client adds to the bare HTTP exchange.
// The emulator runs in this process on loopback; requests are counted by its own log. `kms_calls [--quick]` prints one JSON object a
// measure
// ({"name", "value", "unit", "target", "met", "baseline", "ratio"}, as bench.py has them) and, on standard error, what was called.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <mutex>

#include "agent/key_desk.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "emulator/admin_client.h"
#include "emulator/serve.h"
#include "http/server.h"
#include "kms/aws/aws_kms.h"
#include "kms/azure/azure_kms.h"
#include "kms/gcp/gcp_kms.h"
#include "kms/vault/vault_kms.h"

namespace latchkey {
namespace {

using std::chrono::steady_clock;

struct Plan {
  int pairs = 1000;
  int volumes = 50;
  int intervals = 40;
  absl::Duration interval = absl::Milliseconds(250);
};

constexpr double kMostOverheadMs = 1;
// One, and what jitter and the ends of a short measurement do to it.
constexpr double kMostPerInterval = 1.15;
constexpr absl::Duration kDistance = absl::Milliseconds(30);

struct Measure {
  std::string name;
  double value = 0;
  std::string unit, target = {};
  std::optional<bool> met = {};
  std::optional<double> baseline = {}, ratio = {};
};

void Print(const Measure& m) {
  const auto number = [](const std::optional<double>& value) { return value ? json::value(*value) : json::value(); };
  const json::object object{{"name", m.name},
                            {"value", m.value},
                            {"unit", m.unit},
                            {"target", m.target},
                            {"met", m.met ? json::value(*m.met) : json::value()},
                            {"baseline", number(m.baseline)},
                            {"ratio", number(m.ratio)}};
  std::printf("%s\n", json::serialize(object).c_str());
  std::fflush(stdout);
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values.empty() ? 0 : values[values.size() / 2];
}

std::string Text(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  return value == nullptr || !value->is_string() ? std::string() : std::string(value->get_string());
}

// Passes requests on and remembers the last one, so that the same can be sent without our client of the KMS.
class Recorder {
 public:
  static absl::StatusOr<std::unique_ptr<Recorder>> Start(std::string upstream) {
    auto recorder = std::unique_ptr<Recorder>(new Recorder(std::move(upstream)));
    ASSIGN_OR_RETURN(recorder->server_, HttpServer::Start({.handler = [r = recorder.get()](HttpRequest request, HttpResponder respond) {
                       respond(r->PassOn(std::move(request)));
                     }}));
    return recorder;
  }
  ~Recorder() {
    if (server_) server_->Stop();
  }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  std::string url() const { return absl::StrCat("http://127.0.0.1:", server_->port()); }
  HttpRequest last() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  explicit Recorder(std::string upstream) : upstream_(std::move(upstream)) {}

  HttpResponse PassOn(HttpRequest request) {
    // Those of one connection. The Host header stays: it is signed, or names a vault.
    for (const char* name : {"connection", "content-length", "transfer-encoding"}) request.headers.erase(name);
    {
      const std::lock_guard lock(mutex_);
      last_ = request;
    }
    absl::StatusOr<HttpResponse> response = client_.Send(upstream_ + request.target, request);
    if (!response.ok()) return {.status = 0};
    for (const char* name : {"connection", "content-length", "transfer-encoding"}) response->headers.erase(name);
    return *std::move(response);
  }

  const std::string upstream_;
  const HttpClient client_{{}};
  mutable std::mutex mutex_;
  HttpRequest last_;
  std::unique_ptr<HttpServer> server_;
};

// One provider, and a key of an owner that it may use.
struct Provider {
  std::string cloud;
  std::string url;        // of the emulated service
  std::string operation;  // which an unwrapping asks of it
  RootKey key;
  std::function<std::unique_ptr<Kms>(const std::string& endpoint)> make;
};

class Bench {
 public:
  Bench(Plan plan, std::string folder) : plan_(plan), folder_(std::move(folder)) {}

  absl::Status Run() {
    ASSIGN_OR_RETURN(std::unique_ptr<Emulator> emulator, Emulator::Create({}));
    ASSIGN_OR_RETURN(server_, EmulatorServer::Start({}, std::move(emulator)));
    admin_ = std::make_unique<EmulatorAdminClient>(server_->url());
    for (const auto& make : {&Bench::Aws, &Bench::Gcp, &Bench::Azure, &Bench::Vault}) {
      ASSIGN_OR_RETURN(const Provider provider, (this->*make)());
      RETURN_IF_ERROR(Calls(provider));
      RETURN_IF_ERROR(Volumes(provider));
      RETURN_IF_ERROR(Overhead(provider));
    }
    server_->Stop();
    return absl::OkStatus();
  }

 private:
  // ---- Providers ----

  static KmsCallOptions Alone() {
    KmsCallOptions call;
    // Variables of whoever runs this are nobody's here.
    call.environment = [](const char*) { return std::string(); };
    return call;
  }
  absl::StatusOr<std::string> Kept(const std::string& name, const std::string& text) {
    const std::string path = folder_ + "/" + name;
    RETURN_IF_ERROR(WriteFileAtomically(path, text, 0600));
    return path;
  }
  static RootKey OwnerKey(const json::object& seed) {
    const json::object& key = seed.at("owner").as_object();
    return {.type = Text(key, "type"), .uri = Text(key, "uri"), .auth_principal = Text(key, "auth_principal"), .external_id = ""};
  }

  absl::StatusOr<Provider> Aws() {
    ASSIGN_OR_RETURN(const json::object seed, admin_->Seed("organization-1", {"us-east-1"}));
    const json::object& region = seed.at("regions").as_object().at("us-east-1").as_object();
    ASSIGN_OR_RETURN(const std::string file,
                     Kept("aws", absl::StrCat("[default]\naws_access_key_id = ", Text(seed, "access_key_id"),
                                              "\naws_secret_access_key = ", Text(seed, "secret_access_key"), "\n")));
    const RootKey key{
        .type = "AWS_KMS", .uri = Text(region, "owner_key"), .auth_principal = Text(seed, "role"), .external_id = "organization-1"};
    return Provider{"aws", server_->url(), "Decrypt", key, [file](const std::string& endpoint) {
                      return NewAwsKms({.kms_endpoint = endpoint,
                                        .sts_endpoint = endpoint,
                                        .profile = "default",
                                        .shared_credentials_file = file,
                                        .config_file = file + "-none",
                                        .call = Alone()});
                    }};
  }

  absl::StatusOr<Provider> Gcp() {
    ASSIGN_OR_RETURN(const json::object seed, admin_->SeedCloud("gcp"));
    const json::object& account = seed.at("credentials").as_object().at("service_account").as_object();
    ASSIGN_OR_RETURN(const std::string file, Kept("gcp", json::serialize(account)));
    // The identity is proven where its file says; only the key's service is moved.
    return Provider{"gcp", server_->url("gcp"), "Decrypt", OwnerKey(seed), [file, url = server_->url("gcp")](const std::string& endpoint) {
                      return NewGcpKms({.kms_endpoint = endpoint,
                                        .iam_credentials_endpoint = url,
                                        .oauth_endpoint = url,
                                        .sts_endpoint = url,
                                        .metadata_endpoint = url,
                                        .credentials_file = file,
                                        .call = Alone()});
                    }};
  }

  absl::StatusOr<Provider> Azure() {
    ASSIGN_OR_RETURN(const json::object seed, admin_->SeedCloud("azure"));
    const json::object& credentials = seed.at("credentials").as_object();
    ASSIGN_OR_RETURN(const std::string file, Kept("azure", Text(credentials, "client_secret")));
    const std::string tenant = Text(credentials, "tenant_id"), client = Text(credentials, "client_id"), url = server_->url("azure");
    return Provider{"azure", url, "unwrapkey", OwnerKey(seed), [file, tenant, client, url](const std::string& endpoint) {
                      return NewAzureKms({.key_endpoint = endpoint,
                                          .authority = url,
                                          .metadata_endpoint = url,
                                          .tenant_id = tenant,
                                          .client_id = client,
                                          .client_secret_file = file,
                                          .call = Alone()});
                    }};
  }

  absl::StatusOr<Provider> Vault() {
    ASSIGN_OR_RETURN(const json::object seed, admin_->SeedCloud("vault"));
    const json::object& credentials = seed.at("credentials").as_object();
    ASSIGN_OR_RETURN(const std::string file, Kept("vault", Text(credentials, "secret_id")));
    return Provider{"vault", server_->url("vault"), "decrypt", OwnerKey(seed),
                    [file, role = Text(credentials, "role_id")](const std::string& endpoint) {
                      return NewVaultKms({{"vault", {.address = endpoint, .role_id = role, .secret_id_file = file}}}, Alone());
                    }};
  }

  // ---- Counting ----

  // What the service was asked since the last call of this, in order.
  absl::StatusOr<std::vector<std::string>> Asked() {
    ASSIGN_OR_RETURN(const json::object log, admin_->Calls(seen_, 10'000));
    std::vector<std::string> operations;
    for (const json::value& call : log.at("calls").as_array()) operations.push_back(Text(call.as_object(), "operation"));
    seen_ = log.at("last").to_number<int64_t>();
    return operations;
  }
  absl::StatusOr<double> Count(const std::string& name) {
    ASSIGN_OR_RETURN(const std::vector<std::string> asked, Asked());
    std::string text;
    for (const std::string& operation : asked) text += (text.empty() ? "" : ", ") + (operation.empty() ? "?" : operation);
    std::fprintf(stderr, "… %s: %s\n", name.c_str(), asked.size() > 8 ? absl::StrCat(asked.size(), " calls").c_str() : text.c_str());
    return static_cast<double>(asked.size());
  }

  // Requests per operation. Cold: a process that has just started, with nobody's credentials. Warm: it has used the key before.
  absl::Status Calls(const Provider& provider) {
    const SecretBytes plaintext = SecretBytes::CopyOf(std::string_view("0123456789abcdef0123456789abcdef"));
    const KmsContext context = {{"latchkey:purpose", "bench"}};
    const auto writer = provider.make(provider.url);
    ASSIGN_OR_RETURN(const KmsWrapped wrapped, writer->Wrap(provider.key, plaintext, context, {}));
    const auto unwrap = [&](Kms& kms, bool fresh) { return kms.Unwrap(provider.key, wrapped, context, {.fresh = fresh}).status(); };
    const std::pair<const char*, std::function<absl::Status(Kms&)>> operations[] = {
        {"describe", [&](Kms& kms) { return kms.Describe(provider.key, {}).status(); }},
        {"wrap", [&](Kms& kms) { return kms.Wrap(provider.key, plaintext, context, {}).status(); }},
        {"unwrap", [&](Kms& kms) { return unwrap(kms, false); }},
        // What confirms a refusal: new connection, owner-side credentials fetched anew.
        {"check that confirms", [&](Kms& kms) { return unwrap(kms, true); }},
    };
    for (const auto& [operation, call] : operations) {
      const auto kms = provider.make(provider.url);
      for (const char* state : {"cold", "warm"}) {
        RETURN_IF_ERROR(Asked().status());
        RETURN_IF_ERROR(call(*kms));
        Measure measure{.name = absl::StrCat(provider.cloud, ": ", operation, ", ", state), .unit = "calls"};
        ASSIGN_OR_RETURN(measure.value, Count(measure.name));
        if (operation == std::string_view("unwrap") && state == std::string_view("warm")) {
          measure.target = "1";
          measure.met = measure.value == 1;
        }
        Print(measure);
      }
    }
    return absl::OkStatus();
  }

  // A host with many volumes under one KEK, as its key desk has it: opened all at once, and then left alone.
  absl::Status Volumes(const Provider& provider) {
    KmsSet kms;
    kms.Add(provider.make(provider.url));
    const KekContext context{.organization = "o", .cluster = "c", .region = "r", .generation = 1};
    ASSIGN_OR_RETURN(const WrappedKek kek, MintKek(kms, provider.key, context, nullptr, Random::System(), Clock::Real()));
    KeyDesk::Options options;
    options.kms = &kms;
    options.policy.check_interval = plan_.interval;
    std::mutex mutex;
    std::condition_variable changed;
    int opened = 0;
    uint64_t renewals = 0;
    absl::Status failed;
    // After what its callbacks use, so that it goes before.
    const auto desk = KeyDesk::Start(options);
    const auto other_desk = KeyDesk::Start(options);
    const auto await = [&](const std::function<bool()>& reached) -> absl::Status {
      std::unique_lock lock(mutex);
      return changed.wait_for(lock, std::chrono::seconds(60), reached) ? absl::OkStatus()
                                                                       : absl::DeadlineExceededError("the desk is silent");
    };

    const auto open = [&](KeyDesk& at, int volumes) {
      for (int i = 0; i < volumes; ++i) {
        at.Fetch(kek, provider.key, [&](const absl::StatusOr<FreshKek>& fresh) {
          const std::lock_guard lock(mutex);
          ++opened;
          if (!fresh.ok()) failed = fresh.status();
          changed.notify_all();
        });
      }
    };
    RETURN_IF_ERROR(Asked().status());
    for (int i = 1; i <= plan_.volumes; ++i) {
      open(*other_desk, 1);
      RETURN_IF_ERROR(await([&] { return opened == i; }));
    }
    other_desk->Stop();
    Measure one_by_one{.name = absl::StrCat(provider.cloud, ": ", plan_.volumes, " volumes of one KEK opened one after the other"),
                       .unit = "calls",
                       .target = "1"};
    ASSIGN_OR_RETURN(one_by_one.value, Count(one_by_one.name));
    one_by_one.met = one_by_one.value == 1;
    Print(one_by_one);

    // What a host does when it starts. The service answers after as long as one does that is not on this machine.
    RETURN_IF_ERROR(admin_
                        ->AddFault({{"cloud", provider.cloud},
                                    {"operation", provider.operation},
                                    {"action", "delay"},
                                    {"delay_ms", absl::ToInt64Milliseconds(kDistance)},
                                    {"standing", true}})
                        .status());
    opened = 0;
    open(*desk, plan_.volumes);
    RETURN_IF_ERROR(await([&] { return opened == plan_.volumes; }));
    RETURN_IF_ERROR(admin_->ClearFaults().status());
    Measure opening{
        .name = absl::StrCat(provider.cloud, ": ", plan_.volumes, " volumes of one KEK opened at once"), .unit = "calls", .target = "1"};
    ASSIGN_OR_RETURN(opening.value, Count(opening.name));
    opening.met = opening.value == 1;
    Print(opening);

    // The first answer is followed by one reading of the key's facts, which comes once an hour: counted from after it.
    const auto renew = [&](const Kek&, absl::Duration, absl::Duration) {
      const std::lock_guard lock(mutex);
      ++renewals;
      changed.notify_all();
      return absl::OkStatus();
    };
    for (int i = 0; i < plan_.volumes; ++i) {
      desk->Watch(absl::StrCat("node-", i),
                  {.kek = kek, .root = provider.key, .grace = absl::Minutes(1), .renew = renew, .changed = [&] { changed.notify_all(); }});
    }
    RETURN_IF_ERROR(await([&] { return !desk->Report(kek.id).facts.read_at.empty(); }));
    RETURN_IF_ERROR(Asked().status());
    uint64_t wanted = 0;
    {
      const std::lock_guard lock(mutex);
      wanted = renewals + static_cast<uint64_t>(plan_.intervals) * static_cast<uint64_t>(plan_.volumes);
    }
    const auto begin = steady_clock::now();
    RETURN_IF_ERROR(await([&] { return renewals >= wanted; }));
    const double intervals = absl::FDivDuration(absl::FromChrono(steady_clock::now() - begin), plan_.interval);
    Measure quiet{.name = absl::StrCat(provider.cloud, ": a quiet host of ", plan_.volumes, " volumes, per KEK and check interval"),
                  .unit = "calls",
                  .target = absl::StrCat("≤ ", kMostPerInterval)};
    ASSIGN_OR_RETURN(const double calls, Count(quiet.name));
    quiet.value = calls / intervals;
    quiet.met = quiet.value <= kMostPerInterval;
    Print(quiet);
    desk->Stop();
    return failed;
  }

  // Unwrap against the same request with the bare HTTP client, in pairs on one thread.
  absl::Status Overhead(const Provider& provider) {
    const SecretBytes plaintext = SecretBytes::CopyOf(std::string_view("0123456789abcdef0123456789abcdef"));
    const KmsContext context = {{"latchkey:purpose", "bench"}};
    ASSIGN_OR_RETURN(const std::unique_ptr<Recorder> recorder, Recorder::Start(provider.url));
    const auto recorded = provider.make(recorder->url());
    ASSIGN_OR_RETURN(const KmsWrapped wrapped, recorded->Wrap(provider.key, plaintext, context, {}));
    RETURN_IF_ERROR(recorded->Unwrap(provider.key, wrapped, context, {}).status());
    const HttpRequest request = recorder->last();
    const std::string url = provider.url + request.target;

    const HttpClient bare({.addresses = AddressRule::kNotMetadata});
    const auto kms = provider.make(provider.url);
    const auto through_us = [&] { return kms->Unwrap(provider.key, wrapped, context, {}).status(); };
    const auto without_us = [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const HttpResponse response, bare.Send(url, request));
      return response.status == 200 ? absl::OkStatus() : Internal(provider.cloud, " refuses the bare request: ", response.status);
    };
    const auto took = [](const std::function<absl::Status()>& call) -> absl::StatusOr<double> {
      const auto begin = steady_clock::now();
      RETURN_IF_ERROR(call());
      return std::chrono::duration<double, std::milli>(steady_clock::now() - begin).count();
    };
    std::vector<double> differences, ratios, bares;
    constexpr int kWarmUp = 20;
    for (int i = -kWarmUp; i < plan_.pairs; ++i) {
      // The order turns round with each pair, so that a drift of the machine hits both alike.
      double ours = 0, theirs = 0;
      for (const bool us : {i % 2 == 0, i % 2 != 0}) {
        ASSIGN_OR_RETURN((us ? ours : theirs), took(us ? std::function<absl::Status()>(through_us) : without_us));
      }
      if (i < 0) continue;
      differences.push_back(ours - theirs);
      ratios.push_back(ours / theirs);
      bares.push_back(theirs);
    }
    const double overhead = Median(differences);
    Print({.name = absl::StrCat(provider.cloud, ": unwrap, added to the bare exchange"),
           .value = overhead,
           .unit = "ms",
           .target = absl::StrCat("≤ ", kMostOverheadMs),
           .met = overhead <= kMostOverheadMs,
           .baseline = Median(bares),
           .ratio = Median(ratios)});
    return absl::OkStatus();
  }

  const Plan plan_;
  const std::string folder_;
  std::unique_ptr<EmulatorServer> server_;
  std::unique_ptr<EmulatorAdminClient> admin_;
  int64_t seen_ = 0;
};

}  // namespace
}  // namespace latchkey

int main(int argc, char** argv) {
  latchkey::Plan plan;
  if (argc == 2 && std::string_view(argv[1]) == "--quick") {
    plan = {.pairs = 100, .volumes = 50, .intervals = 12, .interval = absl::Milliseconds(200)};
  } else if (argc != 1) {
    std::fprintf(stderr, "usage: kms_calls [--quick]\n");
    return 2;
  }
  std::string folder = (std::filesystem::temp_directory_path() / "latchkey-bench-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return 1;
  absl::Status status = latchkey::SetUpLog({.component = "bench", .least = latchkey::LogLevel::kError});
  if (status.ok()) status = latchkey::Bench(plan, folder).Run();
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  if (!status.ok()) std::fprintf(stderr, "kms_calls: %s\n", std::string(latchkey::FromAbsl(status.message())).c_str());
  return status.ok() ? 0 : 1;
}
