#include "agent/syncer.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/backoff.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"

namespace latchkey {
namespace {

constexpr char kVersion[] = "0.1.0";

class ThreadedSyncer : public Syncer {
 public:
  explicit ThreadedSyncer(SyncerOptions options)
      : options_(std::move(options)), boot_id_(NewUuid(*options_.random)), identity_(options_.identity) {
    if (identity_) client_ = std::make_shared<HttpClient>(ClientOptionsFor(*identity_));
    poller_ = std::thread([this] { Poll(); });
    reporter_ = std::thread([this] { Report(); });
  }
  ~ThreadedSyncer() override { Stop(); }

  void Notify() override {
    {
      const std::lock_guard lock(mutex_);
      changed_ = true;
    }
    wake_.notify_all();
  }

  std::optional<absl::Duration> last_answer() const override {
    const std::lock_guard lock(mutex_);
    return last_answer_;
  }
  uint64_t failures() const override {
    const std::lock_guard lock(mutex_);
    return failures_;
  }

  void Stop() override {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      stopping_ = true;
      if (client_) client_->Cancel();
    }
    wake_.notify_all();
    poller_.join();
    reporter_.join();
  }

 private:
  bool stopping() const {
    const std::lock_guard lock(mutex_);
    return stopping_;
  }
  void Pause(absl::Duration duration) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, absl::ToChronoNanoseconds(duration), [this] { return stopping_; });
  }
  std::shared_ptr<HttpClient> client() const {
    const std::lock_guard lock(mutex_);
    return client_;
  }

  void Poll() {
    Backoff backoff(options_.retry_base, options_.retry_most, *options_.random);
    while (!stopping()) {
      if (const absl::Status ready = EnsureIdentity(); !ready.ok()) {
        Failed("join", ready);
        Pause(backoff.Next());
        continue;
      }
      const absl::Status done = Exchange(kMaxSyncWaitMs);
      if (done.ok()) {
        backoff.Reset();
      } else if (!stopping()) {
        Failed("sync", done);
        Pause(backoff.Next());
      }
    }
  }

  void Report() {
    Backoff backoff(options_.retry_base, options_.retry_most, *options_.random);
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return stopping_ || (changed_ && client_); });
        if (stopping_) return;
        changed_ = false;
      }
      if (const absl::Status done = Exchange(0); done.ok()) {
        backoff.Reset();
      } else {
        Notify();  // not told yet
        Pause(backoff.Next());
      }
    }
  }

  // Joined, and with a certificate that will last.
  absl::Status EnsureIdentity() {
    if (!identity_) {
      ASSIGN_OR_RETURN(identity_, Join(options_.config, options_.hostname));
      Log(LogLevel::kInfo, "joined", {{"agent", identity_->agent_id}});
      UseIdentity();
      return absl::OkStatus();
    }
    const absl::Duration now = options_.clock->BootTime();
    if (!RenewalIsDue(*identity_, options_.clock->Now()) || now < next_renewal_) return absl::OkStatus();
    next_renewal_ = now + absl::Hours(1);
    auto renewed = Renew(options_.config, *identity_);
    if (renewed.ok()) {
      identity_ = *std::move(renewed);
      UseIdentity();
    } else {
      // A third of its life is left: no reason to stop syncing.
      Failed("renew", renewed.status());
    }
    return absl::OkStatus();
  }

  void UseIdentity() {
    {
      const std::lock_guard lock(mutex_);
      client_ = std::make_shared<HttpClient>(ClientOptionsFor(*identity_));
    }
    wake_.notify_all();
  }

  absl::Status Exchange(int64_t wait_ms) {
    SyncRequest request;
    const std::shared_ptr<HttpClient> http = client();
    {
      // Observing and numbering go together, so that a higher number never carries an older sight.
      const std::lock_guard lock(observe_mutex_);
      request.boot_id = boot_id_;
      request.sequence = ++sequence_;
      request.seen_version = seen_version_;
      request.wait_ms = wait_ms;
      request.hostname = options_.hostname;
      request.advertise_host = options_.config.advertise_host;
      request.region = options_.config.region;
      request.agent_version = kVersion;
      options_.observe(request);
    }
    HttpRequest post{.method = "POST"};
    post.headers["content-type"] = "application/json";
    post.body = json::serialize(request.ToJson());
    ASSIGN_OR_RETURN(const HttpResponse response,
                     http->Send(options_.config.server + std::string(kSyncPath), post, absl::Milliseconds(wait_ms) + absl::Seconds(10)));
    if (response.status != 200) return Unavailable("the server answered ", response.status);
    ASSIGN_OR_RETURN(const json::object object, ParseJsonObject(response.body));
    ASSIGN_OR_RETURN(const SyncResponse answer, SyncResponse::FromJson(object));
    Take(request, answer);
    return absl::OkStatus();
  }

  void Take(const SyncRequest& request, const SyncResponse& answer) {
    const std::lock_guard applying(apply_mutex_);
    {
      const std::lock_guard lock(mutex_);
      last_answer_ = options_.clock->BootTime();
    }
    {
      const std::lock_guard lock(observe_mutex_);
      // Lower than what was seen when the question was asked: the server has an older store now. Lower than what was seen since: overtaken
      // by the other connection.
      if (answer.version < request.seen_version) {
        Log(LogLevel::kWarning, "the server's version went back; was it restored from an old copy?",
            {{"seen", request.seen_version}, {"now", answer.version}});
      } else if (answer.version < seen_version_) {
        return;
      }
      seen_version_ = answer.version;
    }
    options_.apply(request, answer);
  }

  void Failed(std::string_view what, const absl::Status& status) {
    {
      const std::lock_guard lock(mutex_);
      ++failures_;
    }
    Log(LogLevel::kWarning, "the server cannot be talked to", {{"during", what}, {"error", std::string(FromAbsl(status.message()))}});
  }

  const SyncerOptions options_;
  const std::string boot_id_;
  std::optional<Identity> identity_;  // the poller's own
  absl::Duration next_renewal_;

  std::mutex observe_mutex_;
  int64_t sequence_ = 0, seen_version_ = 0;
  std::mutex apply_mutex_;  // taken before observe_mutex_

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::shared_ptr<HttpClient> client_;
  std::optional<absl::Duration> last_answer_;
  uint64_t failures_ = 0;
  bool changed_ = false, stopping_ = false;
  std::thread poller_, reporter_;
};

}  // namespace

std::unique_ptr<Syncer> Syncer::Start(SyncerOptions options) { return std::make_unique<ThreadedSyncer>(std::move(options)); }

}  // namespace latchkey
