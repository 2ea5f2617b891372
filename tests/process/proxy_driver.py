# SPDX-License-Identifier: Apache-2.0
"""caisson-proxy between fakes: this module is its backend, its network process, its clients and the servers it reaches.

Servers listen on the host's loopback, which the proxy reaches by the host alias (192.168.65.254) only, so every direct target
of a test goes through the rules as a container's would.
"""
import array
import base64
import ipaddress
import os
import pathlib
import shutil
import socket
import socketserver
import struct
import subprocess
import tempfile
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0
ALIAS, GATEWAY, GUEST = "192.168.65.254", "192.168.65.1", "192.168.65.3"
CONFIG, RULES, HOST_ADDRS, RESOLVERS, HOSTS, SETTINGS, STATS_GET, READY, STATS = 1, 2, 3, 4, 5, 64, 65, 96, 97


def find_proxy():
    build = pathlib.Path(os.environ.get("CAISSON_BUILD", ROOT / "build"))
    exe = build / "devices/proxy/caisson-proxy"
    if not exe.exists():
        pytest.skip("set CAISSON_BUILD to a build directory that has devices/proxy/caisson-proxy")
    return exe


# ---------------------------------------------------------------- frames of the backend

def addr16(text):
    a = ipaddress.ip_address(text)
    return a.packed if a.version == 6 else b"\0" * 10 + b"\xff\xff" + a.packed


def frame(kind, body=b""):
    return struct.pack("<HHI", kind, 1, len(body)) + body


def text8(s):
    s = s.encode()
    return bytes([len(s)]) + s


def config(subnet="192.168.65.0", ipv6=True, dns_filter=0):
    return frame(CONFIG, struct.pack("<IHBBQQ", int(ipaddress.ip_address(subnet)), 1500, ipv6, dns_filter, 1, 2))


def rules(host="all", egress=True, user=()):
    """USER: (name, allow, network, first port, last port)."""
    ports = [] if isinstance(host, str) else host
    body = bytes([{"none": 0, "all": 1}[host] if isinstance(host, str) else 2, egress]) + struct.pack("<H", len(ports))
    body += b"".join(struct.pack("<HH", a, b) for a, b in ports) + struct.pack("<H", len(user))
    for name, allow, net, first, last in user:
        n = ipaddress.ip_network(net)
        body += text8(name) + bytes([allow, 1, n.prefixlen + (96 if n.version == 4 else 0)]) + addr16(str(n.network_address))
        body += struct.pack("<HH", first, last)
    return frame(RULES, body)


def host_addrs(*addrs):
    return frame(HOST_ADDRS, struct.pack("<H", len(addrs)) + b"".join(addr16(a) for a in addrs))


def servers(pairs):
    return struct.pack("<H", len(pairs)) + b"".join(addr16(a) + struct.pack("<H", p) for a, p in pairs)


def resolvers(default, domains=(), search=()):
    body = servers(default) + struct.pack("<H", len(domains))
    body += b"".join(text8(n) + servers(s) for n, s in domains)
    return frame(RESOLVERS, body + struct.pack("<H", len(search)) + b"".join(text8(s) for s in search))


def hosts(entries):
    body = bytes([1, 1]) + struct.pack("<H", len(entries))
    return frame(HOSTS, body + b"".join(addr16(a) + text8(n) for n, a in entries.items()))


DIRECT = (0, "", 0, "none", "", "")


def http_proxy(port, user="", password="", host="127.0.0.1"):
    return (1, host, port, "manual", user, password)


def socks_proxy(port, user="", password="", by_name=True, host="127.0.0.1"):
    return (3 if by_name else 2, host, port, "manual", user, password)


def exclude(text, port=0):
    kind = 2 if text.startswith(".") else 3 if "*" in text or "?" in text else 1
    if "/" in text:
        n = ipaddress.ip_network(text)
        return bytes([4, n.prefixlen + (96 if n.version == 4 else 0)]) + struct.pack("<H", port) + addr16(str(n.network_address))
    return bytes([kind, 0]) + struct.pack("<H", port) + text8(text)


