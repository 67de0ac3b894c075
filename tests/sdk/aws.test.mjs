// AWS KMS and STS as @aws-sdk/client-kms and client-sts see them: keys, policies, faults. Identities are in aws_identity.test.mjs.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import {
  CancelKeyDeletionCommand,
  CreateKeyCommand,
  DecryptCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EnableKeyRotationCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  GetKeyPolicyCommand,
  GetKeyRotationStatusCommand,
  KMSClient,
  ListKeysCommand,
  ListKeyRotationsCommand,
  paginateListKeys,
  PutKeyPolicyCommand,
  ReEncryptCommand,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
  SignCommand,
} from "@aws-sdk/client-kms";

import { refusal, startEmulator } from "./emulator.mjs";

const ACCOUNT = "444444444444";
const DAY = 86400;
const SECRET = Buffer.from("thirty-two bytes of key material");
const CONTEXT = { "latchkey:cluster": "c1", "latchkey:purpose": "kek" };

let emulator, credentials;
before(async () => {
  emulator = await startEmulator();
  credentials = await newUser("owner", ACCOUNT);
});
after(() => emulator.stop());

async function newUser(name, account) {
  const user = await emulator.admin("users", { account, name });
  return { accessKeyId: user.access_key_id, secretAccessKey: user.secret_access_key };
}

// One attempt a call unless `more` says otherwise: what the service answers is looked at, not what the SDK makes of it.
const client = (more = {}) => new KMSClient({ endpoint: emulator.urls.aws, region: "us-east-1", credentials, maxAttempts: 1, ...more });

const kms = (command, more) => client(more).send(command);
const newKey = async (more) => (await kms(new CreateKeyCommand(more ?? {}))).KeyMetadata.Arn;
const encrypt = async (KeyId) => (await kms(new EncryptCommand({ KeyId, Plaintext: SECRET, EncryptionContext: CONTEXT }))).CiphertextBlob;
const decrypt = async (CiphertextBlob, KeyId) => kms(new DecryptCommand({ CiphertextBlob, KeyId, EncryptionContext: CONTEXT }));

async function isRefused(promise, name, message) {
  return refusal(promise, (error) => {
    assert.equal(error.name, name, error.message);
    assert.equal(error.$metadata.httpStatusCode, 400);
    assert.equal(error.$fault, "client");
    assert.match(error.$metadata.requestId, /^[0-9a-f-]{36}$/);
    if (message !== undefined) assert.match(error.message, message);
  });
}

