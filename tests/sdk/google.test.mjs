// Cloud KMS as @google-cloud/kms sees it: keys, versions, bindings, faults. Identities are in google_identity.test.mjs.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { refusal, startEmulator } from "./emulator.mjs";
import { accountClient, crc32c, kmsClient, statusOf } from "./google.mjs";

const PROJECT = "sdk-project";
const LOCATION = `projects/${PROJECT}/locations/europe-west3`;
const RING = `${LOCATION}/keyRings/ring`;
const DAY = 86400;
const SECRET = Buffer.from("thirty-two bytes of key material");
const AAD = Buffer.from("latchkey:cluster=c1");

let emulator, account, kms;
before(async () => {
  emulator = await startEmulator();
  account = await emulator.admin("gcp/service-accounts", { project: PROJECT, name: "sdk-tester" });
  for (const role of ["roles/cloudkms.admin", "roles/cloudkms.cryptoKeyEncrypterDecrypter"]) {
    await emulator.admin("gcp/projects/bindings", { project: PROJECT, role, member: account.client_email });
  }
  kms = clientOf(account);
  await kms.createKeyRing({ parent: LOCATION, keyRingId: "ring" });
});
after(() => emulator.stop());

const clientOf = (of) => kmsClient(emulator, accountClient(emulator, of));

async function newKey(cryptoKeyId, more = {}) {
  const [key] = await kms.createCryptoKey({ parent: RING, cryptoKeyId, cryptoKey: { purpose: "ENCRYPT_DECRYPT", ...more } });
  return key;
}

async function encrypt(name, client = kms) {
  const [answer] = await client.encrypt({
    name,
    plaintext: SECRET,
    plaintextCrc32c: { value: crc32c(SECRET) },
    additionalAuthenticatedData: AAD,
    additionalAuthenticatedDataCrc32c: { value: crc32c(AAD) },
  });
  assert.equal(answer.verifiedPlaintextCrc32c, true);
  assert.equal(answer.verifiedAdditionalAuthenticatedDataCrc32c, true);
  assert.equal(Number(answer.ciphertextCrc32c.value), crc32c(answer.ciphertext));
  return answer;
}

async function decrypt(name, ciphertext, client = kms) {
  const [answer] = await client.decrypt({
    name,
    ciphertext,
    ciphertextCrc32c: { value: crc32c(ciphertext) },
    additionalAuthenticatedData: AAD,
  });
  assert.equal(Number(answer.plaintextCrc32c.value), crc32c(answer.plaintext));
  return answer;
}

async function isRefused(promise, status, message) {
  return refusal(promise, (error) => {
    assert.equal(statusOf(error), status, `${error.code} ${error.message}`);
    if (message !== undefined) assert.match(error.message, message);
  });
}

const setState = (version, state) =>
  kms.updateCryptoKeyVersion({ cryptoKeyVersion: { name: version, state }, updateMask: { paths: ["state"] } });