def settings(http=DIRECT, https=None, excludes=()):
    body = b""
    for kind, host, port, source, user, password in (http, https or http):
        body += struct.pack("<BBH", kind, 0, port) + text8(host) + text8(source) + text8(user) + text8(password)
    return frame(SETTINGS, body + struct.pack("<H", len(excludes)) + b"".join(excludes))


# ---------------------------------------------------------------- the process

class Proxy:
    def __init__(self, tmp, exe=None, known=True, trace=None):
        self.tmp = tmp
        self.exe = tmp / "caisson-proxy"
        shutil.copy(exe or find_proxy(), self.exe)
        self.exe.chmod(0o755)
        self.ctl, ctl_far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link, link_far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ctl.settimeout(20)
        self.log_path = tmp / "log"
        high = [os.dup2(s.fileno(), 60 + i) for i, s in enumerate((ctl_far, link_far))]
        argv = ["bash", "-c", 'exec "$0" "$@" 3<&60 4<&61', *(["strace", "-o", str(trace)] if trace else []), str(self.exe)]
        if AS_ROOT:
            argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] + argv
        with open(self.log_path, "wb") as log:
            # the jail rightly kills the leak checker, which wants to trace the process
            self.proc = subprocess.Popen(argv, pass_fds=high, stderr=log, stdin=subprocess.DEVNULL,
                                         env={"PATH": "/usr/bin:/bin", "ASAN_OPTIONS": "detect_leaks=0"})
        for fd in high:
            os.close(fd)
        ctl_far.close()
        link_far.close()
        self.pid = self.proc.pid
        assert self.ctl.recv(100) == frame(READY, struct.pack("<I", 1)), self.log()
        if known:
            self.tell(config(), rules(), host_addrs(), settings())

    def tell(self, *frames):
        for f in frames:
            self.ctl.sendall(f)
        self.stats()  # answered in order: all of it is in force now

    def stats(self):
        self.ctl.sendall(frame(STATS_GET))
        data = self.ctl.recv(200)
        assert data[:2] == struct.pack("<H", STATS), self.log()
        names = ("now", "total", "refused_full", "refused_rule", "failed", "tunnels", "requests", "direct", "upstream")
        return dict(zip(names, struct.unpack("<9Q", data[8:])))

    def connect(self, timeout=20):
        near, far = socket.socketpair()
        socket.socket.sendmsg(self.link, [b"c"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [far.fileno()]))])
        far.close()
        near.settimeout(timeout)
        return near

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self):
        """Ends it; a sanitizer's report or a killed process fails the test."""
        self.ctl.close()
        try:
            code = self.proc.wait(timeout=20)
        finally:
            self.proc.kill()
            self.link.close()
        assert "Sanitizer" not in self.log() and "runtime error" not in self.log(), self.log()
        return code


class Response:
    def __init__(self, sock, to_head=False, raw=False):
        self.file = sock.makefile("rb")
        line = self.file.readline()
        assert line.startswith(b"HTTP/1.1 "), line
        self.line = line.decode().strip()
        self.status, self.reason = int(line.split()[1]), self.line.split(" ", 2)[2]
        self.fields = {}
        self.lines = []
        while (line := self.file.readline().strip()):
            name, _, value = line.decode().partition(":")
            self.fields[name.lower()] = value.strip()
            self.lines.append(line.decode())
        self.body = b""
        if raw or to_head or self.status in (204, 304) or self.status < 200:
            return
        if self.fields.get("transfer-encoding") == "chunked":
            while (n := int(self.file.readline(), 16)):
                self.body += self.file.read(n)
                assert self.file.readline() == b"\r\n"
            assert self.file.readline() == b"\r\n"
        elif "content-length" in self.fields:
            self.body = self.file.read(int(self.fields["content-length"]))
            assert len(self.body) == int(self.fields["content-length"]), "the body broke off"
        else:
            self.body = self.file.read()


def get(proxy, url, extra="", method="GET", version="1.1", sock=None, body=b"", host="wrong.example"):
    s = sock or proxy.connect()
    s.sendall(f"{method} {url} HTTP/{version}\r\nHost: {host}\r\n{extra}\r\n".encode() + body)
    return Response(s, method == "HEAD")


