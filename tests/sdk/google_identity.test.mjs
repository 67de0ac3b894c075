// Every way in which a client of Google Cloud comes by a token, through google-auth-library, and what happens to wrong ones.
import assert from "node:assert/strict";
import { createSign, generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { Compute, ExternalAccountClient, GoogleAuth, Impersonated } from "google-auth-library";

import { refusal, startEmulator, withEnvironment } from "./emulator.mjs";
import { accountClient, byOauth, kmsClient, SCOPE, statusOf, withToken } from "./google.mjs";

const ISSUER = "https://cluster.example.com";
const SUBJECT = "system:serviceaccount:db:latchkey";

let emulator, seed, account;
before(async () => {
  emulator = await startEmulator();
  seed = await emulator.admin("seed", { cloud: "gcp" });
  account = seed.credentials.service_account;
});
after(() => emulator.stop());

async function file(name, text) {
  const path = join(tmpdir(), `${process.pid}-${name}`);
  await writeFile(path, text);
  return path;
}

const encryptWith = (authClient, name = seed.escrow.uri) =>
  kmsClient(emulator, authClient).encrypt({ name, plaintext: Buffer.from("secret") });

// Who the emulator says has called.
async function callerOf(authClient, name) {
  const calls = await emulator.callsOf(() => encryptWith(authClient, name));
  return calls.at(-1).principal;
}

async function isRefused(promise, status, message) {
  return refusal(promise, (error) => {
    assert.equal(statusOf(error), status, `${error.code} ${error.message}`);
    if (message !== undefined) assert.match(error.message, message);
  });
}

describe("a service account's key", () => {
  test("signs the bearer token itself, without a token endpoint", async () => {
    const client = await new GoogleAuth({ credentials: account, scopes: [SCOPE] }).getClient();
    client.useJWTAccessWithScope = true;
    const calls = await emulator.callsOf(() => encryptWith(client));
    assert.deepEqual(
      calls.map((call) => call.operation),
      ["Encrypt"],
    );
    assert.equal(calls[0].principal, account.client_email);
  });

  test("in a file, signs for the service's address", async () => {
    const keyFile = await file("account.json", JSON.stringify(account));
    const client = await new GoogleAuth({ keyFile }).getClient();
    client.defaultServicePath = "cloudkms.googleapis.com";
    assert.equal(await callerOf(client), account.client_email);
  });

  test("gets an access token by OAuth", async () => {
    const calls = await emulator.callsOf(async () => encryptWith(await byOauth(emulator, account)));
    assert.deepEqual(
      calls.map((call) => call.operation),
      ["token", "Encrypt"],
    );
    assert.equal(calls[1].principal, account.client_email);
  });

  test("with too small a scope is refused", async () => {
    const small = { scopes: ["https://www.googleapis.com/auth/devstorage.read_only"] };
    for (const client of [await byOauth(emulator, account, small), accountClient(emulator, account, small)]) {
      await isRefused(encryptWith(client), "PERMISSION_DENIED", /insufficient authentication scopes/);
    }
  });

  test("that is not the account's is refused, by OAuth and as bearer", async () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const key = privateKey.export({ type: "pkcs8", format: "pem" });
    const error = await refusal(byOauth(emulator, account, { key }));
    assert.match(error.message, /invalid_grant/);
    await isRefused(encryptWith(accountClient(emulator, account, { key })), "UNAUTHENTICATED");
  });

  test("of an account that is gone is refused", async () => {
    const gone = await emulator.admin("gcp/service-accounts", { project: "latchkey-operator", name: "leaving" });
    await emulator.admin("gcp/service-accounts/delete", { service_account: gone.client_email });
    const error = await refusal(byOauth(emulator, gone));
    assert.match(error.message, /invalid_grant/);
    await isRefused(encryptWith(accountClient(emulator, gone)), "UNAUTHENTICATED");
  });
});

test("a token that is nonsense, and one that is over, are refused", async () => {
  await isRefused(encryptWith(withToken("nonsense")), "UNAUTHENTICATED");
  const client = await byOauth(emulator, account);
  await encryptWith(client);
  await emulator.pass(3601);
  await isRefused(encryptWith(client), "UNAUTHENTICATED");
});

describe("the metadata server", () => {
  const variables = () => ({ GCE_METADATA_HOST: new URL(emulator.urls.gcp).host, METADATA_SERVER_DETECTION: "assume-present" });

  test("gives the machine's own account", async () => {
    await withEnvironment(variables(), async () => assert.equal(await callerOf(new Compute({ scopes: [SCOPE] })), account.client_email));
  });

  test("is found by the library's defaults", async () => {
    await withEnvironment(variables(), async () => {
      const client = await new GoogleAuth({ scopes: [SCOPE], projectId: "latchkey-operator" }).getClient();
      assert.ok(client instanceof Compute);
      assert.equal(await callerOf(client), account.client_email);
    });
  });

  test("gives nothing to who does not say whom it takes it for, and nothing for a machine without an account", async () => {
    const url = `${emulator.urls.gcp}/computeMetadata/v1/instance/service-accounts/default/token`;
    assert.equal((await fetch(url)).status, 403);
    assert.equal((await fetch(url, { headers: { "metadata-flavor": "Google" } })).headers.get("metadata-flavor"), "Google");
    await emulator.admin("gcp/metadata", {});
    await withEnvironment(variables(), () => refusal(encryptWith(new Compute({ scopes: [SCOPE] }))));
    await emulator.admin("gcp/metadata", { service_account: account.client_email });
  });
});

