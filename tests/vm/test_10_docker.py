# SPDX-License-Identifier: Apache-2.0
"""The ordinary docker command of Debian 13 through the engine socket."""
import json
import os
import re
import subprocess
import threading
import time

import pytest

IMAGE = "debian-test:13"


def test_run_prints_kernel_hostname_and_system(vm):
    out = vm.container("uname -sr; hostname; cat /etc/os-release", "--hostname", "inside").split("\n")
    assert re.match(r"Linux 6\.12\.", out[0]) and out[0] != f"Linux {os.uname().release}"
    assert out[1] == "inside"
    assert 'VERSION_CODENAME=trixie' in out


def test_run_carries_exit_code_and_both_outputs(vm):
    r = vm.docker("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 37", check=False)
    assert (r.returncode, r.stdout, r.stderr) == (37, "out\n", "err\n")


def test_half_close_reaches_the_container(vm):
    """The client closes its sending side; cat sees the end and its output still comes back."""
    data = os.urandom(1 << 20)
    r = vm.docker("run", "--rm", "-i", IMAGE, "cat", input=data)
    assert r.raw == data


def test_half_close_order(vm):
    r = vm.docker("run", "--rm", "-i", IMAGE, "sh", "-c", "cat >/dev/null; echo after-end", input=b"x\n")
    assert r.stdout == "after-end\n"


@pytest.fixture(scope="module")
def sleeper(session_desktop):
    """A container that ticks into its log."""
    d = session_desktop
    yield "ticker"
    d.docker("rm", "-f", "ticker", check=False)


@pytest.fixture
def ticker(vm, sleeper):
    if sleeper not in vm.docker("ps", "--format", "{{.Names}}").stdout.split():
        vm.docker("rm", "-f", sleeper, check=False)
        vm.docker("run", "-d", "--name", sleeper, IMAGE, "sh", "-c", "n=0; while sleep 0.5; do n=$((n+1)); echo tick $n; done")
    return sleeper


def test_exec(vm, ticker):
    assert vm.docker("exec", ticker, "echo", "hello").stdout == "hello\n"
    assert vm.docker("exec", ticker, "sh", "-c", "exit 9", check=False).returncode == 9
    assert vm.docker("exec", "-i", ticker, "cat", input=b"through\n").stdout == "through\n"


def test_exec_with_terminal(vm, ticker):
    """docker exec -it through a pseudo-terminal: it is a terminal inside, and its size is carried."""
    script = f"stty rows 31 cols 97; docker --host unix://{vm.engine_socket} exec -it {ticker} sh -c 'test -t 0 && stty size'"
    r = vm.run(["script", "-qec", script, "/dev/null"], stdin=subprocess.DEVNULL)
    assert "31 97" in r.stdout, r.stdout


def test_attach_sees_output(vm, ticker):
    child = vm.popen(["docker", "--host", f"unix://{vm.engine_socket}", "attach", "--no-stdin", "--sig-proxy=false", ticker],
                     stdout=subprocess.PIPE)
    try:
        assert re.match(rb"tick \d+", child.stdout.readline())
    finally:
        child.kill()
        child.communicate()


def test_logs_follow(vm, ticker):
    child = vm.popen(["docker", "--host", f"unix://{vm.engine_socket}", "logs", "-f", "--tail", "1", ticker], stdout=subprocess.PIPE)
    try:
        first = int(child.stdout.readline().split()[1])
        assert int(child.stdout.readline().split()[1]) == first + 1
    finally:
        child.kill()
        child.communicate()


def test_logs_follow_ends_with_the_container(vm):
    vm.docker("run", "-d", "--name", "short", IMAGE, "sh", "-c", "sleep 2; echo last")
    try:
        assert vm.docker("logs", "-f", "short").stdout == "last\n"
    finally:
        vm.docker("rm", "-f", "short")


def test_events_stream(vm):
    since = vm.docker("info", "--format", "{{.SystemTime}}").stdout.strip()
    child = vm.popen(["docker", "--host", f"unix://{vm.engine_socket}", "events", "--since", since, "--format", "{{.Type}} {{.Action}}"],
                     stdout=subprocess.PIPE)
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(child.stdout), daemon=True)
    reader.start()
    try:
        vm.container("true")
        end = time.monotonic() + 15
        while b"container die\n" not in seen and time.monotonic() < end:
            time.sleep(0.1)
    finally:
        child.kill()
        child.wait()
    assert b"container create\n" in seen and b"container die\n" in seen


def test_cp_both_ways(vm, ticker, work_dir):
    data = os.urandom(3 << 20)
    r = vm.run(["sh", "-c", f"mkdir -p {vm.home}/cp && cat >{vm.home}/cp/in"], input=data)
    assert r.returncode == 0
    vm.docker("cp", f"{vm.home}/cp/in", f"{ticker}:/tmp/there")
    vm.docker("cp", f"{ticker}:/tmp/there", f"{vm.home}/cp/out")
    assert (vm.home / "cp" / "out").read_bytes() == data


