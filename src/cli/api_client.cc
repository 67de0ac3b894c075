#include "cli/api_client.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/file.h"
#include "base/status.h"
#include "cli/table.h"

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

absl::Status WaitUntil(absl::Duration timeout, const std::function<absl::StatusOr<bool>(std::string& progress)>& look) {
  const bool terminal = isatty(STDERR_FILENO) == 1;
  const absl::Time start = absl::Now();
  absl::Duration pause = absl::Milliseconds(250);
  std::string shown;
  for (;;) {
    std::string progress;
    absl::StatusOr<bool> done = look(progress);
    if (absl::IsUnavailable(done.status()) || absl::IsDeadlineExceeded(done.status())) {
      // A server that restarts meanwhile is no reason to give up.
      progress = std::string(done.status().message());
      done = false;
    }
    if (terminal) {
      std::fprintf(stderr, "\r\033[K%s (%s)", Printable(progress).c_str(),
                   absl::FormatDuration(absl::Trunc(absl::Now() - start, absl::Seconds(1))).c_str());
    } else if (progress != shown) {
      std::fprintf(stderr, "%s\n", Printable(progress).c_str());
      shown = progress;
    }
    if (terminal && (!done.ok() || *done)) std::fprintf(stderr, "\r\033[K");
    if (!done.ok()) return done.status();
    if (*done) return absl::OkStatus();
    if (absl::Now() - start > timeout) {
      if (terminal) std::fprintf(stderr, "\n");
      return absl::DeadlineExceededError(absl::StrCat("not done after ", absl::FormatDuration(timeout), ": ", progress));
    }
    absl::SleepFor(pause);
    pause = std::min(pause * 1.5, absl::Seconds(2));
  }
}

}  // namespace latchkey
