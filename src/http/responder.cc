#include <mutex>

#include "http/server.h"

namespace latchkey {

struct HttpResponder::Once {
  std::mutex mutex;
  std::function<void(HttpResponse)> send;

  ~Once() {
    if (send) send(HttpResponse::Text(500, "the request was not answered\n"));
  }
};

HttpResponder::HttpResponder(std::function<void(HttpResponse)> send) : once_(std::make_shared<Once>()) { once_->send = std::move(send); }

void HttpResponder::operator()(HttpResponse response) const {
  if (once_ == nullptr) return;
  std::function<void(HttpResponse)> send;
  {
    const std::lock_guard lock(once_->mutex);
    send.swap(once_->send);
  }
  if (send) send(std::move(response));
}

}  // namespace latchkey
