// A server in the test's own process that stands in for a service: rightly by default, or with what a test has queued for an operation.
// Providers derive from it and say what an operation is and what the right answer would be.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/testing.h"
#include "http/server.h"

namespace latchkey {

class FakeService {
 public:
  using Answer = std::function<void(const HttpRequest&, const HttpResponder&)>;

  FakeService() = default;
  virtual ~FakeService() = default;
  FakeService(const FakeService&) = delete;
  FakeService& operator=(const FakeService&) = delete;

  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }

  // The next request for `operation` gets this; later ones what was queued after it, then the right answer again.
  void Next(const std::string& operation, HttpResponse response) { NextBy(operation, Answering(std::move(response))); }
  void NextBy(const std::string& operation, Answer answer) {
    const std::lock_guard lock(mutex_);
    queued_[operation].push_back(std::move(answer));
  }
  // Every request for it, until told otherwise with nullptr.
  void Always(const std::string& operation, Answer answer) {
    const std::lock_guard lock(mutex_);
    standing_[operation] = std::move(answer);
  }
  void AlwaysAnswer(const std::string& operation, HttpResponse response) { Always(operation, Answering(std::move(response))); }

  int calls(const std::string& operation) const {
    const std::lock_guard lock(mutex_);
    int n = 0;
    for (const auto& [name, request] : log_) n += name == operation ? 1 : 0;
    return n;
  }
  // The last request for it.
  HttpRequest last(const std::string& operation) const {
    const std::lock_guard lock(mutex_);
    HttpRequest found;
    for (const auto& [name, request] : log_) {
      if (name == operation) found = request;
    }
    return found;
  }

 protected:
  // For the constructor and the destructor of the class that derives: requests come only while its members are there.
  void Start() {
    auto server = HttpServer::Start({.handler = [this](HttpRequest request, HttpResponder respond) { Handle(request, respond); }});
    EXPECT_THAT(server, IsOk());
    server_ = std::move(server).value();
  }
  void Stop() { server_->Stop(); }

  virtual std::string OperationOf(const HttpRequest& request) const = 0;
  // Called without the lock.
  virtual HttpResponse Right(const std::string& operation, const HttpRequest& request) = 0;

  mutable std::mutex mutex_;

 private:
  static Answer Answering(HttpResponse response) {
    return [response = std::move(response)](const HttpRequest&, const HttpResponder& respond) { respond(response); };
  }

  void Handle(const HttpRequest& request, const HttpResponder& respond) {
    const std::string operation = OperationOf(request);
    Answer answer;
    {
      const std::lock_guard lock(mutex_);
      log_.emplace_back(operation, request);
      if (auto& queue = queued_[operation]; !queue.empty()) {
        answer = std::move(queue.front());
        queue.pop_front();
      } else if (standing_[operation]) {
        answer = standing_[operation];
      }
    }
    if (answer) return answer(request, respond);
    respond(Right(operation, request));
  }

  std::map<std::string, std::deque<Answer>> queued_;
  std::map<std::string, Answer> standing_;
  std::vector<std::pair<std::string, HttpRequest>> log_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace latchkey
