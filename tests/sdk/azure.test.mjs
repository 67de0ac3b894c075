// Key Vault and Managed HSM as @azure/keyvault-keys sees them: keys, roles, faults. Identities are in azure_identity.test.mjs.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { ClientSecretCredential } from "@azure/identity";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";

import { authorityOptions, OWNER, vaultOptions } from "./azure.mjs";
import { refusal, startEmulator } from "./emulator.mjs";

const SECRET = Buffer.from("thirty-two bytes of key material");
const OFFICER = "Key Vault Crypto Officer";
const VAULT = "https://sdk-vault.vault.azure.net";

// An emulator with a vault of the owner's tenant, and an application that may do everything there.
async function newWorld() {
  const emulator = await startEmulator({ tls: true });
  await emulator.admin("seed", { cloud: "azure" });
  const made = await emulator.admin("azure/applications", { tenant: OWNER, name: "sdk" });
  await emulator.admin("azure/vaults", { tenant: OWNER, name: "sdk-vault", retention_days: 7 });
  await emulator.admin("azure/roles", { vault: "sdk-vault", role: OFFICER, principal: made.client_id });
  const newCredential = () => new ClientSecretCredential(OWNER, made.client_id, made.client_secret, authorityOptions(emulator));
  return { emulator, application: made.client_id, newCredential };
}

let emulator, application, credential, keys;
before(async () => {
  const world = await newWorld();
  ({ emulator, application } = world);
  credential = world.newCredential();
  keys = vault(VAULT);
});
after(() => emulator.stop());

const vault = (url, more) => new KeyClient(url, credential, vaultOptions(emulator, more));
const crypto = (key, more) => new CryptographyClient(key, credential, vaultOptions(emulator, more));
const wrap = (key) => crypto(key).wrapKey("RSA-OAEP-256", SECRET);
const unwrap = (wrapped) => crypto(wrapped.keyID).unwrapKey("RSA-OAEP-256", wrapped.result);
const deleted = async (client, name) => (await client.beginDeleteKey(name, { intervalInMs: 1 })).pollUntilDone();

// error.code is the innererror's where there is one.
async function isRefused(promise, status, code, message) {
  return refusal(promise, (error) => {
    assert.equal(error.statusCode, status, error.message);
    const body = error.details.error;
    assert.equal(body.innerError?.code ?? body.code, code);
    if (message !== undefined) assert.match(error.message, message);
  });
}

describe("a key from its creation to its end", () => {
  test("it is created, read, used, disabled, rotated, deleted, recovered, purged", async () => {
    const made = await keys.createRsaKey("life", { keySize: 2048, tags: { of: "owner" } });
    assert.match(made.id, new RegExp(`^${VAULT}/keys/life/[0-9a-f]{32}$`));
    assert.equal(made.keyType, "RSA");
    assert.equal(made.key.n.length, 256);
    assert.equal(made.properties.enabled, true);
    assert.equal(made.properties.recoveryLevel, "CustomizedRecoverable+Purgeable");
    assert.equal(made.properties.recoverableDays, 7);
    assert.deepEqual(made.properties.tags, { of: "owner" });
    assert.ok(Math.abs(made.properties.createdOn - Date.now()) < 60_000);
    const read = await keys.getKey("life");
    assert.equal(read.id, made.id);
    assert.deepEqual((await keys.getKey("life", { version: made.properties.version })).key.n, made.key.n);

    const wrapped = await wrap(made.id);
    assert.equal(wrapped.keyID, made.id);
    assert.equal(wrapped.result.length, 256);
    assert.deepEqual(Buffer.from((await unwrap(wrapped)).result), SECRET);

    await keys.updateKeyProperties("life", made.properties.version, { enabled: false });
    assert.equal((await keys.getKey("life")).properties.enabled, false);
    await isRefused(unwrap(wrapped), 403, "KeyDisabled", /disabled/);
    await isRefused(wrap(made.id), 403, "KeyDisabled");
    await keys.updateKeyProperties("life", made.properties.version, { enabled: true });

    const rotated = await keys.rotateKey("life");
    assert.notEqual(rotated.properties.version, made.properties.version);
    assert.equal((await keys.getKey("life")).id, rotated.id);
    assert.deepEqual(Buffer.from((await unwrap(wrapped)).result), SECRET);
    assert.equal((await wrap(`${VAULT}/keys/life`)).keyID, rotated.id);
    await isRefused(unwrap({ keyID: rotated.id, result: wrapped.result }), 400, "BadParameter");

    const { properties } = await deleted(keys, "life");
    assert.equal(properties.recoveryId, `${VAULT}/deletedkeys/life`);
    assert.ok(properties.scheduledPurgeDate > new Date());
    await isRefused(keys.getKey("life"), 404, "KeyNotFound");
    await isRefused(unwrap(wrapped), 404, "KeyNotFound");
    await isRefused(keys.createRsaKey("life"), 409, "ObjectIsDeletedButRecoverable");

    const recovered = await (await keys.beginRecoverDeletedKey("life", { intervalInMs: 1 })).pollUntilDone();
    assert.equal(recovered.properties.version, rotated.properties.version);
    assert.deepEqual(Buffer.from((await unwrap(wrapped)).result), SECRET);

    await deleted(keys, "life");
    await keys.purgeDeletedKey("life");
    await isRefused(keys.getDeletedKey("life"), 404, "KeyNotFound");
    await keys.createRsaKey("life");
  });

  test("a key that nobody recovers is purged when its time is over", async () => {
    const world = await newWorld();
    const client = () => new KeyClient(VAULT, world.newCredential(), vaultOptions(world.emulator));
    try {
      await client().createRsaKey("forgotten");
      await deleted(client(), "forgotten");
      await client().getDeletedKey("forgotten");
      await world.emulator.pass(8 * 86400);
      await isRefused(client().getDeletedKey("forgotten"), 404, "KeyNotFound");
    } finally {
      await world.emulator.stop();
    }
  });

  test("keys and versions are listed page by page", async () => {
    for (let i = 0; i < 5; ++i) await keys.rotateKey("life");
    const versions = [];
    for await (const page of keys.listPropertiesOfKeyVersions("life").byPage({ maxPageSize: 2 })) versions.push(page.length);
    assert.deepEqual(versions, [2, 2, 2]);
    const names = [];
    for await (const properties of keys.listPropertiesOfKeys()) names.push(properties.name);
    assert.ok(names.includes("life"));
  });

  test("a rotation policy is kept", async () => {
    await keys.createRsaKey("rotating");
    const lifetimeActions = [{ action: "Rotate", timeAfterCreate: "P90D" }];
    await keys.updateKeyRotationPolicy("rotating", { expiresIn: "P1Y", lifetimeActions });
    const policy = await keys.getKeyRotationPolicy("rotating");
    assert.equal(policy.expiresIn, "P1Y");
    assert.equal(policy.lifetimeActions.find((one) => one.action === "Rotate").timeAfterCreate, "P90D");
  });
});

