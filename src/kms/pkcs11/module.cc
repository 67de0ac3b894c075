#include "kms/pkcs11/module.h"

#include <dlfcn.h>

#include <map>
#include <mutex>
#include <utility>

#include "base/status.h"
#include "kms/kms.h"
#include "kms/pkcs11/errors.h"

namespace latchkey {
namespace {

absl::StatusOr<CK_FUNCTION_LIST*> Open(const std::string& path) {
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const why = dlerror();  // kept for each thread by glibc
    return KmsError(FailureClass::kUnreachable, absl::StrCat("the module cannot be loaded: ", why == nullptr ? "" : why));
  }
  const auto get = reinterpret_cast<CK_C_GetFunctionList>(dlsym(handle, "C_GetFunctionList"));
  CK_FUNCTION_LIST* functions = nullptr;
  if (get == nullptr) {
    dlclose(handle);
    return KmsError(FailureClass::kUnreachable, absl::StrCat(path, " is not a PKCS #11 module: it has no C_GetFunctionList"));
  }
  if (const CK_RV rv = get(&functions); rv != CKR_OK) return Pkcs11Error(Pkcs11Step::kToken, "C_GetFunctionList", rv);
  if (functions == nullptr || functions->version.major < 2) {
    return KmsError(FailureClass::kUnreachable, absl::StrCat(path, " speaks a version of PKCS #11 before 2.0"));
  }
  return functions;
}

// Never destroyed: threads inside modules may outlive main(). Bounded by the connections of the configuration.
struct Registry {
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<Pkcs11Module>> modules;
};

Registry& TheRegistry() {
  static Registry* const kRegistry = new Registry;
  return *kRegistry;
}

}  // namespace

// What belongs to the library itself, under whatever path it is known.
struct Pkcs11Module::Core {
  std::shared_mutex gate;  // shared: calls are made; alone: it is loaded or initialised
  bool initialized = false;
  bool ours = false;  // it was us who initialised it
  uint64_t generation = 0;
};

Pkcs11Module& Pkcs11Module::Of(const std::string& path) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  std::unique_ptr<Pkcs11Module>& module = registry.modules[path];
  if (module == nullptr) {
    module.reset(new Pkcs11Module(path));
    module->core_ = std::make_shared<Core>();
  }
  return *module;
}

void Pkcs11Module::Adopt(const std::string& path, CK_FUNCTION_LIST* functions, const std::string& real) {
  Pkcs11Module& module = Of(path);
  module.core_ = Of(real).core_;
  module.functions_ = functions;
}

absl::StatusOr<CK_FUNCTION_LIST*> Pkcs11Module::Enter(Visit& visit) {
  visit = Visit(core_->gate);
  // More than once where another session renews the module just between its initialisation and our visit.
  constexpr int kMostTries = 100;
  for (int tries = 0; !core_->initialized; ++tries) {
    if (tries == kMostTries) return KmsError(FailureClass::kUnreachable, "the module is not initialised");
    visit.unlock();
    {
      const std::unique_lock alone(core_->gate);
      RETURN_IF_ERROR(Initialize());
    }
    visit.lock();
  }
  return functions_;
}

absl::Status Pkcs11Module::Initialize() {
  if (core_->initialized) return absl::OkStatus();
  if (functions_ == nullptr) {
    ASSIGN_OR_RETURN(functions_, Open(path_));
  }
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  const CK_RV rv = functions_->C_Initialize(&arguments);
  if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED) return Pkcs11Error(Pkcs11Step::kToken, "C_Initialize", rv);
  core_->initialized = true;
  core_->ours = rv == CKR_OK;
  ++core_->generation;
  return absl::OkStatus();
}

void Pkcs11Module::Renew(Visit& visit) {
  visit.unlock();
  const std::unique_lock alone(core_->gate, std::try_to_lock);
  if (!alone || !core_->initialized || !core_->ours) return;
  // Whatever it answers: C_Initialize tells whether the module is of use.
  functions_->C_Finalize(nullptr);
  core_->initialized = false;
}

uint64_t Pkcs11Module::generation() const { return core_->generation; }

}  // namespace latchkey
