#include "cli/api_client.h"

#include "base/file.h"
#include "base/status.h"

namespace latchkey {
namespace {

absl::StatusCode CodeFor(int http_status) {
  switch (http_status) {
    case 400:
    case 413:
    case 422:
      return absl::StatusCode::kInvalidArgument;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 409:
      return absl::StatusCode::kAborted;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    case 501:
      return absl::StatusCode::kUnimplemented;
    case 503:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

bool LooksLikeUuid(std::string_view s) { return s.size() == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-'; }

}  // namespace

absl::StatusOr<ApiClient> ApiClient::Create(const ApiOptions& options) {
  if (options.api_key.empty()) return absl::UnauthenticatedError("no API key: set LATCHKEY_API_KEY (or --api-key)");
  ApiOptions copy = options;
  while (copy.server.ends_with('/')) copy.server.pop_back();
  // A key test by an agent may take 20 s, so the answer to a change may too.
  HttpClientOptions http{.total_timeout = absl::Seconds(40), .user_agent = "latchkey-cli/0.1"};
  if (!options.ca_file.empty()) {
    ASSIGN_OR_RETURN(http.ca_pem, ReadFile(options.ca_file, 1 << 20));
  }
  return ApiClient(std::move(copy), std::move(http));
}

absl::StatusOr<json::object> ApiClient::Exchange(const std::string& path, HttpRequest request) const {
  request.headers["authorization"] = "Bearer " + options_.api_key;
  request.headers["accept"] = "application/json";
  auto answer = http_->Send(options_.server + path, request);
  if (!answer.ok()) return Prefixed(answer.status(), options_.server);
  if (answer->status < 200 || answer->status > 299) {
    const auto body = ParseJsonObject(answer->body);
    const std::string message = body.ok() ? TextOf(*body, "message") : absl::StrCat("HTTP status ", answer->status);
    return absl::Status(CodeFor(answer->status), message);
  }
  if (answer->body.empty()) return json::object{};
  return ParseJsonObject(answer->body);
}

absl::StatusOr<json::object> ApiClient::Get(const std::string& path) const { return Exchange(path, HttpRequest{.method = "GET"}); }

absl::StatusOr<json::object> ApiClient::Send(const std::string& method, const std::string& path, const json::value& body) const {
  HttpRequest request{.method = method};
  if (!body.is_null()) {
    request.headers["content-type"] = "application/json";
    request.body = json::serialize(body);
  }
  return Exchange(path, std::move(request));
}

absl::StatusOr<json::object> ApiClient::FindCluster(const std::string& id_or_name) const {
  if (LooksLikeUuid(id_or_name)) return Get("/api/v1/clusters/" + id_or_name);
  std::string page;
  do {
    ASSIGN_OR_RETURN(const json::object list,
                     Get("/api/v1/clusters?pagination.limit=500" + (page.empty() ? "" : "&pagination.page=" + PercentEncode(page))));
    for (const json::value& v : ArrayOf(list, "clusters")) {
      if (v.is_object() && TextOf(v.get_object(), "name") == id_or_name) return v.get_object();
    }
    const json::object* pagination = ObjectOf(list, "pagination");
    page = pagination == nullptr ? "" : TextOf(*pagination, "next_page");
  } while (!page.empty());
  return NotFound("there is no cluster '", id_or_name, "'");
}

std::string TextOf(const json::object& object, std::string_view name) {
  const json::value* v = object.if_contains(json::string_view(name.data(), name.size()));
  if (v == nullptr || v->is_null()) return "";
  if (v->is_string()) return std::string(v->get_string());
  return json::serialize(*v);
}

const json::object* ObjectOf(const json::object& object, std::string_view name) {
  const json::value* v = object.if_contains(json::string_view(name.data(), name.size()));
  return v == nullptr ? nullptr : v->if_object();
}

const json::array& ArrayOf(const json::object& object, std::string_view name) {
  static const json::array kEmpty;
  const json::value* v = object.if_contains(json::string_view(name.data(), name.size()));
  const json::array* a = v == nullptr ? nullptr : v->if_array();
  return a == nullptr ? kEmpty : *a;
}

}  // namespace latchkey
