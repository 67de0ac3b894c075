"""A stack with planted secrets and talkative logs, all of it started by the test itself; what it says is kept for the search."""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import re
import secrets as randomness
import sqlite3
import subprocess
import tomllib
import urllib.parse

from core_files import Cores, core_limit_that_stays
from harness import CheckFailed, Screen, Stack, processes_of
from leak_search import Search, pem_pieces, short_pem
from volume_keys import context_of, keys_of
from softhsm import MODULE, SoftHsm


class PlantedStack:
    def __init__(self, stack: Stack, screen: Screen, kmip: bool):
        self.stack = stack
        self.screen = screen
        self.with_kmip = kmip
        self.kmip = None
        self.dev = stack.folder / "dev"
        self.said = stack.folder / "said"            # what commands, answers and processes said, a file each
        self.credentials = stack.folder / "credentials"  # what this test plants in files of its own
        self.crash = stack.folder / "crash"          # where our own children run
        for folder in (self.said, self.credentials, self.crash):
            folder.mkdir(mode=0o700)
        self.search = Search(stack.folder)
        self.marker = "marker-" + randomness.token_hex(16)
        self.cores = Cores(stack.folder, "control-" + randomness.token_hex(16))
        self.parts = {}
        self.number = 0

    def plant_file(self, name, text, secret, *pieces, reason="the credential file that this test made"):
        path = self.credentials / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        if secret:
            self.search.plant(secret, *pieces, homes={f"credentials/{name}": reason})
        return path

    # -- saying things, and keeping what was answered ---------------------------------------------------------------------------------------

    def keep(self, name, data):
        self.number += 1
        path = self.said / f"{self.number:03d}-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)[:80]}"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def run(self, name, *args, ok=None, env=None, timeout=60):
        """A command of the program. What it prints is searched in the end."""
        done = subprocess.run([self.stack.program, *args], env=self.stack.env if env is None else env, capture_output=True, timeout=timeout, check=False, cwd=self.crash)
        self.keep(name, done.stdout + b"\n--- stderr\n" + done.stderr)
        if ok is not None and ok != (done.returncode == 0):
            raise CheckFailed(f"{name}: ended with {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}")
        return done

    def ask(self, name, method, path, body=None, headers=None, base=None, key=True, keep=True):
        """A request to the server's public API, or to `base`; what comes back is searched in the end."""
        url = urllib.parse.urlsplit(base or self.stack.facts["server"])
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
        try:
            sent = {"Authorization": "Bearer " + self.stack.facts["api_key"]} if key else {}
            connection.request(method, path, body=body, headers={**sent, **(headers or {})})
            answer = connection.getresponse()
            data = answer.read()
            if keep:
                self.keep(name, f"{answer.status} {answer.reason}\n{answer.headers}\n".encode() + data)
            return answer.status, data
        except (OSError, http.client.HTTPException) as e:
            self.keep(name, f"no answer: {type(e).__name__}")
            return 0, b""
        finally:
            connection.close()

    def admin(self, path, **fields):
        """An order to the emulator. Its answer repeats the order, which may have a secret in it that a fault shall quote: it is not kept."""
        status = self.ask("emulator " + path, "POST", "/_admin/" + path, json.dumps(fields), {"Content-Type": "application/json"}, self.stack.facts["kms_emulator"], key=False, keep=False)[0]
        if status != 200:
            raise CheckFailed(f"the emulator's {path}: {status}")

    # -- 1: a stack with planted secrets -----------------------------------------------------------------------------------------------------

    def prepare(self):
        self.pin = self.search.plant("the token's PIN", "pin-" + randomness.token_hex(12), homes={"token/pin": "pin_file of the connection"})
        folder = self.stack.folder / "token"
        self.token = SoftHsm(folder, "owner", self.pin)
        self.token.create_key(self.pin, "key-1", b"\1")
        pin_file = folder / "pin"
        pin_file.touch(mode=0o600)
        pin_file.write_text(self.pin + "\n", encoding="utf-8")
        connections = f'[connections.hsm]\ntype = "PKCS11"\nmodule = "{MODULE}"\ntoken_label = "owner"\npin_file = "{pin_file}"\n'
        if self.with_kmip:
            from kmip_server import KmipServer  # pylint: disable=import-outside-toplevel
            self.kmip = KmipServer(self.stack.folder / "kmip")
            self.kmip.write_policies({"latchkey-1": True})
            self.kmip.start()
            self.kmip_key = self.kmip.create_key("latchkey-1")
            where = self.kmip.folder
            pem = (where / "latchkey.key").read_text(encoding="utf-8")
            self.search.plant("the KMIP client key", *pem_pieces(pem), homes={"kmip/latchkey.key": "client_key_file of the connection"})
            connections += (f'\n[connections.prod]\ntype = "KMIP"\nhost = "127.0.0.1"\nport = {self.kmip.port}\nca_file = "{where}/ca.pem"\n'
                            f'client_certificate_file = "{where}/latchkey.pem"\nclient_key_file = "{where}/latchkey.key"\n')
        path = self.stack.folder / "connections.toml"
        path.write_text(connections, encoding="utf-8")
        self.stack.env["SOFTHSM2_CONF"] = str(self.token.config)
        os.chdir(self.crash)
        self.start_dev("--connections", str(path), "--agent-env", f"SOFTHSM2_CONF={self.token.config}")

    def start_dev(self, *options):
        """As Stack.start_dev, with a core limit that stays."""
        argv = [self.stack.program, "dev", "--dir", str(self.dev), "--clocks", "demo", "--no-restart", *options]
        self.screen.command(["latchkey", *argv[1:]])
        log = open(self.said / "dev", "wb")
        self.stack.dev = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, env=self.stack.env, preexec_fn=core_limit_that_stays)
        path = self.dev / "dev.json"
        self.stack.wait("the stack is up", 60, path.exists, lambda: self.stack.dev.poll() is not None)
        facts = self.stack.facts = json.loads(path.read_text(encoding="utf-8"))
        self.stack.env.update(LATCHKEY_SERVER=facts["server"], LATCHKEY_API_KEY=facts["api_key"], LATCHKEY_KMS_EMULATOR=facts["kms_emulator"])

    def know_secrets(self):
        """What the programs have made themselves."""
        facts, plant = self.stack.facts, self.search.plant
        emulator = {"dev/emulator.json": "the emulator's state: keys and secrets stand in it, as its documentation and the file itself say"}
        summary = {"dev/dev-stack.json": "0600, what `latchkey dev` needs to start again", "dev/dev.json": "0600, the same for programs, while it runs"}
        aws = (self.dev / "aws-credentials").read_text(encoding="utf-8")
        plant("the AWS secret access key", re.search(r"aws_secret_access_key = (\S+)", aws)[1], homes={"dev/aws-credentials": "shared_credentials_file", **emulator})
        azure, gcp, vault = (facts["clouds"][c]["seed"]["credentials"] for c in ("azure", "gcp", "vault"))
        plant("the Azure client secret", azure["client_secret"],
              homes={**summary, **emulator, "credentials/azure-secret": "client_secret_file of this test"})
        plant("the Azure certificate's key", *pem_pieces(azure["certificate_pem"]),
              homes={**summary, **emulator, "dev/azure-client.pem": "client_certificate_file", "credentials/gcp-wrong-key.json": "used as another key by this test"})
        plant("the Google service account's key", *pem_pieces(gcp["service_account"]["private_key"]),
              homes={**summary, **emulator, "dev/gcp-credentials.json": "credentials_file"})
        plant("the Vault secret id", vault["secret_id"], homes={**summary, **emulator, "dev/vault-secret-id": "secret_id_file"})
        plant("the Vault token", vault["token"], homes={**summary, **emulator, "credentials/vault-token": "token_file of this test"})
        plant("the Vault root token", vault["root_token"], homes={**summary, **emulator})
        plant("the API key", facts["api_key"][-32:], facts["api_key"],
              homes={**summary, "dev/env": "0600, to be sourced by whoever tries the stack"})
        agent = tomllib.loads(pathlib.Path(facts["agent_config"]).read_text(encoding="utf-8"))
        self.join_token = agent["join_token"]
        plant("the join token's secret", self.join_token.split(".")[1],
              homes={"dev/agent.toml": "join_token of the agent's configuration, 0600", "credentials/agent-": "copies of it that this test made"})
        local = (self.dev / "escrow.key").read_text(encoding="utf-8").split()[1]
        self.local_key = bytes.fromhex(local)
        plant("the LOCAL key", self.local_key, local, homes={"dev/escrow.key": "path of the connection"})
        identity = json.loads((self.dev / "agent" / "identity.json").read_text(encoding="utf-8"))
        plant("the agent's private key", *short_pem(identity["private_key_pem"]), homes={"dev/agent/identity.json": "0600, the host's identity"})
        store = {"dev/server.db": "the server's own keys are kept there, as docs/server.md says"}
        with contextlib.closing(sqlite3.connect(self.dev / "server.db")) as db:
            for name in ("ca_key", "listener_key"):
                pem = db.execute("select value from settings where name = ?", (name,)).fetchone()[0]
                plant(f"the server's {name}", *short_pem(pem), homes=store)
        state = json.loads((self.dev / "emulator.json").read_text(encoding="utf-8"))
        for number, key in enumerate(state["keys"]):
            plant(f"AWS key material {number}", base64.b64decode(key["materials"][0]["bytes"]), homes=emulator)
        for cloud, field in (("gcp", "material"), ("vault", "bytes")):
            for number, key in enumerate(state[cloud]["keys"]):
                plant(f"{cloud} key material {number}", base64.b64decode(key["versions"][0][field]), homes=emulator)
        plant("the marker in the database", self.marker)

    def know_keys_of(self, lower, name, unwrap):
        """The keys of an open volume: what its daemon and its agent hold in memory. How many are known."""
        keys = keys_of(json.loads((lower / "volume.json").read_text(encoding="utf-8")), unwrap)
        for kind, generation, key in keys:
            self.search.plant(f"{name}: {kind} {generation}", key)
        return len(keys)

    def open_in_vault(self, record, wrapped):
        """A KEK under a key of the emulated Vault, as its owner would unwrap it."""
        if record["root"]["type"] != "VAULT_TRANSIT":
            return None
        vault = self.stack.facts["clouds"]["vault"]
        mount, _, key = record["root"]["uri"].removeprefix("vault://").partition("/")[2].rpartition("/")
        body = json.dumps({"ciphertext": wrapped.decode(), "associated_data": base64.b64encode(context_of(record)).decode()})
        status, data = self.ask("decrypt", "POST", f"/v1/{mount}/decrypt/{key}", body, {"X-Vault-Token": vault["seed"]["credentials"]["root_token"]}, vault["url"], key=False, keep=False)
        if status != 200:
            raise CheckFailed(f"Vault does not unwrap: {status}")
        return base64.b64decode(json.loads(data)["data"]["plaintext"])

    def parts_of_dev(self):
        return [pid for words in ("kms-emulator run", "server run", "agent run") for pid in self.stack.processes(words)]

    def start_parts(self):
        """With the most talkative logs that there are."""
        facts = self.stack.facts
        config = pathlib.Path(facts["server_config"])
        config.write_text(config.read_text(encoding="utf-8") + '\n[log]\nlevel = "debug"\n', encoding="utf-8")
        clouds = [word for cloud, of in facts["clouds"].items() for word in (f"--{cloud}-listen", urllib.parse.urlsplit(of["url"]).netloc)]
        self.start("kms-emulator", "run", "--listen", facts["emulator_listen"], "--state-file", facts["emulator_state"], *clouds)
        self.start("server", "run", "--config", facts["server_config"])
        # For the first time with the limits that agents set for what they start.
        self.start_agent(stays=False)
        self.stack.wait("the server hears the agent", 30, lambda: b"us-east-1" in self.ask("regions", "GET", "/api/v1/clusters/available-regions")[1],
                        lambda: any(p.poll() is not None for p in self.parts.values()))

    def start(self, name, *words, stays=True, env=()):
        argv = [self.stack.program, name, *words]
        self.screen.command(["latchkey", *argv[1:]])
        log = open(self.dev / f"{name}.log", "a", encoding="utf-8")
        self.parts[name] = self.stack.spawn(argv, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **dict(env)}, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.crash,
                                            preexec_fn=core_limit_that_stays if stays else None)

    def start_agent(self, stays):
        self.start("agent", "run", "--config", self.stack.facts["agent_config"], "--log-level", "debug", stays=stays, env={"SOFTHSM2_CONF": str(self.token.config)})

    def proc_snapshot(self, when):
        """Command lines and environments, which others than the process may read. (A process that forbids dumps shows its environment to root only.)"""
        pids = set(processes_of(str(self.stack.folder))) - {os.getpid()}
        for pid in sorted(pids):
            for name in ("cmdline", "environ"):
                with contextlib.suppress(OSError):
                    self.keep(f"{name} of {pid} {when}", pathlib.Path(f"/proc/{pid}/{name}").read_bytes())
