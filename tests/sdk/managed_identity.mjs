// A worker in which a managed identity gets a token: the library finds out once in a process what kind of machine it is on, and keeps
// tokens for as long. workerData: options of ManagedIdentityCredential, and a scope. Answers {token} or {refused}.
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

import { ManagedIdentityCredential } from "@azure/identity";

// The token, on a machine with these environment variables.
export function managedIdentityToken(variables, scope, options = {}) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(fileURLToPath(import.meta.url), { env: { ...process.env, ...variables }, workerData: { options, scope } });
    worker.once("message", ({ token, refused }) => (token ? resolve(token) : reject(new Error(refused))));
    worker.once("error", reject);
  });
}

if (!isMainThread && workerData?.scope) {
  const credential = new ManagedIdentityCredential({ ...workerData.options, retryOptions: { maxRetries: 0 } });
  await credential.getToken(workerData.scope).then(
    (token) => parentPort.postMessage({ token }),
    (error) => parentPort.postMessage({ refused: error.message }),
  );
}
