// A PyKMIP server (Debian: python3-pykmip) of the test's own, in a temporary folder, on loopback.
//
//   PyKmip server;                                            // runs when this returns
//   auto kms = NewKmipKms({{"test", server.connection()}}, {});
//   const RootKey key = server.NewKey("test");                // active, AES-256, for encryption and decryption
//   server.Deny(); … server.Allow();                          // take away and give back, as often as wanted
//   server.Revoke(key); … server.Destroy(key);                // for good
//   server.Stop(); … server.Start();                          // an outage; keys stay, and so does the port
//
// Taking away and giving back: Revoke cannot be undone in KMIP, so an owner who wants to give back changes who may use the key. Keys made
// here belong to the owner (certificate "owner"), and stand under the operation policy "latchkey", which lets everybody with a certificate
// use them (Allow) or the owner alone (Deny). Denied calls are answered PERMISSION_DENIED, class DENIED.
//
// Of PyKMIP, sessions, engine, cryptography and policies are used as they are. Only its policy loader (a process that looks each second) is
// replaced by a thread that looks every 20 ms and says so, that a test waits for an event and leaves no process behind.
#pragma once

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "base/file.h"
#include "base/process.h"
#include "base/process_testing.h"
#include "base/testing.h"
#include "crypto/certificate.h"
#include "kms/kmip/operations_testing.h"

namespace latchkey {

class PyKmip {
 public:
  PyKmip() : ca_(*NewCa("test ca", absl::Now(), absl::Hours(24))) {
    Write("ca.pem", ca_.certificate_pem);
    Issue("server", {.common_name = "server", .ip_addresses = {"127.0.0.1"}, .for_server = true});
    Issue("owner", {.common_name = "owner", .for_client = true});
    Issue("latchkey", {.common_name = "latchkey", .for_client = true});
    Write("server.py", kProgram);
    WritePolicy("ALLOW_ALL");
    Start();
    owner_ = std::make_unique<KmipClient>(As("owner"), KmsCallOptions{});
  }
  ~PyKmip() { Stop(); }
  PyKmip(const PyKmip&) = delete;
  PyKmip& operator=(const PyKmip&) = delete;

  // As Latchkey: may use keys while the owner allows it.
  KmipConnection connection() const { return As("latchkey"); }
  // As the owner of the keys.
  KmipConnection owner_connection() const { return As("owner"); }
  int port() const { return port_; }
  const TempFolder& folder() const { return folder_; }
  const CertifiedKey& ca() const { return ca_; }

  // A key that can be used at once, with its uri under this connection name.
  RootKey NewKey(const std::string& connection, KmipKeyOptions options = {.policy = "latchkey"}) {
    const RootKey key = NewPreActiveKey(connection, std::move(options));
    LK_EXPECT_OK(KmipActivateForTesting(*owner_, IdOf(key)));
    return key;
  }
  // One that is not activated.
  RootKey NewPreActiveKey(const std::string& connection, KmipKeyOptions options = {.policy = "latchkey"}) {
    const auto id = KmipCreateForTesting(*owner_, options);
    EXPECT_THAT(id, IsOk());
    return {.type = "KMIP", .uri = "kmip://" + connection + "/" + id.value_or("none")};
  }

  void Revoke(const RootKey& key, uint32_t reason = kKmipUnspecified) { LK_EXPECT_OK(KmipRevokeForTesting(*owner_, IdOf(key), reason)); }
  // The key must not be active any more: revokes it first if need be.
  void Destroy(const RootKey& key) {
    KmipRevokeForTesting(*owner_, IdOf(key)).IgnoreError();
    LK_EXPECT_OK(KmipDestroyForTesting(*owner_, IdOf(key)));
  }
  void Deny() { SetPolicy("ALLOW_OWNER"); }
  void Allow() { SetPolicy("ALLOW_ALL"); }

  void Start() {
    int ends[2] = {-1, -1};
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    events_ = UniqueFd(ends[0]);
    UniqueFd writer(ends[1]);
    auto process = Spawn({.argv = {"/usr/bin/python3", "-W", "ignore", folder_ / "server.py", folder_.path(), std::to_string(port_),
                                   std::to_string(writer.get())},
                          .env = {{"PATH", "/usr/bin:/bin"}},
                          .cwd = folder_.path(),
                          .output_file = folder_ / "output.log",
                          .keep_fds = {writer.get()},
                          .detached = false,
                          .die_with_parent = true});
    ASSERT_THAT(process, IsOk());
    process_ = *process;
    writer.Reset();
    // "port 12345", then "policy".
    const std::string port = NextEvent();
    ASSERT_TRUE(port.starts_with("port ")) << ReadFile(folder_ / "output.log").value_or("");
    port_ = std::stoi(port.substr(5));
    ASSERT_EQ(NextEvent(), "policy");
  }
  void Stop() {
    if (!process_.valid()) return;
    LK_EXPECT_OK(SendSignal(process_, SIGKILL));
    EXPECT_TRUE(WaitForExit(process_, absl::Seconds(10)));
    process_ = {};
  }

