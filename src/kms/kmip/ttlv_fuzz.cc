// libFuzzer: whatever the reader accepts has one form only, so that writing it again gives the same bytes.
#include <algorithm>
#include <cstdlib>

#include "kms/kmip/message.h"
#include "kms/kmip/ttlv.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> message(data, size);
  const auto item = latchkey::ReadTtlv(message);
  if (item.ok()) {
    latchkey::TtlvWriter writer(size);
    writer.Copy(*item);
    const auto again = std::move(writer).Finish();
    if (!again.ok() || !std::ranges::equal(again->Reveal(latchkey::SecretAccess{}), message)) std::abort();
  }
  for (const auto operation : {latchkey::kmip::Operation::kEncrypt, latchkey::kmip::Operation::kGetAttributes}) {
    const auto answer = latchkey::ReadKmipAnswer(message, operation);
    if (answer.ok() && !item.ok()) std::abort();
  }
  return 0;
}
