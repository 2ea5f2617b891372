# SPDX-License-Identifier: Apache-2.0
"""The command line as a process: a fake prefix with a fake backend (tests/fake/fake-backend.py) and machine.

Needs CAISSON_BUILD (a build directory) or CAISSON_PREFIX. Runs as an ordinary user; under root every command is run as
uid 65534. The last tests use the real backend, with a fake machine.
"""
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"
NOBODY = 65534

MACHINE = """#!/bin/sh
[ "$1" = --check ] || exit 2
cat "$(dirname "$0")/check.json"
"""


def find_program(name):
    """From a build directory (CAISSON_BUILD) or an installation (CAISSON_PREFIX, as "make test" sets it)."""
    places = {"caisson": ("ui/cli/caisson", "bin/caisson"),
              "caisson-backend": ("backend/caisson-backend", "libexec/caisson/caisson-backend")}[name]
    for variable, place in zip(("CAISSON_BUILD", "CAISSON_PREFIX"), places):
        path = pathlib.Path(os.environ.get(variable, "/nonexistent")) / place
        if path.exists():
            return path
    return pytest.skip(f"set CAISSON_BUILD or CAISSON_PREFIX to where {name} is")


class Prefix:
    def __init__(self, tmp, real_backend=False):
        self.base = tmp
        self.home = tmp / "home"
        self.exe = tmp / "prefix/bin/caisson"
        libexec = tmp / "prefix/libexec/caisson"
        for d in (self.exe.parent, libexec, self.home):
            d.mkdir(parents=True)
        shutil.copy(find_program("caisson"), self.exe)
        if real_backend:
            (tmp / "prefix/share/caisson/image").mkdir(parents=True)
            shutil.copy(find_program("caisson-backend"), libexec / "caisson-backend")
            shutil.copy(ROOT / "tests/fake/fake-machine.py", libexec / "caisson-machine")
        else:
            shutil.copy(ROOT / "tests/fake/fake-backend.py", libexec / "caisson-backend")
            (libexec / "caisson-machine").write_text(MACHINE)
        for f in libexec.iterdir():
            f.chmod(0o755)
        self.libexec = libexec
        self.state = self.home / ".docker/desktop"
        self.env = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "xterm",
                    "ASAN_OPTIONS": "detect_leaks=0"}
        self.fake()
        if os.geteuid() == 0:
            for path in [tmp, *tmp.rglob("*")]:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def fake(self, **conf):
        self.env["FAKE_BACKEND"] = json.dumps(conf)

    def argv(self, args, as_root=False):
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        return (drop if os.geteuid() == 0 and not as_root else []) + [str(self.exe), *args]

    def run(self, *args, as_root=False, exe=None, **env):
        argv = self.argv(args, as_root)
        if exe:
            argv[argv.index(str(self.exe))] = str(exe)
        return subprocess.run(argv, env={**self.env, **env}, text=True, capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL, check=False)

    def popen(self, *args):
        return subprocess.Popen(self.argv(args), env=self.env, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def log(self, name, text):
        d = self.state / "log"
        d.mkdir(parents=True, exist_ok=True)
        with open(d / name, "a", encoding="utf-8") as f:
            f.write(text)
        for path in [self.home / ".docker", *(self.home / ".docker").rglob("*")]:
            os.chmod(path, 0o755 if path.is_dir() else 0o644)
            if os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)


@pytest.fixture
def cli():
    yield from make_prefix(False)


@pytest.fixture
def real():
    yield from make_prefix(True)


def make_prefix(real_backend):
    # Not pytest's own directory: its parents are closed to the account that the commands run as.
    tmp = pathlib.Path(tempfile.mkdtemp(prefix="caisson-cli.", dir=os.environ.get("CAISSON_TEST_TMP")))
    tmp.chmod(0o755)
    prefix = Prefix(tmp, real_backend)
    yield prefix
    prefix.fake()
    prefix.run("stop", "--force", "--timeout", "10")
    shutil.rmtree(tmp, ignore_errors=True)