describe("a key from its creation to its end", () => {
  test("it is created, read, used, disabled, rotated, destroyed, restored, gone", async () => {
    const made = await newKey("life", { labels: { of: "owner" } });
    assert.equal(made.name, `${RING}/cryptoKeys/life`);
    assert.equal(made.primary.state, "ENABLED");
    assert.equal(made.primary.algorithm, "GOOGLE_SYMMETRIC_ENCRYPTION");
    assert.equal(made.primary.protectionLevel, "SOFTWARE");
    const [read] = await kms.getCryptoKey({ name: made.name });
    assert.equal(read.primary.name, `${made.name}/cryptoKeyVersions/1`);
    assert.deepEqual(read.labels, { of: "owner" });
    assert.ok(Math.abs(Number(read.createTime.seconds) - Date.now() / 1000) < 60);
    await isRefused(newKey("life"), "ALREADY_EXISTS");

    const first = await encrypt(made.name);
    assert.equal(first.name, `${made.name}/cryptoKeyVersions/1`);
    const opened = await decrypt(made.name, first.ciphertext);
    assert.deepEqual(Buffer.from(opened.plaintext), SECRET);
    assert.equal(opened.usedPrimary, true);

    await setState(first.name, "DISABLED");
    await isRefused(encrypt(made.name), "FAILED_PRECONDITION", /cryptoKeyVersions\/1 is not enabled, current state is: DISABLED/);
    await isRefused(decrypt(made.name, first.ciphertext), "FAILED_PRECONDITION", /DISABLED/);
    await setState(first.name, "ENABLED");

    const [second] = await kms.createCryptoKeyVersion({ parent: made.name, cryptoKeyVersion: {} });
    await kms.updateCryptoKeyPrimaryVersion({ name: made.name, cryptoKeyVersionId: second.name.split("/").at(-1) });
    assert.equal((await encrypt(made.name)).name, second.name);
    assert.ok(!(await decrypt(made.name, first.ciphertext)).usedPrimary);

    const [scheduled] = await kms.destroyCryptoKeyVersion({ name: first.name });
    assert.equal(scheduled.state, "DESTROY_SCHEDULED");
    assert.ok(Number(scheduled.destroyTime.seconds) > Date.now() / 1000 + 29 * DAY);
    await isRefused(decrypt(made.name, first.ciphertext), "FAILED_PRECONDITION", /DESTROY_SCHEDULED/);
    assert.equal((await kms.restoreCryptoKeyVersion({ name: first.name }))[0].state, "DISABLED");
    await setState(first.name, "ENABLED");
    assert.deepEqual(Buffer.from((await decrypt(made.name, first.ciphertext)).plaintext), SECRET);

    await kms.destroyCryptoKeyVersion({ name: first.name });
    await emulator.pass(31 * DAY);
    const [gone] = await kms.getCryptoKeyVersion({ name: first.name });
    assert.equal(gone.state, "DESTROYED");
    assert.ok(gone.destroyEventTime);
    await isRefused(decrypt(made.name, first.ciphertext), "FAILED_PRECONDITION", /DESTROYED/);
    await isRefused(kms.restoreCryptoKeyVersion({ name: first.name }), "FAILED_PRECONDITION");
  });

  test("it rotates by itself", async () => {
    const nextRotationTime = { seconds: Math.floor(Date.now() / 1000) + 40 * DAY };
    const key = await newKey("rotating", { rotationPeriod: { seconds: 90 * DAY }, nextRotationTime });
    assert.equal(Number(key.rotationPeriod.seconds), 90 * DAY);
    assert.equal(Number(key.nextRotationTime.seconds), nextRotationTime.seconds);
    await emulator.pass(10 * DAY);
    const [read] = await kms.getCryptoKey({ name: key.name });
    assert.equal(read.primary.name, `${key.name}/cryptoKeyVersions/2`);
  });

  test("versions are listed page by page", async () => {
    const key = await newKey("many");
    for (let i = 0; i < 4; ++i) await kms.createCryptoKeyVersion({ parent: key.name, cryptoKeyVersion: {} });
    const numbers = [];
    for await (const version of kms.listCryptoKeyVersionsAsync({ parent: key.name, pageSize: 2 }, { autoPaginate: false }))
      numbers.push(version.name.split("/").at(-1));
    assert.deepEqual(numbers.sort(), ["1", "2", "3", "4", "5"]);
    const [page, , raw] = await kms.listCryptoKeyVersions({ parent: key.name, pageSize: 2 }, { autoPaginate: false });
    assert.equal(page.length, 2);
    assert.equal(raw.totalSize, 5);
    assert.ok(raw.nextPageToken);
    const [keys] = await kms.listCryptoKeys({ parent: RING });
    assert.ok(keys.some((one) => one.name === key.name));
  });
});

