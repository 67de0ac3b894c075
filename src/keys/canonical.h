// Canonical forms: the one sequence of bytes that a MAC or an AAD covers, whatever the JSON around it looked like. For keys/ only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace latchkey {

// Appends "<name>:<length of value in bytes>:<value>\n". The length makes the form unambiguous whatever the value holds; it is the form of
// WrappedKek::LinkedBytes() too.
void AppendField(std::string& out, std::string_view name, std::string_view value);
void AppendField(std::string& out, std::string_view name, int64_t value);

// 1 to `most` bytes, none of them a control character: safe as one line of a canonical form that is separated by line ends.
bool IsPlainText(std::string_view value, size_t most = 256);

// Exactly 16 bytes in lower-case hex, as the ids of KEKs and DEKs are.
bool IsKeyId(std::string_view value);

}  // namespace latchkey
