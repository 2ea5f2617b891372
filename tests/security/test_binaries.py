# SPDX-License-Identifier: Apache-2.0
"""MET-06: how the installed programs are built, read with readelf."""
import os
import pathlib
import re
import subprocess

import pytest

import desktop

HOST = ("bin/caisson", "libexec/caisson/caisson-backend", "libexec/caisson/caisson-machine", "libexec/caisson/caisson-net")


def readelf(path, *options):
    return subprocess.run(["readelf", "-W", *options, str(path)], check=True, capture_output=True, text=True).stdout


def weaknesses(path, static=False):
    """What PATH lacks, as words."""
    header, segments = readelf(path, "-h"), readelf(path, "-l")
    dynamic, symbols = readelf(path, "-d"), readelf(path, "-s", "--dyn-syms")
    bad = []
    if not re.search(r"Type:\s+DYN", header):
        bad.append("PIE")
    if "GNU_RELRO" not in segments:
        bad.append("RELRO")
    if not static and not re.search(r"BIND_NOW|FLAGS_1.*NOW", dynamic):
        bad.append("BIND_NOW")
    stack = re.search(r"GNU_STACK.*?\s(R\w*)\s+0x", segments)
    if not stack or "E" in stack.group(1):
        bad.append("NX")
    if "__stack_chk_fail" not in symbols and not static:
        bad.append("canary")
    if re.search(r"R(UN)?PATH", dynamic):
        bad.append("RPATH")
    if "TEXTREL" in dynamic:
        bad.append("TEXTREL")
    if any(re.search(r"LOAD.*\sRWE\s", line) for line in segments.split("\n")):
        bad.append("W^X")
    if not static and not re.search(r"__\w+_chk\b(?<!__stack_chk)", re.sub(r"__stack_chk_fail", "", symbols)):
        bad.append("fortify")
    return bad


@pytest.mark.parametrize("name", HOST)
def test_met_06_host_programs(prefix, name):
    assert weaknesses(prefix / name) == []


@pytest.mark.parametrize("name", HOST)
def test_met_06_not_setuid(prefix, name):
    mode = (prefix / name).stat().st_mode
    assert mode & 0o7000 == 0 and mode & 0o022 == 0


@pytest.mark.parametrize("name", ("init/caisson-init", "agent/caisson-agent"))
def test_met_06_guest_programs_are_static(prefix, name):
    path = pathlib.Path(os.environ["CAISSON_BUILD_DIR"]) / "guest" / name
    assert "NEEDED" not in readelf(path, "-d") and "INTERP" not in readelf(path, "-l")
    assert set(weaknesses(path, static=True)) <= {"PIE"}


def test_met_06_check_can_fail(tmp_path):
    """A program built without any of it is seen as such."""
    source = tmp_path / "x.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-no-pie", "-fno-stack-protector", "-z", "execstack", "-z", "norelro", "-z", "lazy", "-Wl,-rpath,/tmp",
                    "-o", str(tmp_path / "x"), str(source)], check=True)
    assert {"PIE", "RELRO", "BIND_NOW", "NX", "canary", "RPATH", "fortify"} <= set(weaknesses(tmp_path / "x"))


def test_backend_refuses_root(prefix):
    if os.geteuid() != 0:
        pytest.skip("needs root to try as root")
    r = subprocess.run([str(prefix / "libexec/caisson/caisson-backend"), "--foreground"], capture_output=True, text=True, timeout=20,
                       env={"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"})
    assert r.returncode == 5 and "root" in r.stderr, r


def test_backend_allow_twin_account(new_desktop):
    """The same program started by an ordinary account does not refuse for that reason."""
    d = new_desktop()
    r = d.run([d.prefix / "libexec/caisson/caisson-backend", "--no-such-option"], timeout=20)
    assert r.returncode == 2 and "root" not in r.stderr, r.stderr
