"""The keys of a volume under a LOCAL key, opened without Latchkey, by docs/formats.md."""
import base64

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def keys_under_local(local_key, volume):
    """[("KEK" or "DEK", number, 32 bytes)] of a volume.json. A wrapping that does not open as documented is an error."""
    keks, out = {}, []
    for record in volume["keks"]:
        if record["root"]["type"] != "LOCAL":
            continue
        context = {"latchkey:cluster": record["cluster"], "latchkey:generation": str(record["generation"]), "latchkey:organization": record["organization"],
                   "latchkey:region": record["region"]}
        bound = "latchkey-local-1\n" + "".join(f"{len(name)}:{name}{len(value)}:{value}\n" for name, value in sorted(context.items()))
        wrapped = base64.b64decode(record["ciphertext"])
        keks[record["id"]] = AESGCM(local_key).decrypt(wrapped[:12], wrapped[12:], bound.encode())
        out.append(("KEK", record["generation"], keks[record["id"]]))
    for dek in volume["deks"]:
        for wrapped in dek["wrapped"]:
            if wrapped["kek"] in keks:
                bound = "\n".join(("latchkey dek", volume["volume_id"], dek["id"], str(dek["generation"]), wrapped["kek"]))
                key = AESGCM(keks[wrapped["kek"]]).decrypt(base64.b64decode(wrapped["nonce"]), base64.b64decode(wrapped["ciphertext"]), bound.encode())
                out.append(("DEK", dek["generation"], key))
    return out
