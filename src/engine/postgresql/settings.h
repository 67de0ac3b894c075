// How Latchkey's PostgreSQL is set up: its command line and access rules as plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace latchkey {

inline constexpr char kPostgresqlSuperuser[] = "latchkey";
inline constexpr char kPostgresqlDatabase[] = "postgres";

// Files in the run folder.
inline constexpr char kHbaFile[] = "pg_hba.conf";
inline constexpr char kIdentFile[] = "pg_ident.conf";
inline constexpr char kTlsKeyFile[] = "server.key";
inline constexpr char kTlsCertificateFile[] = "server.crt";

std::string PostgresqlDataFolder(const EngineLayout& layout);

// pg_hba.conf: a password on the socket, TLS and a password on TCP, and nothing else.
std::string PostgresqlHba();

// What is put behind initdb's postgresql.conf: fitting for a volume on a host of `memory` bytes, and the administrator's to change.
std::string PostgresqlTuning(uint64_t memory);

// The whole command line. What keeps row data inside the volume and clients authenticated stands here: the command line has the last word
// over postgresql.conf and ALTER SYSTEM (PostgreSQL 15 manual, section 20.1.4). Without `tls` it does not listen on TCP at all.
std::vector<std::string> PostgresqlCommand(const std::string& bin_folder, const EngineLayout& layout, bool tls);

}  // namespace latchkey
