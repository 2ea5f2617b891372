# SPDX-License-Identifier: Apache-2.0
"""The sealed image seen from a container that has been given everything: VM-01, VM-03, VM-04, VM-08, VM-11, VM-14."""
import os
import re
import stat
import time

import pytest

import desktop

IMAGE = "debian-test:13"


def test_vm_01_block_devices_refuse_writes(in_guest, vm, image_dir, image_before):
    """Root of the VM writes to every block device but the data disk: none takes it, the image stays byte for byte."""
    out = in_guest(r'''
        for d in /sys/block/*; do
            n=${d##*/}; serial=$(cat $d/serial 2>/dev/null)
            case $serial in data) continue;; esac
            case $(cat $d/size) in 0) continue;; esac
            rm -f /tmp/dev; mknod /tmp/dev b $(cat $d/dev | tr : ' ')
            if dd if=/dev/zero of=/tmp/dev bs=4096 count=8 conv=fsync,notrunc 2>/dev/null; then echo "$n written"; else echo "$n refused"; fi
        done''')
    lines = out.split("\n")[:-1]
    assert any(re.match(r"vd\w+ refused", line) for line in lines), out
    assert not [line for line in lines if line.endswith("written") and not line.startswith(("ram", "loop", "zram"))], out
    assert conftest_digests(image_dir) == image_before


def conftest_digests(image_dir):
    import hashlib

    return {n: hashlib.sha256((image_dir / n).read_bytes()).hexdigest() for n in ("vmlinux", "initrd.cpio", "root.img", "image.json")}


def test_vm_01_allow_twin_data_disk_is_written(vm):
    vm.docker("volume", "create", "twin")
    vm.container("echo kept >/v/file && sync", "-v", "twin:/v")
    assert vm.container("cat /v/file", "-v", "twin:/v") == "kept\n"
    vm.docker("volume", "rm", "twin")


def test_vm_01_root_cannot_be_remounted(in_guest):
    out = in_guest("mount -o remount,rw /proc/1/root 2>&1; touch /proc/1/root/usr/planted 2>&1; ls /proc/1/root/usr")
    assert "planted" not in out.split("\n")[-2:] and "Read-only file system" in out


def test_vm_01_no_other_kernel(in_guest):
    """kexec_load, kexec_file_load and init_module of root in the VM are refused."""
    out = in_guest("perl -e '$! = 0; syscall(246, 0, 0, 0, 0); print $! + 0, qq(\\n); $! = 0; "
                   "syscall(320, -1, -1, 0, 0, 0); print $! + 0, qq(\\n); $! = 0; my $m = qq(x) x 64; my $a = q(); "
                   "syscall(175, $m, 64, $a); print $! + 0, qq(\\n)'")
    refused = {"1", "38"}  # EPERM, ENOSYS
    assert set(out.split()) <= refused and len(out.split()) == 3, out


def test_vm_01_qemu_holds_the_root_read_only(vm, image_dir):
    if os.geteuid() != 0:
        pytest.skip("needs root to read another process's descriptors")
    qemu = vm.processes()["qemu"]
    target = os.stat(image_dir / "root.img")
    flags = []
    for fd in os.listdir(f"/proc/{qemu}/fd"):
        st = os.stat(f"/proc/{qemu}/fd/{fd}")
        if (st.st_dev, st.st_ino) == (target.st_dev, target.st_ino):
            info = desktop.proc(qemu, f"fdinfo/{fd}").decode()
            flags.append(int(re.search(r"flags:\s*(\d+)", info).group(1), 8) & os.O_ACCMODE)
    assert flags and set(flags) == {os.O_RDONLY}


def test_vm_03_no_shell_runs_in_the_vm(in_guest):
    """No process of the VM itself is a shell, login or getty; only the engine's own programs run beside init."""
    out = in_guest("for p in /proc/[0-9]*; do l=$(readlink $p/exe) && echo \"$(cat $p/comm) $l $(readlink $p/ns/mnt)\"; done; "
                   "echo self $(readlink /proc/self/ns/mnt)")
    lines = [line.split() for line in out.split("\n") if line]
    own = lines[-1][1]
    names = {os.path.basename(fields[1]) for fields in lines[:-1] if fields[-1] != own}
    assert names and not names & {"sh", "bash", "dash", "busybox", "agetty", "getty", "login", "sshd", "systemd", "sulogin"}, names
    assert {"dockerd", "containerd"} <= names


