// One page of a list call (pageSize, pageToken; google.aip.dev/158).
#pragma once

#include <boost/json.hpp>
#include <string_view>

#include "emulator/gcp/kms_api.h"

namespace latchkey::emulator::gcp {

// {member: part of `all`, "nextPageToken", "totalSize"}. Filters and orders are Unimplemented, so that nobody takes a whole list for a
// filtered one.
KmsResult Page(const KmsCall& call, std::string_view member, boost::json::array all);

}  // namespace latchkey::emulator::gcp
