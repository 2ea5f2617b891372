# SPDX-License-Identifier: Apache-2.0
"""The data card against passt (vhost-user mode) and slirp4netns, natively: tests/fake/tap-guest plays the guest of each.

Every peer serves the same guest commands in namespaces of their own; runs alternate (ours, passt, ours, passt ...), figures are
medians of CAISSON_BENCH_RUNS (5) runs; CPU seconds are those of the serving process alone. Needs root.
"""
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import common as c

sys.path.insert(0, str(c.BENCH.parent / "tests" / "fake"))
import netcard as n  # noqa: E402

SECONDS = float(os.environ.get("CAISSON_BENCH_SECONDS", "2"))
BUILD = Path(os.environ.get("CAISSON_BUILD", ""))
PEERS = Path(os.environ.get("CAISSON_BENCH_PEERS", "/nonexistent"))
IPERF, ECHO, HELD = 5299, 5298, 5297


def tune(guest):
    guest.run("sysctl", "-qw", "net.ipv4.tcp_congestion_control=reno", "net.ipv4.tcp_max_tw_buckets=100")


class Ours:
    name = "caisson-net"

    def __init__(self, world, mtu):
        self.net = n.DataNet(world, BUILD / "devices/net/caisson-net", BUILD / "devices/net/tap-guest", mtu=mtu)
        self.guest, self.pid = self.net.guest, self.net.process.pid
        tune(self.guest)

    def close(self):
        self.net.close()


class Passt:
    """passt of Debian 13, run with that system's own C library."""
    name = "passt"

    def __init__(self, world, mtu):
        lib = PEERS / "usr/lib/x86_64-linux-gnu"
        sock = f"/tmp/caisson-bench-passt-{os.getpid()}"
        program = "passt.avx2" if "avx2" in Path("/proc/cpuinfo").read_text() else "passt"
        self.log = open("/tmp/caisson-bench-passt.log", "wb")
        self.process = world.host.popen(lib / "ld-linux-x86-64.so.2", "--argv0", program, "--library-path", lib, PEERS / "usr/bin" / program,
                                        "-4", "-f", "--vhost-user", "-s", sock, "-a", n.GUEST, "-n", "24", "-g", n.GATEWAY,
                                        "--map-host-loopback", n.ALIAS, "-m", mtu, stdout=self.log, stderr=self.log)
        for _ in range(100):
            if os.path.exists(sock):
                break
            time.sleep(0.05)
        time.sleep(0.3)
        pid_file = Path(sock + ".pid")
        pid_file.unlink(missing_ok=True)
        self.tap = subprocess.Popen([BUILD / "devices/net/tap-guest", f"--connect={sock}", "--card=data", f"--mtu={mtu}", f"--pid-file={pid_file}",
                                     f"--address={n.GUEST}/24", f"--gateway={n.GATEWAY}", "sleep", "infinity"])
        for _ in range(100):
            if pid_file.exists() and pid_file.read_text().strip():
                break
            time.sleep(0.05)
        self.guest = n.Space(int(pid_file.read_text()))
        tune(self.guest)
        self.pid = self.process.pid

    def close(self):
        self.tap.kill()
        self.process.kill()
        self.tap.wait()
        self.process.wait()


class Slirp:
    """slirp4netns on a tap device of a namespace: no vhost-user, MTU as told."""
    name = "slirp4netns"

    def __init__(self, world, mtu):
        self.space = n.Space()
        self.process = world.host.popen("slirp4netns", "--configure", "--disable-dns", f"--mtu={mtu}", "--cidr=192.168.65.0/24", self.space.pid,
                                        "tap0", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)
        tune(self.space)
        self.guest, self.pid = self.space, self.process.pid
        self.alias = "192.168.65.2"

    def close(self):
        self.process.kill()
        self.process.wait()
        self.space.close()


def alias(peer):
    return getattr(peer, "alias", n.ALIAS)


def iperf(peer, *options):
    """(bytes received, lost, packets, CPU seconds of the server process)."""
    before = c.cpu_seconds_fine(peer.pid)
    argv = ["iperf3", "-J", "-c", alias(peer), "-p", IPERF, "-t", SECONDS if SECONDS >= 1 else 1, *options]
    for _ in range(3):
        done = peer.guest.run(*[str(int(a)) if isinstance(a, float) else a for a in argv], check=False, timeout=60)
        try:
            end = json.loads(done.stdout)["end"]
            break
        except (ValueError, KeyError):
            time.sleep(1)
    else:
        sys.exit(f"{peer.name}: iperf3 {options}: {done.stdout[-400:]}")
    spent = c.cpu_seconds_fine(peer.pid) - before
    if "-u" in options:
        total = end.get("sum_received") or end["sum"]
        return total["bytes"] * 8 / total["seconds"], end["sum"]["lost_percent"], total["bytes"] / spent
    total = end["sum_received"]
    return total["bits_per_second"], 0, total["bytes"] / spent