def test_vm_03_serial_input_reaches_nothing(in_guest, vm):
    """Nobody in the VM reads the console, and the host end gives it no terminal."""
    out = in_guest("for p in /proc/[0-9]*; do for f in $p/fd/*; do t=$(readlink $f) || continue; "
                   "case $t in /dev/ttyS*|/dev/hvc*|/dev/console) echo \"$(cat $p/comm) ${f##*/} $t $(grep flags: ${f%/fd/*}/fdinfo/${f##*/} | tr -dc 0-9)\";; esac; done; done")
    for line in out.split("\n"):
        if line:
            assert int(line.split()[3], 8) & os.O_ACCMODE == os.O_WRONLY, line
    # It can fail: init does write there.
    assert "init 2 /dev/console" in out or "init 2 /dev/ttyS0" in out, out
    argv = desktop.cmdline(vm.processes()["qemu"])
    assert not [a for a in argv if re.match(r"(stdio|pty|tcp:|telnet:|mon:)", a)]


def test_vm_03_console_shows_no_prompt(vm):
    text = (vm.state / "log" / "console.log").read_text(errors="replace")
    assert not re.search(r"(?m)(login:|[#$] $|BusyBox|emergency|sulogin)", text)


AGENT_PORT = r'''for p in /sys/class/virtio-ports/*; do [ "$(cat $p/name)" = org.caisson.agent ] && cat $p/dev; done'''


def test_vm_04_agent_port_is_closed_to_containers(vm, in_guest):
    """A default container, as root and as uid 1000, cannot open the agent's port; a privileged one finds it taken."""
    number = in_guest(AGENT_PORT).strip()
    assert re.match(r"\d+:\d+$", number)
    major, minor = number.split(":")
    make = f"mknod /tmp/port c {major} {minor}; "
    out = vm.container(make + "timeout 3 cat /tmp/port 2>&1; echo exit $?")
    assert "exit 124" not in out and "exit 0" not in out and re.search(r"not permitted|denied", out), out
    out = vm.container("ls /dev; mknod /tmp/port c %s %s 2>&1; timeout 3 cat /tmp/port 2>&1; echo exit $?" % (major, minor), "-u", "1000")
    assert "vport" not in out and "exit 0" not in out and "exit 124" not in out, out
    out = in_guest(make + "timeout 3 cat /tmp/port 2>&1; echo exit $?")
    assert "busy" in out.lower(), out


def test_vm_04_agent_device_is_root_only(in_guest):
    out = in_guest("for f in /proc/1/root/dev/vport* /proc/1/root/run/docker.sock; do [ -e $f ] && stat -c '%a %u %g %n' $f; done")
    for line in out.split("\n"):
        if line:
            assert line.startswith("600 0 0 "), line
    assert "docker.sock" in out


SECRETS = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}|AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}")


def test_vm_08_image_has_no_secrets(root_tree, image_dir):
    found, files = [], 0
    source = os.environ.get("CAISSON_SOURCE", "").encode()
    for base, dirs, names in os.walk(root_tree):
        for name in names:
            path = os.path.join(base, name)
            if not stat.S_ISREG(os.lstat(path).st_mode):
                continue
            files += 1
            with open(path, "rb") as f:
                data = f.read()
            # Go's standard library carries test-free PEM headers; only a header followed by a body is a key.
            if SECRETS.search(data) or (source and len(source) > 4 and source in data) or b"/root/.cache/" in data:
                found.append(os.path.relpath(path, root_tree))
    assert files > 50 and not found, found
    assert SECRETS.search(b"-----BEGIN RSA PRIVATE KEY-----\n" + b"A" * 64)
    data = (image_dir / "initrd.cpio").read_bytes()
    assert not SECRETS.search(data) and b"/root/.cache/" not in data


def test_vm_08_image_has_no_identity_and_no_way_in(root_tree):
    machine_id = root_tree / "etc" / "machine-id"
    assert not machine_id.exists() or machine_id.is_symlink() or machine_id.read_bytes().strip() in (b"", b"uninitialized")
    assert not list(root_tree.glob("etc/ssh/*key*"))
    names = {p.name for d in ("bin", "sbin", "usr/bin", "usr/sbin") for p in root_tree.glob(d + "/*")}
    assert not names & {"sshd", "ssh", "login", "su", "sudo", "agetty", "getty", "apt-get", "apt", "dpkg", "passwd", "bash", "perl",
                        "python3", "curl", "wget", "gdb"}, names
    shadow = root_tree / "etc" / "shadow"
    if shadow.exists():
        assert not [line for line in shadow.read_text().split("\n") if line and line.split(":")[1] not in ("*", "!", "!!", "!*")]


