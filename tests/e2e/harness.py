"""What the journeys share: a development stack in a folder of its own, commands shown as a person would type them, checks, SQL and load.

Python's standard library only. Every wait is for an event, with a deadline.
"""
import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

PG_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")


class CheckFailed(Exception):
    """A check of the journey did not hold."""


class Screen:
    """Numbered steps, commands, results and checks, for people."""

    def __init__(self, stop_between: bool):
        self.colour = sys.stdout.isatty()
        self.stop_between = stop_between and sys.stdin.isatty()
        self.checks = 0
        self.started = time.monotonic()

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def step(self, number: int, title: str):
        if self.stop_between and number > 1:
            input(self._paint("2", "    [Enter goes on] "))
        print(f"\n{self._paint('1;36', f'{number}. {title}')}   {self._paint('2', f'({time.monotonic() - self.started:.0f} s)')}", flush=True)

    def command(self, argv):
        self.typed(shlex.join(argv))

    def typed(self, line: str):
        """A line for a shell, as it is."""
        print(f"  {self._paint('33', '$ ' + line)}", flush=True)

    def action(self, text: str):
        """What somebody does for which there is no command to type."""
        print(f"  {self._paint('33', '* ' + text)}", flush=True)

    def result(self, text: str):
        for line in text.rstrip("\n").split("\n"):
            print(f"    {line}", flush=True)

    def checked(self, text: str):
        self.checks += 1
        print(f"  {self._paint('32', 'checked:')} {text}", flush=True)


def logs_below(folder):
    """Mounts are left out: after a failure there may be nobody who serves them."""
    shut = set(mounts_below(folder))
    found = []
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if os.path.join(here, name) not in shut]
        found += [pathlib.Path(here, name) for name in files if name.endswith(".log")]
    return sorted(found)


def carry_out(stack, steps, clean_up=lambda: None, show_logs=True, what="All", where=""):
    """Calls `steps`, says how it went and gives the script's exit code; whatever happened, `clean_up` is called and the stack stopped."""
    try:
        steps()
    except (CheckFailed, OSError, RuntimeError, subprocess.SubprocessError, KeyError, StopIteration, ValueError) as fault:
        print(f"\nFAILED: {type(fault).__name__}: {fault}", flush=True)
        for log in logs_below(stack.folder) if show_logs else []:
            print(f"--- the end of {log.name}", flush=True)
            print("\n".join(log.read_text(errors="replace").splitlines()[-25:]), flush=True)
        return 1
    finally:
        try:
            clean_up()
        finally:
            stack.stop()
    print(f"\n{what} {stack.screen.checks} checks held{where}, in {time.monotonic() - stack.screen.started:.0f} s.", flush=True)
    return 0


