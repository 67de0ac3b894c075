#include "emulator/emulator.h"

#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "emulator/admin_api.h"
#include "emulator/arn.h"
#include "emulator/aws_service.h"

namespace latchkey {
namespace {

using emulator::Cloud;
using emulator::CloudCall;
using emulator::CloudService;
using emulator::Fault;
using emulator::OperationName;

// Numbers of calls are handed out in blocks, so that a restart goes on above all that were given.
constexpr int64_t kCallBlock = 1'000'000;

// Some bytes of the body's middle, so that neither JSON nor XML nor base64 survives.
void Corrupt(std::string& body) {
  const size_t from = body.size() / 3;
  for (size_t i = from; i < body.size() && i < from + 16; ++i) body[i] = '\x7f';
}

}  // namespace

Emulator::Emulator(EmulatorOptions options, UniqueFd lock, emulator::World world)
    : options_(std::move(options)),
      lock_(std::move(lock)),
      world_(std::move(world)),
      aws_(emulator::NewAwsService(world_, *options_.random)),
      clouds_(emulator::NewClouds()),
      calls_(world_.calls_reserved + 1) {
  world_.calls_reserved += kCallBlock;
}

absl::StatusOr<std::unique_ptr<Emulator>> Emulator::Create(EmulatorOptions options) {
  UniqueFd lock;
  emulator::World world;
  json::object document;
  const std::string file = options.state_file;
  if (!file.empty()) {
    ASSIGN_OR_RETURN(lock, LockFile(file + ".lock"));
  }
  if (!file.empty() && PathExists(file)) {
    ASSIGN_OR_RETURN(std::string text, ReadFile(file));
    absl::StatusOr<json::object> parsed = ParseJsonObject(text);
    Wipe(text);
    if (!parsed.ok()) return Prefixed(parsed.status(), file);
    document = *std::move(parsed);
    absl::StatusOr<emulator::World> read = emulator::World::FromJson(document);
    if (!read.ok()) return Prefixed(read.status(), file);
    world = *std::move(read);
  } else {
    world.session_key = options.random->Secret(32);
  }
  auto self = std::unique_ptr<Emulator>(new Emulator(std::move(options), std::move(lock), std::move(world)));
  JsonReader reader(document, file);
  for (const std::unique_ptr<Cloud>& cloud : self->clouds_) {
    const json::object* state = reader.OptionalObject(cloud->name());
    RETURN_IF_ERROR(reader.status());
    if (state == nullptr) continue;
    if (const absl::Status restored = cloud->Restore(*state); !restored.ok()) {
      return Prefixed(restored, absl::StrCat(file, ": ", ToAbsl(cloud->name())));
    }
  }
  RETURN_IF_ERROR(self->Save());
  return self;
}

json::object Emulator::Document() const {
  json::object document = world_.ToJson();
  for (const std::unique_ptr<Cloud>& cloud : clouds_) document[cloud->name()] = cloud->ToJson();
  return document;
}

absl::Status Emulator::Save() {
  if (options_.state_file.empty()) return absl::OkStatus();
  std::string text = json::serialize(Document());
  absl::Status written = WriteFileAtomically(options_.state_file, text, 0600);
  Wipe(text);
  if (!written.ok()) Log(LogLevel::kError, "the emulator's state could not be written", {{"reason", std::string(written.message())}});
  return written;
}

Cloud* Emulator::FindCloud(std::string_view name) {
  for (const std::unique_ptr<Cloud>& cloud : clouds_) {
    if (cloud->name() == name) return cloud.get();
  }
  return nullptr;
}

std::vector<std::string> Emulator::CloudNames() const {
  std::vector<std::string> names;
  for (const std::unique_ptr<Cloud>& cloud : clouds_) names.emplace_back(cloud->name());
  return names;
}

void Emulator::SetBaseUrl(const std::string& cloud, std::string url) {
  std::lock_guard lock(mutex_);
  base_urls_[cloud] = std::move(url);
}

absl::StatusOr<json::object> Emulator::SeedCloud(std::string_view name, json::object wanted) {
  std::lock_guard lock(mutex_);
  Cloud* cloud = FindCloud(name);
  if (cloud == nullptr) return NotFound("cloud: there is no cloud ", emulator::Quotable(name));
  ASSIGN_OR_RETURN(json::object answer, SeedLocked(*cloud, std::move(wanted)));
  RETURN_IF_ERROR(Save());
  return answer;
}

absl::StatusOr<json::object> Emulator::SeedLocked(Cloud& cloud, json::object wanted) {
  const auto served = base_urls_.find(cloud.name());
  if (!wanted.contains("base_url") && served != base_urls_.end()) wanted["base_url"] = served->second;
  return cloud.Seed(wanted, Now(), *options_.random);
}

bool Emulator::SettleClouds() {
  bool changed = world_.Settle(Now(), *options_.random);
  for (const std::unique_ptr<Cloud>& cloud : clouds_) changed |= cloud->Settle(Now(), *options_.random);
  return changed;
}

bool Emulator::Settle() {
  bool changed = false;
  while (std::optional<emulator::PendingChange> due = world_.TakeDue(Now())) {
    // As if somebody had called at that moment, however much later the next request comes.
    at_ = due->due;
    SettleClouds();
    if (const auto done = EmulatorAdmin(*this).Change(due->path, due->body); !done.ok()) {
      Log(LogLevel::kWarning, "a change that was ordered for now is refused",
          {{"path", due->path}, {"reason", std::string(done.status().message())}});
    }
    at_.reset();
    changed = true;
  }
  return SettleClouds() || changed;
}

EmulatorAnswer Emulator::Answer(const HttpRequest& request, std::string_view cloud_name, const std::string& base_url) {
  std::lock_guard lock(mutex_);
  if (Settle()) Save().IgnoreError();
  EmulatorAnswer answer;
  Cloud* cloud = FindCloud(cloud_name);
  if (request.path.compare(0, 8, "/_admin/") == 0) {
    answer.response = EmulatorAdmin(*this).Handle(request);
  } else if (cloud != nullptr) {
    answer = Serve(*cloud, cloud->name(), request, base_url);
  } else {
    answer = Serve(*aws_, emulator::kAws, request, base_url);
  }
  if (answer.response.status != 0) {
    answer.response.headers["date"] = absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", options_.clock->Now(), absl::UTCTimeZone());
  }
  return answer;
}

EmulatorAnswer Emulator::Serve(CloudService& service, std::string_view cloud, const HttpRequest& request, const std::string& base_url) {
  const OperationName name = service.NameOf(request);
  CloudCall call{.request = request,
                 .name = name,
                 .now = Now(),
                 .wall = options_.clock->Now(),
                 .random = *options_.random,
                 .base_url = base_url,
                 .record = {}};
  EmulatorAnswer answer;
  HttpResponse& response = answer.response;
  std::string fault_action;
  const auto finish = [&](std::string result = "") {
    call.record.time = call.now;
    call.record.cloud = cloud;
    call.record.service = name.service;
    call.record.operation = emulator::Quotable(name.operation, 64);
    call.record.status = response.status;
    call.record.fault = fault_action;
    if (!result.empty()) call.record.result = std::move(result);
    if (call.record.result.empty()) call.record.result = "ok";
    calls_.Add(std::move(call.record));
    return std::move(answer);
  };
  const auto drop = [&] {
    response.status = 0;
    return finish("dropped");
  };

  if (world_.outages.contains(cloud)) {
    fault_action = "outage";
    return drop();
  }
  bool faults_changed = false;
  const std::optional<Fault> fault = world_.faults[std::string(cloud)].Next(name.operation, &faults_changed);
  if (faults_changed) Save().IgnoreError();
  if (fault) {
    fault_action = fault->action;
    answer.delay = absl::Milliseconds(fault->delay_ms);
    if (fault->action == "drop") return drop();
    if (fault->action == "throttle") {
      response = service.Throttled(name);
      return finish("throttled");
    }
    if (fault->action == "error") {
      response = service.OrderedError(name, *fault);
      return finish(fault->type.empty() ? "error" : fault->type);
    }
  }

  response = service.Answer(call);
  if (call.changed && !Save().ok()) {
    response = service.OrderedError(name, {.status = 500, .type = "", .message = "The emulator could not write its state."});
    return finish("unsaved");
  }
  if (fault && response.status >= 200 && response.status < 300) {
    if (fault->action == "truncate") response.body.resize(response.body.size() / 2);
    if (fault->action == "corrupt") Corrupt(response.body);
    if (fault->action == "other-bytes") service.ReplacePlaintext(name, response, *options_.random);
  }
  return finish();
}

}  // namespace latchkey