def load(peer, kind, count):
    """Operations per second and per CPU second."""
    before = c.cpu_seconds_fine(peer.pid)
    seconds = float(peer.guest.run(BUILD / "bench/net-load", kind, alias(peer), ECHO, count))
    return count / seconds, 0, count / (c.cpu_seconds_fine(peer.pid) - before)


JOBS = [  # name, function, unit, least ratio to passt: rate (0: the load is given, the losses count) and rate per CPU second
    ("TCP to the host", lambda p: iperf(p), "Gbit/s", {1500: (2, 1.5), 65520: (1, None)}),
    ("TCP to the guest", lambda p: iperf(p, "-R"), "Gbit/s", {1500: (2, 1.5), 65520: (1, None)}),
    ("UDP 1400 bytes to the host", lambda p: iperf(p, "-u", "-l", "1400", "-b", "0"), "Gbit/s", {1500: (1, None)}),
    ("UDP 1400 bytes to the guest", lambda p: iperf(p, "-R", "-u", "-l", "1400", "-b", "0"), "Gbit/s", {1500: (1, None)}),
    ("UDP at 1 Gbit/s to the host", lambda p: iperf(p, "-u", "-l", "1400", "-b", "1G"), "Gbit/s", {1500: (0, None)}),
    ("UDP at 1 Gbit/s to the guest", lambda p: iperf(p, "-R", "-u", "-l", "1400", "-b", "1G"), "Gbit/s", {1500: (0, None)}),
    ("request and response", lambda p: load(p, "rr", 5000), "1/s", {1500: (1, None), 65520: (1, None)}),
    ("connect, request, response, close", lambda p: load(p, "crr", 4000), "1/s", {1500: (1, None), 65520: (1, None)}),
]


def number(value, unit):
    return f"{value / 1e9:.2f}" if unit == "Gbit/s" else f"{value:.0f}"


def compare(world, mtu):
    kinds = [Ours, Passt] + ([Slirp] if mtu == 1500 else [])
    rows = []
    peers = [k(world, mtu) for k in kinds]
    try:
        for name, function, unit, targets in JOBS:
            if mtu not in targets:
                continue
            got = {p.name: [] for p in peers}
            for _ in range(c.RUNS):
                for p in peers:
                    if p.name == "slirp4netns" and "UDP" in name:
                        continue
                    got[p.name].append(function(p))
                    time.sleep(0.2)
            mid = {k: [c.median([r[i] for r in v]) for i in range(3)] for k, v in got.items() if v}
            rate, cpu = (mid["caisson-net"][i] / mid["passt"][i] for i in (0, 2))
            want, want_cpu = targets[mtu]
            met = rate >= want and (not want_cpu or cpu >= want_cpu)
            lost = [f"{mid[k][1]:.0f} %" for k in ("caisson-net", "passt")] if "UDP" in name else ["", ""]
            if "UDP" in name:
                met = met and mid["caisson-net"][1] <= mid["passt"][1]
            rows.append([name, unit, number(mid["caisson-net"][0], unit), number(mid["passt"][0], unit),
                         number(mid["slirp4netns"][0], unit) if "slirp4netns" in mid else "", f"{rate:.2f}", f"{cpu:.2f}", lost[0], lost[1],
                         (f"{want}" if want else "losses") + (f", CPU {want_cpu}" if want_cpu else ""), c.verdict(met)])
            print(rows[-1], file=sys.stderr, flush=True)
    finally:
        for p in peers:
            p.close()
    return c.table(f"MTU {mtu}", ["what", "unit", "caisson-net", "passt", "slirp4netns", "ratio to passt", "ratio per CPU second", "lost", "lost by passt",
                                  "target", ""], rows)


