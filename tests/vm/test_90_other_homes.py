# SPDX-License-Identifier: Apache-2.0
"""Desktops of their own HOME, each booted for one question: damaged image (VM-01), small and full disk, long paths."""
import json
import os
import re
import shutil
import stat
import subprocess

import pytest

import desktop


@pytest.fixture(scope="module", autouse=True)
def one_machine_at_a_time(session_desktop):
    """Two machines at once would only measure the host."""
    if session_desktop.processes():
        session_desktop.stop()


def copy_of_install(prefix, target):
    """A second installation: programs and image copied, the docker command linked."""
    shutil.copytree(prefix / "bin", target / "bin", symlinks=True)
    shutil.copytree(prefix / "libexec", target / "libexec", symlinks=True)
    shutil.copytree(prefix / "share" / "caisson", target / "share" / "caisson", symlinks=True)
    (target / "lib").mkdir()
    (target / "lib" / "docker").symlink_to(prefix / "lib" / "docker")
    return target


@pytest.mark.parametrize("offset", (1024, 1024 + 64), ids=("superblock", "first-block"))
def test_vm_01_flipped_byte_stops_the_boot(prefix, work_dir, new_desktop, offset):
    """One flipped byte in the root image: the start fails, and its message names the root image."""
    install = copy_of_install(prefix, work_dir / f"flipped-{offset}")
    try:
        path = install / "share" / "caisson" / "image" / "root.img"
        with open(path, "r+b") as f:
            f.seek(offset)
            byte = f.read(1)[0]
            f.seek(offset)
            f.write(bytes([byte ^ 0x10]))
        d = new_desktop(install=install)
        r = d.caisson("start", timeout=150)
        text = r.stdout + r.stderr
        assert r.returncode != 0
        assert re.search(r"root (image|disk|file system)|root\.img", text, re.I), text
        assert re.search(r"damag|corrupt|verif|does not match", text, re.I), text
        assert desktop.wait_for(lambda: not d.processes(), 20)
    finally:
        shutil.rmtree(install, ignore_errors=True)


# What QEMU's option parser, a shell or a JSON printer could take for its own.
AWKWARD = "b ,id=x,readonly=off $(x) 'q' \"d\" -drive %s \\u00"


def test_full_disk_and_long_home(new_desktop, session_desktop):
    """A HOME longer than a socket address allows with an awkward name (BCK-07), and a data disk that is filled: an error,
    not a broken machine."""
    d = new_desktop(name="a" * 100 + "/" + AWKWARD)
    assert len(str(d.engine_socket)) > 108
    setting = json.loads(d.caisson("settings", "get", "disk-size", "--format", "json", check=True).stdout)
    size = max(setting["min"], 1024)
    d.caisson("settings", "set", "disk-size", str(size), check=True)
    d.start()
    assert d.run(["docker", "version", "--format", "{{.Server.Os}}"], check=True).stdout == "linux\n"
    argv = desktop.cmdline(d.processes()["qemu"])
    if hasattr(session_desktop, "qemu_argv"):
        assert len(argv) == len(session_desktop.qemu_argv)
    assert not [a for a in argv if "id=x" in a or "readonly=off" in a]
    # --host with so long a path is beyond the docker command itself: go through a short link to the directory.
    link = d.home.parents[1] / "s"
    os.symlink(d.state, link)
    d.engine_socket = link / "docker.sock"
    with open(os.environ["CAISSON_TEST_IMAGE"], "rb") as archive:
        d.docker("load", "-q", stdin=archive, timeout=180)
    # Reserve in ever smaller steps (fallocate is system call 285), then write what is left.
    fill = ("perl -e 'open F, q(>), q(/fill); $at = 0; for ($n = 1 << 30; $n >= 1 << 20; ) "
            "{ if (syscall(285, fileno(F), 0, $at, $n) == 0) { $at += $n } else { $n >>= 1 } }'; "
            "dd if=/dev/zero of=/rest bs=1M count=4096")
    r = d.docker("run", "--rm", "debian-test:13", "sh", "-c", fill, check=False, timeout=300)
    assert r.returncode != 0 and "No space left on device" in r.stderr, r.stderr[-500:]
    # Full for good: the engine itself cannot store another image, and says so.
    d.docker("run", "--name", "full", "debian-test:13", "sh", "-c", fill, check=False, timeout=300)
    r = d.docker("run", "--rm", "debian-test:13", "sh", "-c", "dd if=/dev/zero of=/x bs=1M count=64", check=False)
    assert "no space left" in r.stderr.lower(), r.stderr
    d.docker("rm", "-f", "full")
    assert d.container("echo alive") == "alive\n"
    assert d.status()["state"] == "running"
    assert d.stop().returncode == 0


def with_open_kvm(d, node, *args):
    """Runs caisson in a mount namespace whose /dev/kvm the account may open; what it starts stays there."""
    script = 'mount --bind "$0" /dev/kvm && exec setpriv --reuid=%d --regid=%d --clear-groups "$@"' % (d.account.pw_uid, d.account.pw_gid)
    return subprocess.run(["unshare", "-m", "sh", "-c", script, str(node), str(d.prefix / "bin" / "caisson"), *args], env=d.env(),
                          cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150)


def test_accelerator_is_proved_not_believed(new_desktop, work_dir):
    """/dev/kvm opens. Where the probe says that it works the machine runs under KVM; where it opens and does not work
    (kvm_pvm on nested hosts) the machine runs under TCG, says why, and remembers it (BCK-11)."""
    if os.geteuid() != 0 or not os.path.exists("/dev/kvm"):
        pytest.skip("needs root and /dev/kvm")
    d = new_desktop()
    node = work_dir / "kvm"
    os.mknod(node, 0o666 | stat.S_IFCHR, os.stat("/dev/kvm").st_rdev)
    os.chmod(node, 0o666)
    try:
        rows = {r["id"]: r for r in json.loads(with_open_kvm(d, node, "check", "--format", "json").stdout)}
        assert rows["kvm-device"]["result"] == "ok", rows
        works = rows["kvm-works"]["result"] == "ok"
        started = with_open_kvm(d, node, "start", "--timeout", "120")
        assert started.returncode == 0, started.stdout + started.stderr
        accelerator = d.status()["accelerator"]
        assert accelerator["used"] == ("kvm" if works else "tcg"), accelerator
        if not works:
            assert re.search(r"KVM", accelerator["reason"]) and "no isolation guarantee" in started.stdout + started.stderr
            assert (d.state / "cache" / "accel.json").exists()
    finally:
        d.stop("--force")
        node.unlink()