describe("what is encrypted", () => {
  test("other authenticated data, a changed ciphertext and another key do not open it", async () => {
    const { name } = await newKey("bound");
    const { ciphertext } = await encrypt(name);
    await isRefused(
      kms.decrypt({ name, ciphertext, additionalAuthenticatedData: Buffer.from("other") }),
      "INVALID_ARGUMENT",
      /Decryption failed/,
    );
    await isRefused(kms.decrypt({ name, ciphertext }), "INVALID_ARGUMENT", /Decryption failed/);
    const changed = Buffer.from(ciphertext);
    changed[changed.length - 1] ^= 1;
    await isRefused(decrypt(name, changed), "INVALID_ARGUMENT", /Decryption failed/);
    const other = await newKey("other");
    await isRefused(decrypt(other.name, ciphertext), "INVALID_ARGUMENT", /verify that 'name' refers to the correct CryptoKey/);
  });

  test("a checksum that does not fit is refused, both ways", async () => {
    const { name } = await newKey("checked");
    await isRefused(kms.encrypt({ name, plaintext: SECRET, plaintextCrc32c: { value: 1 } }), "INVALID_ARGUMENT", /checksum/);
    const { ciphertext } = await encrypt(name);
    await isRefused(kms.decrypt({ name, ciphertext, ciphertextCrc32c: { value: 1 } }), "INVALID_ARGUMENT", /checksum/);
  });

  test("nothing at all is encrypted too", async () => {
    const { name } = await newKey("empty");
    const [{ ciphertext }] = await kms.encrypt({ name, plaintext: Buffer.alloc(0) });
    const [answer] = await kms.decrypt({ name, ciphertext });
    assert.equal(answer.plaintext.length, 0);
    assert.equal(Number(answer.plaintextCrc32c.value), 0);
  });

  test("malformed names, unknown keys and keys for something else are told apart", async () => {
    await isRefused(kms.getCryptoKey({ name: `${RING}/cryptoKeys/nothing` }), "NOT_FOUND", /not found/);
    await isRefused(kms.getCryptoKey({ name: `${RING}/cryptoKeys/${"x".repeat(64)}` }), "INVALID_ARGUMENT");
    const versionTemplate = { algorithm: "RSA_SIGN_PSS_2048_SHA256" };
    const signer = await newKey("signer", { purpose: "ASYMMETRIC_SIGN", versionTemplate });
    const error = await refusal(kms.encrypt({ name: signer.name, plaintext: SECRET }));
    assert.ok(["FAILED_PRECONDITION", "INVALID_ARGUMENT"].includes(statusOf(error)), error.message);
  });
});

describe("who may", () => {
  let stranger;
  before(async () => (stranger = await emulator.admin("gcp/service-accounts", { project: "other-project", name: "stranger" })));

  test("a binding lets another project's account in, and out again", async () => {
    const { name } = await newKey("shared");
    const { ciphertext } = await encrypt(name);
    const theirs = clientOf(stranger);
    await isRefused(
      decrypt(name, ciphertext, theirs),
      "PERMISSION_DENIED",
      /Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied on resource/,
    );
    const bindings = [{ role: "roles/cloudkms.cryptoKeyDecrypter", members: [`serviceAccount:${stranger.client_email}`] }];
    const [before] = await kms.getIamPolicy({ resource: name });
    await kms.setIamPolicy({ resource: name, policy: { ...before, bindings } });
    assert.deepEqual(Buffer.from((await decrypt(name, ciphertext, theirs)).plaintext), SECRET);
    await isRefused(encrypt(name, theirs), "PERMISSION_DENIED");
    const [after] = await kms.getIamPolicy({ resource: name });
    assert.deepEqual(
      after.bindings.map((one) => one.role),
      ["roles/cloudkms.cryptoKeyDecrypter"],
    );
    await kms.setIamPolicy({ resource: name, policy: { ...after, bindings: [] } });
    await isRefused(decrypt(name, ciphertext, theirs), "PERMISSION_DENIED");
  });

  test("permissions can be asked for", async () => {
    const { name } = await newKey("asked");
    const use = ["cloudkms.cryptoKeyVersions.useToEncrypt", "cloudkms.cryptoKeyVersions.useToDecrypt"];
    await emulator.admin("gcp/keys/bindings", { key: name, role: "roles/cloudkms.cryptoKeyEncrypter", member: stranger.client_email });
    const [held] = await clientOf(stranger).testIamPermissions({ resource: name, permissions: use });
    assert.deepEqual(held.permissions, use.slice(0, 1));
  });

  test("a denial goes before every binding", async () => {
    const { name } = await newKey("denied");
    await emulator.admin("gcp/denials", { principal: account.client_email, key: name });
    await isRefused(encrypt(name), "PERMISSION_DENIED");
    await emulator.admin("gcp/denials/remove", { principal: account.client_email, key: name });
    await encrypt(name);
  });
});

