#!/usr/bin/env python3
"""No credential, token or plaintext reaches a log, an error or a core file: each is planted, what can go wrong goes wrong, every process is crashed, everything is searched.

Over the real programs, as root: server, agent, volume daemon with its supervisor, KMS emulator, `latchkey dev` and the commands. A secret may lie in its homes, the
files whose purpose is to hold it; each home is named with the reason. Wherever else it is found, in any usual encoding, the test fails and names place and secret.
"""
import argparse
import base64
import contextlib
import ctypes
import json
import os
import pwd
import re
import secrets as randomness
import signal
import subprocess
import sys
import uuid

from core_files import CORE_DUMPED, LIBC, core_limit_that_stays, core_limits, parent_of, status_of_child, status_of_zombie
from harness import CheckFailed, Screen, Stack, carry_out, command_line, is_running, mounts_below, processes_of
from leak_provocations import ProvokedStack
from leak_search import SHAPES, Secret, forms
from volume_keys import open_locally

CLUSTER = "silent"
PR_SET_CHILD_SUBREAPER = 36


class NoLeaks(ProvokedStack):
    # -- 2: a cluster's life -----------------------------------------------------------------------------------------------------------------

    def live(self):
        facts = self.stack.facts
        self.run("clusters create", "clusters", "create", CLUSTER, "--region", "us-east-1", "--wait", ok=True)
        self.cluster_id = json.loads(self.run("clusters get", "clusters", "get", CLUSTER, "-o", "json", ok=True).stdout)["id"]
        self.node_id = next((self.dev / "agent" / "nodes").iterdir()).name
        connection = self.stack.connection(CLUSTER)
        self.search.plant("the database's password", connection["PGPASSWORD"], homes={"/credentials": "0600 in the agent's state, from where `latchkey agent credentials` takes it"})
        self.stack.sql(connection, "create table t (id int primary key, note text)", show=False)
        self.stack.sql(connection, f"insert into t values (1, '{self.marker}')", show=False)
        for statement in (f"insert into t values (1, '{self.marker}')", f"select '{self.marker}'::int"):
            with contextlib.suppress(CheckFailed):
                self.stack.sql(connection, statement, show=False)  # refused with an error that quotes the row; it goes into the database's log, inside the volume
        self.stack.check(self.stack.sql(connection, "select note from t", show=False) == self.marker, "a marker row is in the database")
        lower = next((self.dev / "volumes").iterdir())
        known = self.know_keys_of(lower, "the cluster under escrow", open_locally(self.local_key))
        self.run("cmek enable", "cmek", "enable", CLUSTER, "--uri", facts["owner_key"], "--principal", facts["owner_role"], "--wait", ok=True)
        self.stack.check(self.no_dump_limits_of_databases(), "the databases' processes have a core limit of 0 that they cannot raise")
        # What is opened from here on is opened by an agent whose core limit stays.
        self.parts["agent"].terminate()
        self.stack.check(self.parts["agent"].wait(30) == 0, "the agent ends when it is told to")
        self.start_agent(stays=True)
        self.admin("keys/disable", key=facts["owner_key"])
        self.stack.wait("dark", 40, lambda: self.stack.sql_refused(connection) and not mounts_below(self.dev) and not self.stack.databases())
        self.run("cmek get, dark", "cmek", "get", CLUSTER, ok=True)
        self.admin("keys/enable", key=facts["owner_key"])
        self.stack.wait("served again", 40, lambda: not self.stack.sql_refused(connection))
        vault = facts["clouds"]["vault"]["seed"]["owner"]["uri"]
        self.run("cmek rotate", "cmek", "rotate", CLUSTER, "--type", "VAULT_TRANSIT", "--uri", vault, "--wait", ok=True)
        known += self.know_keys_of(lower, "the cluster", self.open_in_vault)
        self.proc_snapshot("while all is open")
        self.stack.check(self.stack.sql(connection, "select note from t", show=False) == self.marker,
                         f"enabled in AWS, disabled, dark, enabled again, rotated to Vault: the marker is there; {known} KEKs and DEKs on the way are known")
        self.stack.sql(connection, "checkpoint", show=False)

    def no_dump_limits_of_databases(self):
        databases = self.stack.databases()
        return len(databases) > 5 and {core_limits(pid) for pid in databases} == {("0", "0")}

    # -- 5: crashes --------------------------------------------------------------------------------------------------------------------------

    def prove_cores(self):
        dumped, files = self.cores.control()
        self.screen.result(f"core_pattern of this machine: {self.cores.pattern!r}")
        if self.cores.plain:
            self.stack.check(dumped and len(files) == 1, "a control process that sets its core limit to 0, crashed the same way, dumps a core where the pattern says: the limit alone does not help here")
            self.stack.check(self.search.hits(self.search.content(files[0]), [Secret("control", self.cores.marker)]), "and what it held is found in that file")
            files[0].unlink()
        else:
            self.screen.result("this machine makes no core files in folders (they are piped to a program, or off): wait statuses tell alone. Of the control process the status says "
                               + ("that it dumped" if dumped else "that it did NOT dump: so what the others' statuses say proves nothing here"))

    def arm(self, pid):
        self.cores.watch(pid)
        if core_limits(pid)[0] != "unlimited":
            raise CheckFailed("the core limit is not the one that this test has set")

    def crash_dev(self):
        """`latchkey dev` itself is the first to be crashed. What it started dies with it, and is started again by the test, as its own children."""
        self.stack.check(len(self.parts_of_dev()) == 3, "the stack of `latchkey dev` runs: emulator, server, agent")
        self.crash_child("latchkey dev", self.stack.dev, signal.SIGABRT)
        self.stack.wait("what it had started is gone", 10, lambda: not self.parts_of_dev())

    def crash_child(self, who, child, how):
        """A process of our own, whose wait status we get."""
        self.arm(child.pid)
        self.screen.command(["kill", f"-{how.name.removeprefix('SIG')}", str(child.pid)])
        child.send_signal(how)
        status = status_of_child(child.pid)
        child.returncode = -how
        self.check_status(who, status, how)

    def check_status(self, who, status, how):
        self.stack.check(os.WIFSIGNALED(status) and os.WTERMSIG(status) == how and not status & CORE_DUMPED, f"{who}: ended by {how.name}, and no core was dumped")

    def crash_serving_half(self, who, supervisor, daemon, how):
        """Its parent is held meanwhile, so that its status can be read before it is fetched."""
        os.kill(supervisor, signal.SIGSTOP)
        try:
            self.arm(daemon)
            os.kill(daemon, how)
            self.stack.wait(f"{who} has ended", 20, lambda: status_of_zombie(daemon) is not None)
            self.check_status(who, status_of_zombie(daemon), how)
        finally:
            os.kill(supervisor, signal.SIGCONT)

    def halves(self, folder):
        """(supervisor, serving half) of the volume that lies below a folder."""
        pids = [pid for pid in processes_of("volume-daemon") if str(folder) in command_line(pid)]
        if len(pids) != 2:
            raise CheckFailed(f"two processes of a volume daemon were expected, not {len(pids)}")
        return sorted(pids, key=lambda pid: parent_of(pid) in pids)

    def volume_of_a_command(self):
        """`latchkey volume create` with a LOCAL key, mounted, with a file in it."""
        user = pwd.getpwnam("latchkey")
        home = self.stack.folder / "alone"
        home.mkdir()
        os.chown(home, user.pw_uid, user.pw_gid)
        self.alone = home / "volumes"
        mount = home / "mnt"
        for folder in (self.alone, mount):
            folder.mkdir()
            os.chown(folder, user.pw_uid, user.pw_gid)
        lower = self.alone / "v"
        argv = [self.stack.program, "volume", "create", str(lower), str(mount), "--type", "LOCAL", "--uri", "local://escrow", "--connection", f"escrow={self.dev}/escrow.key", "--user", "latchkey"]
        self.screen.command(["latchkey", *argv[1:]])
        output = open(self.said / "volume-create", "wb")
        command = self.stack.spawn(argv, env={"PATH": self.stack.env["PATH"]}, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.crash,
                                   preexec_fn=core_limit_that_stays)
        self.stack.wait("the volume is mounted", 20, lambda: str(mount) in mounts_below(home), lambda: command.poll() is not None)
        write = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
        name = self.search.plant("a file's name in a volume", "name-" + randomness.token_hex(12))
        text = self.search.plant("a file's content in a volume", "content-" + randomness.token_hex(16))
        subprocess.run(["/usr/bin/python3", "-c", write, str(mount / name)], input=text * 100, text=True, check=True, user=user.pw_uid, group=user.pw_gid, extra_groups=[],
                       env={"PATH": "/usr/bin"}, cwd="/", timeout=30)
        os.sync()
        self.know_keys_of(lower, "the volume of its own", open_locally(self.local_key))
        self.stack.check(True, "a volume of its own is open, with a file in it; its keys are known, too")
        return command

    def hanging_command(self):
        """`latchkey keys test` that waits for a KMS."""
        self.admin("faults", cloud="gcp", operation="*", action="delay", delay_ms=60000, times=100)
        uri, principal = self.keys["GCP_CLOUD_KMS"]
        before = self.calls()
        output = open(self.said / "hanging-keys-test", "wb")
        command = self.stack.spawn([self.stack.program, "keys", "test", "--type", "GCP_CLOUD_KMS", "--uri", uri, "--principal", principal,
                                    "--agent-config", self.stack.facts["agent_config"]], env={"PATH": self.stack.env["PATH"]}, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.crash,
                                   preexec_fn=core_limit_that_stays)
        self.stack.wait("the command waits for the KMS", 8, lambda: self.calls() > before, lambda: command.poll() is not None)
        return command

    def calls(self):
        return sum(call["cloud"] == "gcp" for call in json.loads(self.run("calls", "kms-emulator", "calls", "--since", "0", "-o", "json", ok=True).stdout)["calls"])

    def crash_all(self):
        self.crash_child("`latchkey keys test`, waiting for a KMS", self.hanging_command(), signal.SIGSEGV)
        command = self.volume_of_a_command()
        self.proc_snapshot("before the crashes")
        supervisor, serving = self.halves(self.alone)
        self.crash_child("`latchkey volume create`", command, signal.SIGABRT)
        self.arm(supervisor)
        self.arm(serving)
        os.kill(supervisor, signal.SIGABRT)
        # Detached: as the nearest reaper above it we get its status; the serving half dies with it and comes to us too.
        self.check_status("the supervisor of that volume", status_of_child(supervisor), signal.SIGABRT)
        self.stack.wait("its serving half is gone", 10, lambda: not is_running(serving))
        supervisor, serving = self.halves(self.dev / "volumes")
        self.stack.check(len(self.stack.databases()) > 5, "the database's processes are seen while they run")
        self.crash_child("the agent", self.parts["agent"], signal.SIGABRT)
        self.crash_serving_half("the volume daemon of the cluster", supervisor, serving, signal.SIGSEGV)
        self.stack.wait("its supervisor has cleaned up", 20, lambda: not is_running(supervisor) and not self.stack.databases())
        self.crash_child("the server", self.parts["server"], signal.SIGSEGV)
        self.crash_child("the KMS emulator", self.parts["kms-emulator"], signal.SIGABRT)
        # The supervisor that was crashed could not take its mount away; the next start would.
        for mount in mounts_below(self.stack.folder):
            subprocess.run(["umount", "-l", mount], check=True, timeout=20)
        found = self.cores.appeared()
        where = ", ".join(sorted({str(place) for place in self.cores.before}))
        self.stack.check(not found, f"no core file appeared in the working folders of these processes ({where})" + "".join(f"; {path}" for path in found))

    # -- 6: the search -----------------------------------------------------------------------------------------------------------------------

    def prove_search(self):
        """The search finds what is there: a planted line in every encoding, and what is logged on purpose."""
        scratch = self.stack.folder / "scratch"
        scratch.mkdir()
        value = "control +/" + randomness.token_urlsafe(24) + '"\\'
        secret = Secret("control", value)
        missed = []
        for how, needles in forms(value.encode()).items():
            for number, needle in enumerate(needles):
                path = scratch / f"{how}-{number}"
                path.write_bytes(b"\x00before " + needle + b" after\n")
                if not self.search.hits(self.search.content(path), [secret]):
                    missed.append(path.name)
        for shift in range(3):
            path = scratch / f"inside-{shift}"
            path.write_bytes(base64.b64encode(b"user:::"[:4 + shift] + value.encode() + b":more"))
            if not self.search.hits(self.search.content(path), [secret]):
                missed.append(path.name)
        self.stack.check(not missed, f"a control line is found in each of {len(forms(value.encode()))} encodings, and inside longer base64" + "; not: ".join(["", *missed]))
        for path in scratch.iterdir():
            path.unlink()
        for what, identifier, log in (("the cluster's id", self.cluster_id, "server.log"), ("the node's id", self.node_id, "agent.log")):
            known = Secret(what, str(uuid.UUID(identifier)))
            self.stack.check(self.search.hits(self.search.content(self.dev / log), [known]), f"{what}, which is logged, is found in {log}")
        debug = {log: b'"level":"debug"' in (self.dev / log).read_bytes() for log in ("server.log", "agent.log")}
        self.stack.check(debug["server.log"], "the server's log is at its most talkative")

    def search_all(self):
        wrong = self.search.tree(self.stack.folder)
        for path in self.cores.appeared():
            wrong += self.search.file(path, shapes=False)
        homes = {}
        for (home, name), place in sorted(self.search.pardoned.items()):
            reason = next(secret.homes[home] for secret in self.search.secrets if secret.name == name)
            homes.setdefault((re.sub(r"/[0-9a-f-]{36}/", "/…/", place), reason), []).append(name)
        for (place, reason), names in homes.items():
            self.screen.result(f"{place} ({reason}): {', '.join(names)}")
        unseen = [secret.name for secret in self.search.secrets if secret.homes and secret.name not in {name for _, name in self.search.pardoned}]
        self.stack.check(not unseen, "each secret that has a home is found there" + "".join(f"; not {name}" for name in unseen))
        for line in wrong:
            self.screen.result("LEAK  " + line)
        self.stack.check(not wrong, f"{len(self.search.secrets)} secrets in {sum(len(s.needles) for s in self.search.secrets)} forms, and {len(SHAPES)} shapes of tokens and keys: nowhere "
                         f"else in {self.search.files} files of {self.search.bytes >> 20} MiB" + (f"; {len(wrong)} leaks" if wrong else ""))

    def run_all(self):
        screen = self.screen
        screen.step(1, "Where core files go on this machine, and a stack with planted secrets")
        self.prove_cores()
        self.prepare()
        self.know_secrets()
        self.crash_dev()
        self.start_parts()
        screen.step(2, "A cluster's life")
        self.live()
        screen.step(3, "Every KMS with right, wrong and broken credentials, and with answers that are nonsense, halves and quotations")
        self.every_kms()
        screen.step(4, "Requests with secrets where they do not belong; everything that can be read")
        self.wrong_requests()
        screen.step(5, "Every process is crashed, with a core limit that it cannot lower")
        self.crash_all()
        screen.step(6, "The search")
        self.prove_search()
        self.search_all()

    def close(self):
        if self.kmip is not None:
            self.kmip.stop()
        for path in self.cores.appeared():  # none, unless the test has failed
            path.unlink(missing_ok=True)
        # What outlived its crashed parents: every command line names our own folder.
        for pid in processes_of(str(self.stack.folder)):
            if pid != os.getpid():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--without-kmip", action="store_true", help="leave the KMIP server out")
    parser.add_argument("--keep", action="store_true", help="leave the folder behind")
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("no_leaks: needs root", file=sys.stderr)
        return 2
    # Daemons that detach themselves come to us when their parents are gone, with their wait statuses.
    if LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    screen = Screen(stop_between=False)
    stack = Stack(args.program, screen, keep=args.keep)
    here = os.getcwd()
    test = NoLeaks(stack, screen, not args.without_kmip)

    def clean_up():
        os.chdir(here)
        test.close()

    # Its logs are full of planted secrets.
    return carry_out(stack, test.run_all, clean_up, show_logs=False)


if __name__ == "__main__":
    sys.exit(main())
