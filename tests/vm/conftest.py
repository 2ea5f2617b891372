# SPDX-License-Identifier: Apache-2.0
"""The machine of the VM tests: booted once per session, through the installed "caisson start", as an ordinary account.

Files run in the order of their names; tests that stop or kill the machine come last and leave it running again.
A machine that does not boot fails every test here: there is no skipping.
"""
import hashlib
import os
import pathlib
import shutil
import subprocess

import pytest

import desktop

IMAGE_FILES = ("vmlinux", "initrd.cpio", "root.img", "image.json")
boot_failure = []


def digests(image_dir):
    found = {}
    for name in IMAGE_FILES:
        with open(image_dir / name, "rb") as f:
            found[name] = hashlib.file_digest(f, "sha256").hexdigest()
    return found


@pytest.fixture(scope="session")
def image_dir(prefix):
    return prefix / "share" / "caisson" / "image"


@pytest.fixture(scope="session")
def image_before(image_dir):
    """Digests of the image's files before the first boot (VM-01)."""
    return digests(image_dir)


@pytest.fixture(scope="session")
def session_desktop(prefix, work_dir, image_before):
    d = desktop.Desktop(work_dir / "home")
    d.caisson("settings", "set", "memory", "2048", check=True)
    yield d
    try:
        if d.processes():
            d.stop()
    finally:
        d.kill_all()
        shutil.rmtree(d.home, ignore_errors=True)


@pytest.fixture
def vm(session_desktop):
    """The running session machine with the test image loaded."""
    if boot_failure:
        pytest.fail(f"the machine does not boot: {boot_failure[0]}", pytrace=False)
    d = session_desktop
    if "qemu" not in d.processes():
        try:
            d.start()
        except AssertionError as e:
            boot_failure.append(str(e)[-4000:])
            raise
    if "debian-test:13" not in d.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.split():
        with open(os.environ["CAISSON_TEST_IMAGE"], "rb") as archive:
            d.docker("load", stdin=archive, timeout=180)
    return d


@pytest.fixture
def in_guest(vm):
    """Runs a shell script as root of the VM, seen through a privileged container in the VM's own namespaces."""
    def run(script, *options, **kw):
        return vm.container(script, "--privileged", "--pid=host", "--net=host", "--ipc=host", *options, **kw)
    return run


@pytest.fixture(scope="session")
def root_tree(image_dir, tmp_path_factory):
    """Contents of the sealed root, unpacked on the host."""
    out = tmp_path_factory.mktemp("root") / "tree"
    subprocess.run(["fsck.erofs", f"--extract={out}", str(image_dir / "root.img")], check=True, capture_output=True)
    yield pathlib.Path(out)
    shutil.rmtree(out, ignore_errors=True)
