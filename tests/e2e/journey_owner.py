#!/usr/bin/env python3
"""The owner's journey: a real PostgreSQL under a key in its owner's KMS; the owner takes the key away and nobody can read the data; gives it back and it is all there.

Run it with `./run demo [--kms …]` (as root: the agent opens /dev/fuse and starts processes as the system user latchkey). What the owner does in which KMS stands in
owners.py. `--short` leaves out what has nothing to do with the kind of KMS: load, the search on the disk, revoking over the API, crashes.
"""
import argparse
import contextlib
import json
import os
import pathlib
import pwd
import re
import secrets
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request

from harness import PG_BIN, CheckFailed, Load, Screen, Stack, Writer, carry_out, find_bytes, is_running, mounts_below
from owners import OWNERS, Owner

CLUSTER = "ledger"
SCALE, SHORT_SCALE = 10, 1

# Runs as the system user: holds a file of the database open and mapped, and reads it again whenever told to.
HOLDER = """
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
m = mmap.mmap(fd, 4096, prot=mmap.PROT_READ)
print(m[0:8].hex(), os.pread(fd, 8, 0).hex(), flush=True)
for line in sys.stdin:
    try:
        print(m[0:8].hex(), os.pread(fd, 8, 0).hex(), flush=True)
    except OSError as e:
        print("refused", e.errno, flush=True)
"""


