#include "emulator/serve.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "base/status.h"
#include "http/server.h"

namespace latchkey {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// Sends answers when their time has come.
class DelayedAnswers {
 public:
  DelayedAnswers() : thread_([this] { Run(); }) {}
  ~DelayedAnswers() { Stop(); }

  void Add(absl::Duration delay, HttpResponder respond, HttpResponse response) {
    {
      std::lock_guard lock(mutex_);
      if (!stopped_) {
        waiting_.emplace(std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(delay),
                         Item{std::move(respond), std::move(response)});
        changed_.notify_one();
        return;
      }
    }
    respond({.status = 0});
  }

  void Stop() {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
      changed_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
    for (auto& [when, item] : waiting_) item.respond({.status = 0});
    waiting_.clear();
  }

 private:
  struct Item {
    HttpResponder respond;
    HttpResponse response;
  };

  void Run() {
    std::unique_lock lock(mutex_);
    while (!stopped_) {
      if (waiting_.empty()) {
        changed_.wait(lock);
      } else if (const SteadyTime first = waiting_.begin()->first; first > std::chrono::steady_clock::now()) {
        changed_.wait_until(lock, first);
      } else {
        Item item = std::move(waiting_.begin()->second);
        waiting_.erase(waiting_.begin());
        lock.unlock();
        item.respond(std::move(item.response));
        lock.lock();
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<SteadyTime, Item> waiting_;
  bool stopped_ = false;
  std::thread thread_;
};

// What may be repeated of a Host header in an address.
bool IsHost(std::string_view text) {
  return !text.empty() && text.size() <= 255 &&
         text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[]") == std::string_view::npos;
}

class Server : public EmulatorServer {
 public:
  explicit Server(std::unique_ptr<Emulator> emulator) : emulator_(std::move(emulator)) {}
  ~Server() override { Stop(); }

  absl::Status Listen(const EmulatorServerOptions& options) {
    const std::vector<std::string> clouds = emulator_->CloudNames();
    for (const auto& [name, port] : options.ports) {
      if (std::find(clouds.begin(), clouds.end(), name) == clouds.end()) return InvalidArgument("ports: there is no cloud ", name);
    }
    RETURN_IF_ERROR(Open(options, "", {.address = options.address, .port = options.port}));
    for (const std::string& cloud : clouds) {
      const auto wanted = options.ports.find(cloud);
      RETURN_IF_ERROR(Open(options, cloud, wanted != options.ports.end() ? wanted->second : EmulatorPort{.address = options.address}));
    }
    return absl::OkStatus();
  }

  uint16_t port() const override { return doors_.at("").http->port(); }
  std::string url() const override { return doors_.at("").url; }
  std::string url(std::string_view cloud) const override {
    const auto found = doors_.find(cloud);
    return found == doors_.end() ? "" : found->second.url;
  }
  Emulator& emulator() override { return *emulator_; }
  void Stop() override {
    delayed_.Stop();
    for (auto& [cloud, door] : doors_) door.http->Stop();
  }

 private:
  struct Door {
    std::unique_ptr<HttpServer> http;
    std::string url;
  };

  absl::Status Open(const EmulatorServerOptions& options, const std::string& cloud, const EmulatorPort& port) {
    const bool v6 = port.address.find(':') != std::string::npos;
    const std::string scheme = options.certificate_pem.empty() ? "http://" : "https://";
    HttpServerOptions http;
    http.address = port.address;
    http.port = port.port;
    http.handler_threads = options.handler_threads;
    http.certificate_pem = options.certificate_pem;
    http.private_key_pem = options.private_key_pem;
    http.handler = [this, cloud, scheme](HttpRequest request, HttpResponder respond) {
      // Addresses in answers lead back the way that the caller came.
      const std::string host = request.Header("host");
      EmulatorAnswer answer = emulator_->Answer(request, cloud, IsHost(host) ? scheme + host : "");
      if (answer.delay > absl::ZeroDuration()) {
        delayed_.Add(answer.delay, std::move(respond), std::move(answer.response));
      } else {
        respond(std::move(answer.response));
      }
    };
    absl::StatusOr<std::unique_ptr<HttpServer>> started = HttpServer::Start(http);
    if (!started.ok() && port.or_any && port.port != 0) {
      http.port = 0;
      started = HttpServer::Start(http);
    }
    if (!started.ok()) return cloud.empty() ? started.status() : Prefixed(started.status(), cloud);
    const std::string url = absl::StrCat(scheme, v6 ? "[" : "", port.address, v6 ? "]" : "", ":", (*started)->port());
    emulator_->SetBaseUrl(cloud, url);
    doors_.emplace(cloud, Door{*std::move(started), url});
    return absl::OkStatus();
  }

  std::unique_ptr<Emulator> emulator_;
  DelayedAnswers delayed_;
  std::map<std::string, Door, std::less<>> doors_;  // by cloud, AWS under ""
};

}  // namespace

absl::StatusOr<std::unique_ptr<EmulatorServer>> EmulatorServer::Start(EmulatorServerOptions options, std::unique_ptr<Emulator> emulator) {
  auto server = std::make_unique<Server>(std::move(emulator));
  RETURN_IF_ERROR(server->Listen(options));
  return server;
}

}  // namespace latchkey
