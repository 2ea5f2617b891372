# SPDX-License-Identifier: Apache-2.0
"""The data card in the VM: containers and the host's network, published ports, names: NET-01, 02, 11, 12, BCK-03, VM-14, VM-15."""
import contextlib
import hashlib
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request

import pytest

import desktop

IMAGE = "debian-test:13"
GATEWAY, ALIAS, GUEST = "192.168.65.1", "192.168.65.254", "192.168.65.3"


@contextlib.contextmanager
def web(body=b"from the host\n", address="127.0.0.1"):
    """A web server on the host. Yields (port, addresses of its clients)."""
    clients = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            clients.append(self.client_address[0])
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *a):
            pass
    server = http.server.ThreadingHTTPServer((address, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], clients
    finally:
        server.shutdown()
        server.server_close()


def fetch(url, timeout=10):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=timeout) as r:
        return r.read()


def port_state(port, address="127.0.0.1", timeout=2):
    try:
        socket.create_connection((address, port), timeout).close()
        return "open"
    except ConnectionRefusedError:
        return "refused"
    except OSError as e:
        return type(e).__name__


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def web_container(session_desktop):
    """Names of containers to remove at the end."""
    names = []
    yield names
    if names and session_desktop.processes():
        session_desktop.docker("rm", "-f", *names, check=False)


HTTPD = "mkdir /w; echo inside >/w/index.html; exec busybox httpd -f -v -p {} -h /w"


def said(port):
    try:
        return fetch(f"http://127.0.0.1:{port}/", 3)
    except OSError as e:
        return e


def answers(sock):
    """Does the datagram server answer yet? It starts last, and a datagram before that is lost."""
    sock.settimeout(0.5)
    try:
        sock.send(b"ready?")
        return sock.recv(100) == b"ready?"
    except OSError:
        return False
    finally:
        sock.settimeout(5)


def publish(vm, names, name, *options, port=80):
    vm.docker("rm", "-f", name, check=False)
    names.append(name)
    return vm.docker("run", "-d", "--name", name, *options, IMAGE, "sh", "-c", HTTPD.format(port), check=False)


def reachable(port):
    try:
        return fetch(f"http://127.0.0.1:{port}/", 3) == b"inside\n"
    except OSError:
        return False


def wait_web(port):
    """The port is there at once; the server behind it needs a moment."""
    return desktop.wait_for(lambda: reachable(port), 15)


# ---------------------------------------------------------------- outwards

def test_container_reaches_the_host_by_its_name(vm):
    with web() as (port, clients):
        assert vm.container(f"busybox wget -qO- http://host.docker.internal:{port}/") == "from the host\n"
        assert clients == ["127.0.0.1"]


def test_refused_is_refused_at_once(vm):
    start = time.monotonic()
    out = vm.container(f"busybox nc -w 5 host.docker.internal {free_port()} </dev/null 2>&1; echo $?")
    assert "refused" in out and time.monotonic() - start < 10, out


def test_names(vm):
    out = vm.container("for n in host gateway kubernetes http; do busybox nslookup -type=a $n.docker.internal 2>&1 | grep -A1 ^Name; done; cat /etc/resolv.conf")
    found = re.findall(r"Address(?: 1)?:\s*([\d.]+)", out)
    assert found == [ALIAS, GATEWAY, ALIAS, GATEWAY], out


def test_names_in_a_user_network_and_of_other_containers(vm, web_container):
    vm.docker("network", "create", "lab", check=False)
    publish(vm, web_container, "lab-web", "--network", "lab")
    out = vm.container("busybox wget -qO- http://lab-web/ && busybox nslookup -type=a host.docker.internal", "--network", "lab")
    assert out.startswith("inside") and ALIAS in out


def test_ping(vm):
    out = vm.container(f"busybox ping -c 2 -W 3 {GATEWAY}")
    assert " 0% packet loss" in out


def test_the_guest_has_its_lease(in_guest):
    out = in_guest("cat /proc/net/route; cat /proc/1/root/etc/resolv.conf; cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu")
    assert "02:ca:15:50:01:02" in out and "nameserver " + GATEWAY in out and "1500" in out
    default = [line.split() for line in out.split("\n") if line.startswith("eth0\t00000000")]
    assert default and bytes.fromhex(default[0][2])[::-1] == socket.inet_aton(GATEWAY)