class Journey:
    def __init__(self, stack: Stack, screen: Screen, owner: Owner, short: bool):
        self.stack = stack
        self.screen = screen
        self.owner = owner
        self.short = short
        self.scale = SHORT_SCALE if short else SCALE
        self.marker = "marker-" + secrets.token_hex(16)
        self.table = "owners_table_" + secrets.token_hex(6)
        self.connection = None
        self.lower = None

    # -- what several steps need ---------------------------------------------------------------------------------------------------------

    def region(self):
        return self.stack.cmek(CLUSTER)["region_infos"][0]

    @staticmethod
    def what_is_set(cmek):
        """Without health and what the KMS tells of the key, which move by themselves."""
        return [(r["region"], r["status"], [(k["status"], k["spec"]) for k in r["key_infos"]]) for r in cmek["region_infos"]]

    def marker_is_there(self):
        return self.stack.sql(self.connection, f"select note from {self.table} where id = 1", show=False) == self.marker

    def serves(self):
        return self.stack.node(CLUSTER)["status"] == "LIVE" and not self.stack.sql_refused(self.connection)

    def wait_served(self, seconds=60):
        took = self.stack.wait("the cluster serves again", seconds, self.serves)
        self.stack.check(self.marker_is_there(), f"it serves again by itself after {took:.1f} s, and the marker is there")

    def dark(self):
        """Nothing on this host can decrypt: no mount, no volume daemon, no database."""
        return not mounts_below(self.stack.folder) and not self.daemons() and not self.stack.databases()

    def daemons(self):
        return self.stack.processes("volume-daemon")

    def check_dark(self, seconds, why):
        took = self.stack.wait(f"the data is sealed ({why})", seconds, lambda: self.stack.sql_refused(self.connection) and self.dark())
        self.stack.check(True, f"after {took:.1f} s: SQL is refused, nothing is mounted, no volume daemon and no database process is left")

    def volume_json(self):
        return (self.lower / "volume.json").read_text()

    def agent_process(self):
        return self.stack.processes("agent run --config")

    def server_process(self):
        return self.stack.processes("server run --config")

    def start_again(self, role):
        config = self.stack.facts[f"{role}_config"]
        argv = [self.stack.program, role, "run", "--config", config]
        self.screen.command(["latchkey", *argv[1:]])
        log = open(self.stack.folder / "dev" / f"{role}.log", "a", encoding="utf-8")
        self.stack.spawn(argv, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def kill(self, what, pids):
        if not pids:
            raise CheckFailed(f"no process of the {what} was found")
        self.screen.command(["kill", "-9", *map(str, pids)])
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.stack.wait(f"the {what} is gone", 10, lambda: not any(is_running(p) for p in pids))

    def load(self):
        """Writes until finish_load(); its first transactions have been acknowledged."""
        return None if self.short else Load(self.stack, self.connection)

    def finish_load(self, load, when):
        if load is None:
            return
        self.stack.check(load.runs(), f"pgbench still runs when {when}")
        load.wait_acknowledged(f"transactions after that: {when}")
        self.stack.check(True, f"{load.finish()} transactions before, meanwhile and after, none failed, and each is in the database")

    def agents_checks(self):
        """How often the agent has asked a KMS with success, by its own metrics."""
        config = tomllib.loads(pathlib.Path(self.stack.facts["agent_config"]).read_text(encoding="utf-8"))
        with urllib.request.urlopen(f"http://{config['metrics_address']}/metrics", timeout=10) as answer:
            return float(re.search(r'^latchkey_agent_kms_checks_total\{outcome="success"\} (\S+)$', answer.read().decode(), re.M)[1])

    def wait_checks(self, count):
        """Until the agent has asked the KMS so often, by the KMS's own count where it keeps one."""
        mark, asked = self.owner.mark(), self.agents_checks()

        def enough():
            unwraps = self.owner.unwraps_since(mark)
            return (self.agents_checks() - asked if unwraps is None else unwraps) >= count

        self.stack.wait("more checks by the agent", 60, enough)

    # -- the steps -----------------------------------------------------------------------------------------------------------------------

    def step_1(self):
        self.screen.step(1, "An owner's key in the KMS, and a cluster under the operator's escrow key")
        self.owner.prepare()
        self.stack.start_dev(*self.owner.dev_options)
        self.owner.find_keys()
        self.screen.result(self.owner.facts())
        self.stack.latchkey("clusters", "create", CLUSTER, "--region", "us-east-1", "--wait")
        self.connection = self.stack.connection(CLUSTER)
        self.lower = next((self.stack.folder / "dev" / "volumes").iterdir())
        self.stack.check("local://escrow" in self.volume_json(), "volume.json names the escrow key")
        self.screen.command(["pgbench", "-i", "-s", str(self.scale)])
        subprocess.run([str(PG_BIN / "pgbench"), "-i", "-q", "-s", str(self.scale)], env=self.connection, check=True, capture_output=True, timeout=300)
        self.stack.sql(self.connection, f"create table {self.table} (id int primary key, note text)")
        self.stack.sql(self.connection, f"insert into {self.table} values (1, '{self.marker}')")
        self.stack.check(self.marker_is_there(), "the marker row can be read by SQL")

    def step_2(self):
        self.screen.step(2, "The owner's key is enabled on the running cluster" + ("" if self.short else ", while it is written to"))
        load = self.load()
        posted = self.stack.latchkey("cmek", "enable", CLUSTER, *self.owner.options(self.owner.key), "-o", "json", output=False)
        self.stack.check(json.loads(posted)["status"] == "ENABLING", "the answer says ENABLING")
        self.stack.wait("ENABLED", 60, lambda: self.stack.cmek(CLUSTER)["status"] == "ENABLED")
        self.stack.check(True, "… and then ENABLED")
        self.finish_load(load, "ENABLED comes")
        self.stack.check("local://escrow" not in self.volume_json(), "the escrow wrapping is gone from volume.json")
        self.stack.check(self.owner.key in self.volume_json(), "volume.json names the owner's key")
        if self.short:
            return
        self.stack.sql(self.connection, "create table made_after_enabling as select g, md5(g::text) from generate_series(1, 20000) g")
        self.stack.sql(self.connection, "checkpoint")
        self.stack.wait("the count of data under each key", 30,
                        lambda: 0 < int(self.region().get("bytes_under_former_keys") or 0) < int(self.region().get("bytes_total") or 0))
        self.stack.latchkey("cmek", "get", CLUSTER)
        region = self.region()
        self.stack.check(True, f"status says how much is still under the former data key: {int(region['bytes_under_former_keys']) >> 20} of {int(region['bytes_total']) >> 20} MiB")

    def step_3(self):
        self.screen.step(3, "The marker is in the database, and nowhere on the disk")
        self.stack.sql(self.connection, "checkpoint", show=False)
        path = self.stack.sql(self.connection, f"select pg_relation_filepath('{self.table}')", show=False)
        self.stack.check(self.marker_is_there(), "SQL reads the marker")
        needles = [self.marker.encode(), self.table.encode(), b"PG_VERSION", b"pg_wal", b"postgresql.conf"]
        places = [self.stack.folder / "dev" / "volumes", self.stack.folder / "dev" / "agent"]
        self.screen.command(["grep", "-r", self.marker[:14] + "…", *map(str, places), str(self.stack.folder / "dev" / "*.log")])
        found = [f for place in places for f in find_bytes(place, needles[:2])]
        found += [str(log) for log in (self.stack.folder / "dev").glob("*.log") if any(n in log.read_bytes() for n in needles[:2])]
        names = [f for f in find_bytes(self.lower, needles[2:]) if f.startswith("name ")]
        names += [str(p) for p in self.lower.rglob(os.path.basename(path))]
        self.stack.check(not found, "neither the marker nor the table's name is in the lower folder, in WAL or in the logs")
        self.stack.check(not names, "no name of a database file is there either")
        self.stack.check(sum(f.stat().st_size for f in self.lower.rglob("*") if f.is_file()) > 100 << 20, "(the lower folder does hold the data: over 100 MiB)")

    def step_4(self):
        self.screen.step(4, "Rotation to a second key" + ("" if self.short else ", while the cluster is written to"))
        load = self.load()
        second = self.owner.second_key
        put = self.stack.latchkey("cmek", "rotate", CLUSTER, *self.owner.options(second), "-o", "json", output=False)
        self.stack.check(json.loads(put)["region_infos"][0]["status"] == "ROTATING", "the answer says ROTATING")
        self.stack.wait("ENABLED", 60, lambda: self.stack.cmek(CLUSTER)["status"] == "ENABLED")
        self.finish_load(load, "ENABLED comes")
        self.stack.check(self.owner.key not in self.volume_json() and second in self.volume_json(), "ENABLED, and volume.json names the second key only")
        self.owner.take_away(self.owner.key)
        self.wait_checks(3)
        self.stack.check(self.serves() and self.marker_is_there(), "the first key is taken away, the agent has asked the KMS three times since, and the cluster serves")

    def step_5(self):
        self.screen.step(5, f"The owner {self.owner.takes_away}")
        second, expected = self.owner.second_key, self.owner.taken_class
        self.owner.take_away(second)
        self.check_dark(60, "key taken away")
        self.stack.wait("the status says it", 20, lambda: self.stack.cmek(CLUSTER)["status"] == "REVOKED")
        self.check_table(self.stack.latchkey("cmek", "get", CLUSTER), second, expected)
        key = self.region()["key_infos"][0]
        health = key["health"]
        self.stack.check(health["class"] == expected and bool(health["since"]) and bool(health["next_step"]),
                         f"the API names the key, the class {expected}, since when, and what to do")
        self.stack.check(key["spec"]["uri"] == second and expected in key["user_message"], "… in its user_message too")

    def check_table(self, text, uri, expected):
        """What the table for people says of the key in use."""
        health = self.region()["key_infos"][0]["health"]
        lines = [line.strip() for line in text.splitlines()]
        keys = [line.split()[0] for line in lines if line.split()[2:3] == [uri]]
        self.stack.check(keys == ["REVOKED"] and "status: REVOKED" in lines, "the table names the key that was taken away, and REVOKED")
        since = health["since"][:19]  # to the second
        told = [line for line in lines if line.startswith(f"{expected} since {since}")]
        self.stack.check(len(told) == 1 and told[0].endswith(health["next_step"]), f"… the class {expected}, since when, and what to do")

    def step_6(self):
        self.screen.step(6, f"The owner {self.owner.gives_back}")
        self.owner.give_back(self.owner.second_key)
        self.wait_served()
        self.stack.wait("ENABLED", 20, lambda: self.stack.cmek(CLUSTER)["status"] == "ENABLED")

    def hold(self):
        """A process of the database's own user with a file of the volume open and mapped, and an SQL session."""
        user = pwd.getpwnam("latchkey")
        mount = mounts_below(self.stack.folder)[0]
        path = self.stack.sql(self.connection, f"select current_setting('data_directory') || '/' || pg_relation_filepath('{self.table}')", show=False)
        self.stack.check(path.startswith(mount + "/"), "an SQL session and a mapping of the marker's own file are held open")
        holder = self.stack.spawn(["/usr/bin/python3", "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                  user=user.pw_uid, group=user.pw_gid, extra_groups=[], env={"PATH": "/usr/bin"})
        if len(holder.stdout.readline().split()) != 2:
            raise CheckFailed("the file could not be read while the volume is open")
        session = self.stack.spawn([str(PG_BIN / "psql"), "-XAtq"], env=self.connection, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        session.stdin.write(f"select count(*), pg_backend_pid() from {self.table};\n")
        session.stdin.flush()
        count, _, backend = session.stdout.readline().strip().partition("|")
        if count != "1":
            raise CheckFailed("the session could not read")
        seen = self.stack.databases()
        self.stack.check(int(backend) in seen and len(seen) > 5,
                         f"the session's own process is among the {len(seen)} database processes that are looked for when the data has to be sealed")
        return holder, session

    def check_held_get_nothing(self, holder, session):
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            holder.stdin.write("again\n")
            holder.stdin.flush()
            answer = holder.stdout.readline()
        self.stack.check(answer == "" or answer.startswith("refused"),
                         f"the mapping gives nothing any more ({'its process was killed' if answer == '' else answer.strip()})")
        out = ""
        with contextlib.suppress(BrokenPipeError):
            out, _ = session.communicate(f"select note from {self.table};\n", timeout=20)
        for process in (holder, session):
            process.kill()
            process.wait()
        self.stack.check(self.marker not in out, "the SQL session gives nothing any more")

    def step_7(self):
        self.screen.step(7, "The KMS stops answering: work goes on until the lease ends")
        for agent_killed in (False,) if self.short else (False, True):
            holder, session = self.hold()
            self.owner.outage(True)
            begun = time.monotonic()
            if agent_killed:
                self.kill("agent", self.agent_process())
            else:
                self.stack.wait("the outage is noticed", 20, lambda: self.region()["key_infos"][0]["health"]["class"] == "UNREACHABLE")
                self.stack.check(True, "status says UNREACHABLE")
            self.stack.check(self.marker_is_there(), "SQL still works: no answer is not a refusal")
            self.check_dark(40, "the lease has ended")
            self.stack.check(time.monotonic() - begun > 5, f"that was {time.monotonic() - begun:.0f} s after the KMS fell silent (grace in this demo: 12 s; default: 1 h)" +
                             (", with nobody but the volume daemon left to do it" if agent_killed else ""))
            self.check_held_get_nothing(holder, session)
            self.owner.outage(False)
            if agent_killed:
                self.start_again("agent")
            self.wait_served()

    def step_8(self):
        self.screen.step(8, "Revoke and restore over the API, while the key itself is fine")
        answer = json.loads(self.stack.latchkey("cmek", "revoke", CLUSTER, "-o", "json", output=False))
        self.stack.check(answer["region_infos"][0]["status"] == "REVOKING", "the answer says REVOKING")
        self.stack.wait("REVOKED", 40, lambda: self.stack.cmek(CLUSTER)["status"] == "REVOKED")
        self.stack.check(not mounts_below(self.stack.folder) and not self.stack.databases() and self.stack.sql_refused(self.connection),
                         "REVOKED: every node has reported sealed, nothing is mounted, no database runs")
        # The half of the daemon that has no keys outlives the other by the moment that it takes to clean up.
        self.stack.wait("the volume daemon's processes end", 5, self.dark)
        first = self.stack.cmek(CLUSTER)
        second = json.loads(self.stack.latchkey("cmek", "revoke", CLUSTER, "-o", "json", output=False))
        self.stack.check(second == first, "a second revoke answers the same")
        self.kill("agent", self.agent_process())
        heard = self.stack.node(CLUSTER)["last_heard"]
        self.start_again("agent")
        self.stack.wait("the new agent is heard", 30, lambda: self.stack.node(CLUSTER)["last_heard"] > heard)
        mark = self.owner.mark()
        time.sleep(3)  # three check intervals in which a wrong agent would ask the KMS and open
        unwraps = self.owner.unwraps_since(mark)
        self.stack.check(self.dark() and not unwraps, "an agent that starts anew does not open it either" + ("" if unwraps is None else ", and asks the KMS for nothing"))
        self.stack.latchkey("cmek", "restore", CLUSTER, "--wait")
        self.wait_served()

    def heard_since(self, heard):
        with contextlib.suppress(CheckFailed):  # a server that has just been started may not answer yet
            return self.stack.node(CLUSTER)["last_heard"] > heard
        return False

    def step_9(self):
        self.screen.step(9, "Crashes under load")
        load = self.load()
        self.stack.check(load.runs(), "pgbench runs, and its first transactions are acknowledged")
        heard = self.stack.node(CLUSTER)["last_heard"]
        self.kill("server", self.server_process())
        self.start_again("server")
        self.kill("agent", self.agent_process())
        self.start_again("agent")
        self.stack.wait("the new server hears of the node from the new agent", 40, lambda: self.heard_since(heard))
        self.stack.check(True, "server and agent were killed with -9 and came back")
        self.finish_load(load, "they are back")

        self.stack.sql(self.connection, "create table acknowledged (n int primary key)")
        writer = Writer(self.connection, self.screen)
        self.stack.wait("some writes", 20, lambda: writer.acknowledged > 200)
        before = writer.acknowledged
        self.kill("volume daemon", self.daemons())
        self.stack.wait("writes again", 60, lambda: writer.acknowledged > before + 100 and writer.interruptions > 0)
        last = writer.stop()
        count = int(self.stack.sql(self.connection, f"select count(*) from acknowledged where n <= {last}"))
        self.stack.check(count == last, f"the volume daemon was killed with -9; all {last} acknowledged inserts are there, and the cluster came back by itself")
        self.stack.check(self.marker_is_there(), "the marker is there")

    def step_10(self):
        self.screen.step(10, f"The key is fine, the way to it is not: {self.owner.identity}")
        expected = self.owner.shut_out_class
        self.owner.withdraw()
        self.check_dark(60, self.owner.shut_out)
        self.stack.wait("the status says it", 20, lambda: self.stack.cmek(CLUSTER)["status"] == "REVOKED")
        self.screen.result(self.region()["key_infos"][0]["user_message"])
        self.stack.check(self.region()["key_infos"][0]["health"]["class"] == expected, f"status says {expected}")
        self.owner.restore()
        self.wait_served()

    def step_11(self):
        self.screen.step(11, "What is refused, changes nothing")
        before = self.stack.cmek(CLUSTER)
        for uri, principal, words in self.owner.refusals():
            said = self.stack.latchkey("cmek", "rotate", CLUSTER, *self.owner.options(uri, principal), ok=False)
            self.stack.check(words in said, f"refused, and says {words}")
        self.stack.check(self.what_is_set(self.stack.cmek(CLUSTER)) == self.what_is_set(before) and self.serves(), "the cluster is as it was")

    def run(self):
        about_the_kms = (self.step_1, self.step_2, self.step_4, self.step_5, self.step_6, self.step_7, self.step_10, self.step_11)
        every = (self.step_1, self.step_2, self.step_3, self.step_4, self.step_5, self.step_6, self.step_7, self.step_8, self.step_9, self.step_10, self.step_11)
        for step in about_the_kms if self.short else every:
            step()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--kms", choices=sorted(OWNERS), default="aws", help="where the owner's keys are (default: aws)")
    parser.add_argument("--short", action="store_true", help="only the steps in which the kind of KMS matters, without load")
    parser.add_argument("--once", action="store_true", help="end by itself; the exit code tells")
    parser.add_argument("--keep", action="store_true", help="leave the folder with logs behind")
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("journey: needs root", file=sys.stderr)
        return 2
    screen = Screen(stop_between=not args.once)
    stack = Stack(args.program, screen, keep=args.keep)
    owner = OWNERS[args.kms](stack, screen)
    journey = Journey(stack, screen, owner, args.short)

    def steps():
        journey.run()
        if not args.once and sys.stdin.isatty():
            print(f"\nThe stack still runs. Try it:  source {stack.folder}/dev/env")
            input("[Enter stops it and removes everything] ")

    return carry_out(stack, steps, owner.close, what="The short journey: all" if args.short else "All", where=f" ({owner.type})")


if __name__ == "__main__":
    sys.exit(main())
