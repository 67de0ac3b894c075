"""What the owner of a key does in each KMS: one class for a KMS. The journey knows none of them by name.

Commands are shown as they are typed; where there is no command for it, in words.
"""
import json

from harness import Screen, Stack


class Owner:
    """The owner of two keys. Every KMS has a way to take one key away and give it back, and a way to shut the hosts out altogether."""

    type = ""
    # What the status says of a key that was taken away, and of one whose owner lets the hosts' identity in no more.
    taken_class = "DISABLED"
    shut_out_class = "DENIED"
    # In words, for the steps.
    takes_away = "disables the key in the KMS"
    gives_back = "enables it again"
    identity = ""   # what the owner lets in: "a role that loses its trust"
    shut_out = ""   # "the role has lost its trust"
    # Options of `latchkey dev` for what the emulator is not.
    dev_options = ()

    def __init__(self, stack: Stack, screen: Screen):
        self.stack = stack
        self.screen = screen

    def prepare(self):
        """Before the stack starts: what it is to be configured with."""

    def find_keys(self):
        """With the stack up: sets key, second_key and principal."""
        raise NotImplementedError

    def close(self):
        """Ends what prepare() has started."""

    def options(self, uri, principal=None):
        """Of `latchkey cmek` for a key; its own principal unless told otherwise."""
        principal = self.principal if principal is None else principal
        return ["--type", self.type, "--uri", uri, *(["--principal", principal] if principal else [])]

    def facts(self):
        return f"owner's key   {self.key}" + (f"\nacts as       {self.principal}" if self.principal else "")

    def take_away(self, key):
        raise NotImplementedError

    def give_back(self, key):
        raise NotImplementedError

    def withdraw(self):
        raise NotImplementedError

    def restore(self):
        raise NotImplementedError

    def outage(self, on):
        raise NotImplementedError

    def mark(self):
        """A point in time for unwraps_since()."""
        return None

    def unwraps_since(self, _mark):
        """How often keys were used to unwrap since then; None where nobody counts."""
        return None

    def refusals(self):
        """(uri, principal, words of the answer) of keys that must be refused. The first key has been taken away."""
        raise NotImplementedError


class Emulated(Owner):
    """In a cloud of `latchkey kms-emulator`."""

    cloud = ""
    unwrap_operation = ""

    def find_keys(self):
        seed = self.stack.facts["clouds"][self.cloud]["seed"]
        self.key, self.second_key, self.principal = seed["owner"]["uri"], seed["second_owner"]["uri"], seed["owner"]["auth_principal"]

    def change(self, path, *fields):
        self.stack.kms("cloud", self.cloud, path, *fields)

    def take_away(self, key):
        self.change("keys/disable", f"key={key}")

    def give_back(self, key):
        self.change("keys/enable", f"key={key}")

    def outage(self, on):
        self.stack.kms("outage", "on" if on else "off", "--cloud", self.cloud)

    def _calls(self, since):
        return json.loads(self.stack.latchkey("kms-emulator", "calls", "--since", str(since), "-o", "json", show=False))

    def mark(self):
        return self._calls(1 << 40)["last"]

    def unwraps_since(self, mark):
        return sum(call["cloud"] == self.cloud and call["operation"] == self.unwrap_operation for call in self._calls(mark)["calls"])


class Aws(Emulated):
    type, cloud, unwrap_operation = "AWS_KMS", "aws", "Decrypt"
    identity, shut_out = "a role that loses its trust", "the role has lost its trust"

    def find_keys(self):
        facts = self.stack.facts
        self.key, self.second_key, self.principal = facts["owner_key"], facts["second_owner_key"], facts["owner_role"]

    def options(self, uri, principal=None):
        return super().options(uri, principal)[2:]  # AWS_KMS is the default

    def facts(self):
        return f"owner's key   {self.key}\nowner's role  {self.principal} (external id {self.stack.facts['organization']})"

    def take_away(self, key):
        self.stack.kms("key", "disable", key)

    def give_back(self, key):
        self.stack.kms("key", "enable", key)

    def withdraw(self):
        self.stack.kms("role", "untrust", self.principal)

    def restore(self):
        self.stack.kms("role", "trust", self.principal)

    def _other_key(self):
        """A key of the owner's that can encrypt nothing."""
        answer = self.stack.kms("cloud", "aws", "keys", "account=" + self.key.split(":")[4], "region=us-east-1", "alias=owner-mac", "key_usage=GENERATE_VERIFY_MAC", "key_spec=HMAC_256", "-o", "json")
        return json.loads(answer)["Arn"]

    def refusals(self):
        return [
            ("not-an-arn", None, "uri"),
            (self._other_key(), None, "it is a key of usage GENERATE_VERIFY_MAC and kind HMAC_256"),
            ("http://169.254.169.254/latest/meta-data", None, "uri"),
            (self.second_key[:-36] + "00000000-0000-0000-0000-000000000000", None, "does not exist"),
            (self.key, None, "DISABLED"),
            (self.second_key, self.principal + "-other", "DENIED"),
        ]


