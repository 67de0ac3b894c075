"""What goes wrong with secrets in it: every KMS with right, wrong and broken credentials, requests that do not belong, hosts that cannot join."""
import base64
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import re
import secrets as randomness
import ssl
import tomllib
import urllib.parse

from harness import CheckFailed
from leak_stack import PlantedStack


class ProvokedStack(PlantedStack):
    def configurations(self):
        """Copies of the agent's configuration in which one credential is another: {name: (types it matters to, path)}."""
        text = pathlib.Path(self.stack.facts["agent_config"]).read_text(encoding="utf-8")
        clouds = self.stack.facts["clouds"]
        out = {}

        def copy(name, types, *changes):
            changed = text
            for old, new in changes:
                if old not in changed:
                    raise CheckFailed(f"the agent's configuration has no {old}")
                changed = changed.replace(old, new)
            path = self.credentials / f"agent-{name}.toml"
            path.touch(mode=0o600)
            path.write_text(changed, encoding="utf-8")
            out[name] = (types, path)

        def other(name, content, secret=None, *pieces):
            return str(self.plant_file(name, content, secret, *pieces))

        def random(size=24):
            return randomness.token_urlsafe(size)

        wrong = {word: random() for word in ("aws", "aws-broken", "azure", "vault", "token", "gcp", "gcp-json", "kmip", "local")}
        aws = f"{self.dev}/aws-credentials"
        copy("aws-wrong", ("AWS_KMS",), (aws, other("aws-wrong", f"[default]\naws_access_key_id = AKIDLATCHKEYDEV00001\naws_secret_access_key = {wrong['aws']}\n",
                                                   "a wrong AWS secret", wrong["aws"])))
        copy("aws-broken", ("AWS_KMS",), (aws, other("aws-broken", f"[default\naws_access_key_id AKID\naws_secret_access_key {wrong['aws-broken']}\n",
                                                    "an AWS secret in a broken file", wrong["aws-broken"])))
        certificate = f'client_certificate_file = "{self.dev}/azure-client.pem"'
        seed = clouds["azure"]["seed"]["credentials"]
        copy("azure-secret", ("AZURE_KEY_VAULT",), (certificate, f'client_secret_file = "{other("azure-secret", seed["client_secret"])}"'))
        copy("azure-wrong", ("AZURE_KEY_VAULT",), (certificate, f'client_secret_file = "{other("azure-wrong", wrong["azure"], "a wrong Azure secret", wrong["azure"])}"'))
        broken = base64.b64encode(randomness.token_bytes(48)).decode()
        copy("azure-broken", ("AZURE_KEY_VAULT",), (f"{self.dev}/azure-client.pem", other(
            "azure-broken.pem", f"-----BEGIN PRIVATE KEY-----\n{broken}\n-----END PRIVATE KEY-----\n", "a broken Azure certificate's key", broken)))
        account = clouds["gcp"]["seed"]["credentials"]["service_account"]
        gcp = f"{self.dev}/gcp-credentials.json"
        key = seed["certificate_pem"]
        key = key[:key.index("-----BEGIN CERTIFICATE")]
        copy("gcp-wrong-key", ("GCP_CLOUD_KMS",), (gcp, other("gcp-wrong-key.json", json.dumps({**account, "private_key": key}))))
        copy("gcp-broken-key", ("GCP_CLOUD_KMS",), (gcp, other("gcp-broken-key.json", json.dumps(
            {**account, "private_key": f"-----BEGIN PRIVATE KEY-----\n{wrong['gcp']}\n-----END PRIVATE KEY-----\n"}), "a broken Google key", wrong["gcp"])))
        copy("gcp-broken-json", ("GCP_CLOUD_KMS",), (gcp, other("gcp-broken.json", '{"type": "service_account", "private_key": "' + wrong["gcp-json"] + '", }',
                                                               "a Google key in broken JSON", wrong["gcp-json"])))
        secret_id = f'secret_id_file = "{self.dev}/vault-secret-id"'
        role_id = f'role_id = "{clouds["vault"]["seed"]["credentials"]["role_id"]}"\n'
        copy("vault-wrong", ("VAULT_TRANSIT",), (secret_id, f'secret_id_file = "{other("vault-wrong", wrong["vault"], "a wrong Vault secret id", wrong["vault"])}"'))
        copy("vault-token", ("VAULT_TRANSIT",), (role_id, ""), (secret_id, f'token_file = "{other("vault-token", clouds["vault"]["seed"]["credentials"]["token"])}"'))
        copy("vault-wrong-token", ("VAULT_TRANSIT",), (role_id, ""), (secret_id, f'token_file = "{other("vault-wrong-token", wrong["token"], "a wrong Vault token", wrong["token"])}"'))
        pin = "nip-" + randomness.token_hex(12)
        copy("pin-wrong", ("PKCS11",), (f"{self.stack.folder}/token/pin", other("pin-wrong", pin + "\n", "a wrong PIN", pin)))
        if self.with_kmip:
            copy("kmip-broken", ("KMIP",), (f"{self.kmip.folder}/latchkey.key", other(
                "kmip-broken.key", f"-----BEGIN PRIVATE KEY-----\n{wrong['kmip']}\n-----END PRIVATE KEY-----\n", "a broken KMIP client key", wrong["kmip"])))
        copy("local-broken", ("LOCAL",), (f"{self.dev}/escrow.key", other("local-broken.key", f"latchkey-local-key-1\n{wrong['local']}\n", "a broken LOCAL key", wrong["local"])))
        return out

    def test_key(self, name, kind, config):
        uri, principal = self.keys[kind]
        argv = ["keys", "test", "--type", kind, "--uri", uri, "--agent-config", str(config)]
        if principal:
            argv += ["--principal", principal]
        if kind == "AWS_KMS":
            argv += ["--external-id", self.stack.facts["organization"]]
        env = {"PATH": self.stack.env["PATH"], "HOME": str(self.crash), "SOFTHSM2_CONF": str(self.token.config)}
        return self.run(f"keys test {kind} {name}", *argv, env=env)

    def test_key_by_agent(self, name, kind):
        """By way of the server: what the agent is told by the KMS goes into its report, the answer and the audit log."""
        uri, principal = self.keys[kind]
        return self.run(f"keys test by the agent {kind} {name}", "keys", "test", "--region", "us-east-1", "--type", kind, "--uri", uri, *(["--principal", principal] if principal else []))

    def every_kms(self):
        facts = self.stack.facts
        owner = {c: facts["clouds"][c]["seed"]["owner"] for c in facts["clouds"]}
        self.keys = {"AWS_KMS": (facts["owner_key"], facts["owner_role"]), "PKCS11": ("pkcs11://hsm/key-1", ""), "LOCAL": ("local://escrow", ""),
                     **{o["type"]: (o["uri"], o["auth_principal"]) for o in owner.values()}}
        if self.with_kmip:
            self.keys["KMIP"] = (f"kmip://prod/{self.kmip_key}", "")
        self.configs = self.configurations()
        right = pathlib.Path(facts["agent_config"])
        clouds = {"AWS_KMS": "aws", "GCP_CLOUD_KMS": "gcp", "AZURE_KEY_VAULT": "azure", "VAULT_TRANSIT": "vault"}
        outcomes = {}

        def one_kind(kind):
            outcomes[kind, "right"] = self.test_key("right", kind, right).returncode
            if kind != "LOCAL":  # the operator's own key is not tried for whoever has an API key
                outcomes[kind, "right, by the agent"] = self.test_key_by_agent("right", kind).returncode
            for name, (types, path) in self.configs.items():
                if kind in types:
                    outcomes[kind, name] = self.test_key(name, kind, path).returncode
            cloud = clouds.get(kind)
            if cloud is None:
                return
            for fault in self.faults(kind):
                other = fault.pop("config", None)
                config = self.configs[other][1] if other else right
                self.admin("faults", cloud=cloud, **fault)
                what = f"{fault['action']} of {fault['operation']}"
                done = self.test_key(what, kind, config)
                outcomes[kind, what] = done.returncode
                if fault["action"] == "error" and b"[secret]" not in done.stderr:
                    raise CheckFailed(f"{kind}: the message of a KMS that quotes a secret is not shown without it: the quotation was not met")
                if not other:  # the agent sends another credential then than the one that is quoted
                    self.test_key_by_agent(what, kind)  # with what it has kept of credentials it may even succeed
                self.admin("faults/clear", cloud=cloud)

        with contextlib.ExitStack() as stack:
            pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(4))
            for future in [pool.submit(one_kind, kind) for kind in self.keys]:
                future.result()
        good = {("AZURE_KEY_VAULT", "azure-secret"), ("VAULT_TRANSIT", "vault-token")} | {(kind, by) for kind in self.keys for by in ("right", "right, by the agent")}
        bad = [f"{k}: {v}" for k, v in outcomes.items() if (v == 0) != (k in good)]
        self.stack.check(not bad, f"{len(outcomes)} tests of keys in {len(self.keys)} kinds of KMS: right credentials work; wrong, broken ones and faults fail" + "; ".join(bad))
        self.run("emulator's calls", "kms-emulator", "calls", "--since", "0", "-o", "json", ok=True)
        self.run("emulator's state", "kms-emulator", "state", "-o", "json", ok=True)

    def faults(self, kind):
        """What the KMS does to its answers: nonsense, halves, and errors that quote what it was sent, as it was sent."""
        clouds = self.stack.facts["clouds"]
        out = [{"operation": "*", "action": action, "times": 1000} for action in ("corrupt", "truncate")]
        quote = {"action": "error", "status": 400, "times": 1000}
        if kind == "VAULT_TRANSIT":
            credentials = clouds["vault"]["seed"]["credentials"]
            out.append({**quote, "operation": "login", "message": json.dumps({"role_id": credentials["role_id"], "secret_id": credentials["secret_id"]})})
            out.append({**quote, "operation": "encrypt", "message": f"X-Vault-Token: {credentials['token']} may not", "config": "vault-token"})
        elif kind == "AZURE_KEY_VAULT":
            secret = clouds["azure"]["seed"]["credentials"]["client_secret"]
            out.append({**quote, "operation": "token", "type": "invalid_client", "message": f"grant_type=client_credentials&client_secret={secret}", "config": "azure-secret"})
        return out

    # -- 4: requests that go wrong -----------------------------------------------------------------------------------------------------------

    def wrong_requests(self):
        """Secrets where they do not belong, and bodies that nobody can read."""
        token = self.search.plant("an API key that is not one", "LKEY1_" + randomness.token_urlsafe(48)[:62])
        value = self.search.plant("a secret in a request's body", "body+/" + randomness.token_hex(16))
        password = self.search.plant("a password of Basic authentication", "basic-" + randomness.token_hex(16))
        real = self.stack.facts["api_key"]
        bearer = {"Authorization": "Bearer " + token}
        cmek = f"/api/v1/clusters/{self.cluster_id}/cmek"
        spec = {"type": "AWS_KMS", "uri": self.stack.facts["owner_key"], "auth_principal": self.stack.facts["owner_role"]}
        ask = self.ask
        statuses = [ask("wrong token", "GET", "/api/v1/clusters", headers=bearer, key=False)[0],
                    ask("no token", "GET", "/api/v1/clusters", key=False)[0],
                    ask("basic", "GET", "/api/v1/clusters", headers={"Authorization": "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()}, key=False)[0],
                    ask("token without Bearer", "GET", "/api/v1/clusters", headers={"Authorization": real}, key=False)[0],
                    ask("token twice", "GET", "/api/v1/clusters", headers={"Authorization": f"Bearer {real} {token}"}, key=False)[0],
                    ask("token in a cookie", "GET", "/api/v1/clusters", headers={"Cookie": f"api_key={real}; other={token}"}, key=False)[0],
                    ask("token in another header", "GET", "/api/v1/clusters", headers={"X-Api-Key": real}, key=False)[0],
                    ask("token in the query", "GET", f"/api/v1/clusters?api_key={real}&access_token={token}", key=False)[0]]
        self.stack.check(set(statuses) == {401}, "a wrong token and a token in the wrong place are refused (401)")
        statuses = [ask("token in the query, let in", "GET", f"/api/v1/clusters?api_key={token}")[0],
                    ask("token as version", "GET", "/api/v1/clusters", headers={"Cc-Version": token})[0],
                    ask("token as page", "GET", f"/api/v1/clusters?pagination.page={urllib.parse.quote(value)}")[0],
                    ask("token as cluster", "GET", f"/api/v1/clusters/{token}")[0],
                    ask("own token as cluster", "GET", f"/api/v1/clusters/{real}")[0],
                    ask("own token as API key to delete", "DELETE", f"/api/v1/latchkey/api-keys/{real}")[0],
                    ask("token as path", "GET", f"/{token}")[0],
                    ask("own token as path", "GET", f"/api/v1/{real}/clusters")[0],
                    ask("half JSON", "POST", "/api/v1/clusters", '{"name": "x", "password": "' + value)[0],
                    ask("no JSON", "POST", cmek, f"secret={value}")[0],
                    ask("doubled field", "POST", cmek, json.dumps({"region_specs": []})[:-1] + f', "region_specs": "{value}"' + "}")[0],
                    ask("wrong type", "PUT", cmek, json.dumps({"region_specs": value}))[0],
                    ask("wrong word", "PATCH", cmek, json.dumps({"action": value}))[0],
                    ask("unknown field", "PUT", cmek, json.dumps({"region_specs": [{"region": "us-east-1", "key_spec": {**spec, "secret_access_key": value}}]}))[0],
                    ask("wrong kind of key", "PUT", cmek, json.dumps({"region_specs": [{"region": "us-east-1", "key_spec": {**spec, "type": value}}]}))[0],
                    ask("wrong cluster", "POST", "/api/v1/clusters", json.dumps({"name": {"secret": value}, "provider": value}))[0],
                    ask("not UTF-8", "POST", "/api/v1/clusters", b'{"name": "\xff' + value.encode() + b'"}')[0],
                    ask("deep", "POST", "/api/v1/clusters", "[" * 500 + json.dumps(value))[0],
                    ask("a body of the emulator's", "POST", "/_admin/users", json.dumps({"account": "111111111111", "name": value, "secret": value}),
                        {"Content-Type": "application/json"}, self.stack.facts["kms_emulator"], key=False)[0]]
        self.stack.check(all(status == 200 or 400 <= status < 500 or status == 501 for status in statuses), f"{len(statuses)} requests with secrets in them are answered without a fault of the server")
        self.agents_port(token, value)
        new = json.loads(self.secret_answer("api-keys", {"name": "second"}))["secret"]
        self.search.plant("the second API key", new[-32:], new)
        made = self.secret_answer("join-tokens", {})
        second = re.search(rb"[0-9a-f]{16}\.([A-Za-z0-9_-]{43})\.[0-9a-f]{64}", made)
        self.search.plant("the second join token's secret", second[1].decode(), homes={"credentials/agent-join": "join_token of a configuration of this test"})
        self.joins(second[0].decode())
        self.everything_that_can_be_read()

    def secret_answer(self, path, body):
        """An answer that shows a secret once, to whoever asked: it is not kept for the search."""
        status, data = self.ask(path, "POST", "/api/v1/latchkey/" + path, json.dumps(body), keep=False)
        if status not in (200, 201):
            raise CheckFailed(f"{path}: {status}")
        return data

    def agents_port(self, token, value):
        """The agents' listener, over TLS without a certificate."""
        config = tomllib.loads(pathlib.Path(self.stack.facts["agent_config"]).read_text(encoding="utf-8"))
        url = urllib.parse.urlsplit(config["server"])
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for name, path, body in (("join with nonsense", "/agent/v1/join", json.dumps({"token": token, "csr_pem": value})), ("half a join", "/agent/v1/join", '{"token": "' + token),
                                 ("sync without a certificate", "/agent/v1/sync", json.dumps({"secret": value}))):
            connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=20, context=context)
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("POST", path, body, {"Authorization": "Bearer " + token})
                answer = connection.getresponse()
                self.keep(name, f"{answer.status}\n{answer.headers}\n".encode() + answer.read())
            connection.close()

    def joins(self, good_token):
        """Agents that cannot start: a wrong token, broken configurations that hold one."""
        text = pathlib.Path(self.stack.facts["agent_config"]).read_text(encoding="utf-8")
        text = text.replace(f"{self.dev}/agent", f"{self.crash}/agent").replace(f"{self.dev}/run", f"{self.crash}/run").replace(f"{self.dev}/volumes", f"{self.crash}/volumes")
        text = re.sub(r'metrics_address = "[^"]*"', 'metrics_address = ""', text)
        head, _, tail = good_token.split(".")
        wrong = self.search.plant("a wrong join token's secret", randomness.token_urlsafe(32), homes={"credentials/agent-join": "join_token of a configuration of this test"})
        quoted = f'join_token = "{self.join_token}"'
        for name, new in (("wrong", f'join_token = "{head}.{wrong}.{tail}"'), ("malformed", f'join_token = "{wrong}"'), ("broken", f'join_token = "{good_token}'),
                          ("twice", f'join_token = "{good_token}"\njoin_token = "{wrong}"'), ("misspelt", f'join_tokken = "{good_token}"'),
                          ("list", f'join_token = ["{good_token}"]'), ("bare", f"join_token = {good_token}"), ("as_region", f'join_token = ""\nregoin = "{good_token}"')):
            path = self.plant_file(f"agent-join-{name}.toml", text.replace(quoted, new), None)
            done = self.run(f"agent with a join token that is {name}", "agent", "run", "--config", str(path), "--log-level", "debug", timeout=30)
            if done.returncode == 0:
                raise CheckFailed(f"an agent with a join token that is {name} started")
        self.stack.check(True, "agents with wrong join tokens and with broken configurations do not start")

    def everything_that_can_be_read(self):
        for path in ("clusters", f"clusters/{self.cluster_id}", f"clusters/{self.cluster_id}/nodes", f"clusters/{self.cluster_id}/cmek", "auditlogevents?limit=1000", "organization",
                     "latchkey/agents", "latchkey/api-keys", f"latchkey/clusters/{self.cluster_id}/nodes", "latchkey/audit?limit=1000", "clusters/available-regions"):
            if self.ask("read " + path, "GET", "/api/v1/" + path)[0] != 200:
                raise CheckFailed(f"GET {path}")
        server = tomllib.loads(pathlib.Path(self.stack.facts["server_config"]).read_text(encoding="utf-8"))
        agent = tomllib.loads(pathlib.Path(self.stack.facts["agent_config"]).read_text(encoding="utf-8"))
        for name, address in (("server's", server["health"]["listen"]), ("agent's", agent["metrics_address"])):
            for path in ("/metrics", "/healthz", "/readyz"):
                status, _ = self.ask(f"{name} {path}", "GET", path, base="http://" + address, key=False)
                if status != 200:
                    raise CheckFailed(f"the {name} {path}: {status}")
        self.ask("emulator state", "GET", "/_admin/state", base=self.stack.facts["kms_emulator"], key=False)
        self.run("audit", "audit", ok=True)
        self.run("agents list", "agents", "list", ok=True)
        self.stack.check(True, "read: clusters, nodes, keys, both audit logs, hosts, API keys, both /metrics, the emulator's state")
