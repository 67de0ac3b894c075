// Every way in which a client of AWS comes by credentials, through the SDK's own providers, and what happens to wrong ones.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { DescribeKeyCommand, EncryptCommand, KMSClient } from "@aws-sdk/client-kms";
import { AssumeRoleCommand, AssumeRoleWithWebIdentityCommand, GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import {
  fromContainerMetadata,
  fromHttp,
  fromIni,
  fromInstanceMetadata,
  fromTemporaryCredentials,
  fromTokenFile,
  fromWebToken,
} from "@aws-sdk/credential-providers";

import { refusal, startEmulator, withEnvironment } from "./emulator.mjs";

const OWNER = "777777777777";
const EXTERNAL_ID = "organization-1";
const REGION = "us-east-1";

let emulator, seed, user, role, key;
before(async () => {
  emulator = await startEmulator();
  // A role of its own for machines, containers and tokens; the seeded one is for AssumeRole.
  seed = await emulator.admin("seed", { external_id: EXTERNAL_ID, regions: [REGION] });
  user = { accessKeyId: seed.access_key_id, secretAccessKey: seed.secret_access_key };
  role = await newRole("workload", { web_identities: [{ subject: "system:serviceaccount:db:latchkey", audience: "sts.amazonaws.com" }] });
  key = (await emulator.admin("keys", { account: OWNER, region: REGION })).Arn;
});
after(() => emulator.stop());

const newRole = async (name, more) => (await emulator.admin("roles", { account: OWNER, name, ...more })).arn;
const place = () => ({ endpoint: emulator.urls.aws, region: REGION, maxAttempts: 1 });
const sts = (credentials) => new STSClient({ ...place(), credentials });
const whoIs = async (credentials) => (await sts(credentials).send(new GetCallerIdentityCommand({}))).Arn;
const describeWith = (credentials, more = {}) =>
  new KMSClient({ ...place(), credentials, ...more }).send(new DescribeKeyCommand({ KeyId: key }));

async function file(name, text) {
  const path = join(tmpdir(), `${process.pid}-${name}`);
  await writeFile(path, text);
  return path;
}

// An unsigned JWT: the emulator takes it for what the cluster's issuer signed.
function token(claims) {
  const part = (object) => Buffer.from(JSON.stringify(object)).toString("base64url");
  return `${part({ alg: "none" })}.${part(claims)}.`;
}
const WORKLOAD = { sub: "system:serviceaccount:db:latchkey", aud: "sts.amazonaws.com", iss: "https://cluster.example.com" };

async function isRefused(promise, name, status) {
  return refusal(promise, (error) => {
    assert.equal(error.name, name, error.message);
    assert.equal(error.$metadata.httpStatusCode, status);
  });
}

// Credentials that are a session of `arn`, and that KMS takes.
async function areOf(provider, arn) {
  const session = arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/");
  assert.ok((await whoIs(provider)).startsWith(`${session}/`));
  const credentials = await provider();
  assert.ok(credentials.expiration > new Date(), "sessions end");
  assert.equal((await describeWith(provider)).KeyMetadata.Arn, key);
}

describe("long-lived credentials", () => {
  test("static ones", async () => {
    const identity = await sts(user).send(new GetCallerIdentityCommand({}));
    assert.equal(identity.Arn, seed.user);
    assert.equal(identity.Account, "111111111111");
    assert.match(identity.UserId, /^AIDA/);
  });

  test("a profile in a file", async () => {
    const filepath = await file(
      "credentials",
      `[default]
aws_access_key_id = AKIAOTHER
aws_secret_access_key = other

[latchkey]
aws_access_key_id = ${user.accessKeyId}
aws_secret_access_key = ${user.secretAccessKey}
`,
    );
    assert.equal(await whoIs(fromIni({ filepath, configFilepath: filepath, profile: "latchkey" })), seed.user);
  });

  test("the environment, where the SDK looks by itself", async () => {
    const variables = {
      AWS_ACCESS_KEY_ID: user.accessKeyId,
      AWS_SECRET_ACCESS_KEY: user.secretAccessKey,
      AWS_REGION: REGION,
      AWS_ENDPOINT_URL: emulator.urls.aws,
    };
    await withEnvironment(variables, async () => {
      assert.equal((await new STSClient({}).send(new GetCallerIdentityCommand({}))).Arn, seed.user);
    });
  });

  test("an unknown access key and a wrong secret, at both services", async () => {
    const unknown = { accessKeyId: "AKIAXXXXXXXXXXXXXXXX", secretAccessKey: "wrong" };
    const wrong = { ...user, secretAccessKey: "wrong" };
    await isRefused(describeWith(unknown), "UnrecognizedClientException", 400);
    await isRefused(describeWith(wrong), "InvalidSignatureException", 400);
    await isRefused(whoIs(unknown), "InvalidClientTokenId", 403);
    await isRefused(whoIs(wrong), "SignatureDoesNotMatch", 403);
  });

  test("a clock that is wrong is set right by the SDK, from the date of the answer", async (t) => {
    const credentials = await sessionOf();
    const KeyId = seed.regions[REGION].owner_key;
    for (const wrong of [-3_600_000, 3_600_000]) {
      t.mock.timers.enable({ apis: ["Date"], now: Date.now() + wrong });
      await isRefused(describeWith(credentials, { disableClockSkewCorrection: true }), "InvalidSignatureException", 400);
      const client = new KMSClient({ ...place(), credentials, maxAttempts: 2 });
      const { $metadata } = await client.send(new DescribeKeyCommand({ KeyId }));
      t.mock.timers.reset();
      assert.equal($metadata.attempts, 2);
    }
  });
});

async function sessionOf(ExternalId = EXTERNAL_ID, more = {}) {
  const { Credentials } = await sts(user).send(new AssumeRoleCommand({ RoleArn: seed.role, RoleSessionName: "test", ExternalId, ...more }));
  return { accessKeyId: Credentials.AccessKeyId, secretAccessKey: Credentials.SecretAccessKey, sessionToken: Credentials.SessionToken };
}

describe("the owner's role, with an external id", () => {
  const encryptWith = (credentials) =>
    new KMSClient({ ...place(), credentials }).send(
      new EncryptCommand({ KeyId: seed.regions[REGION].owner_key, Plaintext: Buffer.from("x") }),
    );

  test("AssumeRole gives a session that ends", async () => {
    const answer = await sts(user).send(
      new AssumeRoleCommand({ RoleArn: seed.role, RoleSessionName: "test", ExternalId: EXTERNAL_ID, DurationSeconds: 900 }),
    );
    assert.equal(answer.AssumedRoleUser.Arn, "arn:aws:sts::222222222222:assumed-role/latchkey-cmek/test");
    assert.match(answer.Credentials.AccessKeyId, /^ASIA/);
    assert.ok(Math.abs(answer.Credentials.Expiration - Date.now() - 900_000) < 60_000);
  });

  test("the SDK's own provider assumes it", async () => {
    const params = { RoleArn: seed.role, RoleSessionName: "test", ExternalId: EXTERNAL_ID };
    await encryptWith(fromTemporaryCredentials({ masterCredentials: user, params, clientConfig: place() }));
  });

  test("a profile that names role, source and external id", async () => {
    const filepath = await file(
      "config",
      `[profile operator]
aws_access_key_id = ${user.accessKeyId}
aws_secret_access_key = ${user.secretAccessKey}

[profile owner]
role_arn = ${seed.role}
source_profile = operator
external_id = ${EXTERNAL_ID}
`,
    );
    await encryptWith(fromIni({ filepath: await file("none", ""), configFilepath: filepath, profile: "owner", clientConfig: place() }));
  });

  test("a wrong external id, none, and a stranger are refused alike", async () => {
    const messages = new Set();
    for (const ExternalId of ["organization-2", undefined]) {
      const command = new AssumeRoleCommand({ RoleArn: seed.role, RoleSessionName: "test", ExternalId });
      messages.add((await isRefused(sts(user).send(command), "AccessDenied", 403)).message);
    }
    assert.equal(messages.size, 1, "the answer must not tell which part was wrong");
    assert.match([...messages][0], /is not authorized to perform: sts:AssumeRole on resource: /);
    const stranger = await emulator.admin("users", { account: "888888888888", name: "stranger" });
    const theirs = sts({ accessKeyId: stranger.access_key_id, secretAccessKey: stranger.secret_access_key });
    await isRefused(
      theirs.send(new AssumeRoleCommand({ RoleArn: seed.role, RoleSessionName: "test", ExternalId: EXTERNAL_ID })),
      "AccessDenied",
      403,
    );
  });

  test("what breaks the rules of its form is a fault of validation", async () => {
    const assume = (more) =>
      sts(user).send(new AssumeRoleCommand({ RoleArn: seed.role, RoleSessionName: "test", ExternalId: EXTERNAL_ID, ...more }));
    await isRefused(assume({ RoleArn: "nonsense" }), "ValidationError", 400);
    await isRefused(assume({ ExternalId: "with a blank" }), "ValidationError", 400);
    await isRefused(assume({ DurationSeconds: 899 }), "ValidationError", 400);
  });

  test("the owner takes trust away, which bites when it has spread", async () => {
    await emulator.admin("roles/untrust", { role: seed.role, after_seconds: 30 });
    const session = await sessionOf();
    await emulator.pass(31);
    await isRefused(sessionOf(), "AccessDenied", 403);
    await encryptWith(session); // sessions that are out go on
    await emulator.admin("roles/trust", { role: seed.role });
    await sessionOf();
  });

  test("a session that is over, and one with another token, are told apart", async () => {
    const session = await sessionOf(EXTERNAL_ID, { DurationSeconds: 900 });
    await isRefused(encryptWith({ ...session, sessionToken: "nonsense" }), "UnrecognizedClientException", 400);
    await isRefused(encryptWith({ ...session, sessionToken: undefined }), "UnrecognizedClientException", 400);
    await emulator.pass(901);
    await isRefused(encryptWith(session), "ExpiredTokenException", 400);
    await isRefused(whoIs(session), "ExpiredToken", 403);
  });
});

describe("web identity", () => {
  const webClient = { clientConfig: { endpoint: "", region: REGION } };
  before(() => (webClient.clientConfig.endpoint = emulator.urls.aws));

  test("a token file, as Kubernetes mounts it", async () => {
    const webIdentityTokenFile = await file("token", token(WORKLOAD));
    await areOf(fromTokenFile({ webIdentityTokenFile, roleArn: role, roleSessionName: "pod", ...webClient }), role);
  });

  test("the same named by the environment", async () => {
    const variables = {
      AWS_WEB_IDENTITY_TOKEN_FILE: await file("token", token(WORKLOAD)),
      AWS_ROLE_ARN: role,
      AWS_ROLE_SESSION_NAME: "pod",
    };
    await withEnvironment(variables, () => areOf(fromTokenFile(webClient), role));
  });

  test("a registered token", async () => {
    await emulator.admin("web-identity-tokens", { token: "opaque-token", subject: WORKLOAD.sub, audience: WORKLOAD.aud });
    await areOf(fromWebToken({ webIdentityToken: "opaque-token", roleArn: role, roleSessionName: "pod", ...webClient }), role);
  });

  test("no token, another subject, another audience and a token that is over are refused", async () => {
    const assume = (WebIdentityToken) =>
      new STSClient(place()).send(new AssumeRoleWithWebIdentityCommand({ RoleArn: role, RoleSessionName: "pod", WebIdentityToken }));
    await isRefused(assume("nonsense"), "InvalidIdentityTokenException", 400);
    await isRefused(assume(token({ ...WORKLOAD, sub: "system:serviceaccount:db:other" })), "AccessDenied", 403);
    const audience = await refusal(assume(token({ ...WORKLOAD, aud: "other" })));
    assert.ok(["AccessDenied", "InvalidIdentityTokenException"].includes(audience.name), audience.name);
    await isRefused(assume(token({ ...WORKLOAD, exp: 1 })), "ExpiredTokenException", 400);
  });
});

describe("a container's endpoint", () => {
  let url;
  before(async () => {
    const made = await emulator.admin("container-credentials", { role, authorization_token: "Basic c2VjcmV0" });
    url = emulator.urls.aws + made.path;
  });

  test("with its authorization token", async () => {
    await areOf(fromHttp({ awsContainerCredentialsFullUri: url, awsContainerAuthorizationToken: "Basic c2VjcmV0" }), role);
  });

  test("named by the environment, as ECS and EKS do", async () => {
    const variables = {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: url,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: await file("authorization", "Basic c2VjcmV0"),
    };
    await withEnvironment(variables, () => areOf(fromHttp(), role));
    await withEnvironment({ ...variables, AWS_CONTAINER_AUTHORIZATION_TOKEN: "Basic c2VjcmV0" }, () =>
      areOf(fromContainerMetadata(), role),
    );
  });

  test("a wrong authorization token and an unknown container get nothing", async () => {
    await refusal(fromHttp({ awsContainerCredentialsFullUri: url, awsContainerAuthorizationToken: "Basic d3Jvbmc=", maxRetries: 0 })());
    const nowhere = `${emulator.urls.aws}/v2/credentials/unknown`;
    await refusal(fromHttp({ awsContainerCredentialsFullUri: nowhere, awsContainerAuthorizationToken: "Basic c2VjcmV0", maxRetries: 0 })());
  });
});

describe("an instance's metadata", () => {
  const variables = () => ({ AWS_EC2_METADATA_SERVICE_ENDPOINT: emulator.urls.aws });
  before(() => emulator.admin("instance-role", { role }));

  test("version 2: first a token, then role and credentials", async () => {
    const calls = await emulator.callsOf(() =>
      withEnvironment(variables(), () => fromInstanceMetadata({ maxRetries: 0, ec2MetadataV1Disabled: true })()),
    );
    assert.deepEqual(
      calls.map((call) => call.operation),
      ["token", "roleName", "roleCredentials"],
    );
    await withEnvironment(variables(), () => areOf(fromInstanceMetadata({ maxRetries: 0, ec2MetadataV1Disabled: true }), role));
  });

  test("requests without a token, as of version 1, get nothing", async () => {
    const path = "/latest/meta-data/iam/security-credentials/";
    assert.equal((await fetch(emulator.urls.aws + path)).status, 401);
    assert.equal((await fetch(emulator.urls.aws + path, { headers: { "x-aws-ec2-metadata-token": "nonsense" } })).status, 401);
  });

  test("an instance without a role gets nothing", async () => {
    await emulator.admin("instance-role", { role: "" });
    await withEnvironment(variables(), () => refusal(fromInstanceMetadata({ maxRetries: 0, ec2MetadataV1Disabled: true })()));
    await emulator.admin("instance-role", { role });
  });
});
