# SPDX-License-Identifier: Apache-2.0
"""What the running desktop looks like on the host: BCK-05, BCK-10, BCK-11, MET-01, MET-07."""
import json
import os
import pwd
import re
import stat
import subprocess
import sys
import time

import pytest

import desktop

CONNECT = """
import socket, sys
try:
    s = socket.socket(socket.AF_UNIX, int(sys.argv[2]))
    s.connect(sys.argv[1])
    print("connected")
except OSError as e:
    print(type(e).__name__)
"""


def sockets_below(path):
    for base, dirs, names in os.walk(path):
        for name in names:
            full = os.path.join(base, name)
            if stat.S_ISSOCK(os.lstat(full).st_mode):
                yield full


def connect_as(user, path, kind=1):
    entry = pwd.getpwnam(user)
    return subprocess.run([sys.executable, "-c", CONNECT, path, str(kind)], user=entry.pw_uid, group=entry.pw_gid, extra_groups=[],
                          capture_output=True, text=True, cwd="/").stdout.strip()


def test_bck_05_sockets_and_directories_are_private(vm):
    found = list(sockets_below(vm.home))
    assert {"docker.sock", "backend.sock"} <= {os.path.basename(p) for p in found}
    for path in found:
        st = os.lstat(path)
        assert stat.S_IMODE(st.st_mode) == 0o600 and st.st_uid == vm.account.pw_uid, path
        parent = os.stat(os.path.dirname(path))
        assert stat.S_IMODE(parent.st_mode) == 0o700 and parent.st_uid == vm.account.pw_uid, os.path.dirname(path)


def test_bck_05_files_are_private(vm):
    """Nothing of the state can be read or written by others, whatever their directories allow."""
    for base, dirs, names in os.walk(vm.state):
        assert stat.S_IMODE(os.lstat(base).st_mode) & 0o022 == 0, base
        for name in names:
            st = os.lstat(os.path.join(base, name))
            assert stat.S_IMODE(st.st_mode) & 0o022 == 0 or stat.S_ISLNK(st.st_mode), os.path.join(base, name)
    disk = vm.state / "vms" / "0" / "data" / "Docker.raw"
    assert stat.S_IMODE(disk.stat().st_mode) & 0o077 == 0


def test_bck_05_other_accounts_cannot_connect(vm):
    if os.geteuid() != 0:
        pytest.skip("needs root to become another account")
    # Even with the way to the sockets opened: the sockets and their directory refuse on their own.
    vm.home.chmod(0o755)
    try:
        for path in sockets_below(vm.home):
            assert connect_as("nobody", path) == "PermissionError", path
            assert connect_as("nobody", path, 5) == "PermissionError", path
    finally:
        vm.home.chmod(0o700)
    # The allow twin: the account itself gets through.
    assert connect_as(vm.account.pw_name, str(vm.engine_socket)) == "connected"


def socket_inodes(pid):
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        match = re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
        if match:
            found.add(match.group(1))
    return found


def listeners(tables):
    """inode -> row of every socket in /proc/net/TABLES."""
    rows = {}
    for table in tables:
        for line in desktop.proc("self", f"net/{table}").decode().split("\n")[1:]:
            fields = line.split()
            if table == "unix" and len(fields) >= 7:
                rows[fields[6]] = (table, fields[7] if len(fields) > 7 else "", fields[3])
            elif table == "netlink" and len(fields) >= 10:
                rows[fields[9]] = (table, fields[1], "")
            elif table == "packet" and len(fields) >= 9:
                rows[fields[8]] = (table, "", "")
            elif table not in ("unix", "netlink", "packet") and len(fields) >= 10:
                rows[fields[9]] = (table, fields[1], fields[3])
    return rows


