#include "http/limits.h"

#include <algorithm>

namespace latchkey {

PeerCounts::Place PeerCounts::PlaceOf(const boost::asio::ip::address& address) {
  namespace ip = boost::asio::ip;
  if (address.is_v4()) return {address.to_string(), address.is_loopback()};
  const ip::address_v6 v6 = address.to_v6();
  if (v6.is_v4_mapped()) return PlaceOf(ip::make_address_v4(ip::v4_mapped, v6));
  if (v6.is_loopback()) return {v6.to_string(), true};
  ip::address_v6::bytes_type bytes = v6.to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), 0);
  return {ip::address_v6(bytes).to_string() + "/64", false};
}

bool PeerCounts::Enter(const std::string& place, size_t most) {
  const std::lock_guard lock(mutex_);
  size_t& count = counts_[place];
  if (count >= most) {
    if (count == 0) counts_.erase(place);
    return false;
  }
  ++count;
  return true;
}

void PeerCounts::Leave(const std::string& place) {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(place);
  if (found != counts_.end() && --found->second == 0) counts_.erase(found);
}

}  // namespace latchkey
