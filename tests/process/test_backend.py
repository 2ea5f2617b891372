# SPDX-License-Identifier: Apache-2.0
"""caisson-backend with a fake machine: start, answers, events, stop, kill, refusals. No VM.

Run as root the backend runs as an unprivileged account, as an ordinary user as that user. Needs CAISSON_BUILD (a build directory).
"""
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOBODY = 65534
AS_ROOT = os.geteuid() == 0
UID = NOBODY if AS_ROOT else os.geteuid()


def find_backend():
    build = pathlib.Path(os.environ.get("CAISSON_BUILD", ROOT / "build"))
    exe = build / "backend/caisson-backend"
    if not exe.exists():
        pytest.skip("set CAISSON_BUILD to a build directory that has backend/caisson-backend")
    return exe


def as_user(*argv, uid=None):
    uid = UID if uid is None else uid
    return (["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if AS_ROOT else []) + [str(a) for a in argv]


def connect(path):
    """Connects to a socket of any path length."""
    path = pathlib.Path(path)
    fd = os.open(path.parent, os.O_PATH)
    try:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(15)
        s.connect(f"/proc/self/fd/{fd}/{path.name}")
        return s
    finally:
        os.close(fd)


def wait_for(test, seconds=15):
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


class Desktop:
    def __init__(self, tmp, home=None):
        libexec = tmp / "prefix/libexec/caisson"
        self.home = home or tmp / "home"
        for d in (libexec, tmp / "prefix/share/caisson/image", self.home):
            d.mkdir(parents=True, exist_ok=True)
        self.exe = libexec / "caisson-backend"
        self.libexec = libexec
        shutil.copy(find_backend(), self.exe)
        shutil.copy(ROOT / "tests/fake/fake-machine.py", libexec / "caisson-machine")
        for f in libexec.iterdir():
            f.chmod(0o755)
        self.state = self.home / ".docker/desktop"
        self.tmp = tmp
        self.env = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "SECRET_TOKEN": "canary-4711"}
        self.proc = None
        self.started_procs = []
        self.fake()

    def fake(self, **conf):
        (self.libexec / "fake-machine.json").write_text(json.dumps(conf))
        if AS_ROOT:
            subprocess.run(["chown", "-hR", f"{NOBODY}:{NOBODY}", self.tmp], check=True)

    def start(self, *args):
        self.proc = subprocess.Popen(as_user(self.exe, *args), env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, cwd="/")
        self.started_procs.append(self.proc)
        return self

    def started(self):
        """As the command line does: EOF on stderr means that it listens."""
        self.start()
        text = self.proc.stderr.read().decode()
        assert text == "" and self.proc.poll() is None, text
        return self

    def refused(self, *args):
        self.start(*args)
        text = self.proc.stderr.read().decode()
        return self.proc.wait(10), text

    # The API only answers its own user: requests are sent by a child of that uid.
    def api(self, method, path, body=None, uid=None):
        code = ("import os,socket,sys\np,req=sys.argv[1],sys.stdin.buffer.read()\n"
                "fd=os.open(os.path.dirname(p),os.O_PATH)\ns=socket.socket(socket.AF_UNIX)\ns.settimeout(30)\n"
                "s.connect('/proc/self/fd/%d/%s'%(fd,os.path.basename(p)))\ns.sendall(req)\n"
                "while d:=s.recv(65536): sys.stdout.buffer.write(d)\n")
        data = b"" if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        p = subprocess.run(as_user("/usr/bin/python3", "-c", code, self.state / "run/backend.sock", uid=uid), input=head + data,
                           capture_output=True, timeout=40)
        if p.returncode:
            raise ConnectionError(p.stderr.decode())
        head, _, rest = p.stdout.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        if b"chunked" in head:
            lines, out = rest, b""
            while lines:
                size, _, lines = lines.partition(b"\r\n")
                out += lines[:int(size, 16)]
                lines = lines[int(size, 16) + 2:]
            return status, [json.loads(line) for line in out.splitlines()]
        return status, json.loads(rest)

    def status(self):
        return self.api("GET", "/v1/status")[1]

    def wait_state(self, want, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (s := self.status())["state"] == want:
                return s
            time.sleep(0.05)
        raise AssertionError(f"never {want}: {s}")

    def engine(self):
        return connect(self.state / "docker.sock")

    def watch(self):
        """Follows the events in a thread; returns when the first has come. The result's join() gives them all."""
        desktop, path = self, self.state / "run/backend.sock"
        code = ("import os,socket,sys\np=sys.argv[1]\nfd=os.open(os.path.dirname(p),os.O_PATH)\n"
                "s=socket.socket(socket.AF_UNIX)\ns.connect('/proc/self/fd/%d/%s'%(fd,os.path.basename(p)))\n"
                "s.sendall(b'GET /v1/events HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
                "while d:=s.recv(65536): sys.stdout.buffer.write(d); sys.stdout.buffer.flush()\n")

        class Watch:
            def __init__(self):
                self.proc = subprocess.Popen(as_user("/usr/bin/python3", "-c", code, path), stdout=subprocess.PIPE)
                desktop.started_procs.append(self.proc)
                self.lines = []
                self.read_until(lambda e: True)

            def read_until(self, test):
                while line := self.proc.stdout.readline():
                    line = line.strip()
                    if line.startswith(b"{"):
                        self.lines.append(json.loads(line))
                        if test(self.lines[-1]):
                            return self.lines[-1]
                return None

            def join(self):
                self.read_until(lambda e: False)
                self.proc.wait(10)
                return self.lines

        return Watch()

    def ping(self):
        with self.engine() as s:
            s.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
            return s.recv(4096)

    def stop(self):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
            self.proc.wait(20)
        return self.proc.returncode if self.proc else None

    def signal_backend(self, signo):
        self.proc.send_signal(signo)


@pytest.fixture
def tmp():
    path = pathlib.Path(tempfile.mkdtemp(prefix="caisson-test-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def desktop(tmp):
    d = Desktop(tmp)
    yield d
    for proc in d.started_procs:
        if proc.poll() is None:
            proc.kill()
            proc.wait()


def test_start_status_stop(desktop):
    desktop.started()
    s = desktop.wait_state("running")
    assert [x["name"] for x in s["stages"]] == ["accelerator", "engine"]
    assert s["isolation"] == "no isolation guarantee (software emulation)"
    assert s["accelerator"] == {"setting": "auto", "used": "tcg", "reason": "this is a fake"}
    assert s["pids"]["backend"] == desktop.proc.pid and s["pids"]["qemu"] == 4242 and s["pids"]["net"] == 4343
    assert s["mode"]["name"] == "user" and s["fault"] is None and s["needs_restart"] == []
    assert desktop.ping().endswith(b"OK")
    modes = {p.relative_to(desktop.state).as_posix(): p.stat().st_mode & 0o777 for p in desktop.state.rglob("*")}
    assert all(m == 0o700 for p, m in modes.items() if (desktop.state / p).is_dir()), modes
    assert modes["docker.sock"] == modes["run/backend.sock"] == modes["log/backend.log"] == 0o600
    status, answer = desktop.api("POST", "/v1/stop", {"timeout_s": 5})
    assert (status, answer) == (202, {"state": "stopping"})
    assert desktop.proc.wait(10) == 0
    assert not (desktop.state / "docker.sock").exists() and not (desktop.state / "run/backend.sock").exists()


def test_machine_gets_plan_and_a_short_environment(desktop):
    desktop.started().wait_state("running")
    launch = json.loads((desktop.libexec / "launch.json").read_text())
    assert launch["run_dir"] == str(desktop.state / "run") and launch["accel"] == "auto"
    env = json.loads((desktop.libexec / "environ.json").read_text())
    assert set(env) <= {"HOME", "PATH", "LC_CTYPE"}
    assert desktop.stop() == 0


def test_no_tcp_no_abstract_socket(desktop):
    desktop.started().wait_state("running")
    fds = [os.readlink(f) for f in pathlib.Path(f"/proc/{desktop.proc.pid}/fd").iterdir()]
    inodes = {f[8:-1] for f in fds if f.startswith("socket:[")}
    for table in ("tcp", "tcp6", "udp", "udp6"):
        rows = pathlib.Path(f"/proc/{desktop.proc.pid}/net/{table}").read_text().splitlines()[1:]
        assert not [r for r in rows if r.split()[9] in inodes]
    unix = [r.split() for r in pathlib.Path(f"/proc/{desktop.proc.pid}/net/unix").read_text().splitlines()[1:]]
    mine = [r[7] for r in unix if len(r) > 7 and r[6] in inodes]
    assert len(mine) == 2 and not [n for n in mine if n.startswith("@")]
    assert desktop.stop() == 0


def test_events_until_end(desktop):
    desktop.fake(ready_s=2)
    desktop.started()
    watch = desktop.watch()
    desktop.wait_state("running")
    desktop.stop()
    events = watch.join()
    kinds = [(e["event"], e.get("state") or e.get("name")) for e in events]
    assert kinds.index(("state", "starting")) < kinds.index(("stage", "engine")) < kinds.index(("state", "running"))
    assert kinds.index(("state", "running")) < kinds.index(("state", "stopping")) < kinds.index(("end", "off"))
    assert events[-1] == {"event": "end", "state": "off", "exit_code": 0}


def test_second_backend_is_refused(desktop):
    desktop.started().wait_state("running")
    first = desktop.proc
    code, text = desktop.refused()
    desktop.proc = first
    assert code == 3 and "already runs" in text
    assert desktop.ping().endswith(b"OK")
    assert desktop.stop() == 0


def test_restart_at_once_after_the_end_event(desktop):
    desktop.started()
    for _ in range(3):
        desktop.wait_state("running")
        old, events = desktop.proc, desktop.watch()
        desktop.api("POST", "/v1/stop")
        assert events.join()[-1]["event"] == "end"
        desktop.started()
        assert old.wait(10) == 0
    assert desktop.stop() == 0


def test_kill_and_start_again(desktop):
    desktop.fake(linger_s=1.5)
    desktop.started().wait_state("running")
    assert json.loads((desktop.home / ".docker/config.json").read_text())["currentContext"] == "desktop-linux"
    desktop.signal_backend(signal.SIGKILL)
    desktop.proc.wait()
    assert (desktop.state / "docker.sock").exists()  # stale, of the killed one
    begin = time.monotonic()
    desktop.started()
    desktop.wait_state("running")
    # the machine of the killed backend was still alive: nobody started a second one beside it
    assert time.monotonic() - begin > 1
    assert desktop.ping().endswith(b"OK")
    assert desktop.stop() == 0
    assert "currentContext" not in json.loads((desktop.home / ".docker/config.json").read_text())


def test_kill_at_any_moment_of_a_start(desktop):
    """SIGKILL 0 to 0.4 s after the spawn, in steps: before the lock, in between, after RUNNING. The next start works."""
    desktop.fake(linger_s=0.1)
    for i in range(16):
        desktop.start()
        time.sleep(i * 0.025)
        desktop.signal_backend(signal.SIGKILL)
        desktop.proc.wait()
    desktop.started().wait_state("running", 30)
    assert desktop.ping().endswith(b"OK")
    assert desktop.stop() == 0
    left = {p.name for p in (desktop.state / "run").iterdir()}
    assert left <= {"backend.lock", "machine.lock", "engine.sock"}, left  # the last is the fake machine's
    assert "currentContext" not in json.loads((desktop.home / ".docker/config.json").read_text())


def test_something_else_at_the_socket_is_not_removed(desktop):
    desktop.state.mkdir(parents=True)
    (desktop.state / "docker.sock").write_text("precious")
    desktop.fake()
    code, text = desktop.refused()
    assert code == 1 and "docker.sock" in text
    assert (desktop.state / "docker.sock").read_text() == "precious"


@pytest.mark.parametrize("conf,code,word", [
    ({"die": 7}, "MACHINE_EXIT", "exit code 7"),
    ({"fault": "The root image is damaged (block 17)."}, "EIO", "block 17"),
    ({"garbage": 1}, "MACHINE_EXIT", "signal 9"),
])
def test_machine_failures_are_named(desktop, conf, code, word):
    desktop.fake(**conf)
    desktop.started()
    assert desktop.proc.wait(10) == 1
    # and the sentence survives the process
    status = oneshot(desktop, "GET", "/v1/status")[1]
    assert status["state"] == "off" and status["fault"]["code"] == code and word in status["fault"]["message"]
    desktop.fake()
    desktop.started().wait_state("running")
    assert desktop.stop() == 0
    assert oneshot(desktop, "GET", "/v1/status")[1]["fault"] is None


def test_last_words_are_heard_although_a_question_stayed_unread(desktop):
    """A socket closed with unread data gives its peer ECONNRESET before the records that are still queued."""
    desktop.fake(fault="The root image is damaged (block 18).", unread=1)
    desktop.started()
    wait_for(lambda: (desktop.libexec / "launch.json").exists())

    def ask():
        try:
            desktop.status()
        except (ConnectionError, ValueError):
            pass

    asker = threading.Thread(target=ask)
    asker.start()
    wait_for((desktop.libexec / "unread").exists)
    children = pathlib.Path(f"/proc/{desktop.proc.pid}/task/{desktop.proc.pid}/children").read_text().split()
    assert len(children) == 1
    desktop.signal_backend(signal.SIGSTOP)
    (desktop.libexec / "go").touch()
    wait_for(lambda: ") Z " in pathlib.Path(f"/proc/{children[0]}/stat").read_text())
    desktop.signal_backend(signal.SIGCONT)
    assert desktop.proc.wait(10) == 1
    asker.join()
    assert "block 18" in oneshot(desktop, "GET", "/v1/status")[1]["fault"]["message"]


def test_machine_killed_while_running(desktop):
    desktop.started()
    pid = desktop.wait_state("running")["pids"]["machine"]
    events = desktop.watch()
    os.kill(pid, signal.SIGKILL)
    assert desktop.proc.wait(10) == 1
    lines = events.join()
    assert [e["code"] for e in lines if e["event"] == "fault"] == ["MACHINE_EXIT"]
    assert lines[-1]["exit_code"] == 1


def test_second_signal_forces(desktop):
    desktop.fake(deaf=True)
    desktop.started().wait_state("running")
    desktop.signal_backend(signal.SIGTERM)
    desktop.wait_state("stopping")
    begin = time.monotonic()
    desktop.signal_backend(signal.SIGINT)
    assert desktop.proc.wait(30) == 0
    assert time.monotonic() - begin > 7  # a machine that ends QEMU by itself needs 5 s: it is not killed before


def test_client_waits_while_starting(desktop):
    desktop.fake(ready_s=1)
    desktop.started()
    assert desktop.ping().endswith(b"OK")
    assert desktop.stop() == 0


def test_client_is_told_when_it_fails(desktop):
    desktop.fake(never_ready=True)
    desktop.started()
    with desktop.engine() as s:
        s.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
        wait_for(lambda: desktop.status()["engine"]["clients"] == 1)
        desktop.fake(deaf=True)
        desktop.signal_backend(signal.SIGTERM)
        answer = b""
        while data := s.recv(4096):
            answer += data
    assert answer.startswith(b"HTTP/1.1 503 ") and "stopping" in json.loads(answer.split(b"\r\n\r\n")[1])["message"]


def test_hijack_both_ways_and_half_close(desktop):
    desktop.started().wait_state("running")
    with desktop.engine() as s:
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        blob = os.urandom(1 << 20) * 24

        def pour():
            s.sendall(blob)
            s.shutdown(socket.SHUT_WR)

        t = threading.Thread(target=pour)
        t.start()
        got = bytearray()
        while data := s.recv(1 << 20):
            got += data
        t.join()
    head, _, rest = bytes(got).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101") and hashlib.sha256(rest).digest() == hashlib.sha256(blob).digest()
    assert desktop.stop() == 0


def test_a_thousand_clients(desktop):
    desktop.started().wait_state("running")
    clients = [desktop.engine() for _ in range(1000)]
    for s in clients:
        s.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
    for s in clients:
        assert s.recv(4096).endswith(b"OK")
    assert desktop.status()["engine"]["clients"] == 1000
    for s in clients:
        s.close()
    wait_for(lambda: desktop.status()["engine"]["clients"] == 0)
    assert desktop.ping().endswith(b"OK")
    assert desktop.stop() == 0


def test_idle_has_no_wakeups(desktop):
    desktop.started().wait_state("running")

    def switches():
        text = pathlib.Path(f"/proc/{desktop.proc.pid}/status").read_text()
        return int(text.split("voluntary_ctxt_switches:")[1].split()[0])

    def is_quiet():
        before = switches()
        time.sleep(3)
        return switches() == before

    # the end of the start may still be going on in the first window
    assert is_quiet() or is_quiet()
    assert desktop.stop() == 0


def test_api_refusals(desktop):
    desktop.started().wait_state("running")
    assert desktop.api("GET", "/v1/statsu")[0] == 404
    assert desktop.api("DELETE", "/v1/settings")[0] == 405
    status, answer = desktop.api("PATCH", "/v1/settings", b"{")
    assert (status, answer["error"]["code"]) == (400, "BAD_REQUEST")
    assert desktop.api("PATCH", "/v1/settings", b"x" * 70000)[0] == 413
    assert desktop.api("GET", "/v1/health\r\nTransfer-Encoding: chunked\r\nX: HTTP/1.1")[0] in (400, 404)
    assert desktop.ping().endswith(b"OK")
    assert desktop.stop() == 0


@pytest.mark.skipif(not AS_ROOT, reason="needs root to become another user")
def test_other_users_are_refused(desktop):
    desktop.started().wait_state("running")
    with pytest.raises(ConnectionError):  # the directory
        desktop.api("GET", "/v1/version", uid=12345)
    status, answer = desktop.api("GET", "/v1/version", uid=0)  # root passes the directory, not the peer check
    assert (status, answer["error"]["code"]) == (403, "FORBIDDEN")
    assert desktop.api("GET", "/v1/version")[0] == 200
    assert desktop.stop() == 0


@pytest.mark.skipif(not AS_ROOT, reason="needs root")
def test_root_is_refused(desktop):
    p = subprocess.run([desktop.exe], env=desktop.env, capture_output=True, timeout=10)
    assert p.returncode == 5 and b"refuses to run as root" in p.stderr


def test_bad_option(desktop):
    code, text = desktop.refused("--forground")
    assert code == 2 and "--foreground" in text


def test_directory_others_can_write_is_refused(desktop):
    desktop.state.mkdir(parents=True)
    desktop.fake()
    desktop.state.chmod(0o777)
    code, text = desktop.refused()
    assert code == 1 and "others can write" in text


def test_settings_change_and_restart(desktop):
    desktop.started().wait_state("running")
    status, answer = desktop.api("PATCH", "/v1/settings", {"memory": 1024, "Accelerator": "tcg"})
    assert status == 200 and answer["needs_restart"] == ["MemoryMiB", "Accelerator"]
    assert desktop.status()["needs_restart"] == ["MemoryMiB", "Accelerator"]
    assert json.loads((desktop.state / "settings-store.json").read_text()) == {
        "SettingsVersion": 1, "MemoryMiB": 1024, "Accelerator": "tcg"}
    assert desktop.stop() == 0
    desktop.started().wait_state("running")
    assert json.loads((desktop.libexec / "launch.json").read_text())["memory_mib"] == 1024
    assert desktop.status()["needs_restart"] == []
    assert desktop.stop() == 0


@pytest.mark.parametrize("text,line,word", [
    ("{\n\"Cpus\": 1,\n", ":", "JSON"), ("", ":1:", "empty"), ("{\n\"SettingsVersion\": 9}", ":2:", "newer version"),
    ("{\n\n\"Cpu\": 1}", ":3:", "did you mean \"Cpus\""), ("{\"MemoryMiB\": 1}", ":1:", "1024 to"),
])
def test_bad_settings_file_stops_the_start(desktop, text, line, word):
    desktop.state.mkdir(parents=True)
    file = desktop.state / "settings-store.json"
    file.write_text(text)
    desktop.fake()
    code, said = desktop.refused()
    assert code == 4 and f"settings-store.json{line}" in said
    if word != "JSON":
        assert word in said
    assert oneshot(desktop, "PATCH", "/v1/settings", {"cpus": 1})[0] == 409
    assert file.read_text() == text


def oneshot(desktop, method, path, body=None):
    ours, theirs = socket.socketpair()
    data = b"" if body is None else json.dumps(body).encode()
    fd = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD, 100)
    # descriptor 3 in the child, whatever number it has here
    code = "import os,sys; os.dup2(int(sys.argv[1]), 3); os.execvp(sys.argv[2], sys.argv[2:])"
    p = subprocess.Popen(["/usr/bin/python3", "-c", code, str(fd), *as_user(desktop.exe, "--oneshot-api")],
                         env=desktop.env, pass_fds=[fd], stderr=subprocess.PIPE)
    os.close(fd)
    theirs.close()
    ours.settimeout(15)
    ours.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
    answer = b""
    while d := ours.recv(65536):
        answer += d
    assert p.wait(10) == 0, p.stderr.read()
    return int(answer.split()[1]), json.loads(answer.split(b"\r\n\r\n", 1)[1])


def test_oneshot_api(desktop):
    assert oneshot(desktop, "PATCH", "/v1/settings", {"memory": 1024})[0] == 200
    status, one = oneshot(desktop, "GET", "/v1/settings/memory")
    assert status == 200 and one["value"] == 1024 and one["in_force"] is None
    assert oneshot(desktop, "POST", "/v1/stop")[0] == 409


def test_the_next_question_tidies_up_after_a_kill(desktop):
    config = desktop.home / ".docker/config.json"
    config.parent.mkdir(mode=0o700)
    config.write_text('{"currentContext": "mine", "x": 1}')
    desktop.fake()
    desktop.started().wait_state("running")
    # the twin: while it runs, nothing is taken from it
    assert oneshot(desktop, "GET", "/v1/status")[0] == 200
    assert desktop.ping().endswith(b"OK") and json.loads(config.read_text())["currentContext"] == "desktop-linux"
    desktop.signal_backend(signal.SIGKILL)
    desktop.proc.wait()
    assert (desktop.state / "docker.sock").exists()
    assert oneshot(desktop, "GET", "/v1/status")[1]["state"] == "off"
    assert json.loads(config.read_text()) == {"currentContext": "mine", "x": 1}
    assert not [f for f in ("docker.sock", "run/backend.sock", "run/context.json") if (desktop.state / f).exists()]
    desktop.started().wait_state("running")
    assert desktop.stop() == 0


def test_long_home(tmp):
    home = tmp
    for _ in range(6):
        home = home / ("d" * 60)
    desktop = Desktop(tmp, home=home)
    desktop.env["XDG_RUNTIME_DIR"] = "/nonexistent"
    desktop.started()
    endpoint = desktop.wait_state("running")["context"]["endpoint"]
    path = pathlib.Path(endpoint.removeprefix("unix://"))
    assert len(str(path)) < 108 and path.parent.stat().st_mode & 0o777 == 0o700 and path.parent.stat().st_uid == UID
    assert desktop.ping().endswith(b"OK")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
        assert s.recv(4096).endswith(b"OK")
    assert desktop.stop() == 0
    assert not path.parent.exists() and not os.path.lexists(desktop.state / "run/short")
    meta = home / ".docker/contexts/meta" / hashlib.sha256(b"desktop-linux").hexdigest() / "meta.json"
    assert json.loads(meta.read_text())["Endpoints"]["docker"]["Host"] == f"unix://{desktop.state}/docker.sock"


def test_long_home_and_kill_leaves_no_directory(tmp):
    home = tmp
    for _ in range(6):
        home = home / ("d" * 60)
    desktop = Desktop(tmp, home=home)
    desktop.env["XDG_RUNTIME_DIR"] = "/nonexistent"

    def short():
        return pathlib.Path(desktop.wait_state("running")["context"]["endpoint"].removeprefix("unix://")).parent

    desktop.started()
    left = short()
    desktop.signal_backend(signal.SIGKILL)
    desktop.proc.wait()
    assert left.exists()
    desktop.started()
    fresh = short()
    assert fresh != left and fresh.exists() and not left.exists()
    desktop.signal_backend(signal.SIGKILL)
    desktop.proc.wait()
    # only a directory of our own naming is ever removed
    link, other = desktop.state / "run/short", tmp / "other"
    other.mkdir()
    link.unlink()
    link.symlink_to(other)
    desktop.fake()
    desktop.started()
    last = short()
    assert desktop.stop() == 0
    assert other.exists() and not last.exists()
    (fresh / "docker.sock").unlink()
    fresh.rmdir()


def test_logs_are_bounded(desktop):
    desktop.started().wait_state("running")
    log = desktop.state / "log/machine.log"
    with open(log, "ab") as f:
        for _ in range(50):
            f.write(b"x" * 99999 + b"\n")
            f.flush()
    wait_for(lambda: log.stat().st_size <= 4 << 20)
    assert (desktop.state / "log/machine.log.1").stat().st_size <= 5 << 20
    assert desktop.ping().endswith(b"OK")
    assert desktop.stop() == 0


def test_no_secret_in_any_file(desktop):
    (desktop.home / ".docker").mkdir(mode=0o700)
    config = {"auths": {"r": {"auth": "canary-auth"}}}
    (desktop.home / ".docker/config.json").write_text(json.dumps(config))
    desktop.fake()
    desktop.started().wait_state("running")
    status = json.dumps(desktop.status())
    assert desktop.stop() == 0
    files = [p.read_bytes() for p in desktop.state.rglob("*") if p.is_file()]
    assert files and not [f for f in [status.encode(), *files] if b"canary" in f]
    assert json.loads((desktop.home / ".docker/config.json").read_text()) == config