describe("a key from its creation to its end", () => {
  test("it is created, described, used, disabled, rotated, deleted", async () => {
    const { KeyMetadata: made } = await kms(new CreateKeyCommand({ Description: "of the owner" }));
    assert.match(made.Arn, new RegExp(`^arn:aws:kms:us-east-1:${ACCOUNT}:key/[0-9a-f-]{36}$`));
    const { KeyMetadata: seen } = await kms(new DescribeKeyCommand({ KeyId: made.KeyId }));
    assert.deepEqual(seen, made);
    assert.equal(seen.KeyState, "Enabled");
    assert.equal(seen.KeySpec, "SYMMETRIC_DEFAULT");
    assert.deepEqual(seen.EncryptionAlgorithms, ["SYMMETRIC_DEFAULT"]);
    assert.ok(Math.abs(seen.CreationDate - Date.now()) < 60_000);
    const key = made.Arn;

    const blob = await encrypt(key);
    const opened = await decrypt(blob, key);
    assert.deepEqual(Buffer.from(opened.Plaintext), SECRET);
    assert.equal(opened.KeyId, key);

    await kms(new DisableKeyCommand({ KeyId: key }));
    await isRefused(encrypt(key), "DisabledException", /is disabled\.$/);
    await isRefused(decrypt(blob, key), "DisabledException");
    await kms(new EnableKeyCommand({ KeyId: key }));

    await kms(new RotateKeyOnDemandCommand({ KeyId: key }));
    const { Rotations } = await kms(new ListKeyRotationsCommand({ KeyId: key }));
    assert.equal(Rotations.length, 1);
    assert.ok(Rotations[0].RotationDate instanceof Date);
    const rotated = (await kms(new DescribeKeyCommand({ KeyId: key }))).KeyMetadata;
    assert.notEqual(rotated.CurrentKeyMaterialId, made.CurrentKeyMaterialId);
    assert.equal((await decrypt(blob, key)).KeyMaterialId, made.CurrentKeyMaterialId);

    const scheduled = await kms(new ScheduleKeyDeletionCommand({ KeyId: key, PendingWindowInDays: 7 }));
    assert.equal(scheduled.KeyState, "PendingDeletion");
    assert.ok(Math.abs(scheduled.DeletionDate - Date.now() - 7 * DAY * 1000) < 60_000);
    await isRefused(decrypt(blob, key), "KMSInvalidStateException", /is pending deletion\.$/);
    await isRefused(kms(new EnableKeyCommand({ KeyId: key })), "KMSInvalidStateException");
    await kms(new CancelKeyDeletionCommand({ KeyId: key }));
    await isRefused(decrypt(blob, key), "DisabledException");
    await kms(new EnableKeyCommand({ KeyId: key }));
    assert.deepEqual(Buffer.from((await decrypt(blob, key)).Plaintext), SECRET);

    await kms(new ScheduleKeyDeletionCommand({ KeyId: key, PendingWindowInDays: 7 }));
    await emulator.pass(8 * DAY);
    await isRefused(kms(new DescribeKeyCommand({ KeyId: key })), "NotFoundException", /does not exist/);
    await isRefused(decrypt(blob, key), "NotFoundException");
    await isRefused(decrypt(blob), "AccessDeniedException");
  });

  test("it rotates by itself", async () => {
    const key = await newKey();
    await kms(new EnableKeyRotationCommand({ KeyId: key, RotationPeriodInDays: 90 }));
    const status = await kms(new GetKeyRotationStatusCommand({ KeyId: key }));
    assert.equal(status.KeyRotationEnabled, true);
    assert.equal(status.RotationPeriodInDays, 90);
    const blob = await encrypt(key);
    await emulator.pass(91 * DAY);
    const { Rotations } = await kms(new ListKeyRotationsCommand({ KeyId: key }));
    assert.deepEqual(
      Rotations.map((rotation) => rotation.RotationType),
      ["AUTOMATIC"],
    );
    assert.deepEqual(Buffer.from((await decrypt(blob, key)).Plaintext), SECRET);
  });

  test("keys are listed page by page", async () => {
    const lister = await newUser("lister", "555555555555");
    const made = [];
    for (let i = 0; i < 5; ++i) made.push((await kms(new CreateKeyCommand({}), { credentials: lister })).KeyMetadata.Arn);
    const pages = [];
    for await (const page of paginateListKeys({ client: client({ credentials: lister }), pageSize: 2 }, {})) pages.push(page.Keys);
    assert.deepEqual(
      pages.map((page) => page.length),
      [2, 2, 1],
    );
    assert.deepEqual(
      pages
        .flat()
        .map((key) => key.KeyArn)
        .sort(),
      made.sort(),
    );
  });
});

