#!/usr/bin/env python3
"""Runs every *_fuzz program of a build (preset fuzz) for a while: `tests/fuzz/run.py --build build/fuzz [--seconds 60] [NAME ...]`.

Seeds stand in tests/fuzz/<program>/, as they are or, in *.hex, as hexadecimal digits with comments. What a run finds to be worth keeping stays in
<build>/corpus/<program>, for the next one; an input that breaks a program goes to <build>/crashes and is printed with the command that repeats it.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess
import sys

SEEDS = pathlib.Path(__file__).resolve().parent
# Longer inputs find nothing more there, and are slower.
LONGEST = {"names_fuzz": 600, "ttlv_fuzz": 2048}
AT_ONE_TIME = 2


def seeds_of(name: str, build: pathlib.Path) -> pathlib.Path:
    folder = build / "seeds" / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for seed in sorted((SEEDS / name).iterdir()):
        if seed.suffix == ".hex":
            digits = "".join(line.partition("#")[0] for line in seed.read_text().splitlines())
            (folder / seed.stem).write_bytes(bytes.fromhex(digits))
        else:
            (folder / seed.name).write_bytes(seed.read_bytes())
    return folder


def run(name: str, build: pathlib.Path, seconds: int) -> str:
    """The words of a failure, or nothing."""
    corpus, crashes = build / "corpus" / name, build / "crashes"
    corpus.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(exist_ok=True)
    log = build / f"{name}.log"
    command = ["setarch", "-R", str(build / name), str(corpus), str(seeds_of(name, build)), f"-max_total_time={seconds}", f"-max_len={LONGEST.get(name, 4096)}",
               "-timeout=10", "-rss_limit_mb=1024", "-use_value_profile=1", "-print_final_stats=1", f"-artifact_prefix={crashes}/{name}-"]
    words = SEEDS / f"{name}.dict"
    if words.exists():
        command.append(f"-dict={words}")
    symbolizer = "external_symbolizer_path=/usr/bin/llvm-symbolizer-19"
    env = dict(os.environ, ASAN_OPTIONS=f"abort_on_error=1:{symbolizer}", UBSAN_OPTIONS=f"print_stacktrace=1:{symbolizer}")
    with open(log, "wb") as out:
        # libFuzzer looks at the time between inputs only, and at a hanging one after its own timeout.
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env, timeout=seconds + 120, check=False)
    text = log.read_text(errors="replace")
    runs = re.search(r"number_of_executed_units: (\d+)", text)
    if done.returncode == 0 and runs:
        print(f"{name}: {int(runs[1]):,} inputs, nothing found", flush=True)
        return ""
    found = re.search(r"Test unit written to (\S+)", text)
    again = f"\nagain: {shlex.join([str(build / name), found[1]])}" if found else ""
    return f"{name}: ended with {done.returncode}\n{text[-8000:]}{again}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=int, default=60)
    args = parser.parse_args()
    build = args.build.resolve()
    built = sorted(path.name for path in build.glob("*_fuzz") if path.is_file())
    # A program without seeds, or seeds without a program, is one that somebody forgot.
    wanted = sorted(path.name for path in SEEDS.iterdir() if path.is_dir() and path.name != "__pycache__")
    if built != wanted:
        print(f"built: {', '.join(built)}; with seeds: {', '.join(wanted)}", file=sys.stderr)
        return 1
    names = args.names or built
    with concurrent.futures.ThreadPoolExecutor(AT_ONE_TIME) as pool:
        failures = [words for words in pool.map(lambda name: run(name, build, args.seconds), names) if words]
    for words in failures:
        print(words, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
