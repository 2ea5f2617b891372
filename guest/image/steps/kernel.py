# SPDX-License-Identifier: Apache-2.0
"""kernel: the uncompressed ELF kernel out of a bzImage, and the modules of the allow-list with what they need.

The uncompressed kernel starts by its PVH entry, without real mode and decompression: two seconds less under TCG.
Sources: Documentation/arch/x86/boot.rst (payload_offset, payload_length), xen/include/public/elfnote.h.
"""
import gzip
import lzma
import os
import struct
import subprocess

import elf


class KernelError(Exception):
    pass


def extract_vmlinux(bzimage):
    """The ELF kernel inside BZIMAGE (bytes)."""
    if bzimage[0x202:0x206] != b"HdrS":
        raise KernelError("the kernel package holds no bzImage")
    setup_size = (bzimage[0x1f1] + 1) * 512
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    payload = bzimage[setup_size + offset:setup_size + offset + length]
    # The build appends the uncompressed size (4 bytes) to formats that do not carry it.
    if payload[:4] == b"\x28\xb5\x2f\xfd":
        vmlinux = subprocess.run(["zstd", "-dcq"], input=payload[:-4], capture_output=True, check=True).stdout
    elif payload[:6] == b"\xfd7zXZ\0":
        vmlinux = lzma.LZMADecompressor().decompress(payload)
    elif payload[:2] == b"\x1f\x8b":
        vmlinux = gzip.decompress(payload)
    else:
        raise KernelError("unknown compression of the kernel: " + payload[:6].hex())
    if not elf.has_pvh_entry(vmlinux):
        raise KernelError("the kernel has no PVH entry")
    return vmlinux


def normal(name):
    return name.replace("-", "_")


class Modules:
    """The modules of an unpacked kernel package."""

    def __init__(self, directory):
        self.files = {}
        self.cache = {}
        for base, _, names in os.walk(os.path.join(directory, "kernel")):
            for name in names:
                if ".ko" in name:
                    self.files[normal(name.split(".ko")[0])] = os.path.join(base, name)
        with open(os.path.join(directory, "modules.builtin"), encoding="ascii") as file:
            self.builtin = {normal(os.path.basename(line.strip())[:-3]) for line in file}

    def data(self, name):
        if name not in self.cache:
            with open(self.files[name], "rb") as file:
                raw = file.read()
            path = self.files[name]
            self.cache[name] = lzma.decompress(raw) if path.endswith(".xz") else raw
        return self.cache[name]

    def _add(self, stage, name, out, seen):
        if name in seen or name in self.builtin:
            return
        if name not in self.files:
            raise KernelError(f"module {name} of the allow-list does not exist")
        seen.add(name)
        data = self.data(name)
        depends = [normal(word) for value in elf.module_info(data, "depends") for word in value.split(",") if word]
        for value in elf.module_info(data, "softdep"):
            if value.startswith("pre:"):
                soft = [normal(word) for word in value[4:].split("post:")[0].split()]
                depends += [word for word in soft if word in self.files]
        for other in depends:
            self._add(stage, other, out, seen)
        out.append((stage, name))

    def resolve(self, wanted):
        """[(stage, name)] in load order for the list [(stage, name)], dependencies first."""
        out, seen = [], set()
        for stage, name in wanted:
            self._add(stage, normal(name), out, seen)
        return out


def read_modules_list(path):
    with open(path, encoding="ascii") as file:
        rows = [line.split() for line in file if line.strip() and not line.startswith("#")]
    order = ["stage1", "boot", "later"]
    if any(len(row) != 2 or row[0] not in order for row in rows) or \
            [order.index(row[0]) for row in rows] != sorted(order.index(row[0]) for row in rows):
        raise KernelError(path + ": a row is not 'stage1|boot|later NAME', or the stages are out of order")
    return [(row[0], row[1]) for row in rows]
