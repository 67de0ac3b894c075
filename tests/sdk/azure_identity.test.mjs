// Every way in which a client of Azure comes by a token, through @azure/identity, and what happens to wrong ones.
import assert from "node:assert/strict";
import { createSign, generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import {
  ClientAssertionCredential,
  ClientCertificateCredential,
  ClientSecretCredential,
  DefaultAzureCredential,
  WorkloadIdentityCredential,
} from "@azure/identity";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";

import { authorityOptions, OPERATOR, OWNER, vaultOptions } from "./azure.mjs";
import { refusal, startEmulator, withEnvironment } from "./emulator.mjs";
import { managedIdentityToken } from "./managed_identity.mjs";

const ESCROW = "https://latchkey-escrow.vault.azure.net/keys/escrow";
const OWNERS_KEY = "https://owner-vault.vault.azure.net/keys/owner-key-1";
const SCOPE = "https://vault.azure.net/.default";
const ISSUER = "https://cluster.example.com";
const SUBJECT = "system:serviceaccount:db:latchkey";

let emulator, seed;
before(async () => {
  emulator = await startEmulator({ tls: true });
  seed = (await emulator.admin("seed", { cloud: "azure" })).credentials;
});
after(() => emulator.stop());

async function file(name, text) {
  const path = join(tmpdir(), `${process.pid}-${name}`);
  await writeFile(path, text);
  return path;
}
const options = (more) => authorityOptions(emulator, more);
const bySecret = (tenant, secret = seed.client_secret, more) => new ClientSecretCredential(tenant, seed.client_id, secret, options(more));

// Wraps and unwraps with the key: token, challenge, roles.
async function opens(credential, key) {
  const client = new CryptographyClient(key, credential, vaultOptions(emulator));
  const { result } = await client.wrapKey("RSA-OAEP-256", Buffer.from("secret"));
  assert.equal(Buffer.from((await client.unwrapKey("RSA-OAEP-256", result)).result).toString(), "secret");
}

// Entra ID refuses with this AADSTS code.
async function isRefused(credential, code) {
  const error = await refusal(credential.getToken(SCOPE));
  assert.match(error.message, new RegExp(`AADSTS${code}`));
}

describe("a client secret", () => {
  test("opens what the application may open", () => opens(bySecret(OPERATOR), ESCROW));

  test("a tenant may be named by its domain", async () => {
    const token = await bySecret("operator.onmicrosoft.com").getToken(SCOPE);
    await opens({ getToken: async () => token }, ESCROW);
  });

  test("a wrong one, one that is over, an unknown application and an unknown tenant", async () => {
    await isRefused(bySecret(OPERATOR, "wrong"), 7000215);
    const made = await emulator.admin("azure/applications/secret", { application: seed.client_id, expires_in_seconds: 60 });
    await opens(bySecret(OPERATOR, made.client_secret), ESCROW);
    await emulator.pass(61);
    await isRefused(bySecret(OPERATOR, made.client_secret), 7000222);
    const unknown = "99999999-9999-4999-8999-999999999999";
    await isRefused(new ClientSecretCredential(OPERATOR, unknown, "x", options()), 700016);
    await refusal(bySecret(unknown).getToken(SCOPE));
  });

  test("a token is asked for once and used for many calls", async () => {
    const client = new KeyClient("https://latchkey-escrow.vault.azure.net", bySecret(OPERATOR), vaultOptions(emulator));
    const calls = await emulator.callsOf(async () => {
      for (let i = 0; i < 3; ++i) await client.getKey("escrow");
    });
    assert.equal(calls.filter((call) => call.operation === "token").length, 1);
    assert.equal(calls.filter((call) => call.operation === "challenge").length, 1);
    assert.equal(calls.filter((call) => call.operation === "get" && call.status === 200).length, 3);
  });

  test("where the emulator has an address of its own, the check of the challenge's host must be switched off", async () => {
    const url = emulator.urls.azure;
    const more = { retryOptions: { maxRetries: 0 } };
    const error = await refusal(new KeyClient(url, bySecret(OPERATOR), more).createRsaKey("here"));
    assert.match(error.message, /does not match the requested domain/);
    const made = await new KeyClient(url, bySecret(OPERATOR), { ...more, disableChallengeResourceVerification: true }).createRsaKey("here");
    assert.ok(made.id.startsWith(`${url}/keys/here/`));
  });
});

describe("the owner's tenant", () => {
  test("takes the operator's application, once it has consented", async () => {
    await opens(bySecret(OWNER), OWNERS_KEY);
    await emulator.admin("azure/consents/withdraw", { tenant: OWNER, application: seed.client_id });
    await isRefused(bySecret(OWNER), 700016);
    await emulator.admin("azure/consents", { tenant: OWNER, application: seed.client_id });
  });

  test("is found by the SDK in the vault's challenge, when it may go there", async () => {
    await emulator.admin("azure/roles", {
      vault: "owner-vault",
      role: "Key Vault Crypto Service Encryption User",
      principal: seed.client_id,
    });
    await opens(bySecret(OPERATOR, seed.client_secret, { additionallyAllowedTenants: [OWNER] }), OWNERS_KEY);
    const error = await refusal(opens(bySecret(OPERATOR), OWNERS_KEY));
    assert.match(error.message, /tenant/);
  });

  test("does not take another tenant's token", async () => {
    const foreign = { getToken: (scopes) => bySecret(OPERATOR).getToken(scopes) };
    const client = new KeyClient("https://owner-vault.vault.azure.net", foreign, vaultOptions(emulator));
    await refusal(client.getKey("owner-key-1"), (error) => {
      assert.equal(error.statusCode, 401);
      assert.match(error.message, /AKV10032/);
    });
  });

  test("does not take a token for something else", async () => {
    const other = { getToken: () => bySecret(OWNER).getToken("https://managedhsm.azure.net/.default") };
    const client = new KeyClient("https://owner-vault.vault.azure.net", other, vaultOptions(emulator));
    await refusal(client.getKey("owner-key-1"), (error) => assert.match(error.message, /AKV10022/));
  });
});

describe("a client certificate", () => {
  const byCertificate = (pem, more) => new ClientCertificateCredential(OPERATOR, seed.client_id, { certificate: pem }, options(more));

  test("that is the application's", () => opens(byCertificate(seed.certificate_pem), ESCROW));

  test("in a file, with its chain sent along", async () => {
    const certificatePath = await file("certificate.pem", seed.certificate_pem);
    await opens(
      new ClientCertificateCredential(OPERATOR, seed.client_id, { certificatePath }, options({ sendCertificateChain: true })),
      ESCROW,
    );
  });

  test("of another application is refused", async () => {
    const other = await emulator.admin("azure/applications", { tenant: OPERATOR, name: "other", certificate: true });
    await isRefused(byCertificate(other.certificate_pem), 700027);
  });
});

describe("another issuer's token", () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const now = () => Math.floor(Date.now() / 1000);

  function token(more = {}, key = privateKey) {
    const part = (object) => Buffer.from(JSON.stringify(object)).toString("base64url");
    const claims = { iss: ISSUER, sub: SUBJECT, aud: "api://AzureADTokenExchange", iat: now(), nbf: now(), exp: now() + 600, ...more };
    const text = `${part({ alg: "RS256", typ: "JWT" })}.${part(claims)}`;
    return `${text}.${createSign("sha256").update(text).sign(key, "base64url")}`;
  }
  const byToken = (text) => new ClientAssertionCredential(OPERATOR, seed.client_id, async () => text, options());

  before(() =>
    emulator.admin("azure/applications/federated", {
      application: seed.client_id,
      issuer: ISSUER,
      subject: SUBJECT,
      key_pem: publicKey.export({ type: "spki", format: "pem" }),
    }),
  );

  test("in a file, as Kubernetes mounts it", async () => {
    const tokenFilePath = await file("token", token());
    await opens(new WorkloadIdentityCredential({ tenantId: OPERATOR, clientId: seed.client_id, tokenFilePath, ...options() }), ESCROW);
  });

  test("found by the environment", async () => {
    const variables = {
      AZURE_TENANT_ID: OPERATOR,
      AZURE_CLIENT_ID: seed.client_id,
      AZURE_FEDERATED_TOKEN_FILE: await file("federated", token()),
      AZURE_AUTHORITY_HOST: emulator.urls.azure,
      AZURE_TOKEN_CREDENTIALS: "WorkloadIdentityCredential",
    };
    await withEnvironment(variables, () => opens(new DefaultAzureCredential({ disableInstanceDiscovery: true }), ESCROW));
  });

  test("given by the program", () => opens(byToken(token()), ESCROW));

  test("with another subject, issuer, audience or key, or one that is over, is refused", async () => {
    await isRefused(byToken(token({ sub: "system:serviceaccount:db:other" })), "7002\\d+");
    await isRefused(byToken(token({ iss: "https://other.example.com" })), "7002\\d+");
    await isRefused(byToken(token({ aud: "other" })), "7002\\d+");
    await isRefused(byToken(token({ exp: now() - 600, nbf: now() - 1200, iat: now() - 1200 })), "700024");
    await isRefused(byToken(token({}, generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey)), "\\d+");
  });
});

