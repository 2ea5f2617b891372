# SPDX-License-Identifier: Apache-2.0
"""DNS of the data card, driven by dig in the guest's namespace (tests/fake/netcard.py); servers of ours stand in the world.

Needs root, /dev/net/tun, dig, and CAISSON_BUILD (a build directory, sanitized in "make test").
"""
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "fake"))
import netcard as n  # noqa: E402

BUILD = pathlib.Path(os.environ.get("CAISSON_BUILD", HERE.parents[1] / "build"))
NET, TAP = BUILD / "devices/net/caisson-net", BUILD / "devices/net/tap-guest"
ENV = dict(os.environ, ASAN_OPTIONS="detect_leaks=0:abort_on_error=1", UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")
pytestmark = pytest.mark.skipif(not NET.exists() or os.getuid() != 0 or not os.path.exists("/dev/net/tun") or not shutil.which("dig"),
                                reason="needs root, /dev/net/tun, dig and a build with caisson-net")
A, TXT, AAAA = 1, 16, 28


class Server:
    """A name server that knows a few names by heart and remembers what it was asked."""

    def __init__(self, space, address, port=53):
        self.asked, self.silent = [], False
        self.udp = space.serve(address, port, self.on_datagram, udp=True)
        self.tcp = space.serve(address, port, self.on_stream)

    def question(self, msg):
        at, labels = 12, []
        while msg[at]:
            labels.append(msg[at + 1:at + 1 + msg[at]].decode())
            at += 1 + msg[at]
        return ".".join(labels), struct.unpack(">H", msg[at + 1:at + 3])[0], at + 5

    def answer(self, msg, stream):
        name, kind, end = self.question(msg)
        records = []
        if kind == A and not name.startswith("none"):
            records = [b"\xcb\x00\x71\x0a"]  # 203.0.113.10
        elif kind == TXT and name.startswith("big"):
            records = [bytes([200]) + b"x" * 200] * 100
        code = 3 if name.startswith("none") else 0
        cut = len(records) > 5 and not stream
        body = b"" if cut else b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 300, len(r)) + r for r in records)
        flags = 0x8180 | code | (0x200 if cut else 0)
        return msg[:2] + struct.pack(">5H", flags, 1, 0 if cut else len(records), 0, 0) + msg[12:end] + body

    def on_datagram(self, sock, msg, peer):
        self.asked.append(("udp", self.question(msg)[0], peer[1], struct.unpack(">H", msg[:2])[0]))
        if not self.silent:
            sock.sendto(self.answer(msg, False), peer)

    def on_stream(self, conn, peer):
        with conn:
            while head := conn.recv(2):
                msg = conn.recv(struct.unpack(">H", head)[0])
                self.asked.append(("tcp", self.question(msg)[0], peer[1], struct.unpack(">H", msg[:2])[0]))
                answer = self.answer(msg, True)
                conn.sendall(struct.pack(">H", len(answer)) + answer)

    def close(self):
        self.udp.close()
        self.tcp.close()


@pytest.fixture(scope="module")
def world():
    w = n.World()
    w.lan.run("sh", "-c", "ip addr add 203.0.113.53/32 dev lo; ip addr add 203.0.113.54/32 dev lo; ip addr add 2001:db8:77::53/128 dev lo nodad")
    yield w
    w.close()


@pytest.fixture(scope="module")
def process(world):
    card = n.DataNet(world, NET, TAP, env=ENV)
    yield card
    log = card.log()
    card.close()
    assert "AddressSanitizer" not in log and "runtime error" not in log, log[-4000:]


@pytest.fixture(scope="module")
def servers(world):
    found = {"default": Server(world.lan, "203.0.113.53"), "corp": Server(world.lan, "203.0.113.54", 5353),
             "six": Server(world.lan, "2001:db8:77::53"), "stub": Server(world.host, "127.0.0.53")}
    yield found
    for s in found.values():
        s.close()


@pytest.fixture
def card(process, servers):
    assert process.process.poll() is None, process.log()[-4000:]
    process.configure()
    process.link.resolvers([("203.0.113.53", 53)], [("corp.example", [("203.0.113.54", 5353)])])
    process.link.hosts([])
    for s in servers.values():
        s.asked.clear()
        s.silent = False
    return process


def dig(card, *args, server=n.GATEWAY):
    """(status, answer lines, whole output)"""
    out = card.guest.run("dig", "+tries=1", "+time=8", "+nocookie", f"@{server}", *args, check=False).stdout
    status = re.search(r"status: (\w+)", out)
    answers = re.search(r";; ANSWER SECTION:\n(.*?)\n\n", out, re.S)
    return status.group(1) if status else "none", answers.group(1).split("\n") if answers else [], out


def short(card, *args, **kw):
    return [line.split()[4] for line in dig(card, *args, **kw)[1]]


@pytest.mark.parametrize("server", [n.GATEWAY, n.GATEWAY6])
@pytest.mark.parametrize("how", ["+notcp", "+tcp"])
def test_built_in_names(card, server, how):
    assert short(card, how, "host.docker.internal", server=server) == [n.ALIAS]
    assert short(card, how, "gateway.docker.internal", server=server) == [n.GATEWAY]
    assert short(card, how, "http.docker.internal", "AAAA", server=server) == ["fdca:1550:9b3e:1::1"]
    assert short(card, how, "-x", n.ALIAS, server=server) == ["host.docker.internal."]
    assert dig(card, how, "other.docker.internal", server=server)[0] == "NXDOMAIN"