def test_start_shows_stages_and_summary(cli):
    r = cli.run("start")
    assert r.returncode == 0, r.stderr
    for stage in ("accelerator", "kernel", "engine"):
        assert re.search(rf"{stage} +\d+\.\d s", r.stdout)
    assert re.search(r"Engine ready in \d+\.\d s", r.stdout)
    assert "desktop-linux" in r.stdout
    tcg = [line for line in r.stdout.splitlines() if "no isolation guarantee" in line]
    assert len(tcg) == 1 and "slower" in tcg[0] and "KVM opens" in tcg[0]
    assert "\033" not in r.stdout + r.stderr
    link = cli.home / ".docker/cli-plugins/docker-desktop"
    assert link.resolve() == cli.exe.resolve()


def test_start_under_kvm_has_no_warning(cli):
    cli.fake(accel="kvm", reason="")
    r = cli.run("start")
    assert r.returncode == 0
    assert "no isolation" not in r.stdout and "slower" not in r.stdout


def test_start_twice(cli):
    assert cli.run("start").returncode == 0
    r = cli.run("start")
    assert r.returncode == 0 and "already running" in r.stdout


def test_two_starts_at_once(cli):
    cli.fake(delay=0.3)
    a, b = cli.popen("start"), cli.popen("start")
    out = [p.communicate(timeout=60) for p in (a, b)]
    assert (a.returncode, b.returncode) == (0, 0), out


def test_start_detached(cli):
    cli.fake(delay=1)
    began = time.monotonic()
    r = cli.run("start", "--detach")
    assert r.returncode == 0 and "background" in r.stdout
    assert time.monotonic() - began < 2.9
    assert cli.run("status").returncode == 3  # starting is not running
    r = cli.run("start")  # joins the start that goes on
    assert r.returncode == 0 and "Engine ready" in r.stdout
    assert cli.run("status").returncode == 0


def test_start_timeout_goes_on(cli):
    cli.fake(delay=1)
    r = cli.run("start", "--timeout", "1")
    assert r.returncode == 4 and "background" in r.stderr
    assert json.loads(cli.run("status", "--format", "json").stdout)["state"] == "starting"


def test_start_fault(cli):
    cli.fake(fault="The root image is damaged (block 17). \033[2JRebuild it.")
    r = cli.run("start")
    assert r.returncode == 1
    assert "The root image is damaged (block 17). \\x1b[2JRebuild it." in r.stderr
    assert str(cli.state / "log") in r.stderr and "Engine ready" not in r.stdout


def test_backend_dies_before_its_socket(cli):
    cli.fake(die_before="settings-store.json:3: expected a comma\n")
    r = cli.run("start")
    assert r.returncode == 1 and "settings-store.json:3: expected a comma" in r.stderr


def test_backend_killed_during_start_shows_its_log(cli):
    cli.fake(vanish=True, log="2026-11-22T00:00:00.000Z ERROR backend: last words\n")
    r = cli.run("start")
    assert r.returncode == 1
    assert "last words" in r.stderr and "backend.log" in r.stderr


def test_missing_backend(cli):
    (cli.libexec / "caisson-backend").unlink()
    r = cli.run("start")
    assert r.returncode == 1 and "caisson-backend" in r.stderr and "installation" in r.stderr


def wait_for(f, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if f():
            return True
        time.sleep(0.05)
    return False


def test_cancel_stops_what_was_started(cli):
    cli.fake(delay=5)
    p = cli.popen("start")
    assert wait_for((cli.state / "run/backend.sock").exists)
    time.sleep(0.5)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=30)
    assert p.returncode == 130 and "Cancelled" in err
    assert json.loads((cli.state / "stopped-by").read_text())["force"] is False
    assert cli.run("status").returncode == 3


def test_cancel_of_a_watched_start_leaves_it(cli):
    cli.fake(delay=2)
    assert cli.run("start", "-d").returncode == 0
    p = cli.popen("start")
    time.sleep(1)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=30)
    assert p.returncode == 130 and "background" in err
    assert json.loads(cli.run("status", "--format=json").stdout)["state"] == "starting"


