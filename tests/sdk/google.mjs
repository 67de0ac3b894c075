// How Google's SDK is led to the emulator: REST instead of gRPC, at its address. Where the library has an address of
// Google's built in and offers no other way, its transport is turned.
import assert from "node:assert/strict";

import { KeyManagementServiceClient } from "@google-cloud/kms";
import { JWT, OAuth2Client } from "google-auth-library";

export const SCOPE = "https://www.googleapis.com/auth/cloud-platform";

export function kmsClient(emulator, authClient) {
  const { hostname, port, protocol } = new URL(emulator.urls.gcp);
  const address = { apiEndpoint: hostname, port: Number(port), protocol: protocol.replace(":", "") };
  return new KeyManagementServiceClient({ fallback: true, ...address, authClient });
}

// A service account's client whose requests to https://oauth2.googleapis.com arrive at the emulator, by an interceptor of its transport.
export function accountClient(emulator, account, more = {}) {
  const authClient = new JWT({ email: account.client_email, key: account.private_key, scopes: [SCOPE], ...more });
  authClient.transporter.interceptors.request.add({
    async resolved(options) {
      const url = new URL(options.url);
      if (url.host === "oauth2.googleapis.com") options.url = new URL(emulator.urls.gcp + url.pathname);
      return options;
    },
  });
  return authClient;
}

// The account's access token by OAuth, instead of a bearer token that it signs itself, which is what the SDK prefers.
export async function byOauth(emulator, account, more) {
  const { token } = await accountClient(emulator, account, more).getAccessToken();
  return withToken(token);
}

export function withToken(access_token) {
  const client = new OAuth2Client();
  client.setCredentials({ access_token });
  return client;
}

// The status as the service names it, or undefined. Over REST the SDK hands the error on as it came:
// {"error": {"code", "message", "status"}}.
export function statusOf(error) {
  try {
    const body = JSON.parse(error.message);
    return body.error.code === error.code ? body.error.status : undefined;
  } catch {
    return undefined;
  }
}

// CRC-32C (RFC 3720, appendix B.4), bit by bit.
export function crc32c(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; ++bit) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
