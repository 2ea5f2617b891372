# SPDX-License-Identifier: Apache-2.0
"""What the style tests know about the tree: its files, its rooms, and a small scanner for C.

The scanner blanks comments and literals, so that no rule is fooled by text, and finds function bodies by the
kernel style the project keeps (a body's braces stand alone in column 0).
"""
import functools
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOMS = ("base", "proto", "machine", "devices", "guest", "backend", "ui", "tests", "bench", "docs", "tools")
C_ROOMS = ("base", "proto", "helper", "machine", "devices", "guest", "backend", "ui", "tests", "bench")


@functools.lru_cache(None)
def files():
    """Every file of the tree that git tracks or would track, as a path relative to ROOT."""
    try:
        out = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(ROOT), "ls-files", "-z", "--cached",
                              "--others", "--exclude-standard"], check=True, capture_output=True).stdout
        names = [n for n in out.decode().split("\0") if n]
    except (OSError, subprocess.CalledProcessError):
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file()]
        names = [n for n in names if not n.startswith((".git/", "build"))]
    return sorted(pathlib.PurePosixPath(n) for n in set(names) if (ROOT / n).is_file())


def c_files():
    return [f for f in files() if f.suffix in (".c", ".h", ".S") and f.parts[0] in C_ROOMS]


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def is_test(path):
    return path.parts[0] == "tests" or path.name.startswith(("test-", "fuzz-", "fake-"))


LEXEMES = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)


def blank(source, keep_comments=False):
    """SOURCE with comments and literals replaced by spaces; lines keep their numbers."""
    def replace(match):
        s = match.group()
        if keep_comments and s.startswith("/"):
            return s
        inner = re.sub(r"[^\n]", " ", s)
        return '"' + inner[2:] + '"' if s[0] == '"' and len(s) >= 2 else inner
    return LEXEMES.sub(replace, source)


def functions(source):
    """(name, first line, number of lines) of each function body, signature included."""
    code = blank(source).split("\n")
    found = []
    start = None
    for i, line in enumerate(code):
        if line.rstrip() == "{" and i > 0:
            start = i
            while start > 0 and code[start - 1].strip() and not code[start - 1].rstrip().endswith((";", "}")) \
                    and not code[start - 1].startswith("#"):
                start -= 1
        elif line.startswith("}") and start is not None:
            head = " ".join(code[start:i])
            match = re.search(r"(\w+)\s*\(", head)
            if match:
                found.append((match.group(1), start + 1, i - start + 1))
            start = None
    return found


def includes(source):
    """Names of the #include "..." lines."""
    return re.findall(r'^\s*#\s*include\s*"([^"]+)"', source, re.M)


def blank_comments(text):
    """TEXT without comments, literals kept."""
    return LEXEMES.sub(lambda m: re.sub(r"[^\n]", " ", m.group()) if m.group().startswith("/") else m.group(), text)