def test_stop(cli):
    r = cli.run("stop")
    assert r.returncode == 0 and "not running" in r.stdout
    cli.run("start")
    r = cli.run("stop")
    assert r.returncode == 0 and "has stopped" in r.stdout
    assert json.loads((cli.state / "stopped-by").read_text()) == {"force": False, "timeout_s": 60}
    cli.run("start")
    assert cli.run("stop", "--force").returncode == 0
    assert json.loads((cli.state / "stopped-by").read_text())["force"] is True


def test_stop_detached_and_timeout(cli):
    cli.fake(stop_delay=3)
    cli.run("start")
    r = cli.run("stop", "--timeout", "1")
    assert r.returncode == 4 and "background" in r.stderr
    assert cli.run("stop").returncode == 0
    cli.run("start")
    began = time.monotonic()
    assert cli.run("stop", "-d").returncode == 0
    assert time.monotonic() - began < 2.9
    # a start during the stop waits for its end
    r = cli.run("start")
    assert r.returncode == 0 and "Engine ready" in r.stdout


def test_stop_force_kills_a_backend_that_hangs(cli):
    cli.fake(hang=True)
    assert cli.run("start", "-d").returncode == 0
    r = cli.run("stop", "--force")
    assert r.returncode == 0 and "killed" in r.stderr
    assert cli.run("stop").stdout.count("not running") == 1


def test_restart(cli):
    assert cli.run("restart").returncode == 0
    r = cli.run("restart")
    assert r.returncode == 0
    assert r.stdout.index("has stopped") < r.stdout.index("Engine ready")


def test_stale_socket(cli):
    cli.run("start")
    pid = json.loads(cli.run("status", "--format", "json").stdout)["pids"]["backend"]
    os.kill(pid, signal.SIGKILL)
    assert (cli.state / "run/backend.sock").exists()
    time.sleep(0.3)
    assert cli.run("status").returncode == 3
    assert cli.run("stop").returncode == 0
    assert cli.run("start").returncode == 0


def test_status(cli):
    r = cli.run("status")
    assert r.returncode == 3 and "stopped" in r.stdout
    assert json.loads(cli.run("status", "--format", "json").stdout)["state"] == "off"
    cli.fake(needs_restart=["MemoryMiB"], reason="because \033]0;evil\007")
    cli.run("start")
    r = cli.run("status")
    assert r.returncode == 0
    assert "no isolation guarantee (software emulation)" in r.stdout and "isolated" not in r.stdout
    assert "\\x1b]0;evil\\x07" in r.stdout and "\033" not in r.stdout
    assert "MemoryMiB" in r.stdout and "caisson restart" in r.stdout
    raw = cli.run("status", "--format", "json").stdout
    assert json.loads(raw)["state"] == "running" and "\033" not in raw


def test_settings(cli):
    r = cli.run("settings", "list")
    assert r.returncode == 0 and "1024 to 8192 MiB" in r.stdout and "auto, kvm, tcg" in r.stdout
    assert cli.run("settings", "set", "memory", "4G", "cpus=1").returncode == 0
    assert cli.run("settings", "get", "memory").stdout == "4096\n"
    assert cli.run("settings", "get", "Cpus").stdout == "1\n"
    assert json.loads(cli.run("settings", "get", "cpus", "--format", "json").stdout)["value"] == 1
    assert cli.run("settings", "set", "memory", "default").returncode == 0
    assert json.loads((cli.state / "settings-store.json").read_text()) == {"Cpus": 1}
    r = cli.run("settings", "set", "memory", "64G")
    assert r.returncode == 2 and "1024 to 8192" in r.stderr
    r = cli.run("settings", "set", "memory", "lots")
    assert r.returncode == 2 and "1024 to 8192" in r.stderr
    r = cli.run("settings", "set", "accelerator", "hax")
    assert r.returncode == 2 and "auto, kvm, tcg" in r.stderr
    r = cli.run("settings", "get", "memroy")
    assert r.returncode == 2 and "did you mean 'memory'" in r.stderr
    r = cli.run("settings", "set", "cpus")
    assert r.returncode == 2
    # all or nothing
    assert cli.run("settings", "set", "cpus", "2", "memory", "1").returncode == 2
    assert cli.run("settings", "get", "cpus").stdout == "1\n"