describe("what is encrypted", () => {
  test("data keys come in the clear, wrapped, or both", async () => {
    const key = await newKey();
    const both = await kms(new GenerateDataKeyCommand({ KeyId: key, KeySpec: "AES_256", EncryptionContext: CONTEXT }));
    assert.equal(both.Plaintext.length, 32);
    assert.deepEqual((await decrypt(both.CiphertextBlob, key)).Plaintext, both.Plaintext);
    const wrapped = await kms(new GenerateDataKeyWithoutPlaintextCommand({ KeyId: key, NumberOfBytes: 48, EncryptionContext: CONTEXT }));
    assert.equal(wrapped.Plaintext, undefined);
    assert.equal((await decrypt(wrapped.CiphertextBlob, key)).Plaintext.length, 48);
  });

  test("it moves to another key without being shown", async () => {
    const [from, to] = [await newKey(), await newKey()];
    const moved = await kms(
      new ReEncryptCommand({
        CiphertextBlob: await encrypt(from),
        SourceKeyId: from,
        SourceEncryptionContext: CONTEXT,
        DestinationKeyId: to,
        DestinationEncryptionContext: CONTEXT,
      }),
    );
    assert.equal(moved.SourceKeyId, from);
    assert.equal(moved.KeyId, to);
    assert.deepEqual(Buffer.from((await decrypt(moved.CiphertextBlob, to)).Plaintext), SECRET);
  });

  test("another context, a changed blob and another key do not open it", async () => {
    const key = await newKey();
    const CiphertextBlob = await encrypt(key);
    await isRefused(
      kms(new DecryptCommand({ CiphertextBlob, EncryptionContext: { ...CONTEXT, more: "x" } })),
      "InvalidCiphertextException",
    );
    await isRefused(kms(new DecryptCommand({ CiphertextBlob })), "InvalidCiphertextException");
    const changed = Uint8Array.from(CiphertextBlob);
    changed[changed.length - 1] ^= 1;
    await isRefused(decrypt(changed, key), "InvalidCiphertextException");
    await isRefused(decrypt(CiphertextBlob, await newKey()), "IncorrectKeyException");
  });

  test("a dry run tells what would be", async () => {
    const KeyId = await newKey();
    await isRefused(kms(new EncryptCommand({ KeyId, Plaintext: SECRET, DryRun: true })), "DryRunOperationException");
    await kms(new DisableKeyCommand({ KeyId }));
    await isRefused(kms(new EncryptCommand({ KeyId, Plaintext: SECRET, DryRun: true })), "DisabledException");
  });

  test("too much, the wrong kind of key and what the emulator does not do are refused", async () => {
    const KeyId = await newKey();
    await isRefused(kms(new EncryptCommand({ KeyId, Plaintext: Buffer.alloc(4097) })), "ValidationException", /4096/);
    const signer = await newKey({ KeyUsage: "SIGN_VERIFY", KeySpec: "RSA_2048" });
    await isRefused(kms(new EncryptCommand({ KeyId: signer, Plaintext: SECRET })), "InvalidKeyUsageException");
    await isRefused(
      kms(new SignCommand({ KeyId: signer, Message: SECRET, SigningAlgorithm: "RSASSA_PSS_SHA_256" })),
      "UnknownOperationException",
    );
  });

  test("a key is reached in its own region only", async () => {
    const key = await newKey();
    await isRefused(kms(new DescribeKeyCommand({ KeyId: key }), { region: "eu-west-1" }), "NotFoundException", /Invalid arn/);
    await isRefused(
      kms(new DescribeKeyCommand({ KeyId: key.split("/")[1] }), { region: "eu-west-1" }),
      "NotFoundException",
      /does not exist/,
    );
    const CiphertextBlob = await encrypt(key);
    await isRefused(
      kms(new DecryptCommand({ CiphertextBlob, EncryptionContext: CONTEXT }), { region: "eu-west-1" }),
      "AccessDeniedException",
    );
  });
});

describe("who may", () => {
  test("a key's policy lets another account in, and out again", async () => {
    const stranger = await newUser("stranger", "666666666666");
    const key = await newKey();
    const theirs = () => kms(new EncryptCommand({ KeyId: key, Plaintext: SECRET }), { credentials: stranger });
    await isRefused(theirs(), "AccessDeniedException", /is not authorized to perform: kms:Encrypt/);
    const before = (await kms(new GetKeyPolicyCommand({ KeyId: key, PolicyName: "default" }))).Policy;
    const policy = JSON.parse(before);
    policy.Statement.push({
      Effect: "Allow",
      Principal: { AWS: "arn:aws:iam::666666666666:root" },
      Action: ["kms:Encrypt"],
      Resource: "*",
    });
    await kms(new PutKeyPolicyCommand({ KeyId: key, PolicyName: "default", Policy: JSON.stringify(policy) }));
    const { CiphertextBlob } = await theirs();
    await isRefused(kms(new DecryptCommand({ CiphertextBlob, KeyId: key }), { credentials: stranger }), "AccessDeniedException");
    await kms(new PutKeyPolicyCommand({ KeyId: key, PolicyName: "default", Policy: before }));
    await isRefused(theirs(), "AccessDeniedException");
  });

  test("a policy that locks its maker out is refused", async () => {
    const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [] });
    await isRefused(kms(new PutKeyPolicyCommand({ KeyId: await newKey(), Policy })), "MalformedPolicyDocumentException");
  });

  test("a denial on order is an explicit deny", async () => {
    const key = await newKey();
    const principal = `arn:aws:iam::${ACCOUNT}:user/owner`;
    await emulator.admin("denials", { principal, key });
    await isRefused(encrypt(key), "AccessDeniedException", /explicit deny/);
    await emulator.admin("denials/remove", { principal, key });
    await encrypt(key);
  });
});

