"""A PyKMIP server of its own (Debian's python3-pykmip), and what its owner does: keys, and who may use which."""
import datetime
import ipaddress
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from kmip.core import enums
from kmip.pie.client import ProxyKmipClient


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Authority:
    """A CA for one day, with certificates in files of one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "demo ca")])
        certificate = self._builder(self.name, self.key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(self.key, hashes.SHA256())
        (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject, key):
        now = datetime.datetime.utcnow()
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(minutes=5)).not_valid_after(now + datetime.timedelta(days=1)))

    def issue(self, name, usage):
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key).add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if usage == ExtendedKeyUsageOID.SERVER_AUTH:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        (self.folder / f"{name}.pem").write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        path = self.folder / f"{name}.key"
        path.touch(mode=0o600)
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


class KmipServer:
    """The server in a process group of its own. Keys are the owner's; operation policies say whether others may use them (PyKMIP allows Encrypt and Decrypt where
    it allows Get)."""

    def __init__(self, folder):
        self.folder = folder
        self.policies = folder / "policies"
        self.policies.mkdir(parents=True)
        folder.chmod(0o700)
        authority = Authority(folder)
        authority.issue("server", ExtendedKeyUsageOID.SERVER_AUTH)
        for name in ("owner", "latchkey"):
            authority.issue(name, ExtendedKeyUsageOID.CLIENT_AUTH)
        self.port = free_port()
        (folder / "server.conf").write_text(
            f"[server]\nhostname=127.0.0.1\nport={self.port}\ncertificate_path={folder}/server.pem\nkey_path={folder}/server.key\nca_path={folder}/ca.pem\n"
            f"auth_suite=TLS1.2\npolicy_path={self.policies}\nenable_tls_client_auth=True\nlogging_level=INFO\ndatabase_path={folder}/pykmip.db\n")
        self.process = None

    def start(self):
        """Returns when it answers and knows its policies: before that it refuses everybody."""
        before = self.loaded_policies()
        with open(self.folder / "output.log", "ab") as log:
            self.process = subprocess.Popen(["/usr/bin/pykmip-server", "-f", str(self.folder / "server.conf"), "-l", str(self.folder / "server.log")], stdout=log,
                                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True, cwd=self.folder)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                if self.loaded_policies() > before:
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the KMIP server did not start: " + (self.folder / "output.log").read_text(errors="replace")[-500:])
            time.sleep(0.1)

    def stop(self):
        """All of it at once: the server, and the processes that hold and watch its policies."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def loaded_policies(self):
        return sum(text.count("Loading policy: ") for text in self.logs())

    def decryptions(self):
        return sum(text.count("Processing operation: Decrypt") for text in self.logs())

    def logs(self):
        return [pathlib.Path(p).read_text(errors="replace") for p in sorted(self.folder.glob("server.log*"))]

    def write_policies(self, allowed):
        """`allowed`: whether others than the owner may use the keys, by the name of the policy. The server looks at the folder every second."""
        document = {name: {"preset": {"SYMMETRIC_KEY": {"GET": "ALLOW_ALL" if yes else "ALLOW_OWNER", "GET_ATTRIBUTES": "ALLOW_ALL", "ACTIVATE": "ALLOW_OWNER",
                                                        "REVOKE": "ALLOW_OWNER", "DESTROY": "ALLOW_OWNER"}}} for name, yes in allowed.items()}
        draft = self.folder / "policies.draft"
        draft.write_text(json.dumps(document, indent=1))
        draft.rename(self.policies / "latchkey.json")

    def create_key(self, policy):
        """An active AES-256 key of the owner; its unique identifier."""
        with ProxyKmipClient(hostname="127.0.0.1", port=self.port, cert=str(self.folder / "owner.pem"), key=str(self.folder / "owner.key"),
                             ca=str(self.folder / "ca.pem"), ssl_version="PROTOCOL_TLSv1_2", config_file="/dev/null", kmip_version=enums.KMIPVersion.KMIP_1_4) as owner:
            identifier = owner.create(enums.CryptographicAlgorithm.AES, 256, operation_policy_name=policy,
                                      cryptographic_usage_mask=[enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT])
            owner.activate(identifier)
        return identifier