def stored(cli):
    return json.loads((cli.state / "settings-store.json").read_text())


def test_settings_of_text_and_lists(cli):
    assert cli.run("settings", "set", "host-access", "5432,8000-8100").returncode == 0
    assert cli.run("settings", "get", "host-access").stdout == "5432,8000-8100\n"
    # a comma separates items, and so does saying the key twice
    assert cli.run("settings", "set", "network-rules", "deny 10.0.0.0/8 name=a,allow 1.2.3.4").returncode == 0
    assert stored(cli)["NetworkRules"] == ["deny 10.0.0.0/8 name=a", "allow 1.2.3.4"]
    assert cli.run("settings", "get", "network-rules").stdout == "deny 10.0.0.0/8 name=a\nallow 1.2.3.4\n"
    assert cli.run("settings", "set", "network-rules", "deny 1.1.1.1", "NetworkRules=deny 2.2.2.2").returncode == 0
    assert stored(cli)["NetworkRules"] == ["deny 1.1.1.1", "deny 2.2.2.2"]
    assert cli.run("settings", "set", "network-rules+=allow 3.3.3.3").returncode == 0
    assert cli.run("settings", "set", "network-rules-=deny 1.1.1.1").returncode == 0
    assert stored(cli)["NetworkRules"] == ["deny 2.2.2.2", "allow 3.3.3.3"]
    r = cli.run("settings", "set", "network-rules-=deny 9.9.9.9")
    assert r.returncode == 2 and "deny 9.9.9.9" in r.stderr
    r = cli.run("settings", "set", "cpus+=1")
    assert r.returncode == 2 and "not a list" in r.stderr
    # the servers of one domain stay together
    assert cli.run("settings", "set", "dns-domains", "corp.example=10.0.0.1,10.0.0.2:5353,lab.example=10.1.1.1").returncode == 0
    assert stored(cli)["DnsDomains"] == ["corp.example=10.0.0.1,10.0.0.2:5353", "lab.example=10.1.1.1"]
    r = cli.run("settings", "list")
    assert "deny 2.2.2.2, allow 3.3.3.3" in r.stdout and "5432,8000-8100" in r.stdout
    r = cli.run("settings", "set", "network-rules", "bad")
    assert r.returncode == 2 and "not understood" in r.stderr
    assert cli.run("settings", "set", "network-rules", "none").returncode == 0
    assert stored(cli)["NetworkRules"] == []
    assert cli.run("settings", "set", "network-rules", "default", "host-access", "default").returncode == 0
    assert "NetworkRules" not in stored(cli) and "HostAccess" not in stored(cli)
    cli.run("start")
    r = cli.run("settings", "set", "host-access", "none")
    assert r.returncode == 0 and "changed" in r.stdout and "restart" not in r.stdout