describe("what is wrapped", () => {
  test("a changed blob does not open", async () => {
    const { id } = await keys.createRsaKey("blob");
    const wrapped = await wrap(id);
    wrapped.result[0] ^= 1;
    await isRefused(unwrap(wrapped), 400, "BadParameter");
  });

  test("a key that is over opens, but takes nothing new", async () => {
    const { id } = await keys.createRsaKey("over");
    const before = crypto(id);
    const { result } = await before.wrapKey("RSA-OAEP-256", SECRET);
    await emulator.admin("azure/keys/expiry", { key: `${VAULT}/keys/over`, exp: 1 });
    assert.ok((await keys.getKey("over")).properties.expiresOn < new Date());
    // A client that read the key before that asks the service; one that reads it now refuses by itself.
    assert.deepEqual(Buffer.from((await before.unwrapKey("RSA-OAEP-256", result)).result), SECRET);
    await isRefused(before.wrapKey("RSA-OAEP-256", SECRET), 403, "KeyExpired");
    const error = await refusal(crypto(id).wrapKey("RSA-OAEP-256", SECRET));
    assert.match(error.message, /expired at 1970/);
  });

  test("operations that a key was not made for are refused", async () => {
    const { id, properties } = await keys.createRsaKey("narrow");
    const before = crypto(id);
    const { result } = await before.wrapKey("RSA-OAEP-256", SECRET);
    await keys.updateKeyProperties("narrow", properties.version, { keyOps: ["wrapKey"] });
    await isRefused(before.unwrapKey("RSA-OAEP-256", result), 403, "KeyOperationForbidden");
    await before.wrapKey("RSA-OAEP-256", SECRET);
  });

  test("a managed HSM wraps with AES", async () => {
    await emulator.admin("azure/vaults", { tenant: OWNER, name: "sdk-hsm", managed_hsm: true });
    await emulator.admin("azure/roles", { vault: "sdk-hsm.managedhsm.azure.net", role: OFFICER, principal: application });
    const hsm = vault("https://sdk-hsm.managedhsm.azure.net");
    const made = await hsm.createOctKey("aes", { keySize: 256, hsm: true });
    assert.equal(made.keyType, "oct-HSM");
    assert.equal(made.key.k, undefined, "the key stays inside");
    const wrapped = await crypto(made.id).wrapKey("A256KW", SECRET);
    assert.equal(wrapped.result.length, SECRET.length + 8);
    assert.deepEqual(Buffer.from((await crypto(made.id).unwrapKey("A256KW", wrapped.result)).result), SECRET);
    wrapped.result[0] ^= 1;
    await isRefused(crypto(made.id).unwrapKey("A256KW", wrapped.result), 400, "BadParameter");
  });
});

