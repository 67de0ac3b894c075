// The emulator with TLS: every SDK takes its certificate, with the CA that Node was started with. Azure's tests all run so.
import assert from "node:assert/strict";
import https from "node:https";
import tls from "node:tls";
import { after, before, test } from "node:test";

import { KMSClient, ListKeysCommand } from "@aws-sdk/client-kms";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import nodeVault from "node-vault";

import { refusal, startEmulator } from "./emulator.mjs";
import { byOauth, kmsClient } from "./google.mjs";

let emulator;
before(async () => (emulator = await startEmulator({ tls: true })));
after(() => emulator.stop());

test("AWS", async () => {
  const seed = await emulator.admin("seed", { external_id: "organization-1" });
  const credentials = { accessKeyId: seed.access_key_id, secretAccessKey: seed.secret_access_key };
  const place = { endpoint: emulator.urls.aws, region: "us-east-1", credentials, maxAttempts: 1 };
  assert.match(place.endpoint, /^https:/);
  assert.equal((await new STSClient(place).send(new GetCallerIdentityCommand({}))).Arn, seed.user);
  assert.ok((await new KMSClient(place).send(new ListKeysCommand({}))).Keys.length > 0);
});

test("Google Cloud", async () => {
  const seed = await emulator.admin("seed", { cloud: "gcp" });
  const client = kmsClient(emulator, await byOauth(emulator, seed.credentials.service_account));
  assert.equal((await client.getCryptoKey({ name: seed.escrow.uri }))[0].name, seed.escrow.uri);
});

test("Vault", async () => {
  const { token } = (await emulator.admin("seed", { cloud: "vault" })).credentials;
  const { data } = await nodeVault({ endpoint: emulator.urls.vault, token }).transitReadKey({ name: "owner-key-1" });
  assert.equal(data.latest_version, 1);
});

test("who does not know the CA trusts none of them", async () => {
  for (const url of Object.values(emulator.urls)) {
    const asked = new Promise((resolve, reject) => https.get(url, { ca: tls.rootCertificates, agent: false }, resolve).on("error", reject));
    await refusal(asked, (error) => assert.match(error.code, /UNABLE_TO_VERIFY|SELF_SIGNED|UNABLE_TO_GET_ISSUER/));
  }
});
