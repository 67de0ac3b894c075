"""A SoftHSM2 token of its own, and what its owner does in it, through the module's PKCS #11 functions: those for which Debian's softhsm2-util has no command."""
import contextlib
import ctypes
import os
import subprocess

MODULE = "/usr/lib/softhsm/libsofthsm2.so"

CKF_RW_SESSION, CKF_SERIAL_SESSION, CKU_USER = 2, 4, 1
CKO_SECRET_KEY, CKK_AES, CKM_AES_KEY_GEN = 4, 0x1F, 0x1080
CKA_CLASS, CKA_TOKEN, CKA_PRIVATE, CKA_LABEL, CKA_KEY_TYPE, CKA_ID = 0x0, 0x1, 0x2, 0x3, 0x100, 0x102
CKA_SENSITIVE, CKA_ENCRYPT, CKA_DECRYPT, CKA_VALUE_LEN, CKA_EXTRACTABLE = 0x103, 0x104, 0x105, 0x161, 0x162
ULONG = ctypes.c_ulong
TRUE, FALSE = b"\x01", b"\x00"


class Attribute(ctypes.Structure):
    _fields_ = [("type", ULONG), ("value", ctypes.c_void_p), ("length", ULONG)]


class Mechanism(ctypes.Structure):
    _fields_ = [("mechanism", ULONG), ("parameter", ctypes.c_void_p), ("length", ULONG)]


def number(value):
    return bytes(ULONG(value))


def template(attributes):
    """A CK_ATTRIBUTE array; the buffers live as long as it does."""
    buffers = [(kind, ctypes.create_string_buffer(value, len(value))) for kind, value in attributes.items()]
    array = (Attribute * len(buffers))(*[Attribute(kind, ctypes.cast(buffer, ctypes.c_void_p), len(buffer)) for kind, buffer in buffers])
    array.buffers = buffers
    return array


class SoftHsm:
    """One token. Every change is a session of its own, so that nothing is held between them."""

    def __init__(self, folder, label, pin):
        self.label = label
        self.config = folder / "softhsm2.conf"
        self.tokens = folder / "tokens"
        self.tokens.mkdir(parents=True)
        self.config.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        # Read by the module, here and in softhsm2-util.
        os.environ["SOFTHSM2_CONF"] = str(self.config)
        subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "officer-" + pin, "--pin", pin], check=True, capture_output=True, timeout=60)
        self.library = ctypes.CDLL(MODULE)

    def _call(self, name, *arguments):
        result = getattr(self.library, name)(*arguments)
        if result != 0:
            raise RuntimeError(f"{name}: CKR {result:#x}")

    @contextlib.contextmanager
    def session(self, pin):
        self._call("C_Initialize", None)
        try:
            slots, count = (ULONG * 16)(), ULONG(16)
            self._call("C_GetSlotList", ctypes.c_ubyte(1), slots, ctypes.byref(count))
            handle = ULONG()
            self._call("C_OpenSession", ULONG(self._slot(slots[:count.value])), ULONG(CKF_SERIAL_SESSION | CKF_RW_SESSION), None, None, ctypes.byref(handle))
            self._call("C_Login", handle, ULONG(CKU_USER), pin.encode(), ULONG(len(pin)))
            yield handle
        finally:
            self.library.C_Finalize(None)

    def _slot(self, slots):
        info = ctypes.create_string_buffer(256)  # CK_TOKEN_INFO begins with the label: 32 bytes, padded with blanks
        for slot in slots:
            self._call("C_GetTokenInfo", ULONG(slot), info)
            if info.raw[:32].decode().strip() == self.label:
                return slot
        raise RuntimeError(f"there is no token {self.label}")

    def create_key(self, pin, label, identifier):
        """An AES-256 key that is made in the token and cannot leave it."""
        wanted = template({CKA_CLASS: number(CKO_SECRET_KEY), CKA_KEY_TYPE: number(CKK_AES), CKA_VALUE_LEN: number(32), CKA_LABEL: label.encode(), CKA_ID: identifier,
                           CKA_TOKEN: TRUE, CKA_PRIVATE: TRUE, CKA_SENSITIVE: TRUE, CKA_EXTRACTABLE: FALSE, CKA_ENCRYPT: TRUE, CKA_DECRYPT: TRUE})
        with self.session(pin) as session:
            key = ULONG()
            self._call("C_GenerateKey", session, ctypes.byref(Mechanism(CKM_AES_KEY_GEN, None, 0)), wanted, ULONG(len(wanted)), ctypes.byref(key))

    def allow_use(self, pin, label, allowed):
        """The owner's switch: whether the key encrypts and decrypts."""
        value = TRUE if allowed else FALSE
        search, change = template({CKA_CLASS: number(CKO_SECRET_KEY), CKA_LABEL: label.encode()}), template({CKA_ENCRYPT: value, CKA_DECRYPT: value})
        with self.session(pin) as session:
            key, found = ULONG(), ULONG()
            self._call("C_FindObjectsInit", session, search, ULONG(len(search)))
            self._call("C_FindObjects", session, ctypes.byref(key), ULONG(1), ctypes.byref(found))
            self._call("C_FindObjectsFinal", session)
            if found.value != 1:
                raise RuntimeError(f"there is no key {label}")
            self._call("C_SetAttributeValue", session, key, change, ULONG(len(change)))

    def change_pin(self, old, new):
        with self.session(old) as session:
            self._call("C_SetPIN", session, old.encode(), ULONG(len(old)), new.encode(), ULONG(len(new)))