describe("what takes its time", () => {
  test("a key that the owner disables still works until the change has spread", async () => {
    const { name } = await newKey("slow");
    await emulator.admin("gcp/keys/disable", { key: name, after_seconds: 60 });
    const { ciphertext } = await encrypt(name);
    await emulator.pass(59);
    await decrypt(name, ciphertext);
    await emulator.pass(2);
    await isRefused(decrypt(name, ciphertext), "FAILED_PRECONDITION", /DISABLED/);
  });

  test("a binding that is taken away counts until the change has spread", async () => {
    const { name } = await newKey("fading");
    const friend = await emulator.admin("gcp/service-accounts", { project: "other-project", name: "friend" });
    const binding = { key: name, role: "roles/cloudkms.cryptoKeyEncrypterDecrypter", member: friend.client_email };
    await emulator.admin("gcp/keys/bindings", binding);
    await emulator.admin("gcp/keys/bindings/remove", { ...binding, after_seconds: 120 });
    const theirs = clientOf(friend);
    const { ciphertext } = await encrypt(name, theirs);
    await emulator.pass(121);
    await isRefused(decrypt(name, ciphertext, theirs), "PERMISSION_DENIED");
  });
});

describe("a service in trouble", () => {
  const fault = (operation, more) => emulator.admin("faults", { cloud: "gcp", operation, ...more });
  let name;
  before(async () => ({ name } = await newKey("trouble")));

  test("throttling and unavailability reach the caller as such: over REST the SDK tries nothing again", async () => {
    await fault("GetCryptoKey", { action: "throttle" });
    await fault("GetCryptoKey", { action: "error", status: 503, type: "UNAVAILABLE" });
    await isRefused(kms.getCryptoKey({ name }), "RESOURCE_EXHAUSTED", /[Qq]uota/);
    await isRefused(kms.getCryptoKey({ name }), "UNAVAILABLE");
    await kms.getCryptoKey({ name });
  });

  test("faults are met in the order in which they were queued", async () => {
    await fault("GetCryptoKey", { action: "error", status: 400, type: "FAILED_PRECONDITION", message: "first" });
    await fault("GetCryptoKey", { action: "error", status: 403, type: "PERMISSION_DENIED", message: "second" });
    await isRefused(kms.getCryptoKey({ name }), "FAILED_PRECONDITION", /first/);
    await isRefused(kms.getCryptoKey({ name }), "PERMISSION_DENIED", /second/);
    await kms.getCryptoKey({ name });
  });

  test("half an answer and a lost connection are errors of their own", async () => {
    for (const action of ["truncate", "drop"]) {
      await fault("Encrypt", { action });
      const error = await refusal(encrypt(name));
      assert.ok(!["PERMISSION_DENIED", "FAILED_PRECONDITION", "NOT_FOUND"].includes(statusOf(error)), error.message);
    }
    await encrypt(name);
  });

  test("another plaintext with a fitting checksum is seen by nothing but what it protects", async () => {
    const { ciphertext } = await encrypt(name);
    await fault("Decrypt", { action: "other-bytes" });
    assert.notDeepEqual(Buffer.from((await decrypt(name, ciphertext)).plaintext), SECRET);
  });
});