def tunnel(proxy, target, early=b""):
    """CONNECT. Return: socket, response."""
    s = proxy.connect()
    s.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode() + early)
    data = b""
    while b"\r\n\r\n" not in data:
        got = s.recv(1)
        if not got:
            break
        data += got
    status = int(data.split()[1]) if data else 0
    if status != 200:
        data += b"".join(iter(lambda: s.recv(65536), b""))
    return s, status, data.decode()


# ---------------------------------------------------------------- servers

class Server(socketserver.ThreadingTCPServer):
    """A TCP server of HANDLE(connection, server) in a thread; what it notes goes to .seen."""
    daemon_threads = allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, handle, port=0, address="127.0.0.1"):
        self.seen = []
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.settimeout(60)
                try:
                    handle(self.request, outer)
                except OSError:
                    pass

        super().__init__((address, port), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


def read_head(conn):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        got = conn.recv(1)
        if not got:
            return None
        data += got
    return data


def relay(a, b):
    def one(x, y):
        try:
            while (data := x.recv(1 << 16)):
                y.sendall(data)
            y.shutdown(socket.SHUT_WR)
        except OSError:
            pass
    t = threading.Thread(target=one, args=(b, a), daemon=True)
    t.start()
    one(a, b)
    t.join(10)


def upstream_proxy(user=None, password="", status=None):
    """An HTTP proxy that sends every target to 127.0.0.1 and wants USER:PASSWORD. STATUS: answers only that."""
    want = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else None

    def handle(conn, server):
        head = read_head(conn)
        if not head:
            return
        lines = head.decode().split("\r\n")
        server.seen.append(head.decode())
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        if status:
            conn.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        if want and fields.get("Proxy-Authorization") != want:
            conn.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"
                         b"Content-Length: 4\r\n\r\nno!\n")
            return
        method, target, _ = lines[0].split()
        if method == "CONNECT":
            with socket.create_connection(("127.0.0.1", int(target.rsplit(":", 1)[1]))) as s:
                conn.sendall(b"HTTP/1.1 200 OK\r\nX-From: upstream\r\n\r\n")
                relay(conn, s)
        else:
            body = f"via upstream {target}".encode()
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return Server(handle)


def socks_server(user="", password="", reply=0):
    def exact(conn, n):
        data = b""
        while len(data) < n:
            got = conn.recv(n - len(data))
            if not got:
                raise OSError("short")
            data += got
        return data

    def handle(conn, server):
        _, n = exact(conn, 2)
        methods = exact(conn, n)
        method = 2 if user else 0
        if method not in methods:
            conn.sendall(b"\5\xff")
            return
        conn.sendall(bytes([5, method]))
        if user:
            _, n = exact(conn, 2)
            name = exact(conn, n)
            word = exact(conn, exact(conn, 1)[0])
            good = (name, word) == (user.encode(), password.encode())
            conn.sendall(b"\1\0" if good else b"\1\1")
            if not good:
                return
        _, _, _, kind = exact(conn, 4)
        host = exact(conn, exact(conn, 1)[0]).decode() if kind == 3 else str(ipaddress.ip_address(exact(conn, 4 if kind == 1 else 16)))
        port = struct.unpack(">H", exact(conn, 2))[0]
        server.seen.append((kind, host, port))
        if reply:
            conn.sendall(bytes([5, reply, 0, 1]) + b"\0" * 6)
            return
        with socket.create_connection(("127.0.0.1", port)) as s:
            # a name as bound address, and in pieces: both are allowed
            for piece in (b"\5", b"\0\0\3", b"\4ab", b"cd", b"\0\1"):
                conn.sendall(piece)
                time.sleep(0.01)
            relay(conn, s)
    return Server(handle)


def make_tmp():
    path = pathlib.Path(tempfile.mkdtemp(prefix="caisson-p.", dir=os.environ.get("CAISSON_TEST_TMP")))
    path.chmod(0o755)
    return path
