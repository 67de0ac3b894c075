#include "kms/call.h"

#include "base/testing.h"

namespace latchkey {
namespace {

std::string Without(std::string_view text, const std::vector<std::string_view>& secrets) { return WithoutSecrets(text, secrets); }

TEST(WithoutSecretsTest, TakesOutWhatIsQuotedAsItIsOrEscaped) {
  EXPECT_EQ(Without("bad token s3cr/et+, s3cr/et+", {"s3cr/et+"}), "bad token [secret], [secret]");
  EXPECT_EQ(Without(R"({"message":"bad token s3cr\/et+"})", {"other", "s3cr/et+"}), R"({"message":"bad token [secret]"})");
}

TEST(WithoutSecretsTest, LeavesTheRestAndWhatIsTooShortToBeASecret) {
  EXPECT_EQ(Without("a key that is abc", {"", "a", "abc"}), "a key that is abc");
  EXPECT_EQ(Without("", {"secret"}), "");
}

}  // namespace
}  // namespace latchkey
