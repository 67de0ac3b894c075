// Vault's Transit engine, AppRole, Kubernetes and tokens as node-vault sees them.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import nodeVault from "node-vault";

import { refusal, startEmulator } from "./emulator.mjs";

const PLAINTEXT = Buffer.from("thirty-two bytes of key material").toString("base64");
const BOUND = Buffer.from("latchkey:cluster=c1").toString("base64");

let emulator, seed, root;
before(async () => {
  emulator = await startEmulator();
  seed = (await emulator.admin("seed", { cloud: "vault" })).credentials;
  root = vault(seed.root_token);
});
after(() => emulator.stop());

const vault = (token, more = {}) => nodeVault({ endpoint: emulator.urls.vault, token, ...more });
const encrypt = async (name, client = root, more = {}) =>
  (await client.encryptData({ name, plaintext: PLAINTEXT, associated_data: BOUND, ...more })).data.ciphertext;
const decrypt = async (name, ciphertext, client = root, more = {}) =>
  (await client.decryptData({ name, ciphertext, associated_data: BOUND, ...more })).data.plaintext;
const UNBOUND = { associated_data: undefined };

async function isRefused(promise, status, message) {
  return refusal(promise, (error) => {
    assert.equal(error.response?.statusCode, status, error.message);
    if (message !== undefined) assert.match(error.message, message);
  });
}

describe("a key from its creation to its end", () => {
  test("it is created, read, used, rotated, cut off, deleted", async () => {
    await root.transitCreateKey({ name: "life", type: "aes256-gcm96" });
    const { data: made } = await root.transitReadKey({ name: "life" });
    assert.equal(made.type, "aes256-gcm96");
    assert.equal(made.latest_version, 1);
    assert.equal(made.exportable, false);
    assert.deepEqual(Object.keys(made.keys), ["1"]);

    const first = await encrypt("life");
    assert.match(first, /^vault:v1:/);
    assert.equal(await decrypt("life", first), PLAINTEXT);

    await root.write("transit/keys/life/rotate", {});
    assert.equal((await root.transitReadKey({ name: "life" })).data.latest_version, 2);
    assert.match(await encrypt("life"), /^vault:v2:/);
    assert.match(await encrypt("life", root, { key_version: 1 }), /^vault:v1:/);
    assert.equal(await decrypt("life", first), PLAINTEXT);

    await root.write("transit/keys/life/config", { min_decryption_version: 2 });
    await isRefused(decrypt("life", first), 400, /version is disallowed by policy \(too old\)/);
    await root.write("transit/keys/life/config", { min_decryption_version: 1 });

    await isRefused(root.transitDeleteKey({ name: "life" }), 400, /deletion is not allowed for this key/);
    await root.write("transit/keys/life/config", { deletion_allowed: true });
    await root.transitDeleteKey({ name: "life" });
    await isRefused(root.transitReadKey({ name: "life" }), 404);
    await isRefused(decrypt("life", first), 400, /encryption key not found/);
  });

  test("it moves to the newest version without being shown", async () => {
    await root.transitCreateKey({ name: "moving" });
    const before = await encrypt("moving", root, UNBOUND);
    await root.write("transit/keys/moving/rotate", {});
    const { data } = await root.rewrapData({ name: "moving", ciphertext: before });
    assert.match(data.ciphertext, /^vault:v2:/);
    assert.equal(await decrypt("moving", data.ciphertext, root, UNBOUND), PLAINTEXT);
  });

  test("data keys come in the clear or wrapped only", async () => {
    await root.transitCreateKey({ name: "maker" });
    const { data: both } = await root.write("transit/datakey/plaintext/maker", { bits: 256 });
    assert.equal(Buffer.from(both.plaintext, "base64").length, 32);
    assert.equal(await decrypt("maker", both.ciphertext, root, UNBOUND), both.plaintext);
    const { data: wrapped } = await root.write("transit/datakey/wrapped/maker", { bits: 256 });
    assert.equal(wrapped.plaintext, undefined);
  });

  test("keys are listed", async () => {
    assert.ok((await root.transitListKeys()).data.keys.includes("moving"));
  });

  test("OpenBao's soft deletion stops its use and can be undone", async () => {
    await root.transitCreateKey({ name: "soft" });
    const ciphertext = await encrypt("soft");
    await root.delete("transit/keys/soft/soft-delete");
    assert.equal((await root.transitReadKey({ name: "soft" })).data.soft_deleted, true);
    await isRefused(decrypt("soft", ciphertext), 400, /soft-deleted/);
    await root.write("transit/keys/soft/soft-delete-restore", {});
    assert.equal(await decrypt("soft", ciphertext), PLAINTEXT);
  });
});