def test_met_07_host_surface(vm):
    """BCK-05, MET-07: no packet or raw socket, no abstract name; netlink in the backend alone (it follows the host's addresses);
    internet sockets in the data card and the proxy alone, and none that listens; on Unix only the known names."""
    if os.geteuid() != 0:
        pytest.skip("needs root to read another process's descriptors")
    rows = listeners(["tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "netlink", "unix"])
    names = set()
    for role, pid in vm.processes().items():
        for inode in socket_inodes(pid):
            table, name, flags = rows.get(inode, ("", "", ""))
            allowed = {"backend": ("netlink",), "net-data": ("tcp", "tcp6", "udp", "udp6"), "proxy": ("tcp", "tcp6", "udp", "udp6")}
            assert table in ("", "unix", *allowed.get(role, ())), (role, table, name)
            assert not table.startswith("tcp") or flags != "0A", (role, name)
            if table == "unix" and name:
                assert not name.startswith("@"), (role, name)
                names.add(os.path.basename(name))
    assert names <= {"docker.sock", "backend.sock", "engine.sock", "echo.sock", "vhost-net0.sock", "vhost-net1.sock"}, names


def test_bck_10_qemu_command_line(vm):
    argv = desktop.cmdline(vm.processes()["qemu"])
    joined = " ".join(argv)
    assert "-nodefaults" in argv and "-no-user-config" in argv
    sandbox = argv[argv.index("-sandbox") + 1]
    assert set(sandbox.split(",")) >= {"on", "obsolete=deny", "elevateprivileges=deny", "spawn=deny", "resourcecontrol=deny"}
    for word in ("-virtfs", "9p", "-fsdev", "-monitor", "-vnc", "-spice", "telnet", "tcp:", "-gdb", "-s "):
        assert word not in joined, word
    cards = [argv[i + 1] for i, a in enumerate(argv) if a in ("-netdev", "-nic", "-net")]
    assert cards and all(c.startswith("vhost-user,") for c in cards), cards
    channels = [argv[i + 1] for i, a in enumerate(argv) if a == "-chardev"]
    assert channels and all(re.match(r"socket,id=\w+,(fd=\d+|path=/proc/self/fd/\d+/)", c) for c in channels), channels
    disks = [a for a in argv if re.match(r"(file=|driver=file|node-name|if=)", a) or "driver=raw" in a or "format=raw" in a or '"driver"' in a]
    assert disks and not re.search(r"qcow2|vmdk|vhdx|vpc|luks|nbd:|ssh:|http", joined)
    assert len(re.findall(r"(?:driver|format)=raw|\"driver\": ?\"raw\"", joined)) >= 2, "raw must be stated for both disks"
    assert re.search(r"read-only=on|readonly=on|\"read-only\": ?true", joined)
    assert "vhost-user" in joined
    vm.qemu_argv = argv
    # Descriptors, not paths: nothing of the user's state is named.
    assert str(vm.home) not in joined


@pytest.mark.parametrize("words", [("cpus", "1,maxcpus=9"), ("memory", "2048,id=x"), ("accelerator", "tcg,thread=single"),
                                   ("accelerator", "-accel"), ("disk-size", "$(id)"), ("cpus", "1\n2"), ("vm-name", "x")])
def test_bck_07_settings_carry_no_arguments(vm, words):
    r = vm.caisson("settings", "set", *words)
    assert r.returncode != 0 and r.stderr.strip() and "\n2" not in r.stderr.rstrip("\n")


def test_bck_07_allow_twin_setting(vm):
    before = json.loads(vm.caisson("settings", "get", "cpus", "--format", "json", check=True).stdout)["value"]
    assert vm.caisson("settings", "set", "cpus", "1").returncode == 0
    assert vm.caisson("settings", "set", "cpus", str(before)).returncode == 0


def test_bck_11_honest_under_emulation(vm):
    status = vm.status()
    text = vm.caisson("status").stdout
    if status["accelerator"]["used"] == "kvm":
        assert "no isolation guarantee" not in text
        return
    assert status["accelerator"]["used"] == "tcg"
    assert status["isolation"] == "no isolation guarantee (software emulation)"
    assert "no isolation guarantee (software emulation)" in text
    assert not re.search(r"(?<!no )\bisolated\b", text)
    assert "isolation" in vm.start_output, "start must say it once"


# role -> what must hold; MET-01's table. Seccomp 2: a filter is in force.
PRIVILEGES = {
    "backend": {"NoNewPrivs": "1"},
    "machine": {"NoNewPrivs": "1"},
    "qemu": {"NoNewPrivs": "1", "Seccomp": "2"},
    "net": {"NoNewPrivs": "1", "Seccomp": "2"},
    "net-data": {"NoNewPrivs": "1", "Seccomp": "2"},
    "proxy": {"NoNewPrivs": "1", "Seccomp": "2"},
}


@pytest.mark.parametrize("role", PRIVILEGES)
def test_met_01_privileges(vm, role):
    fields = desktop.status_fields(vm.processes()[role])
    uid, gid = str(vm.account.pw_uid), str(vm.account.pw_gid)
    assert fields["Uid"].split() == [uid] * 4 and fields["Gid"].split() == [gid] * 4
    for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        assert int(fields[kind], 16) == 0, kind
    for name, value in PRIVILEGES[role].items():
        assert fields[name] == value, name


def kinds_of_descriptors(pid):
    found = {}
    for fd in sorted(os.listdir(f"/proc/{pid}/fd"), key=int):
        found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


@pytest.mark.parametrize("role", ["net", "net-data", "proxy"])
def test_met_01_jailed_processes_hold_no_file(vm, role):
    """A jailed process has no file: sockets, memory of the guest, event counters, its log."""
    if os.geteuid() != 0:
        pytest.skip("needs root to read another process's descriptors")
    pid = vm.processes()[role]
    for fd, target in kinds_of_descriptors(pid).items():
        assert re.match(r"(socket:|pipe:|anon_inode:|/memfd:|/dev/null)", target) or target.endswith(("net.log", "proxy.log")), (fd, target)


def test_met_01_qemu_holds_its_disks_only(vm, image_dir):
    """QEMU's files: the two disks, kernel and initramfs, its own ROMs, KVM; nothing else of the user's."""
    if os.geteuid() != 0:
        pytest.skip("needs root to read another process's descriptors")
    allowed = re.compile(r"(socket:|pipe:|anon_inode:|/memfd:|/dev/(null|kvm|urandom|random)|/usr/share/(qemu|seabios|ipxe)/)")
    for fd, target in kinds_of_descriptors(vm.processes()["qemu"]).items():
        # The run directory itself, beneath which it makes the socket for the network process.
        known = target.startswith(str(image_dir)) or target.endswith(("/Docker.raw", "/qemu.log")) or target == str(vm.state / "run")
        assert allowed.match(target) or known, (fd, target)


def test_met_01_descriptor_numbers_do_not_grow(vm):
    if os.geteuid() != 0:
        pytest.skip("needs root to read another process's descriptors")
    for _ in range(3):
        vm.docker("version")
    before = {r: len(os.listdir(f"/proc/{p}/fd")) for r, p in vm.processes().items()}
    for _ in range(15):
        vm.docker("version")
    time.sleep(1)
    after = {r: len(os.listdir(f"/proc/{p}/fd")) for r, p in vm.processes().items()}
    assert all(after[r] <= before[r] + 2 for r in before), (before, after)


def test_met_01_small_in_memory(vm):
    total = sum(int(desktop.status_fields(p)["VmRSS"].split()[0]) for r, p in vm.processes().items() if r != "qemu")
    assert total < 20 * 1024, f"{total} KiB"


def test_second_start_says_it_runs(vm):
    before = vm.processes()
    r = vm.caisson("start")
    assert r.returncode == 0 and vm.processes() == before


def test_no_root_process(vm):
    live = desktop.all_processes()
    assert all(live[p][2] == vm.account.pw_uid for p in vm.processes().values())
