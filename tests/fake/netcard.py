# SPDX-License-Identifier: Apache-2.0
"""The data card without a VM: caisson-net --role=data with tap-guest as its guest, in network namespaces of our own.

  lan (10.77.0.2, fd77::2; "the internet")  --veth--  host (10.77.0.1, fd77::1)  caisson-net | tap-guest: guest namespace

World makes and ends the namespaces, DataNet one network process with one guest, Netctl writes the frames of
docs/protocol/netctl.md by itself (an oracle beside the C codec). Needs root and /dev/net/tun. Used by the network tests
and by bench/net.py; never part of a product.
"""
import contextlib
import errno
import ipaddress
import os
import pathlib
import socket
import struct
import subprocess
import tempfile
import threading
import time

MAC = "02:ca:15:50:01:02"
GATEWAY, ALIAS, GUEST = "192.168.65.1", "192.168.65.254", "192.168.65.3"
PREFIX6 = "fdca:1550:9b3e:1:"
GATEWAY6, ALIAS6, GUEST6 = PREFIX6 + ":1", PREFIX6 + ":fe", PREFIX6 + "ca:15ff:fe50:102"
LAN, HOST, LAN6, HOST6 = "10.77.0.2", "10.77.0.1", "fd77::2", "fd77::1"

CONFIG, RULES, HOST_ADDRS, RESOLVERS, HOSTS, GUEST_NETS, PORT_ADD, PORT_REMOVE, PROXY, CAPTURE, CAPTURE_STOP, GET = range(1, 13)
READY, STATS, FLOWS, RULE_COUNTS, PORT_COUNTS, DNS_CACHE, CAPTURE_END = range(32, 39)
HOST_NONE, HOST_ALL, HOST_PORTS = range(3)
STATS_NAMES = ("tcp_now tcp_max tcp_total tcp_refused udp_now udp_max udp_total udp_refused echo_now echo_total rx_bytes tx_bytes "
               "rx_packets tx_packets drops retransmits bad_frames ignored rule_refused fragments dns_queries dns_hits dns_failures "
               "dns_refused_answers rx_queue_size rx_queue_free tx_queue_size rx_starved kicks calls uptime_us capture_bytes "
               "capture_drops").split()


def addr(text):
    """16 bytes as on the wire: IPv4 mapped."""
    a = ipaddress.ip_address(text)
    return b"\0" * 10 + b"\xff\xff" + a.packed if a.version == 4 else a.packed


def text_addr(raw):
    a = ipaddress.IPv6Address(raw)
    return str(a.ipv4_mapped or a)


def text(s):
    raw = s.encode()
    return bytes([len(raw)]) + raw


