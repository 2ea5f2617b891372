# SPDX-License-Identifier: Apache-2.0
"""Published ports and the network process's link through caisson-backend, with a fake machine steered by the test. No VM.

BCK-03, NET-12: the VM (here: the test) asks for ports; only what a request on the host named is opened, exactly as asked.
"""
import fcntl
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

from test_backend import ROOT, as_user, desktop, tmp, wait_for  # noqa: F401

CONFIG, RULES, HOST_ADDRS, RESOLVERS, HOSTS, GUEST_NETS, PORT_ADD, PORT_REMOVE, PROXY, CAPTURE = range(1, 11)
GET = 12


def free_port():
    """Free for TCP and UDP, below the engine's own range."""
    for port in range(20000 + os.getpid() % 5000, 32000):
        with socket.socket() as a, socket.socket(type=socket.SOCK_DGRAM) as b:
            try:
                a.bind(("0.0.0.0", port))
                b.bind(("0.0.0.0", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port")


class Machine:
    """The machine's side of the channel."""

    def __init__(self, desktop):
        path = desktop.libexec / "steer"
        wait_for(path.exists)
        self.chan = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.chan.settimeout(10)
        self.chan.connect(str(path))
        self.n = 0

    def send(self, fds=(), **message):
        socket.send_fds(self.chan, [json.dumps(message).encode()], list(fds))

    def open(self, host, port, protocol="tcp", target="172.17.0.2"):
        self.n += 1
        self.send(type="port-open", id=self.n, protocol=protocol, host_ip=host, host_port=port, target_ip=target, target_port=80)
        answer = json.loads(self.chan.recv(16384))
        assert answer["type"] == "port-result" and answer["id"] == self.n
        return answer["status"]

    def close(self, number):
        self.send(type="port-close", id=number)


class Net:
    """A network process: the other end of the netctl link."""

    def __init__(self, machine):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        machine.send(fds=[theirs.fileno()], type="net-link")
        theirs.close()
        self.chan = ours
        self.chan.settimeout(10)
        self.fds = []

    def frame(self):
        data, fds, _, _ = socket.recv_fds(self.chan, 1 << 16, 4)
        if not data:
            return None, b"", []
        kind, version, length = struct.unpack_from("<HHI", data)
        assert version == 1 and length == len(data) - 8
        return kind, data[8:], fds

    def until(self, want):
        while True:
            kind, body, fds = self.frame()
            assert kind, f"the link ended before {want}"
            if kind == want:
                return body, fds
            for fd in fds:
                os.close(fd)

    def drain(self, seconds=0.3):
        kinds = []
        while select.select([self.chan], [], [], seconds)[0]:
            kind, _, fds = self.frame()
            for fd in fds:
                os.close(fd)
            if not kind:
                break
            kinds.append(kind)
        return kinds


def reach(host, port):
    """None when something accepts there, else errno's name."""
    with socket.socket() as s:
        s.settimeout(5)
        try:
            s.connect((host, port))
        except OSError as e:
            return e.__class__.__name__
    return None


def create(desktop, *bindings, path="/v1.45/containers/create"):
    """What docker run sends first. BINDINGS: (address, port) or (address, port, protocol)."""
    table = {}
    for ip, port, *protocol in bindings:
        table.setdefault(f"80/{protocol[0] if protocol else 'tcp'}", []).append({"HostIp": ip, "HostPort": str(port)})
    body = json.dumps({"Image": "x", "HostConfig": {"PortBindings": table}}).encode()
    with desktop.engine() as s:
        s.sendall(b"POST %s HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                  % (path.encode(), len(body), body))
        assert s.recv(4096).startswith(b"HTTP/1.1 404")


@pytest.fixture
def machine(desktop):
    desktop.fake(steer=1)
    desktop.started().wait_state("running")
    return Machine(desktop)


def test_only_what_was_asked_for_is_opened(desktop, machine):
    port = free_port()
    assert machine.open("127.0.0.1", port) == "denied"
    assert machine.open("0.0.0.0", 22) == "denied"
    assert reach("127.0.0.1", port) == "ConnectionRefusedError"
    create(desktop, ("127.0.0.1", port))
    assert machine.open("127.0.0.1", port, "udp") == "denied"
    assert machine.open("127.0.0.1", port) == "ok"
    assert reach("127.0.0.1", port) is None
    assert reach("127.0.0.2", port) == "ConnectionRefusedError"
    status, answer = desktop.api("GET", "/v1/ports")
    assert status == 200 and answer["linked"] is False
    assert [(p["protocol"], p["address"], p["port"], p["target"], p["target_port"], p["connections"]) for p in answer["ports"]] == [
        ("tcp", "127.0.0.1", port, "172.17.0.2", 80, None)]
    assert desktop.status()["network"]["ports"] == 1
    log = (desktop.state / "log/backend.log").read_text()
    assert f"ports: tcp 127.0.0.1:{port} is refused: no request on this host named it" in log


def test_ephemeral_ports_need_no_name(desktop, machine):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    if not 32768 <= port <= 60999:
        pytest.skip("this host's ephemeral range is another one")
    assert machine.open("127.0.0.1", port) == "ok"


def test_in_use_and_privilege_and_address(desktop, machine):
    port = free_port()
    create(desktop, ("", port), ("", port, "udp"), ("", 79), ("", "81-83"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert machine.open("127.0.0.1", port) == "in-use"
        assert machine.open("0.0.0.0", port) == "in-use"
    assert machine.open("0.0.0.0", port) == "ok"
    assert machine.open("0.0.0.0", port) == "in-use"
    assert machine.open("0.0.0.0", port, "udp") == "ok"
    assert machine.open("198.51.100.1", port) == "address"
    assert machine.open("169.254.169.254", port) == "address"
    if int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read()) > 1023:
        assert machine.open("127.0.0.1", 79) == "no-privilege"
        assert machine.open("127.0.0.1", 82) == "no-privilege"


def test_gone_with_the_container_and_with_the_agent(desktop, machine):
    port = free_port()
    create(desktop, ("", port), ("", port, "udp"))
    assert machine.open("127.0.0.1", port) == "ok"
    machine.close(machine.n)
    wait_for(lambda: reach("127.0.0.1", port), 1)
    assert machine.open("127.0.0.1", port) == "ok"
    machine.send(type="port-reset")
    wait_for(lambda: reach("127.0.0.1", port), 1)
    assert machine.open("127.0.0.1", port) == "ok"
    # kill -9 of the machine
    pid = desktop.status()["pids"]["machine"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: reach("127.0.0.1", port), 1)


def test_gone_with_the_backend(desktop, machine):
    port = free_port()
    create(desktop, ("", port))
    assert machine.open("127.0.0.1", port) == "ok"
    desktop.signal_backend(signal.SIGKILL)
    wait_for(lambda: reach("127.0.0.1", port), 1)


def test_names_outlive_a_restart(desktop, machine):
    port = free_port()
    create(desktop, ("", port))
    assert machine.open("127.0.0.1", port) == "ok"
    assert desktop.stop() == 0
    file = desktop.state / "ports.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["ports"] == [{"protocol": "tcp", "first": port, "last": port, "wide": 0}]
    (desktop.libexec / "steer").unlink()
    desktop.started().wait_state("running")
    assert Machine(desktop).open("127.0.0.1", port) == "ok"


def test_service_ports(desktop, machine):
    port = free_port()
    body = json.dumps({"Name": "s", "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": port}]}}).encode()
    with desktop.engine() as s:
        s.sendall(b"POST /v1.45/services/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
                  % (len(body), body))
        s.recv(4096)
    assert machine.open("127.0.0.1", port) == "ok"


def test_binding_setting_is_live(desktop, machine):
    port = free_port()
    create(desktop, ("", port))
    assert desktop.api("PATCH", "/v1/settings", {"port-binding": "local-default"}) == (
        200, {"changed": ["PortBindingBehavior"], "needs_restart": []})
    assert machine.open("0.0.0.0", port) == "ok"
    assert desktop.api("GET", "/v1/ports")[1]["ports"][0]["address"] == "127.0.0.1"
    assert reach("127.0.0.2", port) == "ConnectionRefusedError"
    machine.close(machine.n)
    # written down: all addresses it is
    create(desktop, ("0.0.0.0", port))
    assert machine.open("0.0.0.0", port) == "ok"
    assert reach("127.0.0.2", port) is None
    machine.close(machine.n)
    assert desktop.api("PATCH", "/v1/settings", {"port-binding": "local-only"})[0] == 200
    assert machine.open("0.0.0.0", port) == "ok"
    assert reach("127.0.0.2", port) == "ConnectionRefusedError"


def test_a_new_network_process_is_told_everything(desktop, machine):
    port = free_port()
    create(desktop, ("", port))
    assert machine.open("127.0.0.1", port) == "ok"
    machine.send(type="guest-nets", nets=["172.17.0.0/16"])
    for _ in range(2):
        net = Net(machine)
        seen = []
        while PORT_ADD not in seen:
            kind, _, fds = net.frame()
            seen.append(kind)
            for fd in fds:
                if kind == PORT_ADD:
                    with socket.socket(fileno=fd) as listener:
                        assert listener.getsockname() == ("127.0.0.1", port)
                        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
                else:
                    os.close(fd)
        assert seen[:4] == [CONFIG, HOST_ADDRS, RULES, RESOLVERS] and {HOSTS, GUEST_NETS} <= set(seen), seen
    assert desktop.status()["network"]["linked"] is True
    # closing is told at once
    machine.close(machine.n)
    net.until(PORT_REMOVE)
    # settings too
    assert desktop.api("PATCH", "/v1/settings", {"egress": "deny", "network-rules": ["allow tcp 10.0.0.0/8 443"]})[0] == 200
    assert RULES in net.drain()
    assert desktop.status()["network"]["egress"] == "deny"


def test_a_lying_network_process_is_cut_off(desktop, machine):
    net = Net(machine)
    net.until(RESOLVERS)
    net.chan.send(b"\xff" * 64)
    while net.frame()[0]:
        pass
    assert desktop.status()["network"]["linked"] is False
    again = Net(machine)
    again.until(RESOLVERS)
    assert desktop.status()["network"]["linked"] is True


def test_silence_is_an_incomplete_answer(desktop, machine):
    assert desktop.api("GET", "/v1/net")[1] == {"complete": False, "linked": False, "ports": []}
    net = Net(machine)
    net.until(RESOLVERS)
    begin = time.monotonic()
    status, answer = desktop.api("GET", "/v1/net?flows=0")
    assert status == 200 and answer["complete"] is False and answer["linked"] is True
    assert time.monotonic() - begin < 6
    net.until(GET)
    assert desktop.api("GET", "/v1/net?flow=1")[0] == 400
    assert desktop.api("GET", "/v1/net?flows=x")[0] == 400


def start_capture(desktop, query):
    code = ("import os,socket,sys\np=sys.argv[1]\nfd=os.open(os.path.dirname(p),os.O_PATH)\ns=socket.socket(socket.AF_UNIX)\n"
            "s.connect('/proc/self/fd/%d/%s'%(fd,os.path.basename(p)))\n"
            "s.sendall(b'GET /v1/net/capture?%s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'%sys.argv[2].encode())\n"
            "while d:=s.recv(65536): sys.stdout.buffer.write(d)\n")
    return subprocess.Popen(as_user("/usr/bin/python3", "-c", code, desktop.state / "run/backend.sock", query),
                            stdout=subprocess.PIPE)


def test_capture_goes_straight_to_the_client(desktop, machine):
    status, answer = desktop.api("GET", "/v1/net/capture")
    assert status == 503 and answer["error"]["code"] == "NO_NETWORK"
    net = Net(machine)
    net.until(RESOLVERS)
    proc = start_capture(desktop, "max_bytes=1000")
    body, fds = net.until(CAPTURE)
    assert len(fds) == 1 and 1000 in struct.unpack("<" + "I" * (len(body) // 4), body)
    for _ in range(50):
        os.write(fds[0], b"pcap" * 256)
    os.close(fds[0])
    head, _, data = proc.communicate(timeout=10)[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and b"pcap" in head and b"Content-Length" not in head
    assert data == b"pcap" * 12800


def test_secrets_are_shown_to_nobody(desktop, machine):
    secret = "hunter2-canary"
    assert desktop.api("PATCH", "/v1/settings", {"proxy": "manual", "proxy-http": f"http://bob:{secret}@127.0.0.1:9"})[0] == 200
    for path in ("/v1/settings", "/v1/settings/proxy-http", "/v1/status"):
        text = json.dumps(desktop.api("GET", path)[1])
        assert secret not in text and "bob:***@" in text
    store = desktop.state / "settings-store.json"
    assert secret in store.read_text() and store.stat().st_mode & 0o777 == 0o600
    status, answer = desktop.api("PATCH", "/v1/settings", {"proxy-http": f"http://bob:{secret}@127.0.0.1:99999"})
    assert status == 400 and secret not in json.dumps(answer)
    assert desktop.stop() == 0
    for log in (desktop.state / "log").iterdir():
        assert secret not in log.read_text(errors="replace"), log


class RealNet:
    """caisson-net --role=data between the fake machine and the backend; no card is connected."""

    def __init__(self, machine, log):
        exe = pathlib.Path(os.environ.get("CAISSON_BUILD", ROOT / "build")) / "devices/net/caisson-net"
        if not exe.exists():
            pytest.skip("devices/net/caisson-net is not built")
        self.card, card = socket.socketpair()
        self.control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = [s.fileno() for s in (card, control, theirs)]

        def place():
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in fds]
            for want, fd in zip((3, 4, 5), high):
                os.dup2(fd, want)

        with open(log, "wb") as err:
            self.proc = subprocess.Popen(as_user(exe, "--role=data"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err,
                                         preexec_fn=place, close_fds=False, env={"ASAN_OPTIONS": "detect_leaks=0"})
        machine.send(fds=[ours.fileno()], type="net-link")
        for s in (card, control, ours, theirs):
            s.close()


def test_with_the_real_network_process(desktop, machine):
    port = free_port()
    create(desktop, ("", port))
    assert machine.open("127.0.0.1", port) == "ok"
    net = RealNet(machine, desktop.tmp / "net.log")
    desktop.started_procs.append(net.proc)
    try:
        status, answer = desktop.api("GET", "/v1/net")
        assert status == 200 and answer["complete"] and answer["linked"], (answer, (desktop.tmp / "net.log").read_text())
        assert answer["stats"]["tcp_now"] == 0 and {"loopback", "egress", "own-address"} <= {r["name"] for r in answer["rules"]}
        assert [(p["port"], p["connections"]) for p in answer["ports"]] == [(port, 0)]
        # settings arrive there, by name
        assert desktop.api("PATCH", "/v1/settings", {"network-rules": ["deny 10.0.0.0/8 name=office"]})[0] == 200
        assert "office" in {r["name"] for r in desktop.api("GET", "/v1/net?flows=0&dns=0")[1]["rules"]}
        # a capture: the file's header, then nothing, for as long as was asked
        head, _, data = start_capture(desktop, "max_ms=300").communicate(timeout=10)[0].partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200") and len(data) == 24 and data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1")
        machine.close(machine.n)
        assert desktop.api("GET", "/v1/ports")[1] == {"complete": True, "linked": True, "ports": []}
        # killed: said, and its successor is whole
        assert machine.open("127.0.0.1", port) == "ok"
        net.proc.kill()
        net.proc.wait()
        wait_for(lambda: desktop.status()["network"]["linked"] is False, 2)
        assert reach("127.0.0.1", port) is None  # the socket is the backend's
        net = RealNet(machine, desktop.tmp / "net2.log")
        desktop.started_procs.append(net.proc)
        answer = desktop.api("GET", "/v1/net")[1]
        assert answer["complete"] and [p["connections"] for p in answer["ports"]] == [0]
        assert "office" in {r["name"] for r in answer["rules"]}
    finally:
        print((desktop.tmp / "net.log").read_text())


@pytest.fixture
def proxied(desktop):
    exe = pathlib.Path(os.environ.get("CAISSON_BUILD", ROOT / "build")) / "devices/proxy/caisson-proxy"
    if not exe.exists():
        pytest.skip("devices/proxy/caisson-proxy is not built")
    shutil.copy(exe, desktop.libexec / "caisson-proxy")
    (desktop.libexec / "caisson-proxy").chmod(0o755)
    desktop.env["http_proxy"] = "http://bob:hunter2-canary@127.0.0.9:3199"
    desktop.fake(steer=1)
    desktop.started().wait_state("running")
    return desktop


def test_proxy_process_is_run_and_run_again(proxied):
    pid = proxied.status()["pids"]["proxy"]
    assert pid and os.readlink(f"/proc/{pid}/exe").endswith("caisson-proxy")
    network = proxied.status()["network"]
    assert network["proxy_mode"] == "system" and "127.0.0.9:3199" in network["proxy"] and "canary" not in json.dumps(network)
    assert proxied.api("PATCH", "/v1/settings", {"proxy": "none"})[1]["needs_restart"] == []
    assert "3199" not in proxied.status()["network"]["proxy"]
    net = Net(Machine(proxied))
    net.until(PROXY)
    os.kill(pid, signal.SIGKILL)
    # its successor's end goes to the network process by itself
    net.until(PROXY)
    assert proxied.status()["pids"]["proxy"] not in (pid, None)
    assert proxied.stop() == 0
    for log in (proxied.state / "log").iterdir():
        assert "canary" not in log.read_text(errors="replace"), log


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs a network namespace of its own")
def test_subnet_moves_away_from_a_route(desktop):
    desktop.fake(steer=1)
    code = 'ip link set lo up && ip route add default dev lo && ip route add 192.168.64.0/23 dev lo && exec "$@"'
    desktop.proc = subprocess.Popen(["unshare", "-n", "sh", "-c", code, "sh", *as_user(desktop.exe)], env=desktop.env,
                                    stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/")
    desktop.started_procs.append(desktop.proc)
    assert desktop.proc.stderr.read() == b""
    network = desktop.wait_state("running")["network"]
    assert (network["subnet"], network["moved_from"], network["overlaps"]) == ("192.168.66.0/24", "192.168.65.0/24", None)
    log = (desktop.state / "log/backend.log").read_text()
    assert "192.168.66.0/24 instead of 192.168.65.0/24, which overlaps this computer's route to 192.168.64.0/23" in log
    net = Net(Machine(desktop))
    body, _ = net.until(CONFIG)
    assert struct.unpack_from("<I", body)[0] == 0xC0A84200
    body, _ = net.until(HOST_ADDRS)
    events = desktop.watch()
    # addresses and routes are followed
    run = ["nsenter", "-t", str(desktop.proc.pid), "-n", "ip"]
    subprocess.run([*run, "addr", "add", "10.7.7.7/32", "dev", "lo"], check=True)
    assert b"\xff\xff\x0a\x07\x07\x07" in net.until(HOST_ADDRS)[0]
    subprocess.run([*run, "route", "add", "192.168.66.0/24", "dev", "lo"], check=True)
    event = events.read_until(lambda e: e["event"] == "warning" and "overlaps" in e["message"])
    assert "192.168.66.0/24" in event["message"]
    assert desktop.status()["network"]["overlaps"] == "192.168.66.0/24"
    subprocess.run([*run, "route", "del", "192.168.66.0/24", "dev", "lo"], check=True)
    wait_for(lambda: desktop.status()["network"]["overlaps"] is None, 3)
    assert desktop.stop() == 0