def idle_flows(world):
    """Cost of a connection beside 10 and beside 10,000 idle ones, and memory."""
    rows = []
    p = Ours(world, 1500)
    try:
        start = c.memory_kib(p.pid, "VmRSS")
        cost = {}
        for held in (10, 10000):
            holder = p.guest.popen(BUILD / "bench/net-load", "hold", n.ALIAS, HELD, held, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert holder.stdout.readline().strip() == b"ready"
            runs = [load(p, "crr", 1000) for _ in range(c.RUNS)]
            bulk = [iperf(p)[2] for _ in range(c.RUNS)]
            cost[held] = c.median([r[2] for r in runs]), c.median(bulk)
            rows.append([f"{held} idle flows", f"{1e6 / cost[held][0]:.1f}", f"{cost[held][1] / 1e9:.2f}", f"{c.memory_kib(p.pid, 'VmRSS') / 1024:.1f}"])
            holder.stdin.close()
            holder.wait()
            time.sleep(1)
        flat = cost[10][0] / cost[10000][0]
        rows.append(["10,000 against 10", f"{flat:.2f} times, target at most 1.1: {c.verdict(flat <= 1.1)}", f"{cost[10000][1] / cost[10][1]:.2f} times", ""])
        rows.append(["at start", "", "", f"{start / 1024:.1f}, target below 8: {c.verdict(start < 8192)}"])
    finally:
        p.close()
    return c.table("Cost of a flow", ["", "CPU microseconds of a connection", "GB per CPU second, bulk", "resident MiB"], rows)


def published(world):
    """A published port into a container (bridge and veth in the guest's namespace) and into the guest itself."""
    import socket
    p = Ours(world, 1500)
    box = n.Space()
    try:
        p.guest.run("sh", "-c", "sysctl -qw net.ipv4.ip_forward=1; ip link add br0 type bridge; ip addr add 172.17.0.1/16 dev br0; ip link set br0 up;"
                    f"ip link add v0 type veth peer name eth0 netns {box.pid}; ip link set v0 master br0 up")
        box.run("sh", "-c", "ip link set lo up; ip addr add 172.17.0.2/16 dev eth0; ip link set eth0 up; ip route add default via 172.17.0.1;"
                "sysctl -qw net.ipv4.tcp_congestion_control=reno")
        servers = [s.popen("iperf3", "-s", "-p", IPERF, stdout=subprocess.DEVNULL) for s in (p.guest, box)]
        rates = {}
        with world.host.inside():
            ports = {}
            for number_, (name, target) in enumerate({"guest": n.GUEST, "container": "172.17.0.2"}.items(), 1):
                s = socket.create_server(("0.0.0.0", 7000 + number_))
                p.net.link.port_add(number_, s, target, IPERF)
                ports[name] = s, 7000 + number_
        for direction in ("", "-R"):
            got = {"guest": [], "container": []}
            for _ in range(c.RUNS):
                for name in got:
                    for _ in range(3):
                        done = world.lan.run(*[a for a in ("iperf3", "-J", "-c", n.HOST, "-p", ports[name][1], "-t", int(SECONDS) or 1, direction) if a != ""],
                                             check=False, timeout=60)
                        try:
                            got[name].append(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"])
                            break
                        except (ValueError, KeyError):
                            time.sleep(1)
            rates[direction] = {k: c.median(v) for k, v in got.items()}
        for s in servers:
            s.kill()
    finally:
        p.close()
        box.close()
    rows = [[name, number(r["guest"], "Gbit/s"), number(r["container"], "Gbit/s"), f"{r['container'] / r['guest']:.2f}", "0.9",
             c.verdict(r["container"] / r["guest"] >= 0.9)] for name, r in (("to the container", rates[""]), ("from the container", rates["-R"]))]
    return c.table("Published port, Gbit/s", ["", "into the guest", "into a container", "ratio", "target", ""], rows)


def main():
    parts = os.environ.get("CAISSON_BENCH_NET", "1500 65520 flows published").split()
    world = n.World()
    servers = [world.host.popen("iperf3", "-s", "-B", "127.0.0.1", "-p", IPERF, stdout=subprocess.DEVNULL),
               world.host.popen(BUILD / "bench/net-load", "serve", "127.0.0.1", ECHO),
               world.host.popen(BUILD / "bench/net-load", "serve", "127.0.0.1", HELD)]
    # Thousands of connections to one port: without this the search for a free port in TIME_WAIT is what is measured.
    world.host.run("sysctl", "-qw", "net.ipv4.tcp_max_tw_buckets=100")
    try:
        time.sleep(0.5)
        text = ""
        for part in parts:
            text += {"flows": idle_flows, "published": published}[part](world) if not part.isdigit() else compare(world, int(part))
            text += "\n"
        return text
    finally:
        for s in servers:
            s.kill()
        world.close()
