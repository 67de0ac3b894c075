#include "engine/postgresql/settings.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

namespace latchkey {
namespace {

// PostgreSQL's own default; and no more than a stop can write back in seconds, since it comes before sealing.
constexpr uint64_t kLeastBuffers = uint64_t{128} << 20;
constexpr uint64_t kMostBuffers = uint64_t{512} << 20;

}  // namespace

std::string PostgresqlDataFolder(const EngineLayout& layout) { return layout.mount_point + "/pgdata"; }

std::string PostgresqlHba() {
  return "# Written by Latchkey at every start.\n"
         "local   all all     scram-sha-256\n"
         "hostssl all all all scram-sha-256\n";
}

std::string PostgresqlTuning(uint64_t memory) {
  const uint64_t buffers = std::clamp(memory / 32, kLeastBuffers, kMostBuffers);
  return absl::StrCat(R"(
# Added by Latchkey. On an encrypted volume a write and a sync are two requests, and a commit waits for both; a write that is durable by
# itself is one. Every such write waits for the disk, so the WAL writer comes often and backends seldom have to write full buffers themselves.
wal_sync_method = open_datasync
wal_writer_delay = 10ms
wal_buffers = 16MB
# A page that has to go before its time is a request that a backend waits for. A 32nd of the memory, 128 MB to 512 MB, of
# which only what is used is taken: a host may have many databases, and what is dirty has to be written back before a volume is sealed in good
# order.
shared_buffers = )",
                      buffers >> 20, "MB\n");
}

std::vector<std::string> PostgresqlCommand(const std::string& bin_folder, const EngineLayout& layout, bool tls) {
  std::vector<std::string> argv = {bin_folder + "/postgres", "-D", PostgresqlDataFolder(layout)};
  const auto set = [&argv](const std::string& name, const std::string& value) {
    argv.push_back("-c");
    argv.push_back(absl::StrCat(name, "=", value));
  };
  const std::string& run = layout.run_folder;
  set("hba_file", run + "/" + kHbaFile);
  set("ident_file", run + "/" + kIdentFile);
  set("unix_socket_directories", run);
  set("unix_socket_permissions", "0700");
  set("port", absl::StrCat(layout.port));
  set("listen_addresses", tls ? layout.host : "");
  set("ssl", tls ? "on" : "off");
  if (tls) {
    set("ssl_cert_file", run + "/" + kTlsCertificateFile);
    set("ssl_key_file", run + "/" + kTlsKeyFile);
  }
  set("password_encryption", "scram-sha-256");
  // Logs quote rows: they go into the volume, and so does everything temporary.
  set("logging_collector", "on");
  set("log_destination", "stderr");
  set("log_directory", "log");
  set("log_filename", "postgresql-%a.log");
  set("log_file_mode", "0600");
  set("log_truncate_on_rotation", "on");
  set("log_rotation_age", "1d");
  set("log_rotation_size", "0");
  // Shared memory of parallel queries: /dev/shm would keep rows after a kill. The first 32 MB come from the anonymous main segment, the
  // rest lies in files of the volume.
  set("shared_memory_type", "mmap");
  set("dynamic_shared_memory_type", "mmap");
  set("min_dynamic_shared_memory", "32MB");
  set("huge_pages", "off");
  set("fsync", "on");
  set("full_page_writes", "on");
  set("data_sync_retry", "off");
  set("cluster_name", layout.node_name);
  return argv;
}

}  // namespace latchkey