def test_bulk_is_not_corrupted(vm):
    body = os.urandom(24 << 20)
    with web(body) as (port, _):
        out = vm.container(f"busybox wget -qO- http://host.docker.internal:{port}/ | sha256sum", timeout=120)
    assert out.split()[0] == hashlib.sha256(body).hexdigest()


# ---------------------------------------------------------------- inwards

def test_published_port(vm, web_container):
    """Loopback, the host's own address, HTTP both ways; gone within a second of the container's end."""
    port = free_port()
    assert publish(vm, web_container, "pub", "-p", f"{port}:80").returncode == 0
    assert wait_web(port)
    assert fetch(f"http://127.0.0.1:{port}/") == b"inside\n"
    outside = desktop.host_address()
    if outside:
        assert fetch(f"http://{outside}:{port}/") == b"inside\n"
    log = vm.docker("logs", "pub")
    seen = re.findall(r"\[?(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)\]?:\d+: ?(?:url|response)", log.stdout + log.stderr)
    assert seen and seen[0] == GATEWAY  # a loopback client
    if outside:
        assert outside in seen  # NET-11: the real address
    vm.docker("rm", "-f", "pub")
    assert desktop.wait_for(lambda: port_state(port) == "refused", 1.0)


def test_taken_port_fails_in_dockers_words(vm, web_container):
    with socket.create_server(("0.0.0.0", 0)) as s:
        port = s.getsockname()[1]
        r = publish(vm, web_container, "taken", "-p", f"{port}:80")
    assert r.returncode == 125
    assert f"0.0.0.0:{port}: bind: address already in use" in r.stderr, r.stderr
    r = publish(vm, web_container, "one", "-p", f"{port}:80")
    assert r.returncode == 0, r.stderr
    r = publish(vm, web_container, "two", "-p", f"{port}:80")
    assert r.returncode == 125 and "port is already allocated" in r.stderr
    vm.docker("rm", "-f", "one", "two", "taken", check=False)


def test_net_12_bind_scope(vm, web_container):
    port = free_port()
    assert publish(vm, web_container, "narrow", "-p", f"127.0.0.1:{port}:80").returncode == 0
    assert wait_web(port)
    outside = desktop.host_address()
    if outside:
        assert port_state(port, outside) == "refused"
    listing = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], stdout=subprocess.PIPE, text=True).stdout
    assert [line.split()[3] for line in listing.splitlines()] == [f"127.0.0.1:{port}"]
    vm.docker("rm", "-f", "narrow")


def test_random_ports_ranges_and_udp(vm, web_container):
    first = 23000 + os.getpid() % 1000
    r = vm.docker("run", "-d", "--name", "many", "-p", f"{first}-{first + 4}:80-84", "-p", f"{first}:7/udp", "-P", "--expose", "90", IMAGE, "sh", "-c",
                  "for p in 80 81 82 83 84 90; do mkdir /w$p; echo $p >/w$p/index.html; busybox httpd -p $p -h /w$p; done; "
                  "exec perl -MSocket -e 'socket(S, PF_INET, SOCK_DGRAM, 0); bind(S, sockaddr_in(7, INADDR_ANY)); "
                  "while ($p = recv(S, $b, 65535, 0)) { send(S, $b, 0, $p) }'", check=False)
    web_container.append("many")
    assert r.returncode == 0, r.stderr
    out = vm.docker("port", "many").stdout
    random = int(re.search(r"90/tcp -> 0\.0\.0\.0:(\d+)", out).group(1))
    assert random >= 32768
    for port, answer in [(first + i, 80 + i) for i in range(5)] + [(random, 90)]:
        assert desktop.wait_for(lambda: said(port) == b"%d\n" % answer, 10), port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.connect(("127.0.0.1", first))
        assert desktop.wait_for(lambda: answers(s), 15), "no answer to datagrams"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.connect(("127.0.0.1", first))
        for i in range(3):
            s.send(b"datagram %d" % i)
            assert s.recv(100) == b"datagram %d" % i
    vm.docker("rm", "-f", "many")
    assert desktop.wait_for(lambda: port_state(first) == "refused", 1.0)


def test_port_survives_connect_and_disconnect(vm, web_container):
    port = free_port()
    vm.docker("network", "create", "second", check=False)
    assert publish(vm, web_container, "mover", "-p", f"{port}:80").returncode == 0
    assert wait_web(port)
    vm.docker("network", "connect", "second", "mover")
    assert fetch(f"http://127.0.0.1:{port}/") == b"inside\n"
    vm.docker("network", "disconnect", "second", "mover")
    assert fetch(f"http://127.0.0.1:{port}/") == b"inside\n"
    vm.docker("network", "connect", "second", "mover")
    vm.docker("network", "disconnect", "bridge", "mover")
    assert desktop.wait_for(lambda: reachable(port), 10)
    vm.docker("rm", "-f", "mover")


