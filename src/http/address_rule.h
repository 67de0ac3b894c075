// Which addresses an outgoing connection may go to, so that a name in somebody's request cannot lead us to ourselves or to the service that
// gives out our machine's identity (SSRF).
#pragma once

#include <sys/socket.h>

namespace latchkey {

// Checked on the address that is connected to, after DNS: a name that leads elsewhere is not believed.
enum class AddressRule {
  kAny,
  kNotMetadata,  // no link-local address, and none of the others where clouds give machines their identity
  kNotThisHost,  // neither those nor loopback, unspecified or multicast. Private networks are allowed: endpoints inside a cloud have such
};

// True for an address that the rule does not allow, in whichever form: IPv4 addresses inside IPv6 ones (mapped, compatible, NAT64, 6to4)
// count as themselves. Other families than IPv4 and IPv6 are allowed by kAny only.
bool IsForbiddenAddress(const sockaddr& address, AddressRule rule);

}  // namespace latchkey