class Netctl:
    """The backend's end of the link."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(10)
        self.ends = []  # CAPTURE_END bodies

    def send(self, kind, body=b"", fds=()):
        socket.send_fds(self.sock, [struct.pack("<HHI", kind, 1, len(body)) + body], list(fds))

    def recv(self, kind):
        while True:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError("caisson-net closed the link")
            got, version, length = struct.unpack("<HHI", data[:8])
            assert version == 1 and length == len(data) - 8
            if got == kind:
                return data[8:]
            if got == CAPTURE_END:
                self.ends.append(data[8:])

    def config(self, subnet="192.168.65.0", mtu=1500, ipv6=True, dns_filter=0):
        self.send(CONFIG, struct.pack("<IHBB16s", int(ipaddress.IPv4Address(subnet)), mtu, ipv6, dns_filter, b"netcard's secret"))

    def rules(self, host=HOST_ALL, ports=(), egress=True, user=()):
        """USER: (name, allow, protocols, network, first, last)."""
        body = struct.pack("<BBH", host, egress, len(ports)) + b"".join(struct.pack("<HH", *p) for p in ports)
        body += struct.pack("<H", len(user))
        for name, allow, protocols, network, first, last in user:
            net = ipaddress.ip_network(network)
            body += text(name) + struct.pack("<BBB", allow, protocols, net.prefixlen + (96 if net.version == 4 else 0))
            body += addr(net.network_address) + struct.pack("<HH", first, last)
        self.send(RULES, body)

    def addresses(self, kind, items):
        self.send(kind, struct.pack("<H", len(items)) + b"".join(items))

    def host_addrs(self, *addrs):
        self.addresses(HOST_ADDRS, [addr(a) for a in addrs])

    def guest_nets(self, *nets):
        nets = [ipaddress.ip_network(n) for n in nets]
        self.addresses(GUEST_NETS, [addr(n.network_address) + bytes([n.prefixlen + (96 if n.version == 4 else 0)]) for n in nets])

    def resolvers(self, servers=(), domains=(), search=()):
        """SERVERS: (address, port); DOMAINS: (name, servers)."""
        def listing(servers):
            return struct.pack("<H", len(servers)) + b"".join(addr(a) + struct.pack("<H", p) for a, p in servers)
        body = listing(servers) + struct.pack("<H", len(domains))
        body += b"".join(text(name) + listing(s) for name, s in domains)
        self.send(RESOLVERS, body + struct.pack("<H", len(search)) + b"".join(map(text, search)))

    def hosts(self, entries):
        pieces = [entries[i:i + 48] for i in range(0, len(entries), 48)] or [[]]
        for i, piece in enumerate(pieces):
            self.send(HOSTS, struct.pack("<BBH", i == 0, i == len(pieces) - 1, len(piece)) + b"".join(addr(a) + text(n) for a, n in piece))

    def port_add(self, number, sock, target, target_port, udp=False):
        bound = sock.getsockname()
        self.send(PORT_ADD, struct.pack("<IB", number, udp) + addr(target) + struct.pack("<H", target_port) + addr(bound[0]) +
                  struct.pack("<H", bound[1]), [sock.fileno()])

    def port_remove(self, number):
        self.send(PORT_REMOVE, struct.pack("<I", number))

    def stats(self):
        self.send(GET, struct.pack("<BI", 1, 0))
        return dict(zip(STATS_NAMES, struct.unpack(f"<{len(STATS_NAMES)}Q", self.recv(STATS))))

    def flows(self):
        out, cursor = [], 0
        while True:
            self.send(GET, struct.pack("<BI", 2, cursor))
            body = self.recv(FLOWS)
            cursor, n = struct.unpack("<IH", body[:6])
            for i in range(n):
                f = struct.unpack("<BBB16s16sHHQQI", body[6 + 59 * i:65 + 59 * i])
                out.append(dict(zip("proto state inbound guest host guest_port host_port rx tx idle_ms".split(),
                                    f[:3] + (text_addr(f[3]), text_addr(f[4])) + f[5:])))
            if not cursor:
                return out

    def rule_counts(self):
        """[(allowed, refused)] by rule number."""
        self.send(GET, struct.pack("<BI", 3, 0))
        body = self.recv(RULE_COUNTS)
        return list(struct.iter_unpack("<QQ", body[2:]))

    def port_counts(self):
        """{id: (connections, rx, tx, now, refused)}"""
        self.send(GET, struct.pack("<BI", 4, 0))
        body = self.recv(PORT_COUNTS)
        return {p[0]: p[1:] for p in struct.iter_unpack("<IQQQQQ", body[6:])}

    def capture(self, sock, snap_len=65535, max_bytes=1 << 20, max_ms=0):
        self.send(CAPTURE, struct.pack("<IQI", snap_len, max_bytes, max_ms), [sock.fileno()])


class Space:
    """A network namespace, alive as long as a process of ours in it; or that of the running process PID."""

    def __init__(self, pid=None):
        self.process, self.pid = None, pid
        if pid:
            return
        self.process = subprocess.Popen(["unshare", "-n", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        mine = os.readlink("/proc/self/ns/net")
        for _ in range(200):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{self.process.pid}/ns/net") != mine:
                    break
            time.sleep(0.01)
        self.pid = self.process.pid

    def argv(self, *argv):
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *map(str, argv)]

    def run(self, *argv, check=True, timeout=60, **kw):
        done = subprocess.run(self.argv(*argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, **kw)
        if check and done.returncode:
            raise AssertionError(f"{argv}: exit {done.returncode}\n{done.stdout}")
        return done.stdout if check else done

    def popen(self, *argv, **kw):
        return subprocess.Popen(self.argv(*argv), **kw)

    @contextlib.contextmanager
    def inside(self):
        """Sockets made by this thread within belong to the namespace (they keep it)."""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        mine, other = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            if libc.setns(other, 0x40000000):
                raise OSError(ctypes.get_errno(), "setns")
            yield
        finally:
            libc.setns(mine, 0x40000000)
            os.close(mine)
            os.close(other)

    def serve(self, address, port, handler, udp=False):
        """A server in the namespace: HANDLER(conn, peer) in a thread for each connection, HANDLER(sock, data, peer) for each
        datagram. Closed with the returned socket's close()."""
        with self.inside():
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if ":" in address:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind((address, port))
        if not udp:
            s.listen(4096)

        def loop():
            with contextlib.suppress(OSError):
                while True:
                    if udp:
                        handler(s, *s.recvfrom(65536))
                    else:
                        threading.Thread(target=handler, args=s.accept(), daemon=True).start()
        threading.Thread(target=loop, daemon=True).start()
        return s

    def connect(self, address, port, timeout=5):
        """A TCP connection from within the namespace."""
        with self.inside():
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        s.settimeout(timeout)
        try:
            s.connect((address, port))
        except BaseException:
            s.close()
            raise
        return s

    def dial(self, address, port, timeout=3):
        """How a connection goes: "open" or the name of the error."""
        try:
            self.connect(address, port, timeout).close()
            return "open"
        except TimeoutError:
            return "time-out"
        except OSError as e:
            return errno.errorcode.get(e.errno, str(e))

    def datagram(self, address, port, payload=b"ping", timeout=2):
        """The answer to a UDP datagram, "time-out", or the name of the error."""
        with self.inside():
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        with s:
            s.settimeout(timeout)
            # Without RECVERR a socket hears of a refused port only, not of an unreachable host (ip(7)).
            s.setsockopt(*((socket.IPPROTO_IPV6, 25, 1) if ":" in address else (socket.IPPROTO_IP, 11, 1)))
            try:
                s.connect((address, port))
                s.send(payload)
                return s.recv(65536)
            except TimeoutError:
                return "time-out"
            except OSError as e:
                return errno.errorcode.get(e.errno, str(e))

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()


