#include "http/address_rule.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>

namespace latchkey {
namespace {

bool IsForbiddenV4(uint32_t address, AddressRule rule) {
  if ((address >> 16) == 0xA9FE) return true;  // 169.254.0.0/16: AWS, Azure, Google, OpenStack, containers
  if (address == 0xA83F8110) return true;      // 168.63.129.16: what Azure's machines ask
  if (address == 0x646464C8) return true;      // 100.100.100.200: Alibaba's metadata
  if (address == 0xC00000C0) return true;      // 192.0.0.192: Oracle's
  if (rule == AddressRule::kNotMetadata) return false;
  const uint32_t first = address >> 24;
  return first == 0 || first == 127 || first >= 224;
}

// The IPv4 address that an IPv6 address leads to.
std::optional<uint32_t> EmbeddedV4(const in6_addr& six) {
  const uint8_t* b = six.s6_addr;
  const auto at = [b](size_t i0, size_t i1, size_t i2, size_t i3) {
    return uint32_t{b[i0]} << 24 | uint32_t{b[i1]} << 16 | uint32_t{b[i2]} << 8 | b[i3];
  };
  const auto begins = [b](std::initializer_list<uint8_t> bytes) { return std::equal(bytes.begin(), bytes.end(), b); };
  if (IN6_IS_ADDR_V4MAPPED(&six)) return at(12, 13, 14, 15);
  // ::a.b.c.d, of old; :: and ::1 are addresses of their own.
  if (IN6_IS_ADDR_V4COMPAT(&six)) return at(12, 13, 14, 15);
  // NAT64: the well-known prefix (RFC 6052), and 64:ff9b:1::/48 for networks of one's own (RFC 8215) where they use it as /96.
  if (begins({0, 0x64, 0xFF, 0x9B})) return at(12, 13, 14, 15);
  if (begins({0x20, 0x02})) return at(2, 3, 4, 5);  // 6to4 (RFC 3056)
  return std::nullopt;
}

bool IsForbiddenV6(const in6_addr& six, AddressRule rule) {
  const uint8_t* b = six.s6_addr;
  if (const auto four = EmbeddedV4(six)) return IsForbiddenV4(*four, rule);
  const auto begins = [b](std::initializer_list<uint8_t> bytes) { return std::equal(bytes.begin(), bytes.end(), b); };
  if (IN6_IS_ADDR_LINKLOCAL(&six)) return true;
  if (begins({0xFD, 0, 0x0E, 0xC2})) return true;              // fd00:ec2::/32: AWS
  if (begins({0xFD, 0x20, 0, 0xCE, 0, 0, 0, 0})) return true;  // fd20:ce::254: Google, on machines without IPv4
  return rule == AddressRule::kNotThisHost && (IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_UNSPECIFIED(&six) || IN6_IS_ADDR_MULTICAST(&six));
}

}  // namespace

bool IsForbiddenAddress(const sockaddr& address, AddressRule rule) {
  if (rule == AddressRule::kAny) return false;
  if (address.sa_family == AF_INET) {
    return IsForbiddenV4(ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr), rule);
  }
  if (address.sa_family == AF_INET6) return IsForbiddenV6(reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, rule);
  return true;
}

}  // namespace latchkey
