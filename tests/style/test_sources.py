# SPDX-License-Identifier: Apache-2.0
"""Rules for single files: headers, comments, forbidden calls, hosts and paths, codecs with tests and seeds."""
import re

import pytest

import source

SPDX = "SPDX-License-Identifier: Apache-2.0"
FORBIDDEN = ("strcpy", "strcat", "sprintf", "vsprintf", "gets", "strtok", "system", "popen", "alloca", "atoi", "atol",
             "mktemp", "tmpnam")
COLUMNS_HARD = 140  # 110 is the aim; a table row may be longer
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(FORBIDDEN))
# Spelled in two halves, so that this file does not trip over itself.
MIRROR = re.compile(r"(?:deb|ftp|security|snapshot|archive|mirror|mirrors)[\w.-]*\.(?:deb" + r"ian|ubu" + r"ntu)\.(?:org|net|com)")


def test_every_source_names_licence_and_purpose():
    bad = []
    for f in source.c_files():
        lines = source.text(f).split("\n")
        if lines[0] != f"/* {SPDX} */":
            bad.append(f"{f}: first line is not the SPDX line")
        rest = "\n".join(lines[1:]).lstrip()
        if not rest.startswith("/*") or len(re.sub(r"[^\w]", "", rest.split("*/")[0])) < 8:
            bad.append(f"{f}: no purpose comment after the SPDX line")
    assert not bad


def test_every_script_names_its_licence():
    bad = []
    for f in source.files():
        if f.suffix in (".py", ".sh") or f.parts[0] == "tools" or f.name == "Makefile" or f == source.pathlib.PurePosixPath(".ci/run"):
            if SPDX not in "\n".join(source.text(f).split("\n")[:3]) and source.text(f).strip():
                bad.append(str(f))
    assert not bad


def line_comments(text):
    """Line numbers of // comments (a URL inside a string or comment is none)."""
    lines = []
    for match in source.LEXEMES.finditer(text):
        if match.group().startswith("//"):
            lines.append(text.count("\n", 0, match.start()) + 1)
    return lines


def test_no_line_comments():
    bad = [f"{f}:{n}" for f in source.c_files() if f.suffix != ".S" for n in line_comments(source.text(f))]
    assert not bad
    assert line_comments('a; // b\n"// c" /* // d */\n') == [1]


def test_no_forbidden_calls():
    bad = [f"{f}: {m}" for f in source.c_files() if not source.is_test(f) for m in CALL.findall(source.blank(source.text(f)))]
    assert not bad
    assert CALL.findall("x = atoi (s); strcpy(a, b);") == ["atoi", "strcpy"]
    assert not CALL.findall("my_system(x); p->gets(x); snprintf(a, 1, b);")


def test_no_vla_no_utils():
    assert not [str(f) for f in source.files() if f.name in ("utils.c", "utils.h", "util.c", "util.h", "misc.c", "common.c")]


def test_whitespace():
    bad = []
    for f in source.c_files():
        text = source.text(f)
        if not text.endswith("\n") or text.endswith("\n\n"):
            bad.append(f"{f}: end of file")
        for n, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                bad.append(f"{f}:{n}: trailing space")
            if len(line.expandtabs(8)) > COLUMNS_HARD:
                bad.append(f"{f}:{n}: {len(line.expandtabs(8))} columns")
    assert not bad


def text_files():
    for f in source.files():
        if f.name == "LICENSE" or f.parts[:2] == ("tests", "corpus"):
            continue
        try:
            yield f, source.text(f)
        except UnicodeDecodeError:
            continue


def test_no_mirror_hosts():
    bad = [f"{f}: {m}" for f, text in text_files() for m in MIRROR.findall(text)]
    assert not bad
    assert MIRROR.search("http://ftp.de.deb" + "ian.org/") and MIRROR.search("mirrors.example.ubu" + "ntu.com")