class Stack:
    """`latchkey dev` in a temporary folder, and everything that a journey does with it. Run it as root."""

    def __init__(self, program: str, screen: Screen, keep: bool = False):
        self.program = str(pathlib.Path(program).resolve())
        self.screen = screen
        self.keep = keep
        # Short: Unix socket paths end at 108 bytes. Readable for the system user, who runs daemons and databases.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lk-demo-"))
        self.folder.chmod(0o755)
        self.dev = None
        self.env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(self.folder)}
        self.children = []
        self.facts = {}
        self._databases = DatabaseProcesses(self.folder)

    # -- processes -----------------------------------------------------------------------------------------------------------------------

    def start_dev(self, *options, own_group=False):
        """`own_group`: like a command that a shell has started, so that stop_dev(SIGINT) reaches all that Ctrl-C would reach."""
        argv = [self.program, "dev", "--dir", str(self.folder / "dev"), "--clocks", "demo", "--no-restart", *options]
        self.screen.command(["latchkey", *argv[1:]])
        log = open(self.folder / "dev.log", "w", encoding="utf-8")
        self.dev = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, env=self.env, process_group=0 if own_group else None)
        facts = self.folder / "dev" / "dev.json"
        self.wait("the stack is up", 60, lambda: facts.exists() and self.dev.poll() is None, lambda: self.dev.poll() is not None)
        self.facts = json.loads(facts.read_text())
        self.env.update(LATCHKEY_SERVER=self.facts["server"], LATCHKEY_API_KEY=self.facts["api_key"], LATCHKEY_KMS_EMULATOR=self.facts["kms_emulator"])

    def spawn(self, argv, **kwargs):
        child = subprocess.Popen(argv, env=kwargs.pop("env", self.env), **kwargs)
        self.children.append(child)
        return child

    def processes(self, words):
        """Pids of this stack whose command line contains the words."""
        return [pid for pid in processes_of(words) if str(self.folder) in command_line(pid)]

    def databases(self):
        """Pids of all processes of this stack's databases, see DatabaseProcesses."""
        return self._databases.look()

    def stop_dev(self, how):
        """Ends `latchkey dev` the way a person does, and checks that it cleans up after itself: nothing here takes away what it leaves."""
        if not self.databases() or not mounts_below(self.folder):
            raise CheckFailed("no database runs: there is nothing to be stopped")
        if how == signal.SIGINT:
            self.screen.action("Ctrl-C in the shell of `latchkey dev`")
            os.killpg(self.dev.pid, how)
        else:
            self.screen.command(["kill", f"-{how.name.removeprefix('SIG')}", str(self.dev.pid)])
            self.dev.send_signal(how)
        code = self.dev.wait(60)
        left = [f"process {pid}: {command_line(pid)}" for pid in {*processes_of(str(self.folder)), *self.databases()}] + mounts_below(self.folder)
        self.check(code == 0, "it ends with exit code 0" + (f", not {code}" if code else ""))
        self.check(not left, "no process and no mount of it is left" + "".join(f"; {what}" for what in left))

    def stop(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.kill()
            child.wait()
        if self.dev is not None and self.dev.poll() is None:
            self.dev.send_signal(signal.SIGTERM)
            try:
                self.dev.wait(60)
            except subprocess.TimeoutExpired:
                self.dev.kill()
                self.dev.wait()
        # What the journey itself started again under the stack's configuration, and what is left of the mounts.
        for mount in mounts_below(self.folder):
            subprocess.run(["umount", "-l", mount], check=False)
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- commands ------------------------------------------------------------------------------------------------------------------------

    def latchkey(self, *args, show=True, ok=True, output=True):
        """Runs a command of the program and returns what it printed; shows it the way a person would see it."""
        if show:
            self.screen.command(["latchkey", *args])
        done = subprocess.run([self.program, *args], env=self.env, capture_output=True, text=True, timeout=300, check=False)
        if show and output:
            self.screen.result((done.stdout + done.stderr) or "(nothing printed)")
        if ok and done.returncode != 0:
            raise CheckFailed(f"latchkey {shlex.join(args)} ended with {done.returncode}: {done.stderr.strip()}")
        if not ok and done.returncode == 0:
            raise CheckFailed(f"latchkey {shlex.join(args)} should have been refused: {done.stdout.strip()}")
        return done.stdout if ok else done.stderr

    def kms(self, *args):
        """What the owner does in the KMS; the emulator's answer is for programs and is not shown."""
        return self.latchkey("kms-emulator", *args, output=False)

    def latchkey_json(self, *args):
        return json.loads(self.latchkey(*args, "-o", "json", show=False))

    def cmek(self, cluster):
        return self.latchkey_json("cmek", "get", cluster)

    def node(self, cluster):
        nodes = self.latchkey_json("clusters", "nodes", cluster)["nodes"]
        if len(nodes) != 1:
            raise CheckFailed(f"expected one node, found {len(nodes)}")
        return nodes[0]

    # -- checks --------------------------------------------------------------------------------------------------------------------------

    def check(self, condition, text):
        if not condition:
            raise CheckFailed(text)
        self.screen.checked(text)

    def wait(self, what, seconds, condition, hopeless=lambda: False):
        """Waits until condition() is true; returns how long it took."""
        start = time.monotonic()
        while not condition():
            if hopeless():
                raise CheckFailed(f"{what}: cannot happen any more")
            if time.monotonic() - start > seconds:
                raise CheckFailed(f"{what}: not within {seconds} s")
            time.sleep(0.1)
        return time.monotonic() - start

    # -- SQL -----------------------------------------------------------------------------------------------------------------------------

    def connection(self, cluster):
        """Environment for libpq's programs, from the credentials that stay on the host."""
        c = json.loads(self.latchkey("agent", "credentials", cluster, "--config", self.facts["agent_config"], "-o", "json", show=False))
        return {"PATH": self.env["PATH"], "PGHOST": c["host"], "PGPORT": str(c["port"]), "PGUSER": c["username"], "PGPASSWORD": c["password"],
                "PGDATABASE": c["database"], "PGSSLMODE": "require", "PGCONNECT_TIMEOUT": "3"}

    def sql(self, connection, statement, show=True):
        if show:
            self.screen.command(["psql", "-Atc", statement])
        done = subprocess.run([str(PG_BIN / "psql"), "-XAtqc", statement], env=connection, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise CheckFailed(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def sql_refused(self, connection):
        done = subprocess.run([str(PG_BIN / "psql"), "-XAtqc", "select 1"], env=connection, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode != 0

    def pgbench(self, connection, *args):
        self.screen.command(["pgbench", *args])
        return self.spawn([str(PG_BIN / "pgbench"), *args], env=connection, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Load:
    """pgbench that writes to a database until it is told to end. Its transactions can be waited for."""

    CLIENTS = 4

    def __init__(self, stack, connection):
        self.stack, self.connection = stack, connection
        self.before = self._committed()
        # Not vacuumed before (-n): that would empty the history, by which its transactions are counted. The end comes long before that of -T.
        self.process = stack.pgbench(connection, "-n", "-c", str(self.CLIENTS), "-T", "600")
        self.wait_acknowledged("the load's first transactions are acknowledged")

    def _committed(self):
        return int(self.stack.sql(self.connection, "select count(*) from pgbench_history", show=False))

    def runs(self):
        return self.process.poll() is None

    def wait_acknowledged(self, what, seconds=20):
        """Until another transaction has been acknowledged. A client begins the next one when it has heard of the last: one more than there are clients is enough."""
        begun = self._committed()
        self.stack.wait(what, seconds, lambda: self._committed() > begun + self.CLIENTS, lambda: not self.runs())

    def finish(self):
        """Ends it now, in good order; it must have run until then, and no transaction may have failed. How many it has made.

        pgbench ends -T by an alarm, after which each client finishes its transaction and the results are printed: the same alarm is sent early.
        """
        if not self.runs():
            raise CheckFailed("pgbench has ended before it was told to: " + "".join(self.process.communicate())[-500:])
        self.process.send_signal(signal.SIGALRM)
        out, err = self.process.communicate(timeout=60)
        made = re.search(r"number of transactions actually processed: (\d+)", out)
        failed = re.search(r"number of failed transactions: (\d+)", out)
        if self.process.returncode != 0 or made is None or failed is None or int(failed[1]) != 0:
            raise CheckFailed(f"pgbench: exit code {self.process.returncode}: {err.strip()[-500:]} {out[-300:]}")
        if self._committed() - self.before != int(made[1]):
            raise CheckFailed(f"pgbench was told of {made[1]} transactions, and {self._committed() - self.before} are in the database")
        return int(made[1])


class Writer:
    """One SQL session that inserts 1, 2, 3, … and remembers what the database has acknowledged. Reconnects when the session dies."""

    def __init__(self, connection, screen):
        screen.typed(r"seq 1000000 | sed 's/.*/insert into acknowledged values (&) on conflict do nothing;\n\\echo done &/' | psql -XAtq -v ON_ERROR_STOP=1")
        self.connection = connection
        self.acknowledged = 0
        self.interruptions = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _session(self):
        psql = subprocess.Popen([str(PG_BIN / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1"], env=self.connection, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)
        try:
            number = self.acknowledged + 1
            while not self._stop.is_set():
                # The row may be there already when the answer to an earlier try was lost.
                psql.stdin.write(f"insert into acknowledged values ({number}) on conflict do nothing;\n\\echo done {number}\n")
                psql.stdin.flush()
                if psql.stdout.readline().strip() != f"done {number}":
                    return
                self.acknowledged = number
                number += 1
        except (BrokenPipeError, OSError):
            return
        finally:
            psql.kill()
            psql.wait()

    def _run(self):
        while not self._stop.is_set():
            self._session()
            if not self._stop.is_set():
                self.interruptions += 1
                self._stop.wait(0.2)

    def stop(self):
        self._stop.set()
        self._thread.join(30)
        return self.acknowledged


def mounts():
    """{number of the mount: where it is mounted}, of this process's mount namespace."""
    found = {}
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        for line in lines:
            fields = line.split()
            found[int(fields[0])] = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[4])
    return found


def mounts_below(folder):
    return [where for where in mounts().values() if where.startswith(str(folder) + "/")]


class DatabaseProcesses:
    """The processes of the databases below a folder, whatever they call themselves: PostgreSQL's children overwrite their command lines.

    A process is one of them when its working folder, which is the data folder, lies on a mount below the folder, even if that has been taken away since ("umount -l", a dead
    daemon); when it is a PostgreSQL that was started with a path below the folder; when one of them has started it; and when it was one of them at an earlier look and
    still runs. Mounts are known from the first look at which they are mounted: look once while the databases run.
    """

    def __init__(self, folder):
        self.folder = str(folder) + "/"
        self.mounts = set()
        self.seen = set()  # (pid, when it was started): numbers of processes are given anew

    def look(self):
        for number, where in mounts().items():  # numbers of mounts are given anew, too
            (self.mounts.add if where.startswith(self.folder) else self.mounts.discard)(number)
        table = processes()
        found = {pid for pid, (_, started) in table.items() if (pid, started) in self.seen or self._is_one(pid)}
        while more := {pid for pid, (parent, _) in table.items() if parent in found and pid not in found}:
            found |= more
        self.seen = {(pid, table[pid][1]) for pid in found}
        return sorted(found)

    def _is_one(self, pid):
        with contextlib.suppress(OSError):
            folder = os.open(f"/proc/{pid}/cwd", os.O_PATH)  # asks the file system of the folder nothing: it may have nobody to answer
            try:
                number = int(re.search(r"^mnt_id:\s+(\d+)", pathlib.Path(f"/proc/self/fdinfo/{folder}").read_text(encoding="utf-8"), re.M)[1])
            finally:
                os.close(folder)
            if number in self.mounts:
                return True
            name = os.path.basename(os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)"))
            return name == "postgres" and (self.folder in command_line(pid) or os.readlink(f"/proc/{pid}/cwd").startswith(self.folder))
        return False


def find_bytes(folder, needles):
    """Files below a folder that contain one of the needles, in content or in name."""
    found = []
    for root, folders, files in os.walk(folder):
        for name in folders + files:
            if any(n in name.encode() for n in needles):
                found.append(f"name {os.path.join(root, name)}")
        for name in files:
            path = os.path.join(root, name)
            if not os.path.isfile(path) or os.path.islink(path):
                continue
            with contextlib.suppress(OSError), open(path, "rb") as f:
                rest = b""
                while chunk := f.read(1 << 20):
                    block = rest + chunk
                    if any(n in block for n in needles):
                        found.append(path)
                        break
                    rest = block[-256:]
    return found


def stat_of(pid):
    """State, parent, … of a process that has not been reaped yet: /proc/PID/stat from its third field on; None when it is not there."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None


def is_running(pid):
    fields = stat_of(pid)
    return fields is not None and fields[0] not in ("Z", "X")


def processes():
    """{pid: (its parent, when it was started)} of all that run."""
    fields = {int(entry): stat_of(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    return {pid: (int(f[1]), int(f[19])) for pid, f in fields.items() if f is not None and f[0] not in ("Z", "X")}


def command_line(pid):
    """With blanks between the words; empty when there is no such process."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def processes_of(marker):
    """Pids whose command line contains the marker."""
    return [pid for pid in processes() if marker in command_line(pid)]
