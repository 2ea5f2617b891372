# SPDX-License-Identifier: Apache-2.0
"""fetch: the packages of the recipe, by a private apt that knows only Debian 13.

Mirrors, proxies and keyrings are those of this machine's own apt configuration; only the suite is replaced.
Signatures are checked by apt. Needs no root, and touches no file outside the cache directory.
"""
import os
import re
import subprocess

SUITE = "trixie"
MACHINE_SUITES = ("bookworm", "trixie")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class FetchError(Exception):
    pass


def machine_targets():
    """Paragraphs of `apt-get indextargets`, as dictionaries."""
    text = subprocess.run(["apt-get", "indextargets", "Created-By: Packages"], check=True,
                          capture_output=True, text=True).stdout
    for paragraph in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line)
        if fields:
            yield fields


def sources(targets):
    """Lines of a sources.list for SUITE from the machine's Debian mirrors."""
    lines = []
    for fields in targets:
        release, uri = fields.get("Release", ""), fields.get("Repo-URI", "")
        match = re.fullmatch(r"(%s)(/updates|-security|-updates)?" % "|".join(MACHINE_SUITES), release)
        if not match or fields.get("Component") != "main" or not uri:
            continue
        key = fields.get("Signed-By") or KEYRING
        if not os.path.isabs(key.split(",")[0]):
            key = KEYRING
        suffixes = ["-security"] if match[2] in ("-security", "/updates") else ["", "-updates"]
        for suffix in suffixes:
            line = f"deb [arch=amd64 signed-by={key}] {uri} {SUITE}{suffix} main"
            if line not in lines:
                lines.append(line)
    if not any(f" {SUITE} main" in line for line in lines):
        raise FetchError("this machine's apt configuration names no Debian mirror (apt-get indextargets "
                         "shows no suite " + " or ".join(MACHINE_SUITES) + "); add one and run apt-get update")
    return lines


def acquire_settings():
    """The machine's own Acquire:: settings (proxies, time-outs), without its hooks."""
    dump = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout
    return [line for line in dump.splitlines() if line.startswith(("Acquire::http", "Acquire::Retries",
                                                                     "Acquire::Check", "Acquire::Max"))]


class PrivateApt:
    """An apt with lists, cache and configuration of its own below DIRECTORY."""

    def __init__(self, directory, log):
        self.log = log
        self.directory = directory
        self.debs = os.path.join(directory, "debs")
        for name in ("lists/partial", "archives/partial", "debs", "parts"):
            os.makedirs(os.path.join(directory, name), exist_ok=True)
        self._write("status", "")
        self._write("sources.list", "\n".join(sources(machine_targets())) + "\n")
        self._write("apt.conf", "\n".join([
            'Dir::Etc::main "/dev/null";', f'Dir::Etc::parts "{directory}/parts";',
            f'Dir::Etc::sourcelist "{directory}/sources.list";', f'Dir::Etc::sourceparts "{directory}/parts";',
            f'Dir::Etc::preferences "/dev/null";', f'Dir::Etc::preferencesparts "{directory}/parts";',
            f'Dir::State "{directory}";', f'Dir::State::lists "{directory}/lists";',
            f'Dir::State::status "{directory}/status";', f'Dir::Cache "{directory}";',
            f'Dir::Cache::archives "{directory}/archives";', 'APT::Architecture "amd64";',
            'APT::Architectures { "amd64"; };', 'APT::Sandbox::User "root";', 'Acquire::Languages "none";',
            'Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";',
            'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";',
            'Debug::NoLocking "true";'] + acquire_settings()) + "\n")
        self.env = dict(os.environ, APT_CONFIG=os.path.join(directory, "apt.conf"), LC_ALL="C.UTF-8")

    def _write(self, name, text):
        with open(os.path.join(self.directory, name), "w", encoding="utf-8") as file:
            file.write(text)

    def _run(self, *args, cwd=None):
        done = subprocess.run(args, env=self.env, cwd=cwd, capture_output=True, text=True)
        if done.returncode != 0:
            raise FetchError(f"{' '.join(args[:2])} failed: {(done.stderr or done.stdout).strip()[-800:]}")
        return done.stdout

    def update(self):
        self._run("apt-get", "-q", "update")

    def depends(self, package, pattern):
        """The first dependency of PACKAGE that matches PATTERN (a kernel's metapackage names its image)."""
        for line in self._run("apt-cache", "depends", package).splitlines():
            match = re.fullmatch(r"\s*Depends: (" + pattern + ")", line)
            if match:
                return match[1]
        raise FetchError(f"{package} depends on nothing like {pattern}")

    def candidates(self, packages):
        """{package: (version, file name in the cache, sha256)} of the newest versions."""
        found = {}
        for paragraph in self._run("apt-cache", "show", "--no-all-versions", *packages).split("\n\n"):
            fields = dict(line.split(": ", 1) for line in paragraph.splitlines()
                          if ": " in line and not line.startswith(" "))
            if fields.get("Package") in packages:
                version = fields["Version"]
                name = f"{fields['Package']}_{version.replace(':', '%3a')}_{fields['Architecture']}.deb"
                found[fields["Package"]] = (version, os.path.join(self.debs, name), fields["SHA256"])
        missing = sorted(set(packages) - set(found))
        if missing:
            raise FetchError("not in " + SUITE + ": " + " ".join(missing))
        return found

    def download(self, packages, verify):
        """Downloads what is not in the cache; VERIFY(path, sha256) raises for a damaged file."""
        found = self.candidates(packages)
        wanted = [name for name in packages if not os.path.exists(found[name][1])]
        if wanted:
            self.log(f"downloading {len(wanted)} packages")
            self._run("apt-get", "-q", "download", *wanted, cwd=self.debs)
        for version, path, digest in found.values():
            verify(path, digest)
        return found