describe("who may", () => {
  test("the least role reads, wraps and unwraps, and does nothing else", async () => {
    await keys.createRsaKey("least");
    const made = await emulator.admin("azure/applications", { tenant: OWNER, name: "least" });
    const least = new ClientSecretCredential(OWNER, made.client_id, made.client_secret, authorityOptions(emulator));
    const theirs = new KeyClient(VAULT, least, vaultOptions(emulator));
    await isRefused(theirs.getKey("least"), 403, "ForbiddenByRbac", /is not authorized to perform action/);
    await emulator.admin("azure/roles", {
      vault: "sdk-vault",
      role: "Key Vault Crypto Service Encryption User",
      principal: made.client_id,
    });
    const { id } = await theirs.getKey("least");
    const wrapped = await new CryptographyClient(id, least, vaultOptions(emulator)).wrapKey("RSA-OAEP-256", SECRET);
    const opened = await new CryptographyClient(id, least, vaultOptions(emulator)).unwrapKey("RSA-OAEP-256", wrapped.result);
    assert.deepEqual(Buffer.from(opened.result), SECRET);
    await isRefused(theirs.createRsaKey("more"), 403, "ForbiddenByRbac");
    await isRefused(theirs.updateKeyProperties("least", { enabled: false }), 403, "ForbiddenByRbac");
    await isRefused(theirs.beginDeleteKey("least"), 403, "ForbiddenByRbac");
  });

  test("a denial goes before every role", async () => {
    await keys.createRsaKey("denied");
    await emulator.admin("azure/denials", { vault: "sdk-vault", key: "denied", principal: application });
    await isRefused(keys.getKey("denied"), 403, "ForbiddenByRbac", /DenyAssignment/);
    await emulator.admin("azure/denials/remove", { vault: "sdk-vault", key: "denied", principal: application });
    await keys.getKey("denied");
  });

  test("a closed firewall is told from missing rights", async () => {
    await emulator.admin("azure/firewall", { vault: "sdk-vault", closed: true });
    await isRefused(keys.getKey("denied"), 403, "ForbiddenByFirewall", /Client address is not authorized/);
    await emulator.admin("azure/firewall", { vault: "sdk-vault", closed: false });
  });
});

describe("what takes its time", () => {
  test("a key that the owner disables still opens until the change has spread", async () => {
    const { id } = await keys.createRsaKey("slow");
    const wrapped = await wrap(id);
    await emulator.admin("azure/keys/disable", { key: `${VAULT}/keys/slow`, after_seconds: 60 });
    await emulator.pass(59);
    await unwrap(wrapped);
    await emulator.pass(2);
    await isRefused(unwrap(wrapped), 403, "KeyDisabled");
  });

  test("a role that is taken away counts until the change has spread", async () => {
    const role = { vault: "sdk-vault", role: OFFICER, principal: application };
    await keys.createRsaKey("roles");
    await emulator.admin("azure/roles/remove", { ...role, after_seconds: 300 });
    await keys.getKey("roles");
    await emulator.pass(301);
    await isRefused(keys.getKey("roles"), 403, "ForbiddenByRbac");
    await emulator.admin("azure/roles", role);
    await keys.getKey("roles");
  });
});

describe("a service in trouble", () => {
  const fault = (operation, more) => emulator.admin("faults", { cloud: "azure", operation, ...more });
  before(() => keys.createRsaKey("trouble"));

  test("the SDK waits out throttling, as long as Retry-After says", async () => {
    await fault("get", { action: "throttle", times: 1 });
    const began = performance.now();
    const calls = await emulator.callsOf(() => vault(VAULT, { maxRetries: 2 }).getKey("trouble"));
    assert.deepEqual(
      calls.filter((call) => call.operation === "get").map((call) => call.status),
      [429, 200],
    );
    assert.ok(performance.now() - began >= 990);
  });

  test("throttling without end reaches the caller as such", async () => {
    await fault("get", { action: "throttle", standing: true });
    await isRefused(keys.getKey("trouble"), 429, "Throttled");
    await emulator.admin("faults/clear", { cloud: "azure" });
    await keys.getKey("trouble");
  });

  test("internal errors and lost connections are tried again", async () => {
    await fault("get", { action: "error", status: 503, type: "ServiceUnavailable" });
    await fault("get", { action: "drop" });
    await vault(VAULT, { maxRetries: 3 }).getKey("trouble");
  });

  test("faults are met in the order in which they were queued", async () => {
    await fault("get", { action: "error", status: 403, type: "Forbidden/KeyDisabled", message: "first" });
    await fault("get", { action: "error", status: 404, type: "KeyNotFound", message: "second" });
    await isRefused(keys.getKey("trouble"), 403, "KeyDisabled", /first/);
    await isRefused(keys.getKey("trouble"), 404, "KeyNotFound", /second/);
    await keys.getKey("trouble");
  });

  test("half an answer is no answer", async () => {
    await fault("get", { action: "truncate" });
    const error = await refusal(keys.getKey("trouble"));
    assert.ok(![403, 404].includes(error.statusCode), error.message);
  });

  test("a vault that is not there has no address", async () => {
    await refusal(vault("https://nowhere.vault.azure.net").getKey("trouble"), (error) => assert.equal(error.statusCode, undefined));
  });
});
