#!/usr/bin/env python3
"""Measurements, in paired runs on one machine and as ratios where there is something to compare with. `./run bench [NAME] [--json] [--quick]`.

NAME: volume (PostgreSQL on a volume against a plain folder on the same disk; memory of its daemon), api (GET …/cmek with 1,000 clusters; memory of the server),
revoke (from REVOKE acknowledged to dark; memory of the agent), kms (requests per operation at each KMS; what our client adds to the bare exchange).
"""
import argparse
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "e2e"))
from harness import PG_BIN, Screen, Stack, mounts_below, processes_of  # noqa: E402

from pairs import run_pairs  # noqa: E402


class Measures:
    def __init__(self, as_json: bool):
        self.as_json = as_json
        self.rows = []

    def add(self, name, value, unit, target, met, baseline=None, ratio=None):
        row = {"name": name, "value": round(value, 3), "unit": unit, "baseline": None if baseline is None else round(baseline, 3),
               "ratio": None if ratio is None else round(ratio, 3), "target": target, "met": met}
        self.rows.append(row)
        if self.as_json:
            print(json.dumps(row), flush=True)

    def table(self):
        if self.as_json:
            return
        header = ["MEASURE", "VALUE", "UNIT", "BASELINE", "RATIO", "TARGET", "MET"]
        rows = [header] + [[str("" if r[k] is None else r[k]) for k in ("name", "value", "unit", "baseline", "ratio", "target")] +
                           [{True: "yes", False: "NO", None: ""}[r["met"]]] for r in self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def progress(text):
    print(f"… {text}", file=sys.stderr, flush=True)


def peak_mib(pid):
    """The most resident memory that the process ever had (VmHWM)."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) / 1024


def shared_buffers():
    """In MB, as src/engine/postgresql/settings.cc has it."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
    return min(max(memory // 32, 128 << 20), 512 << 20) >> 20


class Postgres:
    """A bare PostgreSQL in a folder, with the settings that Latchkey's own nodes get; as the system user."""

    def __init__(self, folder: pathlib.Path, sockets: pathlib.Path, port: int):
        self.folder, self.sockets, self.port = folder, sockets, port
        user = pwd.getpwnam("latchkey")
        self.as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}
        self.env = {"PATH": "/usr/bin:/bin", "PGHOST": str(sockets), "PGPORT": str(port), "PGUSER": "latchkey", "PGDATABASE": "postgres", "LC_ALL": "C.UTF-8"}
        self.process = None

    def start(self):
        run = dict(env=self.env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.as_user)
        subprocess.run([PG_BIN / "initdb", "-D", self.folder / "pg", "-U", "latchkey", "-A", "peer", "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums"], **run)
        self.process = subprocess.Popen([PG_BIN / "postgres", "-D", self.folder / "pg", "-p", str(self.port), "-c", "listen_addresses=", "-c", f"unix_socket_directories={self.sockets}",
                                         "-c", "wal_sync_method=open_datasync", "-c", "wal_writer_delay=10ms", "-c", "wal_buffers=16MB",
                                         "-c", f"shared_buffers={shared_buffers()}MB"],
                                        env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.as_user)
        for _ in range(300):
            if subprocess.run([PG_BIN / "pg_isready", "-q"], env=self.env, check=False, **self.as_user).returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError("PostgreSQL did not start")

    def pgbench(self, *args):
        done = subprocess.run([PG_BIN / "pgbench", *args], env=self.env, check=True, capture_output=True, text=True, **self.as_user)
        found = re.search(r"tps = ([0-9.]+)", done.stdout)
        return float(found[1]) if found else 0.0

    def sql(self, text):
        subprocess.run([PG_BIN / "psql", "-Xqc", text], env=self.env, check=True, stdout=subprocess.DEVNULL, **self.as_user)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


CLIENTS = (1, 4, 8, 16)
QUICK_CLIENTS = (1, 8)


def pgbench_pair(servers, args, seconds, number):
    """One run on each of the two; their transactions a second. The order turns round with each pair, so that a drift of the machine hits both alike."""
    tps = {}
    for server in servers if number % 2 == 0 else reversed(servers):
        server.sql("checkpoint")
        tps[server] = server.pgbench(*args, "-T", str(seconds))
    return [tps[server] for server in servers]


def bench_volume(program, measures, quick):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lk-bench-"))
    folder.chmod(0o755)
    user = pwd.getpwnam("latchkey")
    for name in ("plain", "lower", "mnt", "s1", "s2"):
        (folder / name).mkdir()
        os.chown(folder / name, user.pw_uid, user.pw_gid)
    subprocess.run([program, "keys", "create-local", folder / "key"], check=True)
    log = open(folder / "volume.out", "w", encoding="utf-8")
    volume = subprocess.Popen([program, "volume", "create", folder / "lower", folder / "mnt", "--type", "LOCAL", "--uri", "local://bench", "--connection", f"bench={folder}/key",
                               "--user", "latchkey"], stdout=log, stderr=subprocess.STDOUT)
    plain, encrypted = Postgres(folder / "plain", folder / "s1", 5701), Postgres(folder / "mnt", folder / "s2", 5702)
    try:
        for _ in range(300):
            if mounts_below(folder):
                break
            if volume.poll() is not None:
                raise RuntimeError((folder / "volume.out").read_text())
            time.sleep(0.1)
        plain.start()
        encrypted.start()
        clients_in_turn = QUICK_CLIENTS if quick else CLIENTS
        # pgbench's own rule: the scale is at least the number of clients, else they wait for one another's rows and not for the disk.
        for server in (plain, encrypted):
            server.pgbench("-i", "-q", "-s", str(clients_in_turn[-1]))
        most_pairs, seconds = (1, 2) if quick else (21, 8)
        if not quick:
            # Not counted: PostgreSQL makes log segments anew until it has seen how many it uses between two checkpoints.
            progress("a first run on each side, not counted")
            pgbench_pair((plain, encrypted), ["-c", "8", "-j", "2"], seconds, 0)

        def hold(name, args, target):
            baseline, value, ratio = run_pairs(lambda number: pgbench_pair((plain, encrypted), args, seconds, number), target, most_pairs, lambda text: progress(f"{name}: {text}"))
            measures.add(name, value, "tps", f"ratio ≥ {target}", ratio >= target, baseline, ratio)

        # One client waits for the disk alone, many share each flush of the log: what a volume costs depends on how many there are, so the
        # target is held against each.
        for clients in clients_in_turn:
            hold(f"pgbench TPC-B-like, {clients} client{'s' if clients > 1 else ''}", ["-c", str(clients), "-j", str(min(clients, 2))], 0.85)
        hold("pgbench select-only, 8 clients", ["-S", "-c", "8", "-j", "2"], 0.9)
        daemons = [p for p in processes_of("volume-daemon") if str(folder) in pathlib.Path(f"/proc/{p}/cmdline").read_text()]
        most = max(peak_mib(p) for p in daemons)
        measures.add("memory of the volume daemon, peak after that load", most, "MiB", "≤ 64", most <= 64)
    finally:
        plain.stop()
        encrypted.stop()
        volume.send_signal(signal.SIGTERM)
        try:
            volume.wait(60)
        except subprocess.TimeoutExpired:
            volume.kill()
        for mount in mounts_below(folder):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def bench_api(program, measures, quick):
    """GET …/cmek against a server with 1,000 clusters, all under owner keys; wrk on the same two cores. The memory of that server, too."""
    load_program = pathlib.Path(program).parent / "api_load"
    server = subprocess.Popen([load_program, "1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        progress("making 1,000 clusters")
        facts = json.loads(server.stdout.readline())
        script = tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False)
        script.write("local ids = {" + ",".join(f'"{i}"' for i in facts["clusters"]) + "}\nlocal n = 0\n"
                     "request = function()\n  n = n % #ids + 1\n"
                     f'  return wrk.format("GET", "/api/v1/clusters/" .. ids[n] .. "/cmek", {{["Authorization"] = "Bearer {facts["api_key"]}"}})\nend\n'
                     'done = function(s, l, r)\n  io.write(string.format("RESULT %f %f %d %d\\n", s.requests / (s.duration / 1e6), l:percentile(99) / 1000, s.errors.status, s.requests))\nend\n')
        script.close()
        seconds, rounds = (3, 1) if quick else (10, 3)
        rates, p99s = [], []
        for number in range(rounds):
            progress(f"GET …/cmek: round {number + 1} of {rounds}")
            done = subprocess.run(["wrk", "-t1", "-c16", f"-d{seconds}s", "-s", script.name, facts["server"]], check=True, capture_output=True, text=True)
            rate, p99, errors, _ = re.search(r"RESULT (\S+) (\S+) (\d+) (\d+)", done.stdout).groups()
            if int(errors):
                raise RuntimeError(f"{errors} requests failed")
            rates.append(float(rate))
            p99s.append(float(p99))
        os.unlink(script.name)
        measures.add("GET …/cmek, 1,000 clusters", statistics.median(rates), "requests/s", "≥ 5000", statistics.median(rates) >= 5000)
        measures.add("GET …/cmek, p99", statistics.median(p99s), "ms", "≤ 20", statistics.median(p99s) <= 20)
        most = peak_mib(server.pid)
        measures.add("memory of the server, 1,000 clusters, peak", most, "MiB", "≤ 100", most <= 100)
    finally:
        server.stdin.close()
        server.wait(30)


def bench_revoke(program, measures, quick):
    """From the answer to REVOKE until no process on the host can decrypt, under load, with the engine's own fast stop told apart. Memory of the agent, too."""
    stack = Stack(program, Screen(stop_between=False))
    stack.screen.command = stack.screen.result = lambda *_: None
    try:
        stack.start_dev()
        stack.latchkey("clusters", "create", "measured", "--region", "us-east-1", "--wait", show=False)
        connection = stack.connection("measured")
        subprocess.run([str(PG_BIN / "pgbench"), "-i", "-q", "-s", "5"], env=connection, check=True, capture_output=True)
        stack.latchkey("cmek", "enable", "measured", "--uri", stack.facts["owner_key"], "--principal", stack.facts["owner_role"], "--wait", show=False)
        totals, after_engine = [], []
        for number in range(1 if quick else 5):
            progress(f"revoke: round {number + 1}")
            load = stack.pgbench(connection, "-c", "4", "-T", "60")
            time.sleep(2)
            engines, daemons = stack.databases(), stack.processes("volume-daemon")
            if len(engines) < 5 or not daemons:
                raise RuntimeError("the database's and the daemon's processes were not found")
            stack.latchkey("cmek", "revoke", "measured", show=False)
            acknowledged = time.monotonic()
            engine_gone = None
            while True:
                # A look at every process of the machine is for when those that are known have gone.
                engine_left = any(running(p) for p in engines) or bool(engines := stack.databases())
                if engine_gone is None and not engine_left:
                    engine_gone = time.monotonic()
                if not engine_left and not any(running(p) for p in daemons) and not mounts_below(stack.folder):
                    break
                if time.monotonic() - acknowledged > 60:
                    raise RuntimeError("not sealed within 60 s")
                time.sleep(0.005)
            dark = time.monotonic()
            totals.append(dark - acknowledged)
            after_engine.append(dark - max(acknowledged, engine_gone or dark))
            load.kill()
            load.wait()
            stack.latchkey("cmek", "restore", "measured", "--wait", show=False)
            stack.wait("it serves", 30, lambda: not stack.sql_refused(connection))
        measures.add("REVOKE acknowledged → nothing on the host can decrypt", statistics.median(totals), "s", "≤ 2 + engine's fast stop", None)
        measures.add("… the part after the engine's fast stop", statistics.median(after_engine), "s", "≤ 2", statistics.median(after_engine) <= 2)
        for role, limit in (("agent", 50), ("server", 100)):
            pid = stack.processes(f"{role} run --config")[0]
            most = peak_mib(pid)
            measures.add(f"memory of the {role}, peak", most, "MiB", f"≤ {limit}", most <= limit)
    finally:
        stack.stop()


def bench_kms(program, measures, quick):
    """What kms_calls prints: it counts and measures by itself, against the emulator in its own process."""
    command = [pathlib.Path(program).parent / "kms_calls", *(["--quick"] if quick else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            row = json.loads(line)
            measures.add(row["name"], row["value"], row["unit"], row["target"] or None, row["met"], row["baseline"], row["ratio"])
    if process.returncode:
        raise RuntimeError(f"kms_calls ended with {process.returncode}")


def running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


BENCHES = {"volume": bench_volume, "api": bench_api, "revoke": bench_revoke, "kms": bench_kms}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", choices=sorted(BENCHES))
    parser.add_argument("--program", required=True)
    parser.add_argument("--json", action="store_true", help="one JSON object a measure")
    parser.add_argument("--quick", action="store_true", help="under a minute, for a first look; not for quoting")
    args = parser.parse_args()
    measures = Measures(args.json)
    for name, bench in BENCHES.items():
        if args.name in (None, name):
            bench(args.program, measures, args.quick)
    measures.table()
    return 0


if __name__ == "__main__":
    sys.exit(main())