class Gcp(Emulated):
    type, cloud, unwrap_operation = "GCP_CLOUD_KMS", "gcp", "Decrypt"
    takes_away, gives_back = "disables every version of the key", "enables them again"
    identity, shut_out = "a service account that lets the hosts in no more", "the hosts may not act as the owner's service account any more"

    def find_keys(self):
        super().find_keys()
        self.hosts = self.stack.facts["clouds"]["gcp"]["seed"]["credentials"]["service_account"]["client_email"]

    def withdraw(self):
        self.change("service-accounts/token-creators/remove", f"service_account={self.principal}", f"member={self.hosts}")

    def restore(self):
        self.change("service-accounts/token-creators", f"service_account={self.principal}", f"member={self.hosts}")

    def refusals(self):
        return [
            (self.second_key + "/../../other", None, "uri"),
            ("https://cloudkms.googleapis.com@169.254.169.254/", None, "uri"),
            (self.second_key[:self.second_key.rindex("/")] + "/missing", None, "AMBIGUOUS"),  # Google says "or it may not exist"
            (self.key, None, "DISABLED"),
            (self.second_key, "other@" + self.principal.split("@")[1], "DENIED"),
            (self.second_key, "not an account", "auth_principal"),
        ]


class Azure(Emulated):
    type, cloud, unwrap_operation = "AZURE_KEY_VAULT", "azure", "unwrapkey"
    identity, shut_out = "a tenant that withdraws its consent", "the owner's tenant has withdrawn its consent"

    def find_keys(self):
        super().find_keys()
        self.application = self.stack.facts["clouds"]["azure"]["seed"]["credentials"]["client_id"]

    def withdraw(self):
        self.change("consents/withdraw", f"tenant={self.principal}", f"application={self.application}")

    def restore(self):
        self.change("consents", f"tenant={self.principal}", f"application={self.application}")

    def refusals(self):
        return [
            (self.second_key.replace(".vault.azure.net", ".vault.azure.net.example.com"), None, "uri"),
            ("https://169.254.169.254/keys/owner-key-2", None, "uri"),
            (self.second_key + "-missing", None, "DESTROYED"),
            (self.key, None, "DISABLED"),
            (self.second_key, "44444444-4444-4444-8444-444444444444", "the vault belongs to the tenant"),
            (self.second_key, "not-a-tenant", "auth_principal"),
        ]


class Vault(Emulated):
    """Transit has no switch on a key: its policy is the owner's."""

    type, cloud, unwrap_operation = "VAULT_TRANSIT", "vault", "decrypt"
    taken_class = "DENIED"
    takes_away, gives_back = "takes the key out of the policy", "puts it back into the policy"
    identity, shut_out = "a policy that allows nothing", "the policy allows nothing any more"

    def find_keys(self):
        super().find_keys()
        self.allowed = {self.key, self.second_key}

    def _write_policy(self, allowed):
        rules = {}
        for key in sorted(allowed):
            mount, name = key.removeprefix("vault://").split("/")[1:]
            rules |= {f"{mount}/keys/{name}": ["read"], f"{mount}/encrypt/{name}": ["update"], f"{mount}/decrypt/{name}": ["update"]}
        self.change("policies", "name=latchkey", "rules:=" + json.dumps(rules))

    def take_away(self, key):
        self.allowed.discard(key)
        self._write_policy(self.allowed)

    def give_back(self, key):
        self.allowed.add(key)
        self._write_policy(self.allowed)

    def withdraw(self):
        self._write_policy(())

    def restore(self):
        self._write_policy(self.allowed)

    def refusals(self):
        return [
            ("vault://elsewhere/transit/owner-key-2", None, "uri"),
            ("vault://vault/transit/../sys/raw", None, "uri"),
            ("https://127.0.0.1:8200/v1/transit/keys/owner-key-2", None, "uri"),
            (self.second_key + "-missing", None, "DENIED"),  # the policy is about two keys
            (self.key, None, "DENIED"),
            (self.second_key, "somebody", "auth_principal"),
        ]


