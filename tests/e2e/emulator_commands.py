#!/usr/bin/env python3
"""The owner's commands of `latchkey kms-emulator`, each with what it does to the next call: keys, denials, faults, an outage. The caller is `latchkey keys test`.

Needs no root: nothing runs but the emulator.
"""
import argparse
import http.client
import json
import subprocess
import sys
import time

from harness import Screen, Stack, carry_out


class EmulatorCommands:
    def __init__(self, stack: Stack, screen: Screen):
        self.stack, self.screen = stack, screen

    def start(self):
        self.screen.step(1, "An emulator with the development keys")
        argv = [self.stack.program, "kms-emulator", "run", "--listen", "127.0.0.1:0", "--state-file", str(self.stack.folder / "state.json")]
        self.screen.command(["latchkey", *argv[1:]])
        said = self.stack.folder / "emulator.out"
        with open(said, "wb") as out:
            emulator = self.stack.spawn(argv, stdout=out, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self.stack.wait("the emulator is up", 20, lambda: "\nvault" in "\n" + said.read_text(encoding="utf-8"), lambda: emulator.poll() is not None)
        self.url = next(line.split()[1] for line in said.read_text(encoding="utf-8").splitlines() if line.startswith("aws"))
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=10)
        connection.request("POST", "/_admin/seed", json.dumps({"external_id": "owners-own", "regions": ["us-east-1"]}), {"Content-Type": "application/json"})
        seed = json.loads(connection.getresponse().read())
        connection.close()
        self.stack.env.update(seed["environment"], LATCHKEY_KMS_EMULATOR=self.url)
        self.role, self.key, self.second = seed["role"], seed["owner"]["uri"], seed["second_owner"]["uri"]
        self.expect(self.key, "OK", "the key works")

    # -- asking ------------------------------------------------------------------------------------------------------------------------------

    def emulator(self, *words):
        return self.stack.kms(*words)

    def refused(self, *words):
        return self.stack.latchkey("kms-emulator", *words, ok=False)

    def ask(self, key):
        """The answer of `latchkey keys test`, and the calls that the emulator has logged meanwhile."""
        since = self.calls(1 << 40)["last"]
        words = ["keys", "test", "--uri", key, "--principal", self.role, "--external-id", "owners-own", "--kms-endpoint", self.url, "--sts-endpoint", self.url, "-o", "json"]
        if since == 0:  # shown once: it is always the same
            self.screen.command(["latchkey", *words])
        done = subprocess.run([self.stack.program, *words], env=self.stack.env, capture_output=True, text=True, timeout=60, check=False)
        answer = json.loads(done.stdout)
        if answer["ok"] != (done.returncode == 0):
            raise CheckFailed(f"keys test: ok is {answer['ok']}, the exit code {done.returncode}")
        return answer, self.calls(since)["calls"]

    def calls(self, since):
        return json.loads(self.stack.latchkey("kms-emulator", "calls", "--since", str(since), "-o", "json", show=False))

    def state(self):
        return json.loads(self.stack.latchkey("kms-emulator", "state", "-o", "json", show=False))

    def key_state(self, key):
        return next(k["KeyState"] for k in self.state()["keys"] if k["Arn"] == key)

    def expect(self, key, wanted, text):
        answer, calls = self.ask(key)
        found = "OK" if answer["ok"] else answer["class"]
        self.stack.check(found == wanted, f"{text}: {found}")
        return answer, calls

    # -- the steps ---------------------------------------------------------------------------------------------------------------------------

    def keys(self):
        self.screen.step(2, "Keys: made, rotated, to be deleted and kept after all")
        made = json.loads(self.emulator("key", "create", "--alias", "alias/another", "-o", "json"))["Arn"]
        before = next(s for s in self.expect(made, "OK", "a new key works")[0]["steps"] if s["step"] == "describe")
        self.emulator("key", "rotate", "alias/another")
        after = next(s for s in self.expect(made, "OK", "with new material it works, too")[0]["steps"] if s["step"] == "describe")
        self.stack.check(before["found"] != after["found"], "… and has another version")
        self.stack.check("days" in self.refused("key", "schedule-deletion", "alias/another", "--days", "6"), "a window of 6 days is refused")
        self.emulator("key", "schedule-deletion", "alias/another", "--days", "7")
        self.expect(made, "PENDING_DELETION", "scheduled for deletion")
        self.stack.check(self.key_state(made) == "PendingDeletion", "the state says PendingDeletion")
        self.stack.check("pending deletion" in self.refused("key", "enable", "alias/another"), "it cannot just be enabled")
        self.emulator("key", "cancel-deletion", "alias/another")
        self.expect(made, "DISABLED", "kept after all, and disabled, as in AWS")
        self.emulator("key", "enable", "alias/another")
        self.expect(made, "OK", "enabled")

    def denials(self):
        self.screen.step(3, "A principal is refused: with one key, with every key")
        self.emulator("deny", self.role, "--key", self.key)
        self.stack.check({"principal": self.role, "key": self.key} in self.state()["denials"], "the state has the denial")
        self.expect(self.key, "DENIED", "that key is refused to it")
        self.expect(self.second, "OK", "the other is not")
        self.emulator("undeny", self.role, "--key", self.key)
        self.expect(self.key, "OK", "undone")
        self.emulator("deny", self.role)
        self.expect(self.second, "DENIED", "every key is refused to it")
        self.emulator("undeny", self.role)
        self.expect(self.second, "OK", "undone")
        self.stack.check(not self.state()["denials"], "no denial is left")

    def faulty(self, wanted, name, *options):
        """A fault of Decrypt until it is cleared: how the test ends, and how the emulator has logged it."""
        self.emulator("fault", name, "--operation", "Decrypt", *options)
        begun = time.monotonic()
        _, calls = self.expect(self.key, wanted, name)
        took = time.monotonic() - begun
        met = [call for call in calls if call.get("fault") == name]
        self.stack.check(met and all(call["operation"] == "Decrypt" for call in met) and len(met) == sum(call["operation"] == "Decrypt" for call in calls),
                         f"the log has {len(met)} calls that met it, all of Decrypt")
        self.emulator("fault", "clear")
        self.stack.check(not self.state()["faults"], "cleared")
        return met, took

    def faults(self):
        self.screen.step(4, "Faults and an outage")
        met, _ = self.faulty("THROTTLED", "throttle")
        self.stack.check({call["result"] for call in met} == {"throttled"}, "answered with too many calls")
        met, _ = self.faulty("UNREACHABLE", "error", "--status", "503", "--type", "KeyUnavailableException")
        self.stack.check({call["status"] for call in met} == {503}, "answered with status 503")
        _, took = self.faulty("OK", "delay", "--milliseconds", "300")
        self.stack.check(took > 0.6, f"two late answers: {took:.1f} s")
        met, _ = self.faulty("UNREACHABLE", "drop")
        self.stack.check({call["result"] for call in met} == {"dropped"}, "closed without an answer")
        self.emulator("fault", "throttle", "--operation", "Decrypt", "--times", "1")
        _, calls = self.expect(self.key, "OK", "throttled once: the second try works")
        self.stack.check(sum(call.get("fault") == "throttle" for call in calls) == 1, "the log has it once")
        self.emulator("outage", "on", "--cloud", "aws")
        self.expect(self.key, "UNREACHABLE", "an outage")
        self.emulator("outage", "off", "--cloud", "aws")
        self.expect(self.key, "OK", "over")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    args = parser.parse_args()
    screen = Screen(stop_between=False)
    stack = Stack(args.program, screen)
    test = EmulatorCommands(stack, screen)

    def steps():
        test.start()
        test.keys()
        test.denials()
        test.faults()

    return carry_out(stack, steps)


if __name__ == "__main__":
    sys.exit(main())