describe("what is encrypted", () => {
  before(() => root.transitCreateKey({ name: "bound" }));

  test("other associated data, a changed ciphertext and another key do not open it", async () => {
    const ciphertext = await encrypt("bound");
    const associated_data = Buffer.from("other").toString("base64");
    await isRefused(decrypt("bound", ciphertext, root, { associated_data }), 400, /authentication failed/);
    await isRefused(decrypt("bound", ciphertext, root, UNBOUND), 400, /authentication failed/);
    const bytes = Buffer.from(ciphertext.split(":")[2], "base64");
    bytes[bytes.length - 1] ^= 1;
    await isRefused(decrypt("bound", `vault:v1:${bytes.toString("base64")}`), 400, /authentication failed/);
    await isRefused(decrypt("bound", "nonsense"), 400, /no prefix/);
    await root.transitCreateKey({ name: "stranger" });
    await isRefused(decrypt("stranger", ciphertext), 400, /authentication failed/);
  });

  test("several at once", async () => {
    const batch_input = [{ plaintext: PLAINTEXT }, { plaintext: PLAINTEXT, associated_data: BOUND }];
    const error = await root.encryptData({ name: "bound", batch_input }).then(
      () => undefined,
      (refused) => refused,
    );
    // Answered in full, or refused: never half.
    if (error) assert.equal(error.response.statusCode, 400);
  });
});

describe("an identity", () => {
  const opens = async (client, name = "owner-key-1") => assert.equal(await decrypt(name, await encrypt(name, client), client), PLAINTEXT);

  test("a token", async () => {
    await opens(vault(seed.token));
    const { data } = await vault(seed.token).tokenLookupSelf();
    assert.deepEqual(data.policies.sort(), ["default", "latchkey"]);
  });

  test("a wrong token, and one that was taken back", async () => {
    await isRefused(encrypt("owner-key-1", vault("hvs.wrong")), 403, /permission denied/);
    await isRefused(encrypt("owner-key-1", vault("")), 403);
    const { token } = await emulator.admin("vault/tokens", { policies: ["latchkey"] });
    await opens(vault(token));
    await vault(token).tokenRevokeSelf();
    await isRefused(encrypt("owner-key-1", vault(token)), 403, /permission denied/);
  });

  test("an AppRole", async () => {
    const client = vault();
    const { auth } = await client.approleLogin({ role_id: seed.role_id, secret_id: seed.secret_id });
    assert.equal(client.token, auth.client_token);
    assert.equal(auth.lease_duration, 3600);
    assert.equal(auth.renewable, true);
    await opens(client);
  });

  test("an AppRole at another mount", async () => {
    await emulator.admin("vault/mounts", { type: "approle", path: "machines" });
    const role = await emulator.admin("vault/approles", { mount: "machines", name: "db", policies: ["latchkey"] });
    const client = vault();
    await client.approleLogin({ mount_point: "machines", role_id: role.role_id, secret_id: role.secret_id });
    await opens(client);
  });

  test("a wrong role id and a wrong secret id", async () => {
    await isRefused(vault().approleLogin({ role_id: seed.role_id, secret_id: "wrong" }), 400, /invalid role or secret ID/);
    await isRefused(vault().approleLogin({ role_id: "wrong", secret_id: seed.secret_id }), 400, /invalid role or secret ID/);
  });

  test("a Kubernetes service account", async () => {
    const client = vault();
    await client.kubernetesLogin({ mount_point: "kubernetes", role: seed.kubernetes_role, jwt: seed.kubernetes_token });
    await opens(client);
  });

  test("another service account, an unknown role and a token that is over", async () => {
    await emulator.admin("vault/kubernetes-tokens", { token: "other-token", service_account: "db/other" });
    await isRefused(
      vault().kubernetesLogin({ mount_point: "kubernetes", role: seed.kubernetes_role, jwt: "other-token" }),
      403,
      /service account name not authorized|permission denied/,
    );
    await isRefused(
      vault().kubernetesLogin({ mount_point: "kubernetes", role: "nothing", jwt: seed.kubernetes_token }),
      400,
      /invalid role name/,
    );
    await emulator.admin("vault/kubernetes-tokens", { token: "short-token", service_account: "latchkey/agent", ttl: 10 });
    await emulator.pass(11);
    await isRefused(vault().kubernetesLogin({ mount_point: "kubernetes", role: seed.kubernetes_role, jwt: "short-token" }), 403);
  });

  test("a token ends, unless it is renewed", async () => {
    const { token } = await emulator.admin("vault/tokens", { policies: ["latchkey"], ttl: 100 });
    const client = vault(token);
    await emulator.pass(90);
    assert.equal((await client.tokenRenewSelf()).auth.lease_duration, 100);
    await emulator.pass(90);
    await opens(client);
    await emulator.pass(11);
    await isRefused(encrypt("owner-key-1", client), 403, /permission denied/);
  });

  test("a namespace has its own keys", async () => {
    await emulator.admin("vault/namespaces", { path: "team" });
    await emulator.admin("vault/mounts", { namespace: "team", type: "transit" });
    await emulator.admin("vault/keys", { namespace: "team", name: "theirs" });
    const inside = vault(seed.root_token, { namespace: "team" });
    await opens(inside, "theirs");
    await isRefused(decrypt("theirs", "vault:v1:AAAA"), 400, /encryption key not found/);
    const { token } = await emulator.admin("vault/tokens", { namespace: "team", policies: ["root"] });
    await opens(vault(token, { namespace: "team" }), "theirs");
    await isRefused(encrypt("owner-key-1", vault(token)), 403, /permission denied/);
  });
});

