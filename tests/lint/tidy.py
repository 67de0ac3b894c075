#!/usr/bin/env python3
"""clang-tidy over the sources, two at a time. A file is looked at again only when it, a header of ours, or the configuration changed."""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import sys


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    args = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parents[2]
    build = pathlib.Path(args.build)
    # Tests are checked by the compilers only: they would double the time.
    files = sorted(
        entry["file"]
        for entry in json.loads((build / "compile_commands.json").read_text())
        if entry["file"].startswith((f"{root}/src/", f"{root}/bench/")) and not entry["file"].endswith("_test.cc")
    )
    headers = hashlib.sha256()
    for path in [root / ".clang-tidy", *sorted((root / "src").rglob("*.h"))]:
        headers.update(path.read_bytes())
    stamps = build / "tidy-stamps"
    stamps.mkdir(exist_ok=True)

    def check(name: str):
        digest = hashlib.sha256(headers.digest() + pathlib.Path(name).read_bytes()).hexdigest()
        stamp = stamps / digest
        if stamp.exists():
            return name, 0, ""
        done = subprocess.run(["clang-tidy-19", "--quiet", "-p", str(build), name], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            stamp.touch()
        return name, done.returncode, done.stdout + ("" if done.returncode == 0 else done.stderr)

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, code, output in pool.map(check, files):
            if code != 0:
                failed += 1
                print(output, flush=True)
    print(f"clang-tidy: {len(files)} files, {failed} with findings")
    return 1 if failed or not files else 0


if __name__ == "__main__":
    sys.exit(main())