def test_ports_and_net(cli):
    for args in (["ports"], ["net"], ["net", "capture", "x.pcap"]):
        r = cli.run(*args)
        assert r.returncode == 3 and "not running" in r.stderr, args
    cli.run("start")
    r = cli.run("ports")
    assert r.returncode == 0 and "127.0.0.1:8080/tcp" in r.stdout and "[::]:53/udp" in r.stdout and "2/7" in r.stdout
    ports = json.loads(cli.run("ports", "--format", "json").stdout)["ports"]
    assert [p["container"] for p in ports] == ["-", "-"]
    r = cli.run("net")
    assert r.returncode == 0 and "192.168.65.3:40000 -> [2001:db8::1]:443" in r.stdout and "loopback" in r.stdout
    assert "\033" not in r.stdout and "evil\\x1b[2J.example" in r.stdout
    assert json.loads(cli.run("net", "--format", "json", "--flows", "5").stdout)["stats"]["tcp_now"] == 3
    r = cli.run("status")
    assert "192.168.66.0/24 (moved from 192.168.65.0/24" in r.stdout and "proxy.corp:3128" in r.stdout
    r = cli.run("net", "captrue")
    assert r.returncode == 2
    r = cli.run("net", "capture", "-", "--max-size", "1M", "--time", "5")
    assert r.returncode == 0 and r.stdout.startswith("/v1/net/capture?max_bytes=1048576&max_ms=5000&snap_len=65535")
    assert len(r.stdout) > 100000
    for args in (["--max-size", "2G"], ["--max-size", "x"], ["--time", "0"], ["--time", "9999"]):
        assert cli.run("net", "capture", *args, "-").returncode == 2, args


def test_ports_name_their_containers(cli):
    cli.fake(containers=[
        {"Names": ["/web"], "Ports": [], "NetworkSettings": {"Networks": {"b": {"IPAddress": "172.17.0.2", "GlobalIPv6Address": ""}}}},
        {"Names": ["/evil\x1b[2J"], "Ports": [{"PublicPort": 53, "Type": "udp"}], "NetworkSettings": {"Networks": {}}}])
    cli.run("start")
    r = cli.run("ports")
    assert r.returncode == 0 and " web " in r.stdout and "evil\\x1b[2J" in r.stdout and "\033" not in r.stdout
    assert [p["container"] for p in json.loads(cli.run("ports", "--format", "json").stdout)["ports"]] == ["web", "evil\x1b[2J"]


def test_a_refused_capture_leaves_the_file_alone(cli):
    cli.fake(no_net=1)
    cli.run("start")
    file = cli.state / "x.pcap"
    file.write_text("precious")
    file.chmod(0o666)
    r = cli.run("net", "capture", str(file))
    assert r.returncode == 1 and "does not run" in r.stderr and file.read_text() == "precious"


def test_settings_need_a_restart(cli):
    cli.run("start")
    r = cli.run("settings", "set", "cpus", "1")
    assert r.returncode == 0 and "caisson restart" in r.stdout


def test_settings_file_broken(cli):
    cli.fake(settings_file="settings-store.json:3: a comma is missing")
    r = cli.run("settings", "list")
    assert r.returncode == 1 and "settings-store.json:3: a comma is missing" in r.stderr


@pytest.mark.parametrize("args,near", [
    (["strat"], "start"), (["stauts"], "status"), (["settings", "lsit"], "list"), (["start", "--detahc"], "--detach"),
    (["status", "--format", "jsno"], "json"), (["logs", "--sinec", "1h"], "--since"), (["logs", "-u", "machin"], "machine"),
])
def test_nearest(cli, args, near):
    cli.log("backend.log", "2026-11-22T00:00:00.000Z INFO backend: x\n")
    r = cli.run(*args)
    assert r.returncode == 2 and f"did you mean '{near}'" in r.stderr and r.stdout == ""


@pytest.mark.parametrize("args", [
    ["frobnicate"], ["start", "now"], ["start", "--timeout"], ["start", "--timeout", "soon"], ["start", "--detach=yes"],
    ["settings"], ["settings", "get"], ["logs", "--since", "whenever"], ["completion", "tcsh"], ["\033[2J"],
])
def test_usage_errors(cli, args):
    r = cli.run(*args)
    assert r.returncode == 2 and r.stderr and "\033" not in r.stderr


def test_help_everywhere(cli):
    overview = cli.run("--help").stdout
    assert overview == cli.run("help").stdout == cli.run().stdout
    names = re.findall(r"^  (\w+)  +\S", overview, re.M)
    assert {"start", "stop", "restart", "status", "check", "logs", "settings", "version", "help"} <= set(names)
    for name in names:
        r = cli.run(name, "--help")
        assert r.returncode == 0 and r.stdout.startswith(f"Usage: caisson {name}")
        assert r.stdout == cli.run("help", name).stdout
    assert "KEY VALUE" in cli.run("settings", "set", "-h").stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be refused as root")
