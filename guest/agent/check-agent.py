# SPDX-License-Identifier: Apache-2.0
"""check-agent: the whole agent against a stand-in for init, machine, engine and control card; no VM.

Usage (root): unshare -nm /usr/bin/python3 check-agent.py PATH/caisson-agent
Prints one line per check; exit code 0 when all passed, 77 when it cannot run here. The card is a veth pair; the
engine's socket is a thread's, bind-mounted as /run in this mount namespace only.
"""
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

NETNS_READY, LINK_UP, SHUTDOWN, TIME, CARD = 1, 2, 3, 4, 16
failures = 0


def check(name, good, detail=""):
    global failures
    print(("ok      " if good else "FAILED  ") + name + (f" ({detail})" if detail != "" else ""), flush=True)
    failures += not good


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def engine(listener):
    """Answers every request after its end: the request's length, then the request."""
    def serve(conn):
        data = b""
        while True:
            got = conn.recv(65536)
            if not got:
                break
            data += got
        conn.sendall(struct.pack("<Q", len(data)) + data)
        conn.close()
    while True:
        try:
            conn, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(conn,), daemon=True).start()


class Agent:
    def __init__(self, program):
        self.port, port = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.link, link = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pipes = [os.pipe() for _ in range(3)]
        self.logs = [w for _, w in pipes]
        self.ports = f"/run/ports.{time.monotonic_ns()}.sock"
        ports = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ports.bind(self.ports)
        ports.listen(64)
        route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        route.bind((0, 0x10 | 0x100))  # address changes of this, the main, namespace
        source = [port.fileno(), link.fileno()] + [r for r, _ in pipes] + [ports.fileno(), route.fileno()]

        def arrange():
            high = [os.dup2(fd, 100 + i) for i, fd in enumerate(source)]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)

        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([program], preexec_fn=arrange, close_fds=False, stderr=self.log)
        port.close()
        link.close()
        for r, _ in pipes:
            os.close(r)
        self.port.settimeout(5)
        self.link.settimeout(5)

    def hear(self):
        data = self.link.recv(64)
        return struct.unpack("<IIQ", data)[::2] if data else None

    def card(self, index):
        self.link.send(struct.pack("<IIQ", CARD, 0, index))

    def ask(self, kind, body, seq):
        self.port.sendall(b"CSN1" + struct.pack("<III", kind, len(body), seq) + body)

    def frame(self):
        """The next frame of the agent port: (type, sequence, body)."""
        head = self.port.recv(16, socket.MSG_WAITALL)
        magic, kind, length, seq = struct.unpack("<4sIII", head)
        assert magic == b"CSN1", head
        return kind, seq, self.port.recv(length, socket.MSG_WAITALL) if length else b""

    def text(self):
        self.log.seek(0)
        return self.log.read().decode()

    def end(self):
        self.process.kill()
        self.process.wait()


def read_all(conn):
    data = b""
    while True:
        got = conn.recv(65536)
        if not got:
            return data
        data += got


def status(pid, key):
    return re.search(rf"^{key}:\s*(\S+)", open(f"/proc/{pid}/status").read(), re.M).group(1)


def check_link(agent, logs):
    conn, _ = logs.accept()
    conn.settimeout(5)
    os.write(agent.logs[1], b"hello from dockerd\n")
    got = b""
    while got.count(b"\n") < 2:
        got += conn.recv(4096)
    check("log lines, early and late", got == b"containerd: early\ndockerd: hello from dockerd\n", got)

    body = os.urandom(3000000)
    with socket.create_connection(("192.0.2.2", 1001), 5) as c:
        sender = threading.Thread(target=lambda: (c.sendall(body), c.shutdown(socket.SHUT_WR)))
        sender.start()
        answer = read_all(c)
        sender.join()
    check("engine relay with half-close", answer == struct.pack("<Q", len(body)) + body, len(answer))
    many = [socket.create_connection(("192.0.2.2", 1001), 5) for _ in range(200)]
    for i, c in enumerate(many):
        c.sendall(b"%04d" % i)
    for c in many:
        c.shutdown(socket.SHUT_WR)
    check("200 engine requests at once", all(read_all(c) == struct.pack("<Q", 4) + b"%04d" % i
                                             for i, c in enumerate(many)))
    with socket.create_connection(("192.0.2.2", 1002), 5) as c:
        c.sendall(b"ping")
        check("echo", c.recv(16) == b"ping")
    many = [socket.create_connection(("192.0.2.2", 1002), 5) for _ in range(1000)]
    for i, c in enumerate(many):
        c.sendall(b"%04d" % i)
    check("1000 connections at once", all(c.recv(16) == b"%04d" % i for i, c in enumerate(many)))
    for c in many:
        c.close()
    try:
        socket.create_connection(("192.0.2.2", 1003), 5)
        check("no other port answers", False)
    except ConnectionRefusedError:
        check("no other port answers", True)


def check_card(pid):
    out = subprocess.run(["nsenter", "-t", str(pid), "-n", "sh", "-c", "ip addr; ip neigh; ip route"],
                         capture_output=True, text=True).stdout
    for want in ("mtu 65520", "inet 192.0.2.2/30", "192.0.2.1 dev v1 lladdr 02:ca:15:50:00:01 PERMANENT",
                 "192.0.2.0/30 dev v1"):
        check("card: " + want, want in out, "" if want in out else out)
    check("card: no IPv6 address", "inet6" not in out)
    check("card: no default route", "default via" not in out)