describe("a managed identity", () => {
  let machine, second;
  before(async () => {
    machine = await emulator.admin("azure/managed-identity", { tenant: OPERATOR, name: "machine", system_assigned: true });
    second = await emulator.admin("azure/managed-identity", { tenant: OPERATOR, name: "second" });
    const role = "Key Vault Crypto Service Encryption User";
    await emulator.admin("azure/roles", { vault: "latchkey-escrow", role, principal: machine.client_id });
  });
  const imds = () => ({ AZURE_POD_IDENTITY_AUTHORITY_HOST: emulator.urls.azure });
  const appService = () => ({ IDENTITY_ENDPOINT: `${emulator.urls.azure}/msi/token`, IDENTITY_HEADER: machine.identity_header });

  async function opensWith(variables, options) {
    const token = await managedIdentityToken(variables, SCOPE, options);
    await opens({ getToken: async () => token }, ESCROW);
  }

  test("of a virtual machine", () => opensWith(imds()));

  test("of App Service", () => opensWith(appService()));

  test("is named where a machine has several", () => opensWith(imds(), { clientId: machine.client_id }));

  test("has its own rights, not the machine's", async () => {
    await refusal(opensWith(imds(), { clientId: second.client_id }), (error) => assert.equal(error.statusCode, 403));
  });

  test("that is not there gets nothing", async () => {
    const clientId = "99999999-9999-4999-8999-999999999999";
    const error = await refusal(managedIdentityToken(imds(), SCOPE, { clientId }));
    assert.match(error.message, /Identity not found|400/);
  });

  test("of App Service needs the secret of its environment", async () => {
    await refusal(managedIdentityToken({ ...appService(), IDENTITY_HEADER: "wrong" }, SCOPE));
  });
});

test("an authority that throttles", async () => {
  await emulator.admin("faults", { cloud: "azure", operation: "token", action: "throttle", times: 1 });
  await opens(bySecret(OPERATOR, seed.client_secret, { retryOptions: { maxRetries: 2, retryDelayInMs: 1 } }), ESCROW);
});
