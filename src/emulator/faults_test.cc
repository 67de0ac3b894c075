#include "emulator/faults.h"

#include "base/json.h"
#include "base/testing.h"

namespace latchkey::emulator {
namespace {

using testing::HasSubstr;

absl::StatusOr<Fault> OfType(std::string type) { return Fault::FromJson({{"action", "error"}, {"type", std::move(type)}}); }

TEST(FaultTest, AnErrorsTypeIsOneWordOrTwo) {
  for (const char* good : {"", "KMSInternalException", "FAILED_PRECONDITION", "Forbidden/KeyDisabled", "invalid_client/7000215"}) {
    LK_EXPECT_OK(OfType(good)) << good;
  }
  for (const char* bad : {"/", "a/", "/b", "a/b/c", "a b", "a\"b"}) {
    EXPECT_THAT(OfType(bad), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("type: "))) << bad;
  }
}

}  // namespace
}  // namespace latchkey::emulator
