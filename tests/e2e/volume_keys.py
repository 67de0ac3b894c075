"""The keys of a volume, opened without Latchkey, by docs/formats.md."""
import base64

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def context_of(record):
    """What a wrapped KEK is bound to, as bytes."""
    pairs = {"latchkey:cluster": record["cluster"], "latchkey:generation": str(record["generation"]), "latchkey:organization": record["organization"],
             "latchkey:region": record["region"]}
    return "".join(f"{len(name)}:{name}{len(value)}:{value}\n" for name, value in sorted(pairs.items())).encode()


def open_locally(local_key):
    """A way to unwrap for keys_of(): with the bytes of a LOCAL key file."""
    def unwrap(record, wrapped):
        return AESGCM(local_key).decrypt(wrapped[:12], wrapped[12:], b"latchkey-local-1\n" + context_of(record)) if record["root"]["type"] == "LOCAL" else None
    return unwrap


def keys_of(volume, unwrap):
    """[("KEK" or "DEK", generation, 32 bytes)] of a volume.json, the KEK before each as well. `unwrap`(record, ciphertext) gives a KEK, or None where the root key is
    not its own. What does not open as documented is an error."""
    keks, out = {}, []
    for record in volume["keks"]:
        kek = unwrap(record, base64.b64decode(record["ciphertext"]))
        if kek is None:
            continue
        keks[record["id"]] = kek
        out.append(("KEK", record["generation"], kek))
        if previous := record.get("previous"):
            bound = "\n".join(("latchkey kek previous", record["id"], previous["id"]))
            keks[previous["id"]] = AESGCM(kek).decrypt(base64.b64decode(previous["nonce"]), base64.b64decode(previous["ciphertext"]), bound.encode())
            out.append(("KEK", record["generation"] - 1, keks[previous["id"]]))
    for dek in volume["deks"]:
        for wrapped in dek["wrapped"]:
            if wrapped["kek"] in keks:
                bound = "\n".join(("latchkey dek", volume["volume_id"], dek["id"], str(dek["generation"]), wrapped["kek"]))
                key = AESGCM(keks[wrapped["kek"]]).decrypt(base64.b64decode(wrapped["nonce"]), base64.b64decode(wrapped["ciphertext"]), bound.encode())
                out.append(("DEK", dek["generation"], key))
    return out
