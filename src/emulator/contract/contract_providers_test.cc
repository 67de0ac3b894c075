// The providers that the contract holds for. A new one passes by being listed.
#include "emulator/contract/aws_subject.h"
#include "emulator/contract/azure_subject.h"
#include "emulator/contract/gcp_subject.h"
#include "emulator/contract/kmip_subject.h"
#include "emulator/contract/local_subject.h"
#include "emulator/contract/pkcs11_subject.h"
#include "emulator/contract/vault_subject.h"

namespace latchkey {
namespace {

template <typename Subject>
std::unique_ptr<ContractSubject> Make(const KmsCallOptions& call) {
  return std::make_unique<Subject>(call);
}

}  // namespace

const std::vector<ContractProvider>& ContractProviders() {
  static const std::vector<ContractProvider> kProviders = {
      {"Aws", Make<AwsSubject>},       {"Gcp", Make<GcpSubject>},   {"Azure", Make<AzureSubject>}, {"Vault", Make<VaultSubject>},
      {"Pkcs11", Make<Pkcs11Subject>}, {"Kmip", Make<KmipSubject>}, {"Local", Make<LocalSubject>},
  };
  return kProviders;
}

}  // namespace latchkey