def check_port(agent):
    agent.ask(16, struct.pack("<Q", 0x1234), 5)
    check("ping", agent.frame() == (4, 5, struct.pack("<Q", 0x1234)))
    agent.ask(19, b"", 6)
    kind, seq, stats = agent.frame()
    check("stats", (kind, seq, len(stats)) == (5, 6, 40) and struct.unpack("<Q", stats[:8])[0] > 1 << 20)
    agent.ask(18, struct.pack("<Q", 99), 7)
    check("time goes to init", agent.hear() == (TIME, 99))
    agent.ask(17, struct.pack("<II", 1500, 0), 8)
    check("shutdown goes to init", agent.hear() == (SHUTDOWN, 1500))


def mapped(*octets):
    return bytes(10) + b"\xff\xff" + bytes(octets)


def check_ports(agent):
    def proxy():
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(5)
        sock.connect(agent.ports)
        sock.send(struct.pack("<4sIHH", b"CNP1", 0, 8080, 80) + mapped(0, 0, 0, 0) + mapped(172, 17, 0, 2))
        return sock

    check("earlier ports are gone", agent.frame()[0] == 8)
    check("subnets: the link-side one of this namespace", agent.frame()[::2] == (9, struct.pack("<II", 0, 1)
                                                                                  + mapped(192, 0, 2, 0) + struct.pack("<I", 126)))
    sock = proxy()
    kind, _, body = agent.frame()
    port = struct.unpack("<I", body[:4])[0]
    check("a port is asked for", kind == 6 and body[4:12] == struct.pack("<IHH", 0, 8080, 80))
    agent.ask(20, struct.pack("<II", port, 0), 1)
    check("a port is published", sock.recv(64) == struct.pack("<4sI", b"CNP1", 0))
    sock.close()
    check("its end is told", agent.frame()[::2] == (7, struct.pack("<I", port)))
    sock = proxy()
    agent.ask(20, struct.pack("<II", struct.unpack("<I", agent.frame()[2][:4])[0], 1), 1)
    check("a port is refused", sock.recv(64) == struct.pack("<4sI", b"CNP1", 1) and sock.recv(64) == b"")
    ip("addr", "add", "172.30.0.1/16", "dev", "v0")
    news = [agent.frame() for _ in range(2)]
    check("a new subnet is told", [struct.unpack("<II", f[2][:8]) for f in news] == [(0, 2), (1, 2)], news)
    ip("addr", "del", "172.30.0.1/16", "dev", "v0")
    agent.frame()


def check_confined(pid):
    check("no capability", [status(pid, k) for k in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")] ==
          ["0000000000000000"] * 5)
    check("no new privileges, seccomp", (status(pid, "NoNewPrivs"), status(pid, "Seccomp")) == ("1", "2"))


def main(program):
    directory = tempfile.mkdtemp()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(directory + "/docker.sock")
    listener.listen(512)
    threading.Thread(target=engine, args=(listener,), daemon=True).start()
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "--bind", directory, "/run"], check=True)

    agent = Agent(program)
    pid = agent.process.pid
    os.write(agent.logs[0], b"early\n")
    check("namespace ready", agent.hear() == (NETNS_READY, 0))
    check("own network namespace", os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"))
    ip("link", "add", "v0", "mtu", "65520", "address", "02:ca:15:50:00:01", "type", "veth", "peer", "name", "v1",
       "address", "02:ca:15:50:00:02", "netns", str(pid))
    ip("addr", "add", "192.0.2.1/30", "dev", "v0")
    ip("link", "set", "v0", "up")
    logs = socket.create_server(("192.0.2.1", 2001))
    logs.settimeout(5)
    out = subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "-o", "link", "show", "v1"], capture_output=True,
                         text=True).stdout
    index = int(out.split(":")[0])
    agent.card(index)
    check("link up", agent.hear() == (LINK_UP, 0))
    check_card(pid)
    check_confined(pid)
    check_ports(agent)
    check_port(agent)
    check_link(agent, logs)
    check("alive", agent.process.poll() is None, agent.text())
    time.sleep(3)  # the kernel still has to say that the card's link-local address is nobody else's
    fds = len(os.listdir(f"/proc/{pid}/fd"))
    check("descriptors given back", fds < 64 + 128, fds)
    if os.path.exists("/usr/bin/strace"):
        trace = subprocess.run(["timeout", "3", "strace", "-f", "-p", str(pid), "-o", "/dev/stdout"], text=True,
                               capture_output=True).stdout
        calls = [x for x in trace.splitlines() if "resumed" not in x and "epoll_wait" not in x and "---" not in x]
        check("no wake-up when idle", not calls, len(calls))
    agent.port.sendall(b"rubbish rubbish rubbish ")
    check("malformed frame ends the agent", agent.process.wait(5) == 1, agent.process.returncode)

    agent = Agent(program)
    agent.hear()
    agent.card(1)  # lo: not the control card
    check("another card is refused", agent.process.wait(5) == 1)
    agent = Agent(program)
    agent.hear()
    agent.card(0)
    agent.ask(16, struct.pack("<Q", 1), 1)
    check("without a card the port is answered", any(agent.frame()[0] == 4 for _ in range(3)))
    agent.link.close()
    check("end of init's link ends the agent", agent.process.wait(5) == 0)
    return failures


if __name__ == "__main__":
    signal.alarm(60)
    if os.geteuid() != 0 or len(sys.argv) != 2:
        print(__doc__)
        sys.exit(77)
    sys.exit(1 if main(os.path.abspath(sys.argv[1])) else 0)