def test_root_is_refused(cli):
    for args in (["start"], ["status"], ["logs"], ["settings", "list"]):
        r = cli.run(*args, as_root=True)
        assert r.returncode == 1 and "root" in r.stderr and "sudo" in r.stderr
    assert "as alice" in cli.run("status", as_root=True, SUDO_USER="alice").stderr
    assert cli.run("version", as_root=True).returncode == 0  # the allow twin
    assert not cli.state.exists()


def test_version(cli):
    r = cli.run("version")
    assert r.returncode == 0 and r.stdout.startswith("caisson ")
    assert json.loads(cli.run("version", "--format", "json").stdout)["backend"] is None
    cli.run("start")
    assert json.loads(cli.run("version", "--format", "json").stdout)["backend"]["api"] == 1
    assert cli.run("--version").stdout.startswith("caisson ")


LOGS = {
    "backend.log.1": "2026-11-21T23:00:00.000Z INFO backend: old\n",
    "backend.log": "2026-11-22T00:00:00.000Z INFO backend: one\n2026-11-22T00:00:02.000Z ERROR backend: three\n",
    "vm.log": "2026-11-22T00:00:01.000Z dockerd: two \033[31m\n  second line of two\n",
    "console.log": "[    0.0] kernel\n",
}


def test_logs(cli):
    r = cli.run("logs")
    assert r.returncode == 0 and "no logs yet" in r.stderr
    for name, text in LOGS.items():
        cli.log(name, text)
    lines = cli.run("logs").stdout.splitlines()
    order = [next(i for i, line in enumerate(lines) if w in line) for w in ("old", "one", "two", "second", "three")]
    assert order == sorted(order) and len(lines) == 6
    assert any(line.startswith("console: [    0.0]") for line in lines)
    assert "\\x1b[31m" in "\n".join(lines)
    assert cli.run("logs", "-n", "1").stdout.count("\n") == 1
    assert "three" in cli.run("logs", "-n1").stdout
    only = cli.run("logs", "--unit", "dockerd").stdout
    assert "two" in only and "second line" in only and "one" not in only
    assert cli.run("logs", "-u", "vm,console").stdout.count("\n") == 3
    since = cli.run("logs", "--since", "2026-11-22T00:00:01Z").stdout
    assert "two" in since and "one" not in since and "old" not in since
    assert "three" not in cli.run("logs", "--until", "2026-11-22T00:00:02Z").stdout


def read_until(p, text, seconds=10):
    data, end = "", time.monotonic() + seconds
    while text not in data and time.monotonic() < end:
        if select.select([p.stdout], [], [], 0.2)[0]:
            data += os.read(p.stdout.fileno(), 65536).decode()
    return data


def test_logs_follow_and_rotation(cli):
    cli.log("backend.log", "2026-11-22T00:00:00.000Z INFO backend: first\n")
    p = cli.popen("logs", "-f")
    try:
        assert "first" in read_until(p, "first")
        cli.log("backend.log", "2026-11-22T00:00:01.000Z INFO backend: sec")
        cli.log("backend.log", "ond\n")
        assert "backend: second\n" in read_until(p, "second")
        log = cli.state / "log"
        cli.log("backend.log", "2026-11-22T00:00:02.000Z INFO backend: before\n")
        (log / "backend.log").rename(log / "backend.log.1")
        cli.log("backend.log", "2026-11-22T00:00:03.000Z INFO backend: after\n")
        data = read_until(p, "after")
        assert data.count("before") == 1 and data.count("after") == 1
        cli.log("net.log", "2026-11-22T00:00:04.000Z INFO net: new file\n")
        assert "new file" in read_until(p, "new file")
    finally:
        p.terminate()
        p.wait()


