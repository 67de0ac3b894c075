// Text from outside that is kept or shown: bounded, and UTF-8 whatever was sent.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace latchkey {

// At most `most` bytes of `text`, cut between characters, with '?' for every byte that belongs to no UTF-8 character (RFC 3629: no
// overlong forms, no surrogates). What comes out can always be put into JSON and read back.
std::string CutUtf8(std::string_view text, size_t most);

}  // namespace latchkey
