# SPDX-License-Identifier: Apache-2.0
"""An image of 1 GiB goes in and comes out unchanged (CAISSON_TEST_LARGE_MIB makes it smaller for a quick look)."""
import hashlib
import io
import json
import os
import random
import tarfile
import time

LARGE_MIB = int(os.environ.get("CAISSON_TEST_LARGE_MIB", "1024"))


class Pattern(io.RawIOBase):
    """LARGE_MIB of bytes that differ from one megabyte to the next, made as they are read."""

    def __init__(self, size):
        self.block = random.Random(7).randbytes(1 << 20)
        self.size = size
        self.position = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        n = min(len(buffer), self.size - self.position, (1 << 20) - self.position % (1 << 20))
        if n <= 0:
            return 0
        offset = self.position % (1 << 20)
        index = (self.position >> 20).to_bytes(8, "little")
        block = index + self.block[8:]
        buffer[:n] = block[offset:offset + n]
        self.position += n
        return n


def write_archive(path):
    layer = path.with_suffix(".layer")
    with tarfile.open(layer, "w") as tar:
        info = tarfile.TarInfo("large")
        info.size = LARGE_MIB << 20
        tar.addfile(info, io.BufferedReader(Pattern(info.size), 1 << 20))
    with open(layer, "rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]}}).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": ["large:1"], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(path, "w") as tar:
        for member, data in (("manifest.json", manifest), (name, config)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo("layer.tar")
        info.size = layer.stat().st_size
        with open(layer, "rb") as f:
            tar.addfile(info, f)
    layer.unlink()
    return digest


def layer_digest(path):
    """Digest of the one layer in an archive that docker save wrote."""
    with tarfile.open(path) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
        with tar.extractfile(manifest[0]["Layers"][0]) as f:
            h = hashlib.sha256()
            for block in iter(lambda: f.read(1 << 20), b""):
                h.update(block)
            return h.hexdigest()


def test_save_and_load(vm, work_dir):
    archive, back = work_dir / "large.tar", work_dir / "large-back.tar"
    digest = write_archive(archive)
    try:
        start = time.monotonic()
        with open(archive, "rb") as f:
            vm.docker("load", "-q", stdin=f, timeout=420)
        loaded = time.monotonic()
        with open(back, "wb") as f:
            vm.docker("save", "large:1", stdout=f, timeout=420)
        saved = time.monotonic()
        print(f"{LARGE_MIB} MiB: load {loaded - start:.1f} s, save {saved - loaded:.1f} s")
        assert layer_digest(back) == digest
    finally:
        vm.docker("rmi", "large:1", check=False)
        for path in (archive, back):
            path.unlink(missing_ok=True)
