#include "kms/pkcs11/module.h"

#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>

#include "base/status.h"
#include "kms/kms.h"
#include "kms/pkcs11/errors.h"

namespace latchkey {
namespace {

struct Module {
  std::mutex mutex;  // held while the module loads or initialises, which may take as long as it likes
  CK_FUNCTION_LIST* functions = nullptr;
};

// Never destroyed: threads inside modules may outlive main(). Bounded by the connections of the configuration.
struct Registry {
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<Module>> modules;

  Module& Of(const std::string& path) {
    const std::lock_guard lock(mutex);
    std::unique_ptr<Module>& module = modules[path];
    if (module == nullptr) module = std::make_unique<Module>();
    return *module;
  }
};

Registry& TheRegistry() {
  static Registry* const kRegistry = new Registry;
  return *kRegistry;
}

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

}  // namespace

absl::StatusOr<CK_FUNCTION_LIST*> LoadPkcs11Module(const std::string& path) {
  Module& module = TheRegistry().Of(path);
  const std::lock_guard lock(module.mutex);
  if (module.functions == nullptr) {
    ASSIGN_OR_RETURN(module.functions, Open(path));
  }
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  const CK_RV rv = module.functions->C_Initialize(&arguments);
  if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED) return Pkcs11Error(Pkcs11Step::kToken, "C_Initialize", rv);
  return module.functions;
}

void AdoptPkcs11Module(const std::string& path, CK_FUNCTION_LIST* functions) {
  Module& module = TheRegistry().Of(path);
  const std::lock_guard lock(module.mutex);
  module.functions = functions;
}

}  // namespace latchkey