def on_terminal(cli, *args, **env):
    pid, fd = pty.fork()
    if pid == 0:
        argv = cli.argv(args)
        os.execvpe(argv[0], argv, {**cli.env, **env})
    data = b""
    while True:
        try:
            chunk = os.read(fd, 65536)
        except OSError:
            break
        if not chunk:
            break
        data += chunk
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), data.decode()


def test_terminal_progress_and_no_color(cli):
    cli.fake(delay=0.3)
    code, out = on_terminal(cli, "start")
    assert code == 0 and "\r\033[K" in out and "\033[32m" in out
    cli.run("stop")
    code, out = on_terminal(cli, "start", NO_COLOR="1")
    assert code == 0 and "\033[32m" not in out and "\033[1m" not in out
    cli.run("stop")
    code, out = on_terminal(cli, "start", TERM="dumb")
    assert code == 0 and "\033" not in out


def plugin(cli, *args):
    link = cli.base / "docker-desktop"
    if not link.exists():
        link.symlink_to(cli.exe)
    return cli.run(*args, exe=link)


def test_plugin(cli):
    meta = json.loads(plugin(cli, "docker-cli-plugin-metadata").stdout)
    assert meta["SchemaVersion"] == "0.1.0" and meta["Vendor"] and meta["Version"] and meta["ShortDescription"]
    assert plugin(cli, "desktop", "status").returncode == 3
    assert plugin(cli, "--debug", "-c", "desktop-linux", "--log-level=debug", "desktop", "start").returncode == 0
    assert plugin(cli, "-H", "unix:///x", "desktop", "status", "--format", "json").returncode == 0
    assert plugin(cli, "help", "desktop", "logs").stdout.startswith("Usage: docker desktop logs")
    assert "start\t" in plugin(cli, "__complete", "desktop", "st").stdout
    assert plugin(cli, "status").returncode == 2
    assert "docker desktop" in plugin(cli, "desktop", "--help").stdout


def test_plugin_link_of_somebody_else_stays(cli):
    d = cli.home / ".docker/cli-plugins"
    d.mkdir(parents=True)
    (d / "docker-desktop").write_text("theirs")
    if os.geteuid() == 0:
        for path in (d.parent, d, d / "docker-desktop"):
            os.chown(path, NOBODY, NOBODY)
    assert cli.run("start").returncode == 0
    assert (d / "docker-desktop").read_text() == "theirs"


CHECKS = [
    {"id": "works", "title": "KVM runs a kernel", "result": "warn", "detail": "it \033[2J hangs", "hint": "use TCG"},
    {"id": "qemu", "title": "QEMU is installed", "result": "ok", "detail": "version 10.0", "hint": ""},
]


def test_check(cli):
    listing = cli.libexec / "check.json"
    listing.write_text(json.dumps(CHECKS))
    listing.chmod(0o644)
    r = cli.run("check")
    assert r.returncode == 0, r.stderr
    assert "QEMU is installed" in r.stdout and "use TCG" in r.stdout and "\033" not in r.stdout
    assert json.loads(cli.run("check", "--format", "json").stdout) == CHECKS
    listing.write_text(json.dumps([*CHECKS, {**CHECKS[1], "result": "fail", "hint": "Install qemu-system-x86."}]))
    r = cli.run("check")
    assert r.returncode == 1 and "Install qemu-system-x86." in r.stdout and "missing" in r.stdout
    listing.write_text("not json")
    r = cli.run("check")
    assert r.returncode == 1 and "without a list" in r.stderr


def real_docker():
    path = shutil.which("docker")
    return path if path and "Docker version" in subprocess.run([path, "--version"], text=True, capture_output=True,
                                                               check=False).stdout else None


@pytest.mark.skipif(not real_docker(), reason="no docker CLI")
def test_plugin_through_the_real_docker(cli):
    assert cli.run("start").returncode == 0
    argv = cli.argv(["desktop", "status"])
    argv[argv.index(str(cli.exe))] = real_docker()
    r = subprocess.run(argv, env=cli.env, text=True, capture_output=True, timeout=60, check=False)
    assert r.returncode == 0 and "running" in r.stdout, r.stderr