def write_context(vm, name, dockerfile):
    vm.run(["sh", "-c", f"mkdir -p {vm.home}/{name} && cat >{vm.home}/{name}/Dockerfile && echo payload >{vm.home}/{name}/file"],
           input=dockerfile.encode(), check=True)
    return vm.home / name


def test_build_with_the_engine_itself(vm):
    context = write_context(vm, "build1", f"FROM {IMAGE}\nCOPY file /copied\nRUN echo built >/made && cat /copied >>/made\n")
    vm.docker("build", "-q", "-t", "built:1", str(context), env={"DOCKER_BUILDKIT": "0"}, timeout=120)
    assert vm.container("cat /made", image="built:1") == "built\npayload\n"


def test_build_with_buildx(vm):
    context = write_context(vm, "build2", "FROM scratch\nCOPY file /copied\n")
    vm.docker("buildx", "build", "-t", "built:2", "--load", str(context), timeout=120)
    vm.docker("create", "--name", "b2", "built:2", "x")
    try:
        vm.docker("cp", "b2:/copied", f"{vm.home}/build2/back")
        assert (vm.home / "build2" / "back").read_text() == "payload\n"
    finally:
        vm.docker("rm", "b2")


def test_parallel_requests(vm):
    """200 requests at once over 200 connections, all answered."""
    import http.client
    import socket

    class Connection(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(60)
            self.sock.connect(str(vm.engine_socket))

    answers = []
    barrier = threading.Barrier(200)

    def ask():
        try:
            connection = Connection("docker")
            connection.connect()
            barrier.wait(60)
            connection.request("GET", "/version")
            reply = connection.getresponse()
            answers.append((reply.status, json.loads(reply.read())["Os"]))
            connection.close()
        except Exception as e:  # noqa: BLE001 - the answer is compared below
            answers.append((repr(e), None))

    with vm.identity():
        threads = [threading.Thread(target=ask) for _ in range(200)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
    assert answers == [(200, "linux")] * 200
    assert vm.docker("version", "--format", "{{.Server.Os}}").stdout == "linux\n"


def test_compose_up_and_down(vm):
    (dockerfile := vm.home / "compose").mkdir(exist_ok=True)
    os.chown(dockerfile, vm.account.pw_uid, vm.account.pw_gid)
    (dockerfile / "compose.yaml").write_text(
        f"services:\n  one:\n    image: {IMAGE}\n    network_mode: none\n    command: ['sh', '-c', 'echo from-one; sleep 600']\n"
        f"    stop_grace_period: 1s\n  two:\n    image: {IMAGE}\n    network_mode: none\n    command: ['sleep', '600']\n    stop_grace_period: 1s\n")
    project = ["compose", "--project-directory", str(dockerfile), "-f", str(dockerfile / "compose.yaml"), "-p", "proj"]
    vm.docker(*project, "up", "-d", timeout=120)
    try:
        assert "from-one" in vm.docker(*project, "logs", "one").stdout
        running = vm.docker("ps", "--filter", "label=com.docker.compose.project=proj", "-q").stdout.split()
        assert len(running) == 2
    finally:
        vm.docker(*project, "down", timeout=120)
    assert vm.docker("ps", "-a", "--filter", "label=com.docker.compose.project=proj", "-q").stdout == ""


def test_python_client(vm):
    import docker

    with vm.identity():
        client = docker.DockerClient(base_url=f"unix://{vm.engine_socket}", timeout=60)
        try:
            assert client.ping() is True
            assert client.containers.run(IMAGE, ["echo", "from python"], remove=True) == b"from python\n"
            container = client.containers.create(IMAGE, ["cat"], stdin_open=True, tty=False)
            try:
                stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
                container.start()
                stream._sock.sendall(b"hijacked\n")
                stream._sock.shutdown(1)
                assert container.wait(timeout=30)["StatusCode"] == 0
                assert container.logs() == b"hijacked\n"
            finally:
                container.remove(force=True)
        finally:
            client.close()


def test_default_context_is_ours(vm):
    """The plain command, without --host, reaches the VM by the context that start made current."""
    r = vm.run(["docker", "context", "show"], check=True)
    assert r.stdout == "desktop-linux\n"
    assert vm.run(["docker", "version", "--format", "{{.Server.Os}}"], check=True).stdout == "linux\n"


def test_plugin_status(vm):
    r = vm.run(["docker", "desktop", "status"])
    assert r.returncode == 0 and "running" in r.stdout.lower()


def test_client_cut_off_does_not_hurt(vm):
    """A client killed in the middle of a stream: its exec ends, the engine goes on."""
    child = vm.popen(["docker", "--host", f"unix://{vm.engine_socket}", "run", "--rm", "-i", "--name", "cutoff", IMAGE, "cat"],
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdin.write(b"x" * 100000)
    child.stdin.flush()
    time.sleep(2)
    child.kill()
    child.communicate()
    assert vm.docker("version", "--format", "{{.Server.Os}}").stdout == "linux\n"
    vm.docker("rm", "-f", "cutoff", check=False)
