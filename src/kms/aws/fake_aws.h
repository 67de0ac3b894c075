// A server in the test's own process that answers like AWS KMS and STS: rightly by default, or with what a test has queued for an
// operation.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/encoding.h"
#include "base/json.h"
#include "base/testing.h"
#include "http/server.h"
#include "kms/kms.h"

namespace latchkey {

inline constexpr char kTestKeyArn[] = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
inline constexpr char kTestRoleArn[] = "arn:aws:iam::111122223333:role/latchkey/owner";

inline HttpResponse AwsJson(int status, std::string body) {
  return {.status = status, .headers = {{"content-type", "application/x-amz-json-1.1"}}, .body = std::move(body)};
}
inline HttpResponse AwsJsonError(const std::string& type, const std::string& message) {
  json::object body = {{"__type", type}};
  if (!message.empty()) body["message"] = message;
  return AwsJson(400, json::serialize(body));
}
inline HttpResponse StsError(int status, const std::string& code, const std::string& message) {
  return {.status = status,
          .headers = {{"content-type", "text/xml"}},
          .body = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    <Type>Sender</Type>\n    <Code>" +
                  code + "</Code>\n    <Message>" + message + "</Message>\n  </Error>\n  <RequestId>r-1</RequestId>\n</ErrorResponse>\n"};
}

class FakeAws {
 public:
  using Answer = std::function<void(const HttpRequest&, const HttpResponder&)>;

  FakeAws() {
    auto server = HttpServer::Start({.handler = [this](HttpRequest request, HttpResponder respond) { Handle(request, respond); }});
    EXPECT_THAT(server, IsOk());
    server_ = std::move(server).value();
  }
  ~FakeAws() { server_->Stop(); }

  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }

  // The next request for `operation` gets this; later ones what was queued after it, then the right answer again.
  void Next(const std::string& operation, HttpResponse response) {
    NextBy(operation, [response = std::move(response)](const HttpRequest&, const HttpResponder& respond) { respond(response); });
  }
  void NextBy(const std::string& operation, Answer answer) {
    const std::lock_guard lock(mutex_);
    queued_[operation].push_back(std::move(answer));
  }
  // Every request for it, until told otherwise with nullptr.
  void Always(const std::string& operation, Answer answer) {
    const std::lock_guard lock(mutex_);
    standing_[operation] = std::move(answer);
  }
  void AlwaysAnswer(const std::string& operation, HttpResponse response) {
    Always(operation, [response = std::move(response)](const HttpRequest&, const HttpResponder& respond) { respond(response); });
  }
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
  void SetKeyState(const std::string& state) {
    const std::lock_guard lock(mutex_);
    key_state_ = state;
  }

 private:
  void Handle(const HttpRequest& request, const HttpResponder& respond) {
    std::string operation = request.Header("x-amz-target");
    if (operation.starts_with("TrentService.")) {
      operation.erase(0, 13);
    } else {
      for (const auto& [name, value] : ParseForm(request.body).value_or(std::vector<std::pair<std::string, std::string>>())) {
        if (name == "Action") operation = value;
      }
    }
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
    respond(operation.starts_with("Assume") ? Credentials(operation) : Kms(operation, request.body));
  }

  HttpResponse Credentials(const std::string& operation) {
    const std::lock_guard lock(mutex_);
    return {.status = 200,
            .headers = {{"content-type", "text/xml"}},
            .body = "<" + operation + "Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n<" + operation +
                    "Result>\n<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/x/latchkey</Arn></AssumedRoleUser>\n<Credentials>"
                    "<AccessKeyId>ASIA" +
                    std::to_string(++issued_) +
                    "</AccessKeyId><SecretAccessKey>role/secret+</SecretAccessKey><SessionToken>role&#x2F;token==</SessionToken>"
                    "<Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>\n</" +
                    operation + "Result>\n<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></" + operation + "Response>\n"};
  }

  // Ciphertext is the request's plaintext and context, in base64: enough to give the one back only with the other.
  HttpResponse Kms(const std::string& operation, const std::string& body) {
    const auto request = ParseJsonObject(body);
    if (!request.ok()) return AwsJsonError("SerializationException", "");
    const std::string key = request->at("KeyId").as_string().c_str();
    if (operation == "DescribeKey") {
      const std::lock_guard lock(mutex_);
      json::object metadata = {{"AWSAccountId", "111122223333"},
                               {"KeyId", "x"},
                               {"Arn", key},
                               {"CreationDate", 1.646160362664E9},
                               {"Enabled", key_state_ == "Enabled"},
                               {"KeyState", key_state_},
                               {"KeyUsage", "ENCRYPT_DECRYPT"},
                               {"KeySpec", "SYMMETRIC_DEFAULT"},
                               {"CurrentKeyMaterialId", "m-1"}};
      if (key_state_ == "PendingDeletion") metadata["DeletionDate"] = 1.7000000005E9;
      return AwsJson(200, json::serialize(json::object{{"KeyMetadata", metadata}}));
    }
    const std::string context = json::serialize(request->at("EncryptionContext"));
    if (operation == "Encrypt") {
      const std::string blob = context + "|" + request->at("Plaintext").as_string().c_str();
      return AwsJson(200, json::serialize(json::object{{"CiphertextBlob", Base64Encode(AsBytes(blob))}, {"KeyId", key}}));
    }
    const auto bytes = Base64Decode(request->at("CiphertextBlob").as_string().c_str());
    const std::string blob(bytes.ok() ? AsText(*bytes) : "");
    if (!blob.starts_with(context + "|")) return AwsJsonError("InvalidCiphertextException", "");
    return AwsJson(200,
                   json::serialize(json::object{{"Plaintext", blob.substr(context.size() + 1)}, {"KeyId", key}, {"KeyMaterialId", "m-1"}}));
  }

  mutable std::mutex mutex_;
  std::map<std::string, std::deque<Answer>> queued_;
  std::map<std::string, Answer> standing_;
  std::vector<std::pair<std::string, HttpRequest>> log_;
  std::string key_state_ = "Enabled";
  int issued_ = 0;
  std::unique_ptr<HttpServer> server_;  // last: it stops before the rest goes
};

}  // namespace latchkey
