// For tests of commands: a server on loopback that answers as it is told, and the program's own parser around one command line.
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/testing.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/parser.h"
#include "http/server.h"

namespace latchkey {

// Answers "METHOD target" with the responses given for it in order, the last of them for good; 404 otherwise. Thread-safe.
class ScriptedServer {
 public:
  ScriptedServer() {
    auto server = HttpServer::Start({.handler = [this](HttpRequest request, const HttpResponder& respond) { respond(Answer(request)); }});
    EXPECT_THAT(server, IsOk());
    if (server.ok()) server_ = *std::move(server);
  }
  ~ScriptedServer() {
    if (server_) server_->Stop();
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  void On(const std::string& what, const std::vector<HttpResponse>& answers) {
    const std::lock_guard lock(mutex_);
    script_[what].assign(answers.begin(), answers.end());
  }
  void On(const std::string& what, const std::string& body) { On(what, {HttpResponse::Json(200, body)}); }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_ ? server_->port() : 0); }
  std::vector<HttpRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  // How often "METHOD target" was asked.
  int Count(const std::string& what) const {
    const std::lock_guard lock(mutex_);
    int count = 0;
    for (const HttpRequest& request : requests_) count += request.method + " " + request.target == what ? 1 : 0;
    return count;
  }

 private:
  HttpResponse Answer(const HttpRequest& request) {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
    const auto found = script_.find(request.method + " " + request.target);
    if (found == script_.end() || found->second.empty()) return HttpResponse::Json(404, R"({"code":5,"message":"not found","details":[]})");
    HttpResponse answer = found->second.front();
    if (found->second.size() > 1) found->second.pop_front();
    return answer;
  }

  mutable std::mutex mutex_;
  std::map<std::string, std::deque<HttpResponse>> script_;
  std::vector<HttpRequest> requests_;
  std::unique_ptr<HttpServer> server_;
};

struct Ran {
  absl::Status status;
  std::string out, progress;  // standard output and standard error
};

// Runs `latchkey WORDS…` in this process.
inline Ran RunWords(const std::vector<std::string>& words) {
  const Command root = RootCommand();
  const ParsedCommand parsed = ParseCommandLine(root, words);
  if (parsed.command == nullptr || !parsed.command->run) return {.status = absl::InvalidArgumentError(parsed.problem), .out = parsed.text};
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Ran ran{.status = parsed.command->run()};
  ran.progress = testing::internal::GetCapturedStderr();
  ran.out = testing::internal::GetCapturedStdout();
  return ran;
}

inline Ran RunAgainst(const ScriptedServer& server, std::vector<std::string> words) {
  words.insert(words.end(), {"--server", server.url(), "--api-key", "LKEY1_test"});
  return RunWords(words);
}

}  // namespace latchkey
