#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""caisson-net as a process, with a real Linux TCP stack as its guest (tap-guest).

Usage: net-process.py CAISSON-NET TAP-GUEST [NAME...]. Prints TAP. Every check of a refusal has its allow twin.
The guest's services are this same file, run by tap-guest inside its namespace (argument "guest").
"""
import array, hashlib, os, resource, signal, socket, struct, subprocess, sys, tempfile, threading, time

ENGINE, ECHO, LOG = 1001, 1002, 2001
SIZE = 64 << 20

# ---------------------------------------------------------------- the guest's side

def relay_echo(conn):
    with conn:
        try:
            while data := conn.recv(1 << 18):
                conn.sendall(data)
            conn.shutdown(socket.SHUT_WR)
        except OSError:
            pass

def serve_engine(conn):
    """One request line, then what it asks for."""
    with conn:
        try:
            f = conn.makefile("rb")
            word, _, arg = f.readline().decode().strip().partition(" ")
            if word == "GET":
                while f.readline().strip():
                    pass
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nOK\n")
            elif word == "source":
                block = os.urandom(1 << 20)
                digest = hashlib.sha256()
                for _ in range(int(arg) >> 20):
                    conn.sendall(block)
                    digest.update(block)
                conn.sendall(digest.digest())
            elif word == "sink":
                digest, n = hashlib.sha256(), 0
                while data := f.read(1 << 18):
                    digest.update(data)
                    n += len(data)
                conn.sendall(digest.digest() + struct.pack("<Q", n))
            elif word == "stall":
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                time.sleep(float(arg))
                n = 0
                while data := f.read(1 << 18):
                    n += len(data)
                conn.sendall(struct.pack("<Q", n))
            elif word == "reset":
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                time.sleep(0.1)
                conn.close()
            elif word == "report":  # what does the guest see when the host end goes away
                conn.settimeout(20)
                try:
                    data = conn.recv(1)
                    seen = "eof" if not data else "data"
                    if arg == "write" and not data:
                        for _ in range(50):
                            conn.sendall(b"x" * 1000)
                            time.sleep(0.02)
                        seen = "still open"
                except OSError as e:
                    seen = type(e).__name__
                out = socket.create_connection(("192.0.2.1", LOG))
                out.sendall(seen.encode() + b"\n")
                out.close()
            elif word == "dial":
                try:
                    c = socket.create_connection(("192.0.2.1", int(arg)), timeout=5)
                    c.sendall(b"hello from the guest\n")
                    c.shutdown(socket.SHUT_WR)
                    back = c.makefile("rb").read()
                    conn.sendall(b"connected " + back)
                except OSError as e:
                    conn.sendall(type(e).__name__.encode())
            elif word == "ping":
                raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
                raw.settimeout(5)
                body = struct.pack("!HH", 0x1234, 1) + bytes(range(56))
                total = 0x0800 + sum(struct.unpack("!30H", body))
                while total >> 16:
                    total = (total & 0xffff) + (total >> 16)
                raw.sendto(struct.pack("!BBH", 8, 0, ~total & 0xffff) + body, (arg, 0))
                while (reply := raw.recv(1500)[20:])[0] != 0:
                    pass
                conn.sendall(b"same" if reply[4:] == body else b"different")
            elif word == "hold":
                f.read()
        except OSError:
            pass

def guest():
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    def listen(port, serve):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("192.0.2.2", port))
        s.listen(4096)
        def loop():
            while True:
                conn, _ = s.accept()
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=serve, args=(conn,), daemon=True).start()
        threading.Thread(target=loop, daemon=True).start()
    threading.stack_size(256 << 10)
    listen(ENGINE, serve_engine)
    listen(ECHO, relay_echo)
    if len(sys.argv) > 2:
        sys.exit(subprocess.call(sys.argv[2:]))
    signal.pause()

# ---------------------------------------------------------------- the host's side

class Net:
    def __init__(self, net, tap, env=None, dir=None, bench=()):
        self.net_path, self.tap_path, self.env = net, tap, dict(os.environ, **(env or {}))
        self.dir = dir or tempfile.mkdtemp(prefix="cn-")
        os.chmod(self.dir, 0o755)
        self.listeners = []
        for name in ("engine.sock", "echo.sock"):
            s = socket.socket(socket.AF_UNIX)
            path = self.dir + "/" + name
            if os.path.exists(path):
                os.unlink(path)
            s.bind(path)
            os.chmod(path, 0o666)
            s.listen(4096)
            self.listeners.append(s)
        self.start()

    def start(self):
        front, device = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.log = open(self.dir + "/net.log", "ab+")
        fds = [device.fileno(), control.fileno()] + [s.fileno() for s in self.listeners]

        def place():  # at 3, 4, 5 ...
            high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)
            os.closerange(3 + len(fds), 256)
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
        self.process = subprocess.Popen([self.net_path, "--role=control", f"--listen={ENGINE},{ECHO}"],
                                        preexec_fn=place, close_fds=False, stderr=self.log)
        device.close()
        control.close()
        self.control.settimeout(10)
        ready = self.control.recv(256)
        assert ready and struct.unpack("<H", ready[:2])[0] == 1, f"no DEVICE_READY: {ready} {self.process.wait(1)} " + open(self.dir + "/net.log").read()
        self.tap = subprocess.Popen([self.tap_path, f"--fd={front.fileno()}", sys.executable, os.path.abspath(__file__), "guest"],
                                    pass_fds=[front.fileno()], env=self.env)
        front.close()
        for _ in range(100):
            if self.tap.poll() == 77:
                print("1..0 # SKIP no /dev/net/tun or no namespaces")
                sys.exit(77)
            try:
                if b"200 OK" in self.ask(b"GET / HTTP/1.1\r\n\r\n"):
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the guest does not answer")

    def connect(self, name="engine.sock"):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(self.dir + "/" + name)
        return s

    def ask(self, line, name="engine.sock"):
        with self.connect(name) as s:
            s.sendall(line)
            out = b""
            while data := s.recv(1 << 16):
                out += data
            return out

    def flow(self, timeout=10):
        """The next DEVICE_FLOW: port and socket."""
        self.control.settimeout(timeout)
        data, fds, _, _ = socket.recv_fds(self.control, 256, 4)
        kind, _, _ = struct.unpack("<HHI", data[:8])
        assert kind == 2 and len(fds) == 1, (kind, fds)
        peer = socket.socket(fileno=fds[0])
        peer.setblocking(True)
        return struct.unpack("<H", data[8:10])[0], peer

    def stats(self):
        self.control.sendall(struct.pack("<HHI", 3, 1, 0))
        self.control.settimeout(10)
        data = self.control.recv(256)
        assert struct.unpack("<H", data[:2])[0] == 4
        names = "flows_now flows_total flows_refused rx_bytes tx_bytes rx_packets tx_packets drops retransmits bad_frames".split()
        return dict(zip(names, struct.unpack("<10Q", data[8:88])))

    def quiet(self):
        for _ in range(600):  # the guest's 3,000 threads take their time on a busy machine
            if not self.stats()["flows_now"]:
                return True
            time.sleep(0.05)
        print("#", self.stats())
        return False

    def stop(self):
        self.tap.kill()
        self.tap.wait()
        code = self.process.wait(10)
        return code

def pattern(n):
    return bytes(range(251)) * (n // 251 + 1)

def test_http(net):
    assert b"200 OK" in net.ask(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
    assert net.quiet()

def test_bulk_to_guest(net):
    data = pattern(1 << 20)[:1 << 20]
    with net.connect() as s:
        s.sendall(b"sink\n")
        t = time.time()
        digest = hashlib.sha256()
        for i in range(SIZE >> 20):
            s.sendall(data)
            digest.update(data)
        s.shutdown(socket.SHUT_WR)
        out = s.makefile("rb").read()
        print(f"# host to guest {SIZE / (time.time() - t) / 1e6:.0f} MB/s")
    assert out == digest.digest() + struct.pack("<Q", SIZE), len(out)

def test_bulk_to_host(net):
    with net.connect() as s:
        t = time.time()
        s.sendall(b"source %d\n" % SIZE)
        f, digest = s.makefile("rb"), hashlib.sha256()
        left = SIZE
        while left:
            data = f.read(min(left, 1 << 18))
            assert data, left
            digest.update(data)
            left -= len(data)
        assert f.read() == digest.digest()
        print(f"# guest to host {SIZE / (time.time() - t) / 1e6:.0f} MB/s")

def test_half_close(net):
    with net.connect("echo.sock") as s:
        data = pattern(300000)
        got = []
        reader = threading.Thread(target=lambda: got.append(s.makefile("rb").read()))
        reader.start()
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        reader.join(30)
        assert got and got[0] == data
    assert net.quiet()

def test_guest_reset(net):
    with net.connect() as s:
        s.sendall(b"reset\n")
        assert s.recv(100) == b""  # a Unix socket cannot tell more when nothing is unread
    with net.connect() as s:
        s.sendall(b"reset\n" + b"x" * 100000)  # unread bytes on our side: ECONNRESET
        time.sleep(0.5)
        try:
            seen = s.recv(100)
        except ConnectionResetError:
            seen = "reset"
        assert seen in (b"", "reset"), seen
    assert net.quiet()

def test_host_gone(net):
    for arg, want in (("", ("eof",)), ("write", ("ConnectionResetError", "BrokenPipeError"))):
        s = net.connect()
        s.sendall(b"report %s\n" % arg.encode())
        time.sleep(0.2)
        s.close()
        port, log = net.flow()
        with log:
            seen = log.makefile("rb").read().decode().strip()
        assert port == LOG and seen in want, seen
    assert net.quiet()

def test_guest_dials(net):
    with net.connect() as s:
        s.sendall(b"dial %d\n" % LOG)
        port, peer = net.flow()
        assert port == LOG
        assert peer.makefile("rb").read() == b"hello from the guest\n"
        peer.sendall(b"and back")
        peer.close()
        del peer
        assert s.makefile("rb").read() == b"connected and back"
    for port in (22, 80, 2375, 2376, 1001, 2002, 65535):
        assert net.ask(b"dial %d\n" % port) == b"ConnectionRefusedError", port
    assert net.quiet()

def test_ping(net):
    assert net.ask(b"ping 192.0.2.1\n") == b"same"

def test_stalled_guest(net):
    """A guest that does not read stops the host program; nothing is lost, others go on."""
    with net.connect() as s:
        s.sendall(b"stall 3\n")
        s.settimeout(1)
        sent, chunk = 0, pattern(1 << 16)[:1 << 16]
        try:
            while sent < 256 << 20:
                sent += s.send(chunk)
        except TimeoutError:
            pass
        assert sent < 64 << 20, "no back-pressure"
        assert b"200 OK" in net.ask(b"GET / HTTP/1.1\r\n\r\n")
        s.settimeout(30)
        s.shutdown(socket.SHUT_WR)
        assert s.makefile("rb").read() == struct.pack("<Q", sent)

def test_stalled_host(net):
    with net.connect() as s:
        s.sendall(b"source %d\n" % (16 << 20))
        time.sleep(2)
        assert b"200 OK" in net.ask(b"GET / HTTP/1.1\r\n\r\n")
        f, digest, left = s.makefile("rb"), hashlib.sha256(), 16 << 20
        while left:
            data = f.read(min(left, 4096 if left > 15 << 20 else 1 << 18))
            assert data
            digest.update(data)
            left -= len(data)
        assert f.read() == digest.digest()

def test_many(net, n=3000):
    socks = []
    t = time.time()
    for i in range(n):
        s = net.connect("echo.sock")
        s.sendall(b"%08d" % i)
        socks.append(s)
    for i, s in enumerate(socks):
        assert s.recv(8, socket.MSG_WAITALL) == b"%08d" % i
    print(f"# {n} connections in {time.time() - t:.1f} s, {net.stats()['flows_now']} open")
    rss = [l for l in open(f"/proc/{net.process.pid}/status") if l.startswith("VmRSS")]
    print("#", rss[0].strip())
    assert net.stats()["flows_now"] >= n
    for s in socks:
        s.close()
    assert net.quiet()

def test_refusal(net):
    before = net.stats()["flows_refused"]
    socks = [net.connect("echo.sock") for _ in range(4200)]
    time.sleep(1)
    stats = net.stats()
    assert stats["flows_now"] <= 4096 and stats["flows_refused"] > before, stats
    for s in socks:
        s.close()
    assert net.quiet()
    assert b"200 OK" in net.ask(b"GET / HTTP/1.1\r\n\r\n")

def test_requests(net, n=1000):
    with net.connect("echo.sock") as s:
        t = time.time()
        for i in range(n):
            s.sendall(b"x" * 100)
            assert len(s.recv(100, socket.MSG_WAITALL)) == 100
        print(f"# {n} exchanges: {(time.time() - t) / n * 1e6:.0f} us each")

def test_jail(net):
    status = open(f"/proc/{net.process.pid}/status").read()
    for want in ("NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"):
        assert want in status, want
    assert "Uid:\t0" not in status
    fds = sorted(os.readlink(f"/proc/{net.process.pid}/fd/{fd}").split(":")[0] for fd in os.listdir(f"/proc/{net.process.pid}/fd"))
    print("#", fds)
    maps = open(f"/proc/{net.process.pid}/maps").read()
    assert not any("wx" in l.split()[1] for l in maps.splitlines())
    assert "jail:" in open(net.dir + "/net.log").read()

def test_idle(net):
    assert net.quiet()
    s = net.connect("echo.sock")  # an open but quiet flow needs no clock either
    s.sendall(b"a")
    assert s.recv(1) == b"a"
    time.sleep(2)
    def switches():
        return sum(int(l.split()[1]) for l in open(f"/proc/{net.process.pid}/status") if "ctxt_switches" in l)
    before = switches()
    time.sleep(5)
    assert switches() == before, (before, switches())
    s.close()

def test_kill(net):
    s = net.connect("echo.sock")
    s.sendall(b"a")
    assert s.recv(1) == b"a"
    net.process.kill()
    net.process.wait()
    try:
        assert s.recv(1) == b""
    except ConnectionResetError:
        pass
    net.tap.wait()
    net.start()
    assert b"200 OK" in net.ask(b"GET / HTTP/1.1\r\n\r\n")

def test_end(net):
    assert net.stop() == 0, open(net.dir + "/net.log").read()

def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (16384, max(16384, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    names = sys.argv[3:] or [n for n in globals() if n.startswith("test_")]
    net = Net(sys.argv[1], sys.argv[2])
    bad = 0
    print(f"1..{len(names)}")
    for i, name in enumerate(names, 1):
        try:
            globals()[name](net)
            print(f"ok {i} {name}", flush=True)
        except BaseException as e:
            bad += 1
            print(f"not ok {i} {name}: {type(e).__name__} {e}", flush=True)
            if not isinstance(e, AssertionError):
                import traceback
                traceback.print_exc()
            if net.process.poll() is not None:
                print("# caisson-net ended:", net.process.poll(), open(net.dir + "/net.log").read())
                break
    if net.process.poll() is None:
        net.stop()
    sys.exit(1 if bad else 0)

if __name__ == "__main__":
    guest() if sys.argv[1] == "guest" else main()
