#!/usr/bin/env python3
"""A volume describes itself: a copy of a node's folder and its owner's key are enough to read the database, with no server, no agent and nothing else of the stack left.

`latchkey dev` is stopped twice on the way, which has to leave nothing behind. As root; ordinary_user.py takes the same steps without.
"""
import argparse
import json
import os
import secrets
import signal
import subprocess
import sys

from harness import PG_BIN, CheckFailed, Screen, Stack, carry_out, mounts_below

CLUSTER = "remembered"


class VolumeAlone:
    """With a cluster under the owner's key in a stack that has been stopped. `user`: whose the databases are, where that is not who runs this."""

    def __init__(self, stack: Stack, screen: Screen, user=None):
        self.stack, self.screen, self.user = stack, screen, user
        self.home = stack.folder / "alone"
        self.volume, self.mount = self.home / "volume", self.home / "mnt"
        self.key, self.role, self.organization = (stack.facts[name] for name in ("owner_key", "owner_role", "organization"))
        self.other_key = stack.facts["second_owner_key"]
        self.kms = stack.facts["kms_emulator"]

    def take(self, number):
        """Copies what is needed, and throws the rest away."""
        self.screen.step(number, "Another host: a copy of the node's folder, and the owner's KMS; no server, no agent")
        dev = self.stack.folder / "dev"
        self.home.mkdir()
        node = next((dev / "volumes").iterdir())
        for argv in (["cp", "-a", str(node), str(self.volume)], ["cp", "-a", str(dev / "aws-credentials"), str(dev / "emulator.json"), str(self.home)], ["rm", "-rf", str(dev)]):
            self.screen.command(argv)
            subprocess.run(argv, check=True, timeout=60)
        argv = [self.stack.program, "kms-emulator", "run", "--listen", self.kms.removeprefix("http://"), "--state-file", str(self.home / "emulator.json")]
        self.screen.command(["latchkey", *argv[1:]])
        with open(self.home / "emulator.log", "wb") as log:
            emulator = self.stack.spawn(argv, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.stack.wait("the owner's KMS is up", 20, lambda: "aws" in (self.home / "emulator.log").read_text(encoding="utf-8"), lambda: emulator.poll() is not None)
        self.stack.check(not any(self.stack.processes(words) for words in ("server run", "agent run", "volume-daemon")) and not self.stack.databases(),
                         "no server, no agent, no volume daemon and no database runs")

    def inspect(self):
        text = self.stack.latchkey("volume", "inspect", str(self.volume))
        self.stack.check(f"AWS_KMS {self.key} as {self.role}" in text and "local://escrow" not in text, "it says under which key it is, and as whom to go there")
        shown = json.loads(self.stack.latchkey("volume", "inspect", str(self.volume), "-o", "json", show=False))
        current = [dek for dek in shown["deks"] if dek["current"]]
        self.stack.check(len(current) == 1 and shown["volume_id"] in text and current[0]["id"] in text and bool(current[0]["wrapped_by"]), "… and so does its JSON")

    # -- mounting --------------------------------------------------------------------------------------------------------------------------

    def words(self, *key):
        return ["volume", "mount", str(self.volume), str(self.mount), *key, "--kms-endpoint", self.kms, "--sts-endpoint", self.kms, "--check-interval", "1",
                *(["--user", self.user] if self.user else [])]

    def as_role(self, key=None):
        return self.words("--uri", key or self.key, "--principal", self.role, "--external-id", self.organization)

    def use_credentials(self, name):
        self.stack.env["AWS_SHARED_CREDENTIALS_FILE"] = str(self.home / name)
        self.screen.typed(f"export AWS_SHARED_CREDENTIALS_FILE={self.home / name}")

    def open(self, words):
        """The command, which keeps the volume open until it is told to end."""
        self.screen.command(["latchkey", *words])
        command = self.stack.spawn([self.stack.program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = command.stderr.readline()
        if not said.startswith(f"open at {self.mount}, lease until "):
            raise CheckFailed(f"volume mount: {said}{command.stderr.read()}")
        self.stack.check(mounts_below(self.home) == [str(self.mount)], said.strip())
        return command

    def refused(self, words, what, *expected):
        said = self.stack.latchkey(*words, ok=False)
        self.stack.check(all(word in said for word in expected) and self.gone(), f"refused: {what}; nothing is mounted")

    def gone(self):
        return not mounts_below(self.home) and not self.stack.processes("volume-daemon")

    def ended(self, command, code, *words):
        said = command.communicate(timeout=30)[1]
        self.stack.check(command.returncode == code and all(word in said for word in words), f"`volume mount` ends with {command.returncode}: {said.strip()}")
        self.stack.wait("the volume's daemon ends", 5, self.gone)
        self.stack.check(not any(self.mount.iterdir()), "the mount and its daemon are gone, and the folder is empty")

    def as_owner_of_files(self, argv, **more):
        words = ["runuser", "-u", self.user, "--", *argv] if self.user else argv
        self.screen.command(words)
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd="/", env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, **more)

    def check_marker(self, marker):
        version = self.as_owner_of_files(["cat", str(self.mount / "pgdata" / "PG_VERSION")])
        self.stack.check(version.stdout.strip() == PG_BIN.parent.name, "a file of the database can be read")
        statement = "select note from t"
        done = self.as_owner_of_files([str(PG_BIN / "postgres"), "--single", "-D", str(self.mount / "pgdata"), "postgres"], input=statement + "\n")
        self.screen.result(f"backend> {statement}")
        self.stack.check(done.returncode == 0 and f'note = "{marker}"' in done.stdout, "a PostgreSQL that is started on it reads the marker row" + done.stderr[-300:] * (done.returncode != 0))

    # -- the steps -------------------------------------------------------------------------------------------------------------------------

    def mount_and_seal(self, number, marker):
        self.screen.step(number, "Read with the folder and the owner's key alone")
        self.inspect()
        self.use_credentials("aws-credentials")
        self.refused(self.as_role(self.other_key), "another key of the owner", f"this volume is under AWS_KMS {self.key} as {self.role}, not under AWS_KMS {self.other_key}")
        self.stack.kms("key", "disable", self.key)
        self.refused(self.as_role(), "the key is disabled, which it says with its class and where to read what to do", self.key, "is disabled", "(DISABLED; `latchkey keys test`")
        self.stack.kms("key", "enable", self.key)
        command = self.open(self.as_role())
        self.check_marker(marker)
        text = self.stack.latchkey("volume", "status", str(self.volume))
        status = json.loads(self.stack.latchkey("volume", "status", str(self.volume), "-o", "json", show=False))
        self.stack.check(status["state"] == "OPEN" and status["mount_point"] == str(self.mount) and 0 < status["lease_seconds_left"] <= 3600 and status["daemon_pid"] in
                         self.stack.processes("volume-daemon") and sum(dek["bytes"] for dek in status["deks"]) > 10 << 20 and str(self.mount) in text and "OPEN" in text,
                         "status: open, where, until when, by which process, and how much lies under which data key")
        self.stack.latchkey("volume", "seal", str(self.volume))
        self.ended(command, 5, "the volume has been sealed")
        said = self.stack.latchkey("volume", "status", str(self.volume), ok=False)
        self.stack.check("latchkey: " in said, "status finds nothing open")

    def as_caller(self, number, marker):
        self.screen.step(number, "The owner with rights of their own, without the role that lets the hosts in")
        account = self.key.split(":")[4]
        made = json.loads(self.stack.kms("cloud", "aws", "users", f"account={account}", "name=owner", "-o", "json"))
        credentials = self.home / "owner-credentials"
        credentials.touch(mode=0o600)
        credentials.write_text(f"[default]\naws_access_key_id = {made['access_key_id']}\naws_secret_access_key = {made['secret_access_key']}\n", encoding="utf-8")
        self.stack.kms("role", "untrust", self.role)
        self.use_credentials("owner-credentials")
        self.refused(self.as_role(), "the role, which trusts nobody any more", "AccessDenied", self.role)
        command = self.open(self.words("--uri", self.key, "--as-caller"))
        self.check_marker(marker)
        calls = json.loads(self.stack.latchkey("kms-emulator", "calls", "-o", "json", show=False))["calls"]
        last = [call for call in calls if call["operation"] == "Decrypt"][-1]
        self.stack.check(last["principal"] == made["arn"] and last["result"] == "ok", f"the KMS was asked by {made['arn']} itself")
        self.screen.action("Ctrl-C")
        command.send_signal(signal.SIGINT)
        self.ended(command, 0, "sealed")


def fill(stack, cluster):
    """A cluster under the owner's key with a marker row in it: the marker, and how to connect."""
    stack.latchkey("clusters", "create", cluster, "--region", "us-east-1", "--wait", output=False)
    stack.latchkey("cmek", "enable", cluster, "--uri", stack.facts["owner_key"], "--principal", stack.facts["owner_role"], "--wait", output=False)
    connection, marker = stack.connection(cluster), "marker-" + secrets.token_hex(16)
    stack.sql(connection, f"create table t as select '{marker}' as note")
    return marker, connection


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("volume_alone: needs root", file=sys.stderr)
        return 2
    screen = Screen(stop_between=False)
    stack = Stack(args.program, screen)

    def steps():
        screen.step(1, "A cluster under its owner's key; `latchkey dev` is stopped, started and stopped again")
        stack.start_dev(own_group=True)
        marker, connection = fill(stack, CLUSTER)
        stack.stop_dev(signal.SIGINT)
        stack.start_dev(own_group=True)
        stack.wait("the cluster serves again", 40, lambda: not stack.sql_refused(connection))
        stack.check(stack.sql(connection, "select note from t") == marker, "started again on the same folder, it serves the same data")
        stack.stop_dev(signal.SIGTERM)
        alone = VolumeAlone(stack, screen, "latchkey")
        alone.take(2)
        alone.mount_and_seal(3, marker)
        alone.as_caller(4, marker)

    return carry_out(stack, steps)


if __name__ == "__main__":
    sys.exit(main())
