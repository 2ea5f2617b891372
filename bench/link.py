# SPDX-License-Identifier: Apache-2.0
"""The control link against QEMU's own ways into a guest: a virtio-serial port and the user network.

One VM with the product's kernel and bench-init as PID 1 has all three at once; the same guest code serves the same
transfers on each. Runs alternate A B C A B C; CPU seconds are those of QEMU plus, for the link, caisson-net.
"""
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import common as c

BULK = 256 << 20
SERIAL_BULK = 32 << 20  # the port is slow: fewer bytes, same figure per second
ECHOES = 1000
ECHO_PORT = 1002


def make_initrd(where, image):
    """newc archive: bench-init as /init and the network modules of the sealed image."""
    root = where / "initrd"
    (root / "modules").mkdir(parents=True)
    tree = where / "tree"
    c.run(["fsck.erofs", f"--extract={tree}", str(image / "root.img")])
    for name in ("failover", "net_failover", "virtio_net"):
        found = next(tree.rglob(f"{name}.ko"))
        (root / "modules" / f"{name}.ko").write_bytes(found.read_bytes())
    init = root / "init"
    init.write_bytes((Path(os.environ["CAISSON_BUILD"]) / "bench" / "bench-init").read_bytes())
    init.chmod(0o755)
    names = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
    packed = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, capture_output=True, check=True)
    (where / "bench-initrd.cpio").write_bytes(packed.stdout)
    return where / "bench-initrd.cpio"


def spawn_net(where, net_program, log):
    """Starts caisson-net the way the machine does: 3 vhost-user, 4 device control, 5 listener."""
    vhost = socket.socket(socket.AF_UNIX)
    for _ in range(100):
        try:
            vhost.connect(str(where / "vhost.sock"))
            break
        except OSError:
            time.sleep(0.05)
    control, control_net = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(where / "link.sock"))
    listener.listen(64)
    fds = [fd.fileno() for fd in (vhost, control_net, listener)]
    # Duplicates far above the targets, so that no dup2 overwrites a source.
    high = [os.dup2(fd, 100 + i, inheritable=False) for i, fd in enumerate(fds)]
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, log.fileno(), 2)]
    actions += [(os.POSIX_SPAWN_DUP2, fd, 3 + i) for i, fd in enumerate(high)]
    pid = os.posix_spawn(net_program, [net_program, "--role=control", f"--listen={ECHO_PORT}"], {}, file_actions=actions)
    return pid, control


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    where = Path(sys.argv[1])
    prefix, client = sys.argv[2], sys.argv[3]
    image = Path(prefix) / "share/caisson/image"
    initrd = make_initrd(where, image)
    port = free_port()
    log = open(where / "link.log", "w+b")
    qemu = subprocess.Popen([
        "qemu-system-x86_64", "-machine", "q35,memory-backend=m", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", os.environ.get("CAISSON_BENCH_CPU", "max,la57=off,erms=off,fsrm=off"),
        "-smp", "2", "-m", "1024", "-object", "memory-backend-memfd,id=m,size=1024M,share=on", "-nodefaults", "-no-user-config",
        "-display", "none", "-no-reboot", "-kernel", str(image / "vmlinux"), "-initrd", str(initrd),
        "-append", "console=ttyS0 quiet panic=-1 rdinit=/init", "-serial", f"file:{where}/console.log",
        "-chardev", f"socket,id=v,path={where}/vhost.sock,server=on,wait=off",
        "-netdev", "vhost-user,id=link,chardev=v",
        "-device", "virtio-net-pci,netdev=link,mac=02:ca:15:50:00:02,mrg_rxbuf=on,host_mtu=65520,rx_queue_size=1024,tx_queue_size=1024,romfile=",
        "-netdev", f"user,id=slirp,restrict=on,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:{ECHO_PORT}",
        "-device", "virtio-net-pci,netdev=slirp,romfile=",
        "-device", "virtio-serial-pci", "-chardev", f"socket,id=s,path={where}/serial.sock,server=on,wait=off",
        "-device", "virtserialport,chardev=s,name=bench"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    net = None
    try:
        net, control = spawn_net(where, f"{prefix}/libexec/caisson/caisson-net", log)
        console = where / "console.log"
        for _ in range(600):
            if console.exists() and b"bench-init: ready" in console.read_bytes():
                break
            if qemu.poll() is not None:
                sys.exit("QEMU ended early:\n" + (where / "link.log").read_text())
            time.sleep(0.1)
        else:
            sys.exit("the bench VM did not get ready:\n" + console.read_text())
        print(measure(where, client, port, qemu.pid, net))
    finally:
        qemu.kill()
        qemu.wait()
        if net:
            os.waitpid(net, 0)


def transfer(argv):
    """Seconds of one transfer. In some boots the bench VM's serial port never moves a byte: that boot is void."""
    try:
        return float(c.run(argv, timeout=20))
    except subprocess.TimeoutExpired:
        sys.exit(f"{argv}: no end within 20 s")


def measure(where, client, port, qemu, net):
    ways = {"control link": f"unix:{where}/link.sock", "virtio-serial": f"unix:{where}/serial.sock", "QEMU user network": f"tcp:{port}"}
    seconds, cpu = {}, {}
    jobs = [("S", "host to guest"), ("G", "guest to host"), ("E", f"{ECHOES} exchanges of 64 bytes")]
    for op, _ in jobs:
        for i in range(c.RUNS + 1):
            for name, address in ways.items():
                count = ECHOES if op == "E" else SERIAL_BULK if name == "virtio-serial" else BULK
                before = c.cpu_seconds(qemu) + c.cpu_seconds(net), c.cpu_seconds(net)
                took = transfer([client, address, op, str(count)])
                if i == 0:
                    continue  # warm-up
                after = c.cpu_seconds(qemu) + c.cpu_seconds(net), c.cpu_seconds(net)
                figure = took if op == "E" else count / took / 1e6
                seconds.setdefault((op, name), []).append(figure)
                cpu.setdefault((op, name), []).append((after[0] - before[0], after[1] - before[1]))
    return report(jobs, ways, seconds, cpu)


def report(jobs, ways, figures, cpu):
    rows = []
    for op, title in jobs:
        link = c.median(figures[op, "control link"])
        for name in ways:
            unit = "s" if op == "E" else "MB/s"
            peer = c.median(figures[op, name])
            ratio = peer / link if op == "E" else link / peer
            rows.append([title, name, c.spread(figures[op, name], "{:.3f}" if op == "E" else "{:.1f}") + " " + unit,
                         f"{c.median([x[0] for x in cpu[op, name]]):.2f} s", f"{c.median([x[1] for x in cpu[op, name]]):.3f} s",
                         "1" if name == "control link" else f"{ratio:.2f}"])
    text = c.table("Control link against QEMU's own ways (one VM, alternating, medians of %d)" % c.RUNS,
                   ["transfer", "way", "figure", "CPU, QEMU + net", "CPU, net", "link is ... times as fast"], rows)
    bulk = min(c.median(figures[op, "control link"]) / c.median(figures[op, "virtio-serial"]) for op in "SG")
    echo = c.median(figures["E", "QEMU user network"]) / c.median(figures["E", "control link"])
    text += f"\n- bulk at least 4 times virtio-serial: {bulk:.1f} times in the slower direction: {c.verdict(bulk >= 4)}\n"
    text += f"- {ECHOES} exchanges at least as fast as QEMU's user network: {echo:.2f} times: {c.verdict(echo >= 1)}\n"
    return text


if __name__ == "__main__":
    main()
