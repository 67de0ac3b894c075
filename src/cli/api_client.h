// The public API as the command line uses it.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "base/json.h"
#include "cli/options.h"
#include "http/client.h"

namespace latchkey {

class ApiClient {
 public:
  // InvalidArgument when no API key is given or a file cannot be read.
  static absl::StatusOr<ApiClient> Create(const ApiOptions& options);

  // A 2xx answer's JSON object. Other answers become a status with the server's message: 400, 413 and 422 InvalidArgument, 401
  // Unauthenticated, 403 PermissionDenied, 404 NotFound, 409 Aborted, 429 ResourceExhausted, 501 Unimplemented, 503 Unavailable, else
  // Internal.
  absl::StatusOr<json::object> Get(const std::string& path) const;
  absl::StatusOr<json::object> Send(const std::string& method, const std::string& path, const json::value& body) const;
  // A cluster named by id or by name.
  absl::StatusOr<json::object> FindCluster(const std::string& id_or_name) const;

 private:
  ApiClient(ApiOptions options, HttpClientOptions http)
      : options_(std::move(options)), http_(std::make_shared<HttpClient>(std::move(http))) {}
  absl::StatusOr<json::object> Exchange(const std::string& path, HttpRequest request) const;
  ApiOptions options_;
  std::shared_ptr<HttpClient> http_;
};

// Fields of answers, which a command prints: the text of a scalar, "" when absent or null.
std::string TextOf(const json::object& object, std::string_view name);
const json::object* ObjectOf(const json::object& object, std::string_view name);
const json::array& ArrayOf(const json::object& object, std::string_view name);

}  // namespace latchkey