describe("what takes its time", () => {
  test("a key that the owner disables still works until the change has spread", async () => {
    const key = await newKey();
    await emulator.admin("keys/disable", { key, after_seconds: 60 });
    const blob = await encrypt(key);
    await emulator.pass(59);
    await decrypt(blob, key);
    await emulator.pass(2);
    await isRefused(decrypt(blob, key), "DisabledException");
  });

  test("a denial bites later, and so does its end", async () => {
    const key = await newKey();
    const principal = `arn:aws:iam::${ACCOUNT}:user/owner`;
    await emulator.admin("denials", { principal, key, after_seconds: 10 });
    await encrypt(key);
    await emulator.pass(11);
    await isRefused(encrypt(key), "AccessDeniedException");
    await emulator.admin("denials/remove", { principal, key, after_seconds: 10 });
    await isRefused(encrypt(key), "AccessDeniedException");
    await emulator.pass(11);
    await encrypt(key);
  });
});

describe("a service in trouble", () => {
  const patient = { maxAttempts: 4 };

  test("the SDK waits out throttling", async () => {
    const KeyId = await newKey();
    await emulator.admin("faults", { operation: "DescribeKey", action: "throttle", times: 2 });
    const { $metadata } = await kms(new DescribeKeyCommand({ KeyId }), patient);
    assert.equal($metadata.attempts, 3);
    assert.ok($metadata.totalRetryDelay > 0);
  });

  test("throttling without end reaches the caller as such", async () => {
    const KeyId = await newKey();
    await emulator.admin("faults", { operation: "DescribeKey", action: "throttle", standing: true });
    const error = await isRefused(kms(new DescribeKeyCommand({ KeyId }), { maxAttempts: 2 }), "ThrottlingException", /exceeded the rate/);
    assert.equal(error.$metadata.attempts, 2);
    await emulator.admin("faults/clear");
    await kms(new DescribeKeyCommand({ KeyId }));
  });

  test("internal errors and lost connections are tried again", async () => {
    const KeyId = await newKey();
    await emulator.admin("faults", { operation: "DescribeKey", action: "error", status: 500, type: "KMSInternalException" });
    await emulator.admin("faults", { operation: "DescribeKey", action: "drop" });
    const { $metadata } = await kms(new DescribeKeyCommand({ KeyId }), patient);
    assert.equal($metadata.attempts, 3);
  });

  test("faults are met in the order in which they were queued", async () => {
    const KeyId = await newKey();
    await emulator.admin("faults", { operation: "DescribeKey", action: "error", status: 400, type: "DisabledException", message: "first" });
    await emulator.admin("faults", {
      operation: "DescribeKey",
      action: "error",
      status: 400,
      type: "NotFoundException",
      message: "second",
    });
    await isRefused(
      kms(new ListKeysCommand({ Limit: 1 })).then(() => kms(new DescribeKeyCommand({ KeyId }))),
      "DisabledException",
      /^first$/,
    );
    await isRefused(kms(new DescribeKeyCommand({ KeyId })), "NotFoundException", /^second$/);
    await kms(new DescribeKeyCommand({ KeyId }));
  });

  test("half an answer is no answer", async () => {
    const KeyId = await newKey();
    await emulator.admin("faults", { operation: "DescribeKey", action: "truncate" });
    const error = await refusal(kms(new DescribeKeyCommand({ KeyId })));
    assert.ok(!["DisabledException", "NotFoundException", "AccessDeniedException"].includes(error.name), error.name);
  });

  test("a late answer is the one that was right when it was asked for", async () => {
    const key = await newKey();
    await emulator.admin("faults", { operation: "Encrypt", action: "delay", delay_ms: 300 });
    const began = performance.now();
    await encrypt(key);
    assert.ok(performance.now() - began >= 290);
  });

  test("an outage is a connection that ends", async () => {
    const KeyId = await newKey();
    await emulator.admin("outage", { on: true, cloud: "aws" });
    const error = await refusal(kms(new DescribeKeyCommand({ KeyId })));
    assert.equal(error.$metadata?.httpStatusCode, undefined);
    await emulator.admin("outage", { on: false, cloud: "aws" });
    await kms(new DescribeKeyCommand({ KeyId }));
  });
});
