// Bounds that all connections of one server share. Thread-safe.
#pragma once

#include <atomic>
#include <boost/asio/ip/address.hpp>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace latchkey {

// Bytes of request bodies between the wire and the end of their handlers.
class BodyBudget {
 public:
  // The share of one body; given back when it goes. Outlived by its budget.
  class Charge {
   public:
    Charge() = default;
    explicit Charge(BodyBudget& budget) : budget_(&budget) {}
    Charge(Charge&& other) noexcept : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Charge& operator=(Charge&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Charge() {
      if (budget_ != nullptr) budget_->used_ -= bytes_;
    }
    // False, with nothing taken, when all bodies together would then have more than `most` bytes.
    bool GrowTo(size_t bytes, size_t most) {
      if (bytes <= bytes_) return true;
      const size_t more = bytes - bytes_;
      if (budget_->used_.fetch_add(more) + more > most) {
        budget_->used_ -= more;
        return false;
      }
      bytes_ = bytes;
      return true;
    }

   private:
    BodyBudget* budget_ = nullptr;
    size_t bytes_ = 0;
  };

  size_t used() const { return used_; }

 private:
  std::atomic<size_t> used_ = 0;
};

// Connections by where they come from.
class PeerCounts {
 public:
  // What counts as one place: an IPv4 address (also where it is mapped into IPv6), or the /64 that an IPv6 host chooses its addresses from.
  struct Place {
    std::string name;
    bool loopback = false;
  };
  static Place PlaceOf(const boost::asio::ip::address& address);

  // False when the place has `most` already; otherwise it has one more, until Leave.
  bool Enter(const std::string& place, size_t most);
  void Leave(const std::string& place);

 private:
  std::mutex mutex_;
  std::map<std::string, size_t> counts_;
};

}  // namespace latchkey
