# SPDX-License-Identifier: Apache-2.0
"""One installed desktop under test: its account, HOME, commands, processes and sockets.

Used by the process and VM tests. Everything is below a temporary HOME; nothing here touches the desktop of the
person who runs the tests. Called by root, all commands run as CAISSON_TEST_ACCOUNT.
"""
import contextlib
import json
import os
import pathlib
import pwd
import re
import signal
import subprocess
import time

ROLES = {"caisson-backend": "backend", "caisson-machine": "machine", "caisson-net": "net",
         "qemu-system-x86_64": "qemu", "caisson-proxy": "proxy"}


def account():
    """The ordinary account that runs the product: a pwd entry."""
    if os.geteuid() == 0:
        return pwd.getpwnam(os.environ.get("CAISSON_TEST_ACCOUNT", "caisson"))
    return pwd.getpwuid(os.geteuid())


def prefix():
    return pathlib.Path(os.environ["CAISSON_PREFIX"])


def wait_for(what, seconds, step=0.1):
    """Calls WHAT until it gives something true; that value, or None after SECONDS."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            return None
        time.sleep(step)


def proc(pid, name):
    try:
        return pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def cmdline(pid):
    return [a.decode(errors="replace") for a in proc(pid, "cmdline").split(b"\0")[:-1]]


def status_fields(pid):
    """Fields of /proc/PID/status."""
    return dict(re.findall(r"^(\w+):\s*(.*)$", proc(pid, "status").decode(), re.M))


def host_address():
    """An address of this machine that is not loopback, or None."""
    out = subprocess.run(["ip", "-4", "-o", "addr", "show", "scope", "global"], stdout=subprocess.PIPE, text=True).stdout
    found = re.search(r"inet ([\d.]+)/", out)
    return found and found.group(1)


def is_alive(pid):
    fields = status_fields(pid)
    return bool(fields) and not fields["State"].startswith(("Z", "X"))


def all_processes():
    """pid -> (parent, argv, uid) of every live process."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = status_fields(entry)
            if fields and not fields["State"].startswith(("Z", "X")):
                found[int(entry)] = (int(fields["PPid"]), cmdline(entry), int(fields["Uid"].split()[1]))
    return found