describe("who may", () => {
  test("a policy that allows use allows nothing else, and makes no key by a typing error", async () => {
    const client = vault(seed.token);
    await isRefused(encrypt("owner-key-9", client), 403, /permission denied/);
    await isRefused(client.write("transit/keys/owner-key-1/rotate", {}), 403, /permission denied/);
    await isRefused(client.transitDeleteKey({ name: "owner-key-1" }), 403, /permission denied/);
  });

  test("what may be done can be asked for", async () => {
    const paths = ["transit/decrypt/owner-key-1", "transit/keys/owner-key-1/rotate"];
    const { data } = await vault(seed.token).write("sys/capabilities-self", { paths });
    assert.deepEqual(data[paths[0]], ["update"]);
    assert.deepEqual(data[paths[1]], ["deny"]);
  });

  test("the owner takes the key away, which bites when it has spread, and gives it back", async () => {
    const client = vault(seed.token);
    const ciphertext = await encrypt("owner-key-1", client);
    const denial = { name: "latchkey", path: "transit/decrypt/owner-key-1" };
    await emulator.admin("vault/policies/deny", { ...denial, after_seconds: 30 });
    await decrypt("owner-key-1", ciphertext, client);
    await emulator.pass(31);
    await isRefused(decrypt("owner-key-1", ciphertext, client), 403, /permission denied/);
    await emulator.admin("vault/policies/undeny", denial);
    assert.equal(await decrypt("owner-key-1", ciphertext, client), PLAINTEXT);
  });
});

describe("a service in trouble", () => {
  const fault = (operation, more) => emulator.admin("faults", { cloud: "vault", operation, ...more });

  test("a sealed one says so, also to who asks for its health", async () => {
    await emulator.admin("vault/sealed", { on: true });
    await isRefused(encrypt("owner-key-1"), 503, /Vault is sealed/);
    assert.equal((await root.status()).sealed, true);
    await emulator.admin("vault/sealed", { on: false });
    const health = await root.health();
    assert.equal(health.sealed, false);
    assert.equal(health.initialized, true);
  });

  test("throttling and internal errors reach the caller: this client tries nothing again", async () => {
    await fault("encrypt", { action: "throttle" });
    await fault("encrypt", { action: "error", status: 500, message: "first" });
    await fault("encrypt", { action: "drop" });
    await fault("encrypt", { action: "truncate" });
    await isRefused(encrypt("owner-key-1"), 429, /rate limit quota exceeded/);
    await isRefused(encrypt("owner-key-1"), 500, /first/);
    await refusal(encrypt("owner-key-1"), (error) => assert.equal(error.response?.statusCode, undefined));
    await refusal(encrypt("owner-key-1"));
    await encrypt("owner-key-1");
  });
});
