# SPDX-License-Identifier: Apache-2.0
"""cpio: an initramfs in the "newc" form, without a process and without device nodes' root rights.

Source: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel.
"""
import stat


class Cpio:
    def __init__(self):
        self.parts = []
        self.inode = 0

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        raw = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % value for value in fields) + raw
        self.parts.append(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

    def directory(self, name):
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o644):
        self._entry(name, stat.S_IFREG | mode, data)

    def character(self, name, major, minor):
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def bytes(self):
        inode, self.inode = self.inode, -1
        self._entry("TRAILER!!!", 0)
        self.inode = inode
        data = b"".join(self.parts)
        return data + b"\0" * (-len(data) % 512)
