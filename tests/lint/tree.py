#!/usr/bin/env python3
"""What must not stand in the tree: paths of one machine, registry hosts, private keys, unfinished work, binaries, imports that point upwards."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# From the ground upwards; a room may import those before it. Kept beside the DEPS in src/CMakeLists.txt, which the linker enforces.
ROOMS = ["base", "crypto", "http", "protocol", "kms", "keys", "volume", "engine", "agent", "store", "control", "api", "emulator", "cli"]
# Rooms that must never name a type that holds plaintext key bytes.
NO_PLAINTEXT = ["api", "control", "store", "protocol", "engine"]

PATTERNS = [
    (re.compile(r"(^|[^A-Za-z0-9_.])/(w[o]rk|f[a]rm)/"), "a path of one machine"),
    (re.compile(r"//(regis[t]ry|de[b])\.[a-z]+\.org"), "the host of a package registry"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE [K]EY-----\n"), "a private key"),
    (re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|GTEST_[S]KIP)\b|\bDISABLE[D]_[A-Z]"), "unfinished or switched off"),
]


def main() -> int:
    faults = []
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if not path.is_file() or name.endswith("package-lock.json"):
            continue
        raw = path.read_bytes()
        if b"\0" in raw:
            faults.append(f"{name}: a binary")
            continue
        text = raw.decode("utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(keepends=True), 1):
            for pattern, what in PATTERNS:
                if pattern.search(line):
                    faults.append(f"{name}:{number}: {what}")
        room = name.split("/")[1] if name.startswith("src/") else ""
        if room in ROOMS:
            for number, line in enumerate(text.splitlines(), 1):
                include = re.match(r'#include "([a-z]+)/', line)
                if include and include[1] in ROOMS and include[1] != room:
                    if ROOMS.index(include[1]) > ROOMS.index(room):
                        faults.append(f"{name}:{number}: {room}/ imports {include[1]}/, which stands above it")
                    if include[1] == "emulator" and room != "cli":
                        faults.append(f"{name}:{number}: only the command and tests may import emulator/")
                    if room in NO_PLAINTEXT and include[1] in ("kms", "keys", "volume"):
                        faults.append(f"{name}:{number}: {room}/ may not know plaintext keys or KMS providers")
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
