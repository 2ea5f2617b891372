# SPDX-License-Identifier: Apache-2.0
"""Allow twin of the KVM probe: its guest, run under QEMU's own emulation, passes all of its steps."""
import os
import shutil
import subprocess

import pytest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
QEMU = "/usr/bin/qemu-system-x86_64"
TOOLS = ("gcc", "ld", "objcopy")


@pytest.mark.skipif(not os.path.exists(QEMU) or not all(shutil.which(t) for t in TOOLS), reason="needs QEMU and binutils")
def test_guest_is_right_under_emulation(tmp_path):
    def run(*args):
        subprocess.run(args, check=True, cwd=tmp_path, timeout=30)

    run("gcc", "-c", os.path.join(ROOT, "machine", "accel-guest-x86_64.S"), "-o", "guest.o")
    run("gcc", "-m32", "-c", os.path.join(ROOT, "tests", "fake", "accel-guest-boot.S"), "-o", "boot.o")
    run("objcopy", "-I", "elf64-x86-64", "-O", "elf32-i386", "guest.o", "guest32.o")
    run("ld", "-m", "elf_i386", "-Ttext=0x100000", "-e", "_start", "boot.o", "guest32.o", "-o", "probe.elf")
    result = subprocess.run([
        QEMU, "-accel", "tcg", "-cpu", "max", "-m", "64", "-nodefaults", "-no-user-config", "-display", "none",
        "-kernel", "probe.elf", "-chardev", "file,id=a,path=steps", "-device", "isa-debugcon,iobase=0xf4,chardev=a",
        "-chardev", "file,id=b,path=wrong", "-device", "isa-debugcon,iobase=0xf5,chardev=b",
        "-device", "isa-debug-exit,iobase=0xf6,iosize=4"], cwd=tmp_path, timeout=60)
    assert (tmp_path / "wrong").read_bytes() == b""
    assert (tmp_path / "steps").read_bytes() == bytes(range(1, 17))
    assert result.returncode == ((0x56494C41 << 1 | 1) & 0xFF)