def test_port_goes_with_its_proxy(vm, in_guest, web_container):
    """kill -9 of what stands for the port in the VM."""
    port = free_port()
    assert publish(vm, web_container, "orphan", "-p", f"{port}:80").returncode == 0
    assert wait_web(port)
    in_guest(f"for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline | grep -q -- '-host-por[t] {port} ' && kill -9 ${{p#/proc/}}; done; true")
    assert desktop.wait_for(lambda: port_state(port) == "refused", 1.0)
    vm.docker("rm", "-f", "orphan")


def test_ports_are_listed(vm, web_container):
    port = free_port()
    assert publish(vm, web_container, "listed", "-p", f"{port}:80").returncode == 0
    assert wait_web(port)
    fetch(f"http://127.0.0.1:{port}/")
    out = vm.caisson("ports", check=True).stdout
    line = next(line for line in out.splitlines() if str(port) in line)
    assert "listed" in line and "0.0.0.0" in line
    vm.docker("rm", "-f", "listed")
    assert str(port) not in vm.caisson("ports", check=True).stdout


def test_swarm_service(vm):
    port = free_port()
    vm.docker("swarm", "init", timeout=60)
    try:
        vm.docker("service", "create", "-q", "--detach", "--name", "svc", "-p", f"{port}:80", IMAGE, "sh", "-c", HTTPD.format(80), timeout=60)
        assert desktop.wait_for(lambda: reachable(port), 60), vm.docker("service", "ps", "svc").stdout
        vm.docker("service", "rm", "svc")
        assert desktop.wait_for(lambda: port_state(port) == "refused", 30)
    finally:
        vm.docker("swarm", "leave", "--force", check=False, timeout=60)


# ---------------------------------------------------------------- what must not be

def test_bck_03_guest_announces_ports_nobody_asked_for(vm, in_guest):
    """Root of the VM runs the port program itself: unrequested ports, the host's SSH, nonsense; no listener appears."""
    before = listeners()
    out = in_guest(r'''
        P=$(ls /proc/1/root/usr/lib/caisson/caisson-port-proxy /proc/1/root/usr/bin/caisson-port-proxy /proc/1/root/usr/libexec/caisson/* 2>/dev/null | grep port-proxy | head -1)
        P=${P#/proc/1/root}
        for a in "0.0.0.0 22" "0.0.0.0 8080" "0.0.0.0 0" "0.0.0.0 65536" "169.254.1.1 40000" "224.0.0.1 40001" "192.168.65.1 40002"; do
            set -- $a
            (busybox timeout 3 busybox chroot /proc/1/root $P -proto tcp -host-ip $1 -host-port $2 -container-ip 172.17.0.2 -container-port 80 3>/tmp/o; echo "$1:$2 $(busybox head -c 200 /tmp/o | tr '\n' ' ')") 2>&1
        done''')
    assert not listeners() - before, out
    lines = [line for line in out.splitlines() if re.match(r"[\d.]+:\d+ ", line)]
    assert len(lines) == 7 and not [line for line in lines if re.search(r":\d+ 0 ", line)], out


def listeners():
    out = subprocess.run(["ss", "-Hltun"], stdout=subprocess.PIPE, text=True).stdout
    return {(line.split()[0], line.split()[4]) for line in out.splitlines()}


def test_vm_14_nothing_of_the_engine_listens(vm, in_guest, web_container):
    """With no port published, the VM's own namespace has no listener at all."""
    if web_container:
        vm.docker("rm", "-f", *web_container, check=False)
    out = in_guest("cat /proc/1/net/tcp /proc/1/net/tcp6 | grep ' 0A '; echo --; cat /proc/1/net/udp /proc/1/net/udp6 | grep -v sl; echo --; grep @ /proc/1/net/unix; true")
    tcp, udp, abstract = out.split("--\n")
    assert not tcp.strip() and not udp.strip() and not abstract.strip(), out


def test_vm_15_host_network_container(vm):
    """--net=host: no abstract socket, and of all ports of the VM's loopback none answers like an engine."""
    out = vm.container("grep -c @ /proc/net/unix; for p in 2375 2376 2377 5000 1001 1002 80 443 10250; do busybox nc -w 1 127.0.0.1 $p </dev/null 2>/dev/null && echo open $p; done; true",
                       "--net=host")
    assert out.split("\n")[0] == "0" and "open" not in out, out