describe("the owner's service account, by impersonation", () => {
  const source = () => accountClient(emulator, account);
  const impersonated = (more = {}) =>
    new Impersonated({
      sourceClient: source(),
      targetPrincipal: seed.owner.auth_principal,
      targetScopes: [SCOPE],
      lifetime: 600,
      delegates: [],
      endpoint: emulator.urls.gcp,
      ...more,
    });

  test("opens the owner's key, which the operator's own does not", async () => {
    const calls = await emulator.callsOf(() => encryptWith(impersonated(), seed.owner.uri));
    assert.deepEqual(
      calls.map((call) => call.operation),
      ["token", "generateAccessToken", "Encrypt"],
    );
    assert.equal(calls[1].principal, account.client_email);
    assert.equal(calls[2].principal, seed.owner.auth_principal);
    await isRefused(encryptWith(source(), seed.owner.uri), "PERMISSION_DENIED");
  });

  test("of another account, and for longer than an hour, is refused", async () => {
    const other = await emulator.admin("gcp/service-accounts", { project: "latchkey-owner", name: "not-yours" });
    const error = await refusal(impersonated({ targetPrincipal: other.client_email }).getAccessToken());
    assert.match(error.message, /iam\.serviceAccounts\.getAccessToken/);
    await refusal(impersonated({ lifetime: 7200 }).getAccessToken());
  });

  test("ends when the owner takes the right back and the change has spread", async () => {
    const right = { service_account: seed.owner.auth_principal, member: account.client_email };
    await emulator.admin("gcp/service-accounts/token-creators/remove", { ...right, after_seconds: 60 });
    await impersonated().getAccessToken();
    await emulator.pass(61);
    await refusal(impersonated().getAccessToken());
    await emulator.admin("gcp/service-accounts/token-creators", right);
    await impersonated().getAccessToken();
  });
});

describe("workload identity federation", () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const now = () => Math.floor(Date.now() / 1000);
  let pool;

  function token(more = {}, key = privateKey) {
    const part = (object) => Buffer.from(JSON.stringify(object)).toString("base64url");
    const claims = { iss: ISSUER, sub: SUBJECT, aud: `https:${pool.audience}`, iat: now(), exp: now() + 600, ...more };
    const text = `${part({ alg: "RS256", typ: "JWT" })}.${part(claims)}`;
    return `${text}.${createSign("sha256").update(text).sign(key, "base64url")}`;
  }

  const made = (more) =>
    emulator.admin("gcp/workload-pools", {
      project: "latchkey-operator",
      pool: "clusters",
      provider: "main",
      issuer: ISSUER,
      public_key: publicKey.export({ type: "spki", format: "pem" }),
      base_url: emulator.urls.gcp,
      ...more,
    });
  const clientFor = async (text, credentials = pool.credentials) => {
    const path = await file("subject-token", text);
    return ExternalAccountClient.fromJSON({ ...credentials, scopes: [SCOPE], credential_source: { file: path } });
  };

  before(async () => (pool = await made()));

  test("an identity of the pool acts by itself, where a key lets it", async () => {
    const principal = pool.principal_prefix + SUBJECT;
    await isRefused(encryptWith(await clientFor(token())), "PERMISSION_DENIED");
    await emulator.admin("gcp/keys/bindings", { key: seed.escrow.uri, role: "roles/cloudkms.cryptoKeyEncrypter", member: principal });
    assert.equal(await callerOf(await clientFor(token())), principal);
  });

  test("an identity of the pool acts as a service account", async () => {
    await emulator.admin("gcp/service-accounts/token-creators", { service_account: account.client_email, member: pool.principal_set });
    const { credentials } = await made({ service_account: account.client_email });
    const client = await clientFor(token(), credentials);
    const calls = await emulator.callsOf(() => encryptWith(client));
    assert.deepEqual(
      calls.map((call) => call.operation),
      ["exchangeToken", "generateAccessToken", "Encrypt"],
    );
    assert.equal(calls[2].principal, account.client_email);
  });

  test("another issuer, audience or key, a token that is over and an unknown pool are refused", async () => {
    const asked = async (...args) => (await clientFor(...args)).getAccessToken();
    await refusal(asked(token({ iss: "https://other.example.com" })), (error) =>
      assert.match(error.message, /invalid_grant|invalid_request/),
    );
    await refusal(asked(token({ aud: "other" })), (error) => assert.match(error.message, /invalid_grant|invalid_request/));
    await refusal(asked(token({}, generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey)), (error) =>
      assert.match(error.message, /invalid_grant/),
    );
    await refusal(asked(token({ iat: now() - 7200, exp: now() - 3600 })), (error) => assert.match(error.message, /invalid_grant/));
    const audience = pool.audience.replace("clusters", "nothing");
    await refusal(asked(token(), { ...pool.credentials, audience }), (error) =>
      assert.match(error.message, /invalid_(target|request|grant)/),
    );
  });
});
