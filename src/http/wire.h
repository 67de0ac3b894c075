// The bytes of an HTTP/1.1 answer (RFC 9112).
#pragma once

#include <string>

#include "http/message.h"

namespace latchkey {

// Status line, headers and the empty line. content-length, connection and date are filled in (a date that the handler set is kept).
// Header names that are no tokens are left out, control characters in values become spaces: an answer cannot be split by data in it.
std::string ResponseHead(const HttpResponse& response, bool keep_alive);
// False for answers that never carry a body (204, 304).
bool StatusHasBody(int status);
// "Sun, 06 Nov 1994 08:49:37 GMT" of now (RFC 9110 section 5.6.7); made once a second and thread.
const std::string& HttpDate();

}  // namespace latchkey
