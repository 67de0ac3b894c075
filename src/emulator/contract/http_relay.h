// Stands between a provider and its emulated service, remembers what was sent, and has the vices that the emulator does not have. For
// tests.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/testing.h"
#include "http/client.h"
#include "http/server.h"

namespace latchkey {

// Thread-safe.
class HttpRelay {
 public:
  using Instead = std::function<std::optional<HttpResponse>(const HttpRequest&)>;
  using Rewriter = std::function<void(HttpResponse&)>;

  explicit HttpRelay(std::string upstream) : upstream_(std::move(upstream)), client_({.total_timeout = absl::Seconds(60)}) {
    auto server = HttpServer::Start({.handler =
                                         [this](HttpRequest request, HttpResponder respond) {
                                           if (Park(request, respond)) return;
                                           respond(Answer(std::move(request)));
                                         },
                                     .handler_threads = 8});
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
  }
  ~HttpRelay() { Stop(); }
  // Waits for the answers under way. Idempotent.
  void Stop() {
    KeepSilent(false);
    server_->Stop();
  }
  HttpRelay(const HttpRelay&) = delete;
  HttpRelay& operator=(const HttpRelay&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }

  // What answers instead of the service, where it gives anything; and what is done to the service's own answers. Null: nothing.
  void AnswerInstead(Instead instead) {
    const std::lock_guard lock(mutex_);
    instead_ = std::move(instead);
  }
  void Rewrite(Rewriter rewriter) {
    const std::lock_guard lock(mutex_);
    rewriter_ = std::move(rewriter);
  }
  // Requests get no answer, but their connections stay; at the end of it they are closed.
  void KeepSilent(bool on) {
    std::vector<HttpResponder> parked;
    {
      const std::lock_guard lock(mutex_);
      silent_ = on;
      if (!on) parked.swap(parked_);
    }
    for (const HttpResponder& respond : parked) respond({.status = 0});
  }
  std::vector<HttpRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  bool Park(const HttpRequest& request, const HttpResponder& respond) {
    const std::lock_guard lock(mutex_);
    if (!silent_) return false;
    requests_.push_back(request);
    parked_.push_back(respond);
    return true;
  }

  HttpResponse Answer(HttpRequest request) {
    Instead instead;
    Rewriter rewriter;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
      instead = instead_;
      rewriter = rewriter_;
    }
    if (instead) {
      if (std::optional<HttpResponse> response = instead(request)) return *std::move(response);
    }
    // Those of one connection; the Host header goes on as it is, because it is signed and names vaults.
    for (const char* name : {"connection", "content-length", "transfer-encoding"}) request.headers.erase(name);
    absl::StatusOr<HttpResponse> response = client_.Send(upstream_ + request.target, request);
    if (!response.ok()) return {.status = 0};
    for (const char* name : {"connection", "content-length", "transfer-encoding"}) response->headers.erase(name);
    if (rewriter) rewriter(*response);
    return *std::move(response);
  }

  const std::string upstream_;
  const HttpClient client_;
  mutable std::mutex mutex_;
  Instead instead_;
  Rewriter rewriter_;
  bool silent_ = false;
  std::vector<HttpRequest> requests_;
  std::vector<HttpResponder> parked_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace latchkey
