# SPDX-License-Identifier: Apache-2.0
"""root: the directory tree of the sealed root, by allow-list: programs, the libraries they need, our own files."""
import os
import shutil
import stat

import elf

LIBRARY_DIR = "usr/lib/x86_64-linux-gnu"
PROGRAM_DIRS = ("usr/bin/", "usr/sbin/", LIBRARY_DIR + "/xtables/", "usr/lib/caisson/")


class RootError(Exception):
    pass


class Root:
    """SOURCE is where the packages are unpacked, TARGET the tree being built."""

    def __init__(self, source, target):
        self.source, self.target = source, target
        self.pending, self.have = [], set()

    def _to(self, path):
        full = os.path.join(self.target, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        return full

    def add(self, path, source_path):
        """Takes one regular file; its permissions lose everything but rwxr-xr-x."""
        info = os.stat(source_path)
        if not stat.S_ISREG(info.st_mode):
            raise RootError(f"{path} is not a regular file")
        full = self._to(path)
        shutil.copyfile(source_path, full)
        os.chmod(full, 0o755 if info.st_mode & 0o111 else 0o644)
        self.pending.append(path)

    def link(self, path, to):
        full = self._to(path)
        os.symlink(to, full)

    def library(self, name):
        if name in self.have:
            return
        self.have.add(name)
        path = os.path.join(self.source, LIBRARY_DIR, name)
        if not os.path.exists(path):
            raise RootError(f"library {name} is in no package of packages.list")
        self.add(f"{LIBRARY_DIR}/{name}", os.path.realpath(path))

    def close(self):
        """Follows the needed libraries until none is missing."""
        while self.pending:
            path = self.pending.pop()
            with open(os.path.join(self.target, path), "rb") as file:
                data = file.read()
            if not elf.is_elf(data):
                continue
            interp, names = elf.needed(data)
            for name in names:
                self.library(name)
            if interp:
                name = os.path.basename(interp)
                self.library(name)
                link = os.path.join(self.target, "usr/lib64", name)
                if not os.path.lexists(link):
                    self.link("usr/lib64/" + name, "../lib/x86_64-linux-gnu/" + name)

    def _row(self, words):
        if words[0] == "dir":
            os.makedirs(os.path.join(self.target, words[2]), exist_ok=True)
            os.chmod(os.path.join(self.target, words[2]), int(words[1], 8))
        elif words[0] == "link":
            self.link(words[1], words[2])
        elif words[0] == "file":
            self.add(words[1], os.path.realpath(os.path.join(self.source, words[-1])))
        elif words[0] == "lib":
            self.library(words[1])
        elif words[0] == "tree":
            base = os.path.join(self.source, words[1])
            for name in sorted(set(os.listdir(base)) - set(words[2:])):
                full = os.path.join(base, name)
                if os.path.islink(full):
                    self.link(f"{words[1]}/{name}", os.readlink(full))
                elif os.path.isfile(full):
                    self.add(f"{words[1]}/{name}", full)
        else:
            raise RootError("files.list: unknown word " + words[0])

    def from_list(self, path):
        with open(path, encoding="ascii") as file:
            for line in file:
                words = line.split()
                if words and not line.startswith("#"):
                    self._row(words)

    def own_files(self, directory):
        """Our configuration, below recipe/root."""
        for base, _, names in os.walk(directory):
            for name in names:
                full = os.path.join(base, name)
                self.add(os.path.relpath(full, directory), full)

    def certificates(self):
        """One bundle of the certificate authorities, as update-ca-certificates would make it."""
        base = os.path.join(self.source, "usr/share/ca-certificates/mozilla")
        with open(self._to("etc/ssl/certs/ca-certificates.crt"), "wb") as out:
            for name in sorted(os.listdir(base)):
                with open(os.path.join(base, name), "rb") as file:
                    out.write(file.read())

    def check(self):
        """What must not be there: shells, set-id files, package managers. Return: number of files."""
        count = 0
        for base, dirs, names in os.walk(self.target):
            for name in dirs + names:
                info = os.lstat(os.path.join(base, name))
                if stat.S_ISREG(info.st_mode) and info.st_mode & 0o6022:
                    raise RootError(f"{base}/{name} is set-id or writable by others")
                if name in ("sh", "bash", "dash", "busybox", "login", "su", "sudo", "sshd", "apt", "dpkg"):
                    raise RootError(f"{base}/{name} has no place in the sealed root")
            count += len(names)
        return count
