#include "emulator/serve.h"

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

class Server : public EmulatorServer {
 public:
  explicit Server(std::unique_ptr<Emulator> emulator) : emulator_(std::move(emulator)) {}
  ~Server() override { Stop(); }

  absl::Status Listen(const EmulatorServerOptions& options) {
    const bool v6 = options.address.find(':') != std::string::npos;
    prefix_ = absl::StrCat(options.certificate_pem.empty() ? "http://" : "https://", v6 ? "[" : "", options.address, v6 ? "]" : "");
    HttpServerOptions http;
    http.address = options.address;
    http.port = options.port;
    http.handler_threads = options.handler_threads;
    http.certificate_pem = options.certificate_pem;
    http.private_key_pem = options.private_key_pem;
    http.handler = [this](HttpRequest request, HttpResponder respond) {
      EmulatorAnswer answer = emulator_->Answer(request);
      if (answer.delay > absl::ZeroDuration()) {
        delayed_.Add(answer.delay, std::move(respond), std::move(answer.response));
      } else {
        respond(std::move(answer.response));
      }
    };
    ASSIGN_OR_RETURN(http_, HttpServer::Start(std::move(http)));
    return absl::OkStatus();
  }

  uint16_t port() const override { return http_->port(); }
  std::string url() const override { return absl::StrCat(prefix_, ":", port()); }
  Emulator& emulator() override { return *emulator_; }
  void Stop() override {
    delayed_.Stop();
    if (http_ != nullptr) http_->Stop();
  }

 private:
  std::unique_ptr<Emulator> emulator_;
  DelayedAnswers delayed_;
  std::string prefix_;
  std::unique_ptr<HttpServer> http_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<EmulatorServer>> EmulatorServer::Start(EmulatorServerOptions options, std::unique_ptr<Emulator> emulator) {
  auto server = std::make_unique<Server>(std::move(emulator));
  RETURN_IF_ERROR(server->Listen(options));
  return server;
}

}  // namespace latchkey
