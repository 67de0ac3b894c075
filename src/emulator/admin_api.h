// The emulator's own API: what an owner does in the cloud's console, and what tests need beyond that. docs/kms-emulator.md lists it.
#pragma once

#include <absl/status/statusor.h>

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "base/json.h"
#include "emulator/emulator.h"
#include "http/message.h"

namespace latchkey {

// Lives for one request, under the emulator's lock.
class EmulatorAdmin {
 public:
  explicit EmulatorAdmin(Emulator& emulator) : emulator_(emulator), world_(emulator.world_) {}
  // Plain JSON. Errors are {"error": {"message": "field: what is wrong"}} with 400, 403 (peer is not loopback), 404, 405, 409, 415, 429,
  // 500.
  HttpResponse Handle(const HttpRequest& request);

  using Result = absl::StatusOr<boost::json::object>;
  using Body = boost::json::object;

  Result Seed(const DevelopmentSeed& seed);
  // What a POST does, without saving. `path` is the whole one ("/_admin/keys/disable", "/_admin/gcp/…"). Errors: NotFound for a path that
  // there is not.
  Result Change(const std::string& path, const Body& body);

 private:
  struct Route;
  static const Route kRoutes[];

  // GET
  Result Health(const HttpRequest& request);
  Result State(const HttpRequest& request);
  Result Calls(const HttpRequest& request);
  // POST; all but the first write the state.
  Result CreateAccount(const Body& body);
  Result CreateUser(const Body& body);
  Result CreateRole(const Body& body);
  Result TrustRole(const Body& body);
  Result UntrustRole(const Body& body);
  Result RegisterToken(const Body& body);
  Result SetInstanceRole(const Body& body);
  Result AddContainer(const Body& body);
  Result CreateKey(const Body& body);
  Result EnableKey(const Body& body);
  Result DisableKey(const Body& body);
  Result ScheduleDeletion(const Body& body);
  Result CancelDeletion(const Body& body);
  Result SetKeyState(const Body& body);
  Result SetKeyPolicy(const Body& body);
  Result RotateKey(const Body& body);
  Result Deny(const Body& body);
  Result Undeny(const Body& body);
  Result AddFault(const Body& body);
  Result ClearFaults(const Body& body);
  Result SetOutage(const Body& body);
  Result AdvanceClock(const Body& body);
  Result SeedFromBody(const Body& body);

  // Orders Change(path, body) for later, after it was tried and undone: a misspelt field is refused now.
  Result Postpone(const std::string& path, const Body& body, int64_t seconds);
  // The names in an optional "cloud" of `reader`: that one, or `otherwise` when it is absent.
  std::vector<std::string> CloudsOf(JsonReader& reader, std::vector<std::string> otherwise);
  std::vector<std::string> EveryCloud() const;
  Result SwitchKey(const Body& body, const std::string& state);
  absl::StatusOr<emulator::Denial> ReadDenial(const Body& body);
  absl::StatusOr<emulator::User*> AddUser(const std::string& account, const std::string& name, std::string access_key_id,
                                          SecretBytes secret);
  absl::StatusOr<emulator::Role*> AddRole(const std::string& account, const std::string& name);

  Emulator& emulator_;
  emulator::World& world_;
};

}  // namespace latchkey