def test_forwarded_and_kept(card, servers):
    for _ in range(3):
        assert short(card, "www.example.com") == ["203.0.113.10"]
    assert short(card, "+tcp", "www.example.com") == ["203.0.113.10"]
    assert [a[1] for a in servers["default"].asked] == ["www.example.com"]
    assert dig(card, "none.example.com")[0] == "NXDOMAIN"
    assert dig(card, "www.example.com", "MX")[0] == "NOERROR"
    assert card.link.stats()["dns_hits"] >= 3


def test_long_answers_come_by_tcp(card, servers):
    status, answers, out = dig(card, "big.example.com", "TXT")
    assert status == "NOERROR" and len(answers) == 100 and "retrying in TCP" in out
    assert {a[0] for a in servers["default"].asked} == {"udp", "tcp"}
    status, answers, out = dig(card, "+ignore", "+bufsize=1232", "big.example.com", "TXT")
    size = int(re.search(r"MSG SIZE  rcvd: (\d+)", out).group(1))
    assert " tc " in out and 0 < len(answers) < 100 and size <= 1232


def test_split_domain(card, servers):
    """NET-10: a name of the domain is asked of its server only, others never."""
    assert short(card, "www.corp.example") == ["203.0.113.10"]
    assert short(card, "www.example") == ["203.0.113.10"]
    assert [a[1] for a in servers["corp"].asked] == ["www.corp.example"]
    assert [a[1] for a in servers["default"].asked] == ["www.example"]


def test_hosts_file(card, servers):
    card.link.hosts([("127.0.0.1", "shop.dev"), ("10.9.9.9", "nas.home"), ("::1", "shop.dev")])
    assert short(card, "shop.dev") == [n.ALIAS]
    assert short(card, "shop.dev", "AAAA") == ["fdca:1550:9b3e:1::fe"]
    assert short(card, "NAS.home") == ["10.9.9.9"]
    assert dig(card, "nas.home", "AAAA")[:2] == ("NOERROR", [])
    assert not servers["default"].asked
    card.link.hosts([])
    assert short(card, "shop.dev") == ["203.0.113.10"]


def test_follows_resolvers(card, servers):
    card.link.resolvers([])
    began = time.monotonic()
    assert dig(card, "a.example.com")[0] == "SERVFAIL" and time.monotonic() - began < 1
    card.link.resolvers([("127.0.0.53", 53)])  # a stub on the host's loopback
    assert short(card, "a.example.com") == ["203.0.113.10"]
    assert len(servers["stub"].asked) == 1
    card.link.resolvers([("2001:db8:77::53", 53)])
    assert short(card, "a.example.com") == ["203.0.113.10"]
    assert len(servers["six"].asked) == 1


def test_stub_on_another_port_is_not_asked(card, world):
    """NET-03: of the host's loopback only port 53 is a resolver."""
    other = Server(world.host, "127.0.0.1", 5399)
    card.link.resolvers([("127.0.0.1", 5399)])
    assert dig(card, "a.example.com")[0] == "SERVFAIL"
    assert not other.asked
    other.close()


def test_silent_server(card, servers):
    servers["default"].silent = True
    card.link.resolvers([("203.0.113.53", 53), ("2001:db8:77::53", 53)])
    began = time.monotonic()
    assert short(card, "b.example.com") == ["203.0.113.10"]
    assert 1.5 < time.monotonic() - began < 4
    began = time.monotonic()
    assert short(card, "c.example.com") == ["203.0.113.10"]
    assert time.monotonic() - began < 1, "who was silent is not asked first again"


def test_no_egress(card, servers):
    """NET-19: while nothing may leave, no question does; the twin is every other test here."""
    card.link.rules(egress=False)
    for kind in ("A", "TXT", "NULL", "MX", "ANY"):
        assert dig(card, "+notcp", "secret.example.com", kind)[0] == "REFUSED"
    assert dig(card, "+tcp", "secret.example.com", "TXT")[0] == "REFUSED"
    assert short(card, "host.docker.internal") == [n.ALIAS]
    assert not servers["default"].asked


def test_many_at_once(card, servers):
    """200 names by 4 clients; each gets its own; ids and ports do not repeat in step (NET-10)."""
    results = []

    def ask(k):
        for i in range(50):
            results.append(short(card, f"n{k}-{i}.example.com"))
    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [["203.0.113.10"]] * 200
    asked = servers["default"].asked
    assert len({a[2] for a in asked}) > 150 and len({a[3] for a in asked}) > 190


def test_restart(world, servers):
    """A fresh process is whole as soon as the link has told it everything."""
    card = n.DataNet(world, NET, TAP, env=ENV)
    try:
        card.link.resolvers([("203.0.113.53", 53)])
        assert short(card, "d.example.com") == ["203.0.113.10"]
        subprocess.run(["kill", "-9", str(card.process.pid)], check=True)
    finally:
        card.close()
    card = n.DataNet(world, NET, TAP, env=ENV)
    try:
        card.link.resolvers([("203.0.113.53", 53)])
        assert short(card, "d.example.com") == ["203.0.113.10"]
    finally:
        card.close()
