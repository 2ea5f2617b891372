# SPDX-License-Identifier: Apache-2.0
"""Pulls through the HTTP proxy from Debian's docker-registry: TLS, users, and an upstream proxy that wants a password."""
import base64
import contextlib
import pathlib
import select
import shutil
import socket
import subprocess
import threading
import time

import pytest

import desktop

IMAGE = "debian-test:13"
USER, PASSWORD, PROXY_SECRET = "puller", "s3cret-registry", "s3cret-upstream"

pytestmark = pytest.mark.skipif(not shutil.which("docker-registry"), reason="needs docker-registry")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def registry(work_dir):
    """TLS on a loopback port, basic authentication; the certificate is for host.docker.internal and registry.example."""
    where = work_dir / "registry"
    where.mkdir()
    run = lambda *a, **kw: subprocess.run(a, check=True, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kw)
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "key.pem", "-out", "ca.crt", "-subj", "/CN=caisson test",
        "-addext", "subjectAltName=DNS:host.docker.internal,DNS:registry.example")
    (where / "users").write_bytes(run("htpasswd", "-nbB", USER, PASSWORD).stdout.strip() + b"\n")
    port = free_port()
    (where / "config.yml").write_text(f"""version: 0.1
storage: {{filesystem: {{rootdirectory: {where}/store}}}}
http: {{addr: "127.0.0.1:{port}", tls: {{certificate: {where}/ca.crt, key: {where}/key.pem}}}}
auth: {{htpasswd: {{realm: test, path: {where}/users}}}}
""")
    log = open(where / "log", "wb")
    process = subprocess.Popen(["docker-registry", "serve", str(where / "config.yml")], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=where)

    def answers():
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
    assert desktop.wait_for(answers, 15), (where / "log").read_text()
    yield port, (where / "ca.crt").read_text()
    process.kill()
    process.wait()


@pytest.fixture
def trusting(vm, registry, in_guest):
    """dockerd trusts the registry's certificate: a tmpfs on /etc/docker, put there by root of the VM (only a test can)."""
    port, certificate = registry
    script = r'''use strict; my ($port, $pem) = @ARGV;
open(my $ns, "<", "/proc/1/ns/mnt") or die; open(my $out, "<", "/proc/self/ns/mnt");
my $type = "tmpfs"; my $where = "/etc/docker"; my $none = "none"; my $data = "";
syscall(308, fileno($ns), 0) == 0 or die "setns $!";
unless (-d "$where/certs.d") { syscall(165, $none, $where, $type, 0, $data) == 0 or die "mount $!"; mkdir "$where/certs.d"; }
for my $host ("host.docker.internal:$port", "registry.example:5000") { mkdir "$where/certs.d/$host"; open(my $f, ">", "$where/certs.d/$host/ca.crt") or die $!; print $f $pem; close $f; }
print "ok";'''
    out = vm.docker("run", "--rm", "--privileged", "--pid=host", IMAGE, "perl", "-e", script, str(port), certificate).stdout
    assert out == "ok"
    return port


class Upstream:
    """An HTTP proxy that wants a password and takes every name to one port of the host's loopback."""

    def __init__(self, target):
        self.target, self.connects, self.refused = target, [], 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.server.accept()[0],), daemon=True).start()

    def serve(self, conn):
        with conn, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                data = conn.recv(4096)
                if not data:
                    return
                head += data
            want = base64.b64encode(f"me:{PROXY_SECRET}".encode())
            if b"Proxy-Authorization: Basic " + want not in head:
                self.refused += 1
                conn.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
                return
            self.connects.append(head.split()[1].decode())
            with socket.create_connection(("127.0.0.1", self.target)) as far:
                conn.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                while True:
                    for s in select.select([conn, far], [], [])[0]:
                        data = s.recv(1 << 16)
                        if not data:
                            return
                        (far if s is conn else conn).sendall(data)


def login_and_push(vm, host):
    vm.docker("login", "-u", USER, "--password-stdin", host, input=PASSWORD.encode(), timeout=60)
    vm.docker("tag", "small:1", f"{host}/small:1")
    vm.docker("push", "-q", f"{host}/small:1", timeout=120)
    vm.docker("rmi", f"{host}/small:1")


@pytest.fixture(scope="module")
def small(session_desktop):
    """An image of a few bytes."""
    import io
    import tarfile
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as t:
        info = tarfile.TarInfo("hello")
        info.size = 6
        t.addfile(info, io.BytesIO(b"hello\n"))
    yield raw.getvalue()


@pytest.fixture
def image(vm, small):
    vm.docker("import", "-", "small:1", input=small)


def test_pull_with_tls_and_users(vm, trusting, image):
    host = f"host.docker.internal:{trusting}"
    r = vm.docker("pull", f"{host}/small:1", check=False)
    assert r.returncode and ("unauthorized" in r.stderr or "no basic auth" in r.stderr or "authentication" in r.stderr), r.stderr
    login_and_push(vm, host)
    vm.docker("pull", "-q", f"{host}/small:1", timeout=120)
    vm.docker("rmi", f"{host}/small:1")


def test_pull_through_an_upstream_proxy_with_a_password(vm, trusting, image):
    """BCK-08: the password reaches the upstream proxy and nothing else."""
    upstream = Upstream(trusting)
    try:
        for key in ("proxy-http", "proxy-https"):
            vm.caisson("settings", "set", key, f"http://me:{PROXY_SECRET}@127.0.0.1:{upstream.port}", check=True)
        vm.caisson("settings", "set", "proxy", "manual", check=True)
        login_and_push(vm, "registry.example:5000")
        vm.docker("pull", "-q", "registry.example:5000/small:1", timeout=120)
        assert upstream.connects and set(upstream.connects) == {"registry.example:5000"} and not upstream.refused
        vm.docker("rmi", "registry.example:5000/small:1")
        # A wrong password is said in words that name the proxy, without the password.
        for key in ("proxy-http", "proxy-https"):
            vm.caisson("settings", "set", key, f"http://me:wrong-{PROXY_SECRET}@127.0.0.1:{upstream.port}", check=True)
        r = vm.docker("pull", "registry.example:5000/small:1", check=False)
        assert r.returncode and upstream.refused
        # Gone: the engine hears so, and service returns by itself.
        upstream.server.close()
        r = vm.docker("pull", "registry.example:5000/small:1", check=False)
        assert r.returncode
    finally:
        vm.caisson("settings", "set", "proxy", "system", check=True)
        for key in ("proxy-http", "proxy-https"):
            vm.caisson("settings", "set", key, "default", check=True)
    login_and_push(vm, f"host.docker.internal:{trusting}")
    for log in pathlib.Path(vm.state / "log").glob("*"):
        text = log.read_bytes()
        assert PROXY_SECRET.encode() not in text and PASSWORD.encode() not in text, log
    assert PROXY_SECRET not in vm.caisson("settings", "list", check=True).stdout


def test_killed_proxy_returns(vm, trusting, image):
    import os
    import signal
    victim = vm.processes()["proxy"]
    os.kill(victim, signal.SIGKILL)
    begin = time.monotonic()
    assert desktop.wait_for(lambda: vm.processes().get("proxy") not in (None, victim), 5, step=0.05)
    assert time.monotonic() - begin < 2.5
    login_and_push(vm, f"host.docker.internal:{trusting}")
