// One emulator, a process of its own on ports that the kernel chose, and its admin API.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

const CLOUDS = ["aws", "gcp", "azure", "vault"];

class Emulator {
  constructor(child, urls) {
    this.child = child;
    this.urls = urls; // by cloud: "http://127.0.0.1:40001"
  }

  // POST /_admin/<path>; what the emulator refuses is an error.
  async admin(path, body = {}) {
    const answer = await fetch(`${this.urls.aws}/_admin/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`admin ${path}: ${answer.status} ${text}`);
    return JSON.parse(text);
  }

  // What was asked of the emulator while `action` ran: [{service, operation, principal, result, status, …}].
  async callsOf(action) {
    const before = await this.calls(0);
    await action();
    return this.calls(before.length > 0 ? before.at(-1).number : 0);
  }

  async calls(since) {
    const answer = await fetch(`${this.urls.aws}/_admin/calls?since=${since}&limit=20000`);
    assert.equal(answer.status, 200);
    return (await answer.json()).calls;
  }

  // Lets the emulator's time pass; the machine's clock, by which requests are signed, stays.
  pass(seconds) {
    return this.admin("clock/advance", { seconds });
  }

  async stop() {
    if (this.child.exitCode !== null) return;
    const ended = once(this.child, "exit");
    this.child.kill("SIGTERM");
    await ended;
  }
}

// `tls`: with the certificates of the folder that run.mjs names. Two emulators must not use it at one time.
export async function startEmulator({ tls = false } = {}) {
  const args = ["kms-emulator", "run", "--listen", "127.0.0.1:0"];
  if (tls) args.push("--tls-folder", process.env.LATCHKEY_TLS_FOLDER);
  const child = spawn(join(process.env.LATCHKEY_BUILD, "latchkey"), args, { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  child.stderr.on("data", (text) => (log += text));
  const urls = {};
  for await (const line of createInterface({ input: child.stdout })) {
    const said = /^(\w+) {2}(https?:\S+)$/.exec(line);
    if (said) urls[said[1]] = said[2];
    if (CLOUDS.every((cloud) => urls[cloud])) return new Emulator(child, urls);
  }
  throw new Error(`the emulator ended before it was up:\n${log}`);
}

// The error with which `promise` is refused, after `check` looked at it.
export async function refusal(promise, check = () => {}) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    await check(error);
    return error;
  }
  assert.fail(`was not refused: ${JSON.stringify(value)}`);
}

// Runs `action` with these environment variables, and puts back what was there.
export async function withEnvironment(variables, action) {
  const before = Object.keys(variables).map((name) => [name, process.env[name]]);
  Object.assign(process.env, variables);
  try {
    return await action();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}