def test_vm_08_no_setuid_programs(root_tree):
    found = [os.path.relpath(os.path.join(b, n), root_tree) for b, _, names in os.walk(root_tree) for n in names
             if os.lstat(os.path.join(b, n)).st_mode & 0o6000 and stat.S_ISREG(os.lstat(os.path.join(b, n)).st_mode)]
    assert not found


LISTEN = "0A"


def sockets(text):
    """(table, local, state) rows out of the concatenated tables, and the names of Unix sockets."""
    rows, unix, table = [], [], ""
    for line in text.split("\n"):
        if line.startswith("== "):
            table = line[3:]
        elif table == "unix" and len(line.split()) >= 8:
            unix.append(line.split()[7])
        elif table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6") and re.match(r"\s*\d+:", line):
            fields = line.split()
            rows.append((table, fields[1], fields[3]))
        elif table in ("packet", "vsock") and line and not line.startswith(("sk ", "Type")):
            rows.append((table, line, ""))
    return rows, unix


TABLES = "tcp tcp6 udp udp6 raw raw6 packet unix vsock"


def test_vm_14_nothing_listens_in_the_vm(in_guest):
    out = in_guest(f"for t in {TABLES}; do echo \"== $t\"; cat /proc/1/net/$t 2>/dev/null; done; true")
    rows, unix = sockets(out)
    # One packet socket may be the kernel's own; none is expected either way.
    assert not [r for r in rows if r[0] != "tcp" or r[2] == LISTEN], rows
    assert not [name for name in unix if name.startswith("@")], unix
    assert "/run/docker.sock" in unix or "/var/run/docker.sock" in unix


def test_vm_14_agent_listens_on_the_control_link_only(in_guest):
    out = in_guest("for p in /proc/[0-9]*; do case $(readlink $p/exe) in *caisson/agent) for t in " + TABLES +
                   "; do echo \"== $t\"; cat $p/net/$t 2>/dev/null; done; break;; esac; done; true")
    rows, unix = sockets(out)
    listening = {r[1] for r in rows if r[2] == LISTEN}
    # 192.0.2.2 in the kernel's notation, ports 1001 and 1002
    assert listening == {"020200C0:03E9", "020200C0:03EA"}, rows
    assert not [r for r in rows if r[0] not in ("tcp",)]
    assert not [name for name in unix if name.startswith("@")]


def test_vm_14_control_namespace_is_not_reachable(vm):
    """Neither a bridged nor a host-network container reaches the engine by the control link's address."""
    probe = ("perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0); $SIG{ALRM} = sub { print qq(closed\\n); exit }; alarm 3; "
             "print connect(S, sockaddr_in(1001, inet_aton(q(192.0.2.2)))) ? qq(open\\n) : qq(closed\\n)'")
    for network in ("bridge", "host", "none"):
        assert vm.container(probe, "--privileged", f"--net={network}").strip() == "closed", network


def test_vm_11_log_flood_is_bounded(vm, in_guest):
    """Root of the VM floods kernel log and console: the host's files stay under their cap, its processes stay small."""
    def resident():
        roles = vm.processes()
        return {r: int(desktop.status_fields(p)["VmRSS"].split()[0]) for r, p in roles.items() if r != "qemu"}

    before = resident()
    in_guest("(timeout 20 sh -c 'yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa >/dev/kmsg') & "
             "timeout 20 sh -c 'yes bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb >/proc/1/root/dev/console'; wait; true",
             timeout=90)
    time.sleep(1)
    sizes = {p.name: p.stat().st_size for p in (vm.state / "log").iterdir()}
    assert max(sizes.values()) <= (4 << 20) + 65536, sizes
    after = resident()
    assert all(after[r] <= before[r] + 4096 for r in before), (before, after)
    assert vm.status()["state"] == "running"


def test_bck_02_guest_text_is_escaped(vm, in_guest):
    """Escape sequences, bidi marks and forged lines written to the console end up harmless in log and terminal."""
    in_guest(r"printf 'MARK\033[31mred\033]0;title\007\342\200\256bidi%%s%%n\rforged\n' >/proc/1/root/dev/console")
    time.sleep(1.5)
    raw = (vm.state / "log" / "console.log").read_bytes()
    assert b"MARK" in raw
    shown = vm.caisson("logs", "--unit", "console").raw
    for text in (raw, shown):
        assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xe2\x80\xae", text)
