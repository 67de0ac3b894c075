// The KMS emulator held to its contract by the clouds' own SDKs: `run.mjs [--build FOLDER] [FILE ...]`, all files without any.
//
// Node reads NODE_EXTRA_CA_CERTS when it starts, so the emulator makes its CA before the tests are started. They start without the caller's
// environment: no credentials, proxies or profiles of the person who runs them.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { startEmulator } from "./emulator.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const { values, positionals } = parseArgs({
  options: { build: { type: "string", default: join(here, "../../build") } },
  allowPositionals: true,
});
const files =
  positionals.length > 0 ? positionals.map((name) => resolve(name)) : readdirSync(here).filter((name) => name.endsWith(".test.mjs"));

const folder = await mkdtemp(join(tmpdir(), "latchkey-sdk-"));
try {
  const environment = {
    PATH: process.env.PATH,
    HOME: folder,
    TMPDIR: folder,
    LATCHKEY_BUILD: resolve(values.build),
    LATCHKEY_TLS_FOLDER: join(folder, "tls"),
    NODE_EXTRA_CA_CERTS: join(folder, "tls", "ca.pem"),
    // Google's library asks the machine that it runs on who it is, unless told not to.
    METADATA_SERVER_DETECTION: "none",
    AWS_EC2_METADATA_DISABLED: "true",
  };
  Object.assign(process.env, { LATCHKEY_BUILD: environment.LATCHKEY_BUILD, LATCHKEY_TLS_FOLDER: environment.LATCHKEY_TLS_FOLDER });
  await (await startEmulator({ tls: true })).stop();
  const tests = spawnSync(process.execPath, ["--test", "--test-reporter=spec", ...files], {
    cwd: here,
    env: environment,
    stdio: "inherit",
  });
  process.exitCode = tests.status ?? 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