  // A certificate of the server's CA in files of this name in folder(), for other identities.
  void Issue(const std::string& name, LeafOptions options) {
    options.now = absl::Now();
    options.valid = absl::Hours(12);
    const auto certified = IssueNew(ca_, options);
    ASSERT_THAT(certified, IsOk());
    Write(name + ".pem", certified->certificate_pem);
    Write(name + ".key", certified->private_key_pem);
  }
  KmipConnection As(const std::string& name) const {
    return {.host = "127.0.0.1",
            .port = port_,
            .ca_file = folder_ / "ca.pem",
            .client_certificate_file = folder_ / (name + ".pem"),
            .client_key_file = folder_ / (name + ".key")};
  }

 private:
  // Arguments: folder, port (0: the kernel's choice), descriptor for events.
  static constexpr std::string_view kProgram = R"(import os, sys, threading, time, types
from kmip.services.server import monitor, server

folder, port, events = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def say(text):
    os.write(events, (text + "\n").encode())

server.multiprocessing.Manager = lambda: types.SimpleNamespace(dict=dict)
monitor.PolicyDirectoryMonitor.start = lambda self: None
os.makedirs(folder + "/policies", exist_ok=True)
with open(folder + "/server.conf", "w") as f:
    f.write(f"""[server]
hostname=127.0.0.1
port=5696
certificate_path={folder}/server.pem
key_path={folder}/server.key
ca_path={folder}/ca.pem
auth_suite=TLS1.2
policy_path={folder}/policies
enable_tls_client_auth=True
logging_level=WARNING
database_path={folder}/pykmip.db
""")
s = server.KmipServer(config_path=folder + "/server.conf", log_path=folder + "/server.log", live_policies=True)
# The file may not say 0, which leaves the choice to the kernel.
s.config.settings["port"] = port

def watch():
    seen = None
    while True:
        stamp = os.stat(folder + "/policies/latchkey.json").st_mtime_ns
        if stamp != seen:
            s.policy_monitor.scan_policies()
            seen = stamp
            say("policy")
        time.sleep(0.02)

s.start()
# Connections that come before serve() wait in the queue.
s._socket.listen(5)
say("port %d" % s._socket.getsockname()[1])
threading.Thread(target=watch, daemon=True).start()
s.serve()
)";

  static std::string IdOf(const RootKey& key) { return key.uri.substr(key.uri.rfind('/') + 1); }

  void Write(const std::string& name, std::string_view content) const { LK_EXPECT_OK(WriteFileAtomically(folder_ / name, content)); }
  // Encrypt and Decrypt are allowed where Get is (PyKMIP has no words of their own for them).
  void WritePolicy(const std::string& who) {
    LK_EXPECT_OK(MakeFolders(folder_ / "policies"));
    Write("policies/latchkey.json", absl::StrCat(R"({"latchkey": {"preset": {"SYMMETRIC_KEY": {"GET": ")", who,
                                                 R"(", "GET_ATTRIBUTES": "ALLOW_ALL", "ACTIVATE": "ALLOW_OWNER", "REVOKE": "ALLOW_OWNER",)",
                                                 R"( "DESTROY": "ALLOW_OWNER"}}}})"));
  }
  void SetPolicy(const std::string& who) {
    WritePolicy(who);
    EXPECT_EQ(NextEvent(), "policy");
  }
  // The next line that the server's program says; empty when nothing comes within 20 s.
  std::string NextEvent() {
    std::string line;
    for (;;) {
      pollfd p{events_.get(), POLLIN, 0};
      char c = 0;
      if (poll(&p, 1, 20'000) != 1 || read(events_.get(), &c, 1) != 1) return "";
      if (c == '\n') return line;
      line += c;
    }
  }

  TempFolder folder_;
  CertifiedKey ca_;
  int port_ = 0;
  ProcessId process_;
  UniqueFd events_;
  std::unique_ptr<KmipClient> owner_;
};

}  // namespace latchkey