def test_net_01_no_engine_on_any_address(vm):
    out = vm.container(f"for a in {GATEWAY} {ALIAS} {GUEST} 172.17.0.1; do for p in 53 80 443 1001 1002 2001 2375 2376 3128 3129; do "
                       "busybox nc -w 1 $a $p </dev/null >/dev/null 2>&1 && echo $a:$p; done; done; true")
    assert set(out.split()) <= {f"{GATEWAY}:53", f"{GATEWAY}:3128"}, out
    body = vm.container(f"printf 'GET /_ping HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' | busybox nc -w 2 {GATEWAY} 3128; true")
    assert "Api-Version" not in body and "Docker" not in body.split("\r\n")[0]


def test_host_loopback_follows_the_setting(vm):
    with web() as (port, clients):
        vm.caisson("settings", "set", "host-access", "none", check=True)
        try:
            assert vm.container(f"busybox wget -T 3 -qO- http://host.docker.internal:{port}/ 2>&1; echo end") .endswith("end\n")
            assert not clients
        finally:
            vm.caisson("settings", "set", "host-access", "all", check=True)
        assert vm.container(f"busybox wget -qO- http://host.docker.internal:{port}/") == "from the host\n"


# ---------------------------------------------------------------- death and return

def test_net_17_kill_of_the_data_card(vm, web_container):
    """kill -9 and a fresh process: containers go on, new connections work within 2 s, ports are back."""
    port = free_port()
    assert publish(vm, web_container, "steady", "-p", f"{port}:80").returncode == 0
    assert wait_web(port)
    started = vm.docker("inspect", "-f", "{{.State.StartedAt}}", "steady").stdout
    victim = vm.processes()["net-data"]
    os.kill(victim, signal.SIGKILL)
    begin = time.monotonic()
    assert desktop.wait_for(lambda: vm.processes().get("net-data") not in (None, victim), 5, step=0.02)
    assert desktop.wait_for(lambda: reachable(port), 2, step=0.05)
    assert time.monotonic() - begin < 2.5
    assert vm.docker("inspect", "-f", "{{.State.StartedAt}} {{.State.Running}}", "steady").stdout == started.strip() + " true\n"
    with web() as (host_port, _):
        assert vm.container(f"busybox wget -qO- http://host.docker.internal:{host_port}/") == "from the host\n"
    vm.docker("rm", "-f", "steady")


def test_kill_under_load_corrupts_nothing(vm):
    """Downloads with checksums while the network process is killed: each is whole or fails, none is wrong."""
    body = os.urandom(4 << 20)
    digest = hashlib.sha256(body).hexdigest()
    with web(body) as (port, _):
        script = f"for i in 1 2 3 4 5 6 7 8; do busybox wget -T 3 -qO /tmp/f http://host.docker.internal:{port}/ && sha256sum </tmp/f; done"
        done = []
        t = threading.Thread(target=lambda: done.append(vm.container(script, timeout=120)))
        t.start()
        time.sleep(2.5)
        for _ in range(2):
            os.kill(vm.processes()["net-data"], signal.SIGKILL)
            time.sleep(1.2)
        t.join()
    sums = {line.split()[0] for line in done[0].splitlines()}
    assert sums == {digest}, done


def test_restart_policy_brings_the_port_back(vm, web_container):
    """A container that starts with the engine keeps its port, although no client asked for it in this run."""
    port = free_port()
    assert publish(vm, web_container, "again", "--restart=always", "-p", f"{port}:80").returncode == 0
    assert wait_web(port)
    vm.stop()
    vm.start()
    assert desktop.wait_for(lambda: reachable(port), 20)
    vm.docker("rm", "-f", "again")


def test_net_view_and_capture(vm):
    out = vm.caisson("net", check=True).stdout
    assert "Connections" in out and "host-alias" in out
    data = json.loads(vm.caisson("net", "--format", "json", check=True).stdout)
    assert data
    path = vm.home / "frames.pcap"
    child = vm.popen([vm.prefix / "bin" / "caisson", "net", "capture", str(path), "--max-size", "20000", "--time", "8"],
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1)
    vm.container(f"busybox ping -c 3 {GATEWAY}")
    out, err = child.communicate(timeout=20)
    assert child.returncode == 0, err
    assert 24 < path.stat().st_size <= 20000