class Pkcs11(Owner):
    """A SoftHSM2 token: a key has a switch, its attributes; who may log in is the PIN."""

    type = "PKCS11"
    takes_away, gives_back = "forbids the key's use in the token", "allows it again"
    identity, shut_out = "a PIN that is changed", "the token's PIN is another"

    PIN, OTHER_PIN = "294817", "771036"

    def prepare(self):
        from softhsm import MODULE, SoftHsm  # pylint: disable=import-outside-toplevel
        folder = self.stack.folder / "token"
        self.token = SoftHsm(folder, "owner", self.PIN)
        self.screen.command(["softhsm2-util", "--init-token", "--free", "--label", "owner", "--so-pin", "…", "--pin", "…"])
        for number, label in enumerate(("ledger-1", "ledger-2"), 1):
            self.token.create_key(self.PIN, label, bytes([number]))
        self.screen.action("in the token: two AES-256 keys, ledger-1 and ledger-2, that cannot leave it")
        pin_file = folder / "pin"
        pin_file.touch(mode=0o600)
        pin_file.write_text(self.PIN + "\n")
        connections = folder / "connections.toml"
        connections.write_text(f'[connections.hsm]\ntype = "PKCS11"\nmodule = "{MODULE}"\ntoken_label = "owner"\npin_file = "{pin_file}"\n')
        self.dev_options = ("--connections", str(connections), "--agent-env", f"SOFTHSM2_CONF={self.token.config}")
        self.stack.env["SOFTHSM2_CONF"] = str(self.token.config)

    def find_keys(self):
        self.key, self.second_key, self.principal = "pkcs11://hsm/ledger-1", "pkcs11://hsm/ledger-2", ""

    def _allow(self, key, allowed):
        label = key.rsplit("/", 1)[1]
        self.screen.action(f"in the token: CKA_ENCRYPT and CKA_DECRYPT of {label} are {'true' if allowed else 'false'}")
        self.token.allow_use(self.PIN, label, allowed)

    def take_away(self, key):
        self._allow(key, False)

    def give_back(self, key):
        self._allow(key, True)

    def withdraw(self):
        self.screen.action("in the token: the PIN is changed")
        self.token.change_pin(self.PIN, self.OTHER_PIN)

    def restore(self):
        self.screen.action("in the token: the PIN is changed back")
        self.token.change_pin(self.OTHER_PIN, self.PIN)

    def outage(self, on):
        here, away = self.token.tokens, self.token.tokens.with_suffix(".away")
        source, target = (here, away) if on else (away, here)
        self.screen.command(["mv", str(source), str(target)])
        source.rename(target)

    def refusals(self):
        return [
            ("pkcs11://elsewhere/ledger-2", None, "uri"),
            ("pkcs11://hsm/..%2f..", None, "DESTROYED"),  # a label like any other: no key has it
            ("pkcs11:token=owner;object=ledger-2?module-path=/tmp/evil.so", None, "uri"),
            ("pkcs11://hsm/missing", None, "DESTROYED"),
            (self.key, None, "DISABLED"),
            (self.second_key, "somebody", "auth_principal"),
        ]


class Kmip(Owner):
    """A PyKMIP server: revoking is for good in KMIP, so the owner changes what the server allows the hosts' certificate."""

    type = "KMIP"
    taken_class = "DENIED"
    takes_away, gives_back = "forbids the hosts to use the key", "allows it again"
    identity, shut_out = "a certificate that may use nothing", "the hosts' certificate may use no key any more"

    POLICIES = ("latchkey-1", "latchkey-2")

    def prepare(self):
        from kmip_server import KmipServer  # pylint: disable=import-outside-toplevel
        self.server = KmipServer(self.stack.folder / "kmip")
        self.allowed = dict.fromkeys(self.POLICIES, True)
        self.server.write_policies(self.allowed)
        self.screen.command(["pykmip-server", "-f", str(self.server.folder / "server.conf")])
        self.server.start()
        self.ids = [self.server.create_key(policy) for policy in self.POLICIES]
        self.screen.action(f"at the server: two active AES-256 keys of the owner, {self.ids[0]} and {self.ids[1]}")
        folder = self.server.folder
        connections = folder / "connections.toml"
        connections.write_text(f'[connections.prod]\ntype = "KMIP"\nhost = "127.0.0.1"\nport = {self.server.port}\nca_file = "{folder}/ca.pem"\n'
                               f'client_certificate_file = "{folder}/latchkey.pem"\nclient_key_file = "{folder}/latchkey.key"\n')
        self.dev_options = ("--connections", str(connections))

    def close(self):
        if hasattr(self, "server"):
            self.server.stop()

    def find_keys(self):
        self.key, self.second_key = (f"kmip://prod/{i}" for i in self.ids)
        self.principal = ""

    def _write(self, allowed, words):
        self.screen.action(f"in the server's operation policies: {words}")
        self.server.write_policies(allowed)

    def _allow(self, key, yes):
        policy = self.POLICIES[(self.key, self.second_key).index(key)]
        self.allowed[policy] = yes
        self._write(self.allowed, f"{policy} lets {'everybody with a certificate' if yes else 'the owner alone'} use the key")

    def take_away(self, key):
        self._allow(key, False)

    def give_back(self, key):
        self._allow(key, True)

    def withdraw(self):
        self._write(dict.fromkeys(self.POLICIES, False), "nobody but the owner may use any key")

    def restore(self):
        self._write(self.allowed, "as they were")

    def outage(self, on):
        if on:
            self.screen.action("the KMIP server is stopped")
            self.server.stop()
        else:
            self.screen.action("the KMIP server is started again")
            self.server.start()

    def mark(self):
        return self.server.decryptions()

    def unwraps_since(self, mark):
        return self.server.decryptions() - mark

    def refusals(self):
        return [
            ("kmip://elsewhere/" + self.ids[1], None, "uri"),
            ("kmip://prod/../" + self.ids[1], None, "uri"),
            ("kmip://127.0.0.1:5696/" + self.ids[1], None, "uri"),
            ("kmip://prod/4711", None, "DESTROYED"),
            (self.key, None, "DENIED"),
            (self.second_key, "somebody", "auth_principal"),
        ]


OWNERS = {"aws": Aws, "gcp": Gcp, "azure": Azure, "vault": Vault, "pkcs11": Pkcs11, "kmip": Kmip}