def echo(conn, peer):
    """A handler: everything back, then the peer's address is left behind on the server: echo.peers."""
    echo.peers.append(peer[0])
    with conn, contextlib.suppress(OSError):
        while data := conn.recv(1 << 18):
            conn.sendall(data)
        conn.shutdown(socket.SHUT_WR)


echo.peers = []


def echo_datagram(sock, data, peer):
    echo.peers.append(peer[0])
    sock.sendto(data, peer)


class World:
    """The namespaces "host" and "lan"."""

    def __init__(self):
        self.host, self.lan = Space(), Space()
        self.host.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", self.lan.pid)
        for space, a, a6 in ((self.host, HOST, HOST6), (self.lan, LAN, LAN6)):
            space.run("sh", "-c", f"ip link set lo up; ip link set up0 up; ip addr add {a}/24 dev up0; ip addr add {a6}/64 dev up0 nodad;"
                      "sysctl -qw net.ipv4.tcp_congestion_control=reno; sysctl -qw net.ipv4.ping_group_range='0 65535' net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
        self.host.run("sh", "-c", f"ip route add default via {LAN}; ip -6 route add default via {LAN6}")
        self.lan.run("sh", "-c", "ip addr add 203.0.113.10/32 dev lo; ip addr add 2001:db8:77::10/128 dev lo nodad")

    def close(self):
        self.host.close()
        self.lan.close()


class DataNet:
    """caisson-net --role=data in WORLD.host, and a guest."""

    def __init__(self, world, net, tap, mtu=1500, uid=65534, tap_options=(), configure=True, env=None):
        self.world, self.net, self.tap, self.mtu, self.uid = world, str(net), str(tap), mtu, uid
        self.tap_options, self.env = tuple(tap_options), env
        self.dir = tempfile.mkdtemp(prefix="netcard-")
        self.log_path = self.dir + "/net.log"
        front = self.start_net()
        if configure:
            self.configure()
        self.start_guest(front)

    def start_net(self):
        front, device = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours, link = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for s in (ours, link):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        fds = [device.fileno(), control.fileno(), link.fileno()]

        def place():
            high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)
            os.closerange(6, 256)

        drop = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"] if os.getuid() == 0 else []
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.world.host.argv(*drop, self.net, "--role=data"), preexec_fn=place, close_fds=False,
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, env=self.env)
        for s in (device, control, link):
            s.close()
        self.link = Netctl(ours)
        self.control.settimeout(10)
        ready = self.control.recv(256)
        assert ready and struct.unpack("<H", ready[:2])[0] == 1, "no DEVICE_READY: " + self.log()
        return front

    def configure(self):
        self.link.config(mtu=self.mtu)
        self.set_rules()

    def set_rules(self, **rules):
        self.link.rules(**rules)
        self.link.host_addrs(HOST, HOST6)

    def start_guest(self, front):
        pid_file = self.dir + "/guest.pid"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(pid_file)
        self.tap_process = subprocess.Popen([self.tap, f"--fd={front.fileno()}", "--card=data", f"--mtu={self.mtu}",
                                             f"--pid-file={pid_file}", *self.tap_options, "sleep", "infinity"], pass_fds=[front.fileno()])
        front.close()
        for _ in range(500):
            if self.tap_process.poll() is not None:
                raise AssertionError(f"tap-guest ended with {self.tap_process.returncode}: " + self.log())
            with contextlib.suppress(OSError, ValueError):
                self.guest_pid = int(pathlib.Path(pid_file).read_text())
                break
            time.sleep(0.02)
        self.guest = Space(self.guest_pid)
        with contextlib.suppress(AssertionError):
            self.guest.run("sysctl", "-qw", "net.ipv4.tcp_congestion_control=reno")

    def log(self):
        return pathlib.Path(self.log_path).read_text(errors="replace")

    def close(self):
        for p in (self.tap_process, self.process):
            with contextlib.suppress(Exception):
                p.kill()
        self.tap_process.wait()
        return self.process.wait()