def bash_complete(cli, line):
    script = (ROOT / "dist/completions/caisson.bash").read_text()
    words = line.split(" ")
    code = script + f"\nPATH={cli.exe.parent}:$PATH\nCOMP_WORDS=({' '.join(repr(w) for w in words)})\n" \
        f"COMP_CWORD={len(words) - 1}\n_caisson\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    argv = cli.argv(["-c", code])
    argv[argv.index(str(cli.exe))] = "/bin/bash"
    return subprocess.run(argv, env=cli.env, text=True, capture_output=True, timeout=60, check=True).stdout.split()


def test_completion(cli):
    for shell in ("bash", "zsh", "fish"):
        assert cli.run("completion", shell).stdout == (ROOT / f"dist/completions/caisson.{shell}").read_text()
    assert bash_complete(cli, "caisson st") == ["start", "stop", "status"]
    assert bash_complete(cli, "caisson settings ") == ["list", "get", "set"]
    assert bash_complete(cli, "caisson settings set mem") == ["memory"]
    assert bash_complete(cli, "caisson settings set accelerator k") == ["kvm"]
    assert bash_complete(cli, "caisson settings set host-access a") == ["all"]
    assert bash_complete(cli, "caisson net c") == ["capture"]
    assert bash_complete(cli, "caisson net --f") == ["--format", "--flows"]
    assert bash_complete(cli, "caisson status --format = j") == ["json"]
    assert bash_complete(cli, "caisson logs --unit ma") == ["machine"]
    assert "--detach" in bash_complete(cli, "caisson start --")


# The real backend, with a fake machine.


def test_real_start_status_stop(real):
    r = real.run("start")
    assert r.returncode == 0, r.stderr
    assert "Engine ready" in r.stdout and "no isolation guarantee (software emulation)" in r.stdout
    status = json.loads(real.run("status", "--format", "json").stdout)
    assert status["state"] == "running" and status["engine"]["ready"] is True
    assert "desktop-linux" in real.run("status").stdout
    assert "already running" in real.run("start").stdout
    assert "com.docker.backend" in real.run("logs", "--unit", "backend").stdout
    assert real.run("restart").returncode == 0
    assert real.run("stop").returncode == 0
    assert real.run("status").returncode == 3


def test_real_settings_stopped_and_running(real):
    def value():
        return json.loads(real.run("settings", "get", "memory", "--format", "json").stdout)

    low = value()["min"]
    assert real.run("settings", "set", "memory", str(low)).returncode == 0
    assert value()["value"] == low
    r = real.run("settings", "set", "memory", "100T")
    assert r.returncode == 2 and str(low) in r.stderr
    assert real.run("start").returncode == 0
    assert "caisson restart" in real.run("settings", "set", "memory", str(low + 1)).stdout
    assert "MemoryMiB" in real.run("status").stdout
    r = real.run("settings", "set", "acelerator", "kvm")
    assert r.returncode == 2 and "accelerator" in r.stderr


def test_real_broken_settings_file(real):
    real.log("x.log", "")
    (real.state / "settings-store.json").write_text('{\n "Cpus": 2,,\n}\n')
    for args in (["start"], ["settings", "list"], ["settings", "set", "cpus", "1"]):
        r = real.run(*args)
        assert r.returncode == 1 and "settings-store.json:2" in r.stderr, r.stderr
    assert (real.state / "settings-store.json").read_text() == '{\n "Cpus": 2,,\n}\n'


def test_real_failure_is_told(real):
    (real.libexec / "fake-machine.json").write_text(json.dumps({"fault": "No QEMU was found. Install qemu-system-x86."}))
    r = real.run("start")
    assert r.returncode == 1 and "No QEMU was found. Install qemu-system-x86." in r.stderr
    assert real.run("status").returncode == 3
