"""Secrets, the encodings in which they could slip through, and the search for them in files."""
import base64
import json
import mmap
import os
import re
import urllib.parse

# Whatever is made on the way and known to nobody beforehand, by its shape: tokens of clouds, of Vault and of Latchkey, private keys.
SHAPES = {
    "a JWT": rb"eyJ[A-Za-z0-9_-]{12,}\.[A-Za-z0-9_-]{12,}\.",
    "a Vault token": rb"hvs\.[A-Za-z0-9_-]{20,}",
    "a Google access token": rb"ya29\.[A-Za-z0-9_.-]{20,}",
    "an API key": rb"LKEY1_[A-Za-z0-9_-]{60,}",
    "a join token": rb"\b[0-9a-f]{16}\.[A-Za-z0-9_-]{43}\.[0-9a-f]{64}\b",
    "a private key": rb"BEGIN [A-Z ]*PRIVATE KEY",
    "an AWS signature or session": rb"AWS4-HMAC-SHA256|[Ss]ecurity-?[Tt]oken[\"=: ]+[A-Za-z0-9/+]{20,}|aws_secret_access_key",
    "a bearer token": rb"[Bb]earer [A-Za-z0-9_.~+/-]{16,}",
}


def forms(value: bytes):
    """The value as it is and in the encodings in which it could slip through, base64 as the inside of something longer, too."""
    found = {"as it is": {value}, "hex": {value.hex().encode(), value.hex().upper().encode()}}
    for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
        # Whatever stands before it: three alignments, without the characters that its neighbours have a part in.
        found[name] = {encode(b"\0" * shift + value)[(0, 2, 3)[shift]:(shift + len(value)) // 3 * 4] for shift in range(3)}
    quoted = urllib.parse.quote(value, safe="").encode()
    found["URL-encoded"] = {quoted, re.sub(rb"%[0-9A-F]{2}", lambda m: m[0].lower(), quoted), urllib.parse.quote_plus(value).encode()}
    text = value.decode("latin-1")
    escaped = json.dumps(text)[1:-1]
    found["JSON-escaped"] = {escaped.encode(), escaped.replace("/", "\\/").encode(), "".join(f"\\u{ord(c):04x}" for c in text).encode()}
    return found


# Files of others, or of the databases', whose purpose is a private key.
KEY_FILES = {"/pg/server.key": "the database's TLS key, 0600, where the database looks for it", "kmip/owner.key": "the owner's, at the KMIP server of this test",
             "kmip/server.key": "the KMIP server's own"}


class Secret:
    """`pieces`: any of them is enough to call it found. `homes`: parts of paths where it belongs, with the reason."""

    def __init__(self, name, *pieces, homes=None):
        self.name = name
        self.pieces = [p.encode() if isinstance(p, str) else p for p in pieces]
        self.homes = dict(homes or {})
        if any(len(p) < 16 for p in self.pieces) or not self.pieces:
            raise ValueError(f"{name}: too short to be told from chance")
        self.needles = []
        for how, needles in ((how, needles) for piece in self.pieces for how, needles in forms(piece).items()):
            self.needles += [(needle, how) for needle in needles if needle not in dict(self.needles)]


def pem_pieces(pem: str):
    """Inner lines of a PEM body, and bytes of what they encode: neither its beginning nor its end, which keys have in common."""
    body = [line for line in pem[pem.index("PRIVATE KEY"):].split("\n")[1:] if line and not line.startswith("-----")]
    body = body[:next((i for i, line in enumerate(body) if len(line) < 64), len(body) - 1) + 1]
    inner = body[1:-1]
    lines = [inner[0], inner[len(inner) // 2], inner[-1]]
    return [*lines, *(base64.b64decode(line) for line in lines)]


def short_pem(pem: str):
    """Of an elliptic key in PEM: the private number is bytes 36 to 68 of it, and its end begins the second line."""
    body = "".join(line for line in pem.split("\n") if line and not line.startswith("-----"))
    return [body[64:90], base64.b64decode(body)[36:68]]


class Search:
    def __init__(self, root):
        self.root = root
        self.secrets = []
        self.files = 0
        self.bytes = 0
        self.pardoned = {}  # (home, secret) → where: what the allow list was needed for

    def plant(self, name, *pieces, homes=None):
        self.secrets.append(Secret(name, *pieces, homes=homes))
        return pieces[0]

    @staticmethod
    def content(path):
        if path.stat().st_size == 0:
            return b""
        with open(path, "rb") as f:
            return mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)

    @staticmethod
    def hits(content, wanted):
        """(secret, encoding) found in it."""
        return [(secret, how) for secret in wanted for how in [next((how for needle, how in secret.needles if content.find(needle) >= 0), None)] if how]

    def file(self, path, shapes):
        """What is wrong with a file: "place: secret (encoding)"."""
        place = str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)
        wrong = []
        try:
            content = self.content(path)
        except OSError:
            return wrong
        self.files += 1
        self.bytes += len(content)
        for secret, how in [*self.hits(content, self.secrets), *self.hits(os.fsencode(place), self.secrets)]:
            home = next((h for h in secret.homes if h in place), None)
            if home is None:
                wrong.append(f"{place}: {secret.name} ({how})")
            else:
                self.pardoned.setdefault((home, secret.name), place)
        if shapes:
            homes = {home for secret in self.secrets for home in secret.homes} | set(KEY_FILES)
            if not any(home in place for home in homes):
                wrong += [f"{place}: {name} (by its shape)" for name, shape in SHAPES.items() if re.search(shape, content)]
        return wrong

    def tree(self, folder):
        wrong = []
        for path in sorted(folder.rglob("*")):
            if path.is_symlink():
                target = os.fsencode(os.readlink(path))
                wrong += [f"link {path}: {secret.name} ({how})" for secret, how in self.hits(target, self.secrets)]
            elif path.is_file():
                wrong += self.file(path, shapes="volumes" not in path.parts)
        return wrong
