# SPDX-License-Identifier: Apache-2.0
"""One stop and start: what must persist does, nothing else (VM-09), the raw disk stays raw (VM-10), the stop is clean."""
import os
import re

import pytest

import desktop

PLACES = "etc usr var/lib root run tmp opt lib/modules"


@pytest.fixture(scope="module")
def restarted(session_desktop):
    """Plants, then stops and starts. The state before and the results, as a dictionary."""
    d = session_desktop
    if "qemu" not in d.processes():
        d.start()
    privileged = ("--privileged", "--pid=host", "--net=host")
    d.docker("volume", "create", "keep")
    d.container("echo persistent >/v/file", "-v", "keep:/v")
    d.docker("run", "-d", "--name", "stopper", "debian-test:13", "sh", "-c",
             "trap 'sleep 2; echo orderly; exit 0' TERM; while :; do sleep 0.2; done")
    planted = d.container(f"for p in {PLACES}; do echo x >/proc/1/root/$p/planted 2>/dev/null && echo $p; done; true", *privileged)
    # VM-10: a qcow2 header with a backing file, in the boot block that ext4 leaves alone.
    header = ("514649fb 00000003 0000000000000200 0000000b 00000010 0000000040000000 00000000 00000001 0000000000030000 "
              "0000000000010000 00000001 00000000 0000000000000000").replace(" ", "")
    octal = "".join(f"\\0{int(header[i:i + 2], 16):03o}" for i in range(0, len(header), 2))
    name = "".join(f"\\0{b:03o}" for b in b"/etc/passwd")
    script = (f"for s in /sys/block/*; do [ \"$(cat $s/serial 2>/dev/null)\" = data ] && mknod /tmp/d b $(cat $s/dev | tr : ' '); done; "
              f"printf '%b' '{octal}' | dd of=/tmp/d conv=notrunc,fsync 2>&1 && "
              f"printf '%b' '{name}' | dd of=/tmp/d bs=1 seek=512 conv=notrunc,fsync 2>&1; dd if=/tmp/d bs=4 count=1 2>/dev/null | od -An -tx1")
    wrote = d.container(script, *privileged)
    pids = dict(d.processes())
    stop = d.stop()
    gone = d.wait_gone(pids.values(), 10)
    leftovers = [p for p in sorted((d.state / "run").glob("*.sock"))] + [p for p in [d.engine_socket] if p.exists()]
    disk = d.state / "vms" / "0" / "data" / "Docker.raw"
    magic = disk.read_bytes()[:4] if disk.stat().st_size < 1 << 20 else open(disk, "rb").read(4)
    context = d.run(["docker", "context", "show"]).stdout.strip()
    status = d.caisson("status")
    start = d.start()
    return {"planted": planted.split(), "wrote": wrote, "stop": stop, "gone": gone, "leftovers": leftovers, "magic": magic,
            "context": context, "status": status, "start": start, "pids": pids}


def test_stop_is_clean(restarted):
    assert restarted["stop"].returncode == 0, restarted["stop"].stderr
    assert restarted["gone"], "processes outlive the stop"
    assert not restarted["leftovers"]
    assert restarted["context"] != "desktop-linux"
    assert "running" not in restarted["status"].stdout.lower().replace("not running", "")


def test_stop_honours_the_containers_time(restarted, vm):
    """A container that needs two seconds after SIGTERM gets them."""
    assert vm.docker("logs", "stopper").stdout == "orderly\n"
    assert vm.docker("inspect", "-f", "{{.State.ExitCode}}", "stopper").stdout == "0\n"
    vm.docker("rm", "-f", "stopper")


def test_vm_09_nothing_persists_but_data(restarted, vm, in_guest):
    assert restarted["planted"], "nothing could be planted: the test has no teeth"
    assert in_guest(f"for p in {PLACES}; do [ -e /proc/1/root/$p/planted ] && echo $p; done; true") == ""


def test_vm_09_allow_twin_volume_persists(restarted, vm):
    assert vm.container("cat /v/file", "-v", "keep:/v") == "persistent\n"


def test_vm_10_raw_stays_raw(restarted, vm):
    """The qcow2 header is there, the disk is used as raw all the same, and QEMU opened no backing file."""
    assert restarted["magic"] == b"QFI\xfb", restarted["wrote"]
    argv = " ".join(desktop.cmdline(vm.processes()["qemu"]))
    assert len(re.findall(r"(?:driver|format)=raw|\"driver\": ?\"raw\"", argv)) >= 2 and "qcow2" not in argv
    if os.geteuid() == 0:
        qemu = vm.processes()["qemu"]
        targets = [os.readlink(f"/proc/{qemu}/fd/{fd}") for fd in os.listdir(f"/proc/{qemu}/fd")]
        assert "/etc/passwd" not in targets


def test_vm_01_image_unchanged_by_everything(restarted, image_dir, image_before):
    from conftest import digests

    assert digests(image_dir) == image_before