def test_no_paths_of_this_machine():
    parent = source.ROOT.parent
    # A clone directly below a common directory gives no path that would identify this machine.
    if len(parent.parts) < 2 or parent.parts[1] in ("tmp", "root", "src", "opt"):
        parent = source.ROOT
    needle = f"{parent}/"
    bad = [str(f) for f, text in text_files() if needle in text]
    assert not bad


def test_qemu_is_never_given_its_own_network_or_shares():
    bad = [f"{f}: {word}" for f, text in text_files() if f.parts[0] == "machine" and not source.is_test(f)
           and f.suffix in (".c", ".h")
           for word in ("-virtfs", "netdev user", "-netdev\", \"user", "9p", "-fsdev", "-monitor") if word in source.blank_comments(text)]
    assert not bad


RING_FIELD = r"(?:->|\.)(?:desc|avail|used)\b(?!_)"
RAW_READ = re.compile(r"\b(?:memcpy|memmove|memcmp|(?:le|be)(?:16|32|64)_(?:load|store))\s*\([^;]*(?:%s|\biov_base\b)|%s\s*\["
                      % (RING_FIELD, RING_FIELD))


def reads_guest_memory(path, text):
    """Places in TEXT that look at guest memory beside the one copy-in function, and mappings outside the one mapper."""
    code = source.blank(text)
    found = [m.group()[:60] for m in RAW_READ.finditer(code)]
    if path.name != "guest-map.c" and re.search(r"\bmmap\s*\([^;]*MAP_SHARED", code):
        found.append("MAP_SHARED")
    # vring.c reads the four 16-bit ring fields by an atomic load; nobody else loads atomically from a pointer.
    if path.name not in ("guest-memory.c", "guest-map.c", "vring.c") and "__atomic_load" in code:
        found.append("__atomic_load")
    return found


def test_one_reader_of_guest_memory():
    """FS-17: whatever a device looks at has been copied once by guest_copy_in, which is defined once."""
    devices = [f for f in source.c_files() if f.parts[0] == "devices" and not source.is_test(f)]
    bad = [f"{f}: {r}" for f in devices for r in reads_guest_memory(f, source.text(f))]
    assert not bad
    definitions = [str(f) for f in devices if re.search(r"^void guest_copy_in\(.*\)\n\{", source.text(f), re.M)]
    assert definitions == ["devices/vhost/guest-memory.c"]
    loads = source.blank(source.text("devices/vhost/vring.c")).count("__atomic_load_n")
    assert loads <= 2, "vring.c reads ring fields through its two loaders only"


def test_guest_memory_rule_can_fail():
    path = source.pathlib.PurePosixPath("devices/net/tcp.c")
    for line in ("memcpy(&d, ring->desc + 16, 16);", "x = le16_load(ring->avail + 2);", "memcpy(h, iov[0].iov_base, 4);",
                 "y = ring->used[3];", "p = mmap(NULL, n, 3, MAP_SHARED, fd, 0);", "__atomic_load_n(p, 0);"):
        assert reads_guest_memory(path, line), line
    assert not reads_guest_memory(path, "guest_copy_in(&d, ring->desc + 16, sizeof(d)); t->used_bytes[0] = 1;")


def codecs():
    for f in source.files():
        if f.parts[0] == "proto" and f.suffix == ".c" and not source.is_test(f):
            yield f.stem


def targets():
    return [f for f in source.files() if f.name.startswith("fuzz-") and f.suffix == ".c" and f.parts[0] != "tests"]


def test_every_codec_has_test_and_fuzz_target():
    bad = []
    for name in codecs():
        for kind in ("test", "fuzz"):
            if not (source.ROOT / "proto" / f"{kind}-{name}.c").is_file():
                bad.append(f"proto/{kind}-{name}.c is missing")
    assert not bad
    assert list(codecs())


@pytest.mark.parametrize("target", targets(), ids=str)
def test_fuzz_target_has_seeds(target):
    directory = source.ROOT / "tests" / "corpus" / target.stem[len("fuzz-"):]
    assert directory.is_dir(), f"{directory} is missing"
    assert len([p for p in directory.iterdir() if p.is_file()]) >= 3
    assert "LLVMFuzzerTestOneInput" in source.text(target)