class Desktop:
    def __init__(self, home, install=None, extra_env=None):
        self.home = pathlib.Path(home)
        self.prefix = pathlib.Path(install or prefix())
        self.account = account()
        self.extra_env = dict(extra_env or {})
        self.state = self.home / ".docker" / "desktop"
        self.engine_socket = self.state / "docker.sock"
        self.known_pids = set()
        self.start_output = ""
        self.home.mkdir(parents=True, exist_ok=True)
        os.chmod(self.home, 0o700)
        os.chown(self.home, self.account.pw_uid, self.account.pw_gid)
        links = pathlib.Path(os.environ.get("CAISSON_SOURCE", pathlib.Path(__file__).parents[1])) / "tools" / "plugin-links"
        if links.exists():
            self.run(["bash", "-s", str(self.prefix)], input=links.read_bytes(), check=True)

    def env(self):
        path = f"{self.prefix}/lib/docker/bin:{self.prefix}/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        return {"HOME": str(self.home), "USER": self.account.pw_name, "LOGNAME": self.account.pw_name,
                "PATH": path, "LC_ALL": "C.UTF-8", "TERM": "dumb", **self.extra_env}

    def identity_args(self):
        if os.geteuid() != 0:
            return {}
        groups = os.getgrouplist(self.account.pw_name, self.account.pw_gid)
        return {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": groups}

    def popen(self, argv, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("cwd", "/")
        env = {**self.env(), **kw.pop("env", {})}
        return subprocess.Popen([str(a) for a in argv], env=env, **self.identity_args(), **kw)

    def run(self, argv, check=False, timeout=120, input=None, **kw):
        """Runs ARGV as the account; a CompletedProcess with bytes as text (UTF-8, replaced where broken)."""
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.PIPE)
        if input is not None:
            kw["stdin"] = subprocess.PIPE
        with self.popen(argv, **kw) as child:
            try:
                out, err = child.communicate(input, timeout=timeout)
            except subprocess.TimeoutExpired:
                child.kill()
                out, err = child.communicate()
                raise AssertionError(f"{argv}: no end after {timeout} s\n{(out or b'')[-2000:]!r}\n{(err or b'')[-2000:]!r}\n"
                                     f"{self.log_tails()}") from None
        result = subprocess.CompletedProcess(argv, child.returncode, (out or b"").decode(errors="replace"),
                                             (err or b"").decode(errors="replace"))
        result.raw = out
        if check and child.returncode:
            raise AssertionError(f"{argv}: exit {child.returncode}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}\n"
                                 f"{self.log_tails()}")
        return result

    def caisson(self, *args, **kw):
        return self.run([self.prefix / "bin" / "caisson", *args], **kw)

    def docker(self, *args, **kw):
        kw.setdefault("check", True)
        return self.run([self.prefix / "lib" / "docker" / "bin" / "docker", "--host", f"unix://{self.engine_socket}", *args], **kw)

    def container(self, script, *options, image="debian-test:13", **kw):
        """Runs SCRIPT with sh in a new container; its standard output."""
        return self.docker("run", "--rm", *options, image, "sh", "-c", script, **kw).stdout

    def start(self, timeout=150, **kw):
        result = self.caisson("start", "--timeout", str(timeout - 20), timeout=timeout, check=True, **kw)
        self.known_pids |= set(self.processes().values())
        self.start_output = result.stdout + result.stderr
        return result

    def stop(self, *args, **kw):
        self.known_pids |= set(self.processes().values())
        return self.caisson("stop", *args, timeout=90, **kw)

    def status(self):
        return json.loads(self.caisson("status", "--format", "json").stdout)

    def processes(self):
        """role -> pid of this desktop's processes, found from its backend (by HOME) down; {} when it does not run."""
        live = all_processes()
        roles = {}
        for pid, (_, argv, uid) in live.items():
            if argv and os.path.basename(argv[0]) == "caisson-backend" and uid == self.account.pw_uid:
                environ = proc(pid, "environ")
                if not environ or f"HOME={self.home}".encode() in environ.split(b"\0"):
                    roles["backend"] = pid
        frontier = set(roles.values())
        while frontier:
            children = {p for p, (parent, _, _) in live.items() if parent in frontier}
            for p in children:
                argv = live[p][1]
                role = ROLES.get(os.path.basename(argv[0])) if argv else None
                if role == "net" and "--role=data" in argv:
                    role = "net-data"
                if role:
                    roles[role] = p
            frontier = children
        return roles

    def wait_gone(self, pids, seconds=30):
        return wait_for(lambda: not [p for p in pids if is_alive(p)], seconds)

    def log_tails(self, lines=25):
        parts = []
        for path in sorted((self.state / "log").glob("*.log")) if (self.state / "log").is_dir() else []:
            tail = path.read_bytes()[-8192:].decode(errors="backslashreplace").split("\n")[-lines:]
            parts.append(f"--- {path.name}\n" + "\n".join(tail))
        return "\n".join(parts)

    def kill_all(self):
        """End of a test: whatever this desktop still runs is killed by pid."""
        pids = set(self.processes().values()) | {p for p in self.known_pids if is_alive(p) and self.owns(p)}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self.wait_gone(pids, 10)

    def owns(self, pid):
        argv = cmdline(pid)
        return bool(argv) and os.path.basename(argv[0]) in ROLES

    @contextlib.contextmanager
    def identity(self):
        """Runs the body with the account's user and group, as a client in this process."""
        if os.geteuid() != 0:
            yield
            return
        groups = os.getgroups()
        os.setgroups(os.getgrouplist(self.account.pw_name, self.account.pw_gid))
        os.setegid(self.account.pw_gid)
        os.seteuid(self.account.pw_uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
