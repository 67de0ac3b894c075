// How Azure's SDK is led to the emulator: an agent that connects every host of Key Vault to it, so that the SDK sees the real names and
// checks them as it does in production. The certificate is for these names; the CA comes by NODE_EXTRA_CA_CERTS.
import https from "node:https";

class EmulatorAgent extends https.Agent {
  constructor(port) {
    super({ keepAlive: false });
    this.port = port;
  }
  createConnection(options, done) {
    return super.createConnection({ ...options, servername: options.servername || options.host, host: "127.0.0.1", port: this.port }, done);
  }
}

// Options of KeyClient and CryptographyClient. One attempt a call unless `maxRetries` says otherwise.
export function vaultOptions(emulator, { maxRetries = 0 } = {}) {
  const agent = new EmulatorAgent(new URL(emulator.urls.azure).port);
  const policy = {
    name: "emulator",
    sendRequest(request, next) {
      request.agent = agent;
      return next(request);
    },
  };
  return { additionalPolicies: [{ policy, position: "perRetry" }], retryOptions: { maxRetries, retryDelayInMs: 1 } };
}

// Options of credentials: the emulator is the authority. That address is no known cloud of Microsoft's, hence no instance discovery.
export function authorityOptions(emulator, more = {}) {
  const authorityHost = emulator.urls.azure;
  return { authorityHost, disableInstanceDiscovery: true, retryOptions: { maxRetries: 0 }, ...more };
}

export const OWNER = "22222222-2222-4222-8222-222222222222";
export const OPERATOR = "11111111-1111-4111-8111-111111111111";
