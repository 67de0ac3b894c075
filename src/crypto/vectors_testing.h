// Official test vectors, read from where Debian's python3-cryptography-vectors puts them; for tests only. A missing file fails the test.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/encoding.h"
#include "base/secret_bytes.h"

namespace latchkey {

// One vector: its "NAME = value" lines, with the section lines above it ("[Taglen = 128]" as "[Taglen]"). A line without "=" has an
// empty value.
class Vector {
 public:
  bool Has(const std::string& name) const { return fields_.contains(name); }
  std::string Text(const std::string& name) const {
    const auto it = fields_.find(name);
    if (it != fields_.end()) return it->second;
    ADD_FAILURE() << "the vector has no field " << name;
    return "";
  }
  int Number(const std::string& name) const { return std::stoi(Text(name)); }
  std::vector<uint8_t> Bytes(const std::string& name) const {
    const auto bytes = HexDecode(Text(name));
    EXPECT_TRUE(bytes.ok()) << name;
    return bytes.ok() ? *bytes : std::vector<uint8_t>{};
  }
  SecretBytes Secret(const std::string& name) const { return SecretBytes::CopyOf(Bytes(name)); }
  void Set(const std::string& name, const std::string& value) { fields_[name] = value; }

 private:
  std::map<std::string, std::string> fields_;
};

// The vectors of a file, each beginning with a line `first` ("COUNT", "Len", …).
inline std::vector<Vector> ReadVectors(const std::string& file, const std::string& first) {
  const std::string path = "/usr/lib/python3/dist-packages/cryptography_vectors/" + file;
  std::ifstream in(path);
  EXPECT_TRUE(in.is_open()) << path << " is missing: install python3-cryptography-vectors";
  const auto trim = [](std::string s) {
    const size_t begin = s.find_first_not_of(" \t\r");
    if (begin == std::string::npos) return std::string();
    return s.substr(begin, s.find_last_not_of(" \t\r") + 1 - begin);
  };
  std::vector<Vector> out;
  Vector current, sections;
  bool open = false;
  for (std::string line; std::getline(in, line);) {
    line = trim(line);
    if (line.empty() || line.front() == '#') continue;
    const bool section = line.front() == '[';
    if (section) {
      if (open) out.push_back(current);
      open = false;
      line = line.substr(1, line.find(']') - 1);
    }
    const size_t equals = line.find('=');
    const std::string name = trim(line.substr(0, equals));
    const std::string value = equals == std::string::npos ? "" : trim(line.substr(equals + 1));
    if (section) {
      // ENCRYPT and DECRYPT stand alone and exclude each other.
      sections.Set(equals == std::string::npos ? "[mode]" : "[" + name + "]", equals == std::string::npos ? name : value);
      continue;
    }
    if (name == first) {
      if (open) out.push_back(current);
      current = sections;
      open = true;
    }
    current.Set(name, value);
  }
  if (open) out.push_back(current);
  return out;
}

}  // namespace latchkey
