# SPDX-License-Identifier: Apache-2.0
"""Rooms, corridors and budgets of DESIGN section 2."""
import re

import pytest

import source

FILE_HARD, FILE_SOFT, FUNCTION_HARD, HEADER_HARD = 1000, 600, 100, 150
HELPER_LINES, LAUNCHER_LINES = 2500, 800


def room(path):
    """The trust domain of a file: its top folder, with the shared workshop devices/vhost apart."""
    if path.parts[:2] == ("devices", "vhost"):
        return "devices/vhost"
    return path.parts[0]


def allowed_rooms(path):
    """Rooms whose headers PATH may include."""
    own = room(path)
    if own == "base":
        return {"base"}
    if own == "proto":
        return {"base", "proto"}
    allowed = {"base", "proto", own}
    if own == "devices":
        allowed.add("devices/vhost")
    if own == "bench":
        allowed.add("tests")
    if own == "tests":
        # tests drive any room, and the fakes are theirs
        allowed |= {"devices", "devices/vhost", "machine", "guest", "backend", "ui"}
    if source.is_test(path):
        allowed.add("tests")
    return allowed


def bad_includes(path, text):
    """Includes of PATH that leave its rooms, or are not written from the root."""
    bad = []
    for name in source.includes(text):
        parts = source.pathlib.PurePosixPath(name)
        if len(parts.parts) < 2 or ".." in parts.parts:
            # generated files live in the build directory
            if not (source.ROOT / path.parent / name).exists():
                continue
            bad.append(f"{name}: not written from the root")
        elif room(parts) not in allowed_rooms(path):
            bad.append(f"{name}: {room(path)} may not use {room(parts)}")
        elif room(path) == "helper" and room(parts) == "proto" and parts.name not in (
                "frame.h", "helper.h", "policy-signature.h"):
            bad.append(f"{name}: the helper uses of proto only frame, helper and policy-signature")
        elif room(path) == room(parts) == "devices" and parts.parts[1] != path.parts[1]:
            bad.append(f"{name}: device processes do not share code but devices/vhost")
        elif path.parts[:2] == ("devices", "proxy") and room(parts) == "devices/vhost":
            bad.append(f"{name}: the proxy has no business with guest memory")
    return bad


def test_rooms_exist():
    missing = [r for r in source.ROOMS if not (source.ROOT / r).is_dir()]
    assert not missing
    assert not (source.ROOT / "src").exists()


def test_no_unknown_room():
    known = set(source.ROOMS) | {"helper", "dist", ".ci"}
    unknown = {f.parts[0] for f in source.files() if len(f.parts) > 1} - known
    assert not unknown


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "SECURITY.md", "HACKING.md", "LICENSE", "Makefile",
                                  "meson.build", ".ci/run", ".clang-format", ".clang-tidy", ".editorconfig"])
def test_front_matter_exists(name):
    assert (source.ROOT / name).is_file()


def test_includes_stay_in_their_rooms():
    bad = [f"{f}: {b}" for f in source.c_files() for b in bad_includes(f, source.text(f))]
    assert not bad


def test_include_rule_can_fail():
    path = source.pathlib.PurePosixPath
    assert bad_includes(path("base/fd.c"), '#include "proto/agent.h"\n')
    assert bad_includes(path("machine/main.c"), '#include "backend/api.h"\n')
    assert bad_includes(path("machine/main.c"), '#include "devices/vhost/vring.h"\n')
    assert bad_includes(path("devices/net/main.c"), '#include "devices/fs/node.h"\n')
    assert bad_includes(path("helper/main.c"), '#include "proto/http.h"\n')
    assert bad_includes(path("devices/net/main.c"), '#include "devices/proxy/conn.h"\n')
    assert bad_includes(path("devices/proxy/main.c"), '#include "devices/vhost/vring.h"\n')
    assert not bad_includes(path("devices/proxy/main.c"), '#include "devices/proxy/conn.h"\n')
    assert not bad_includes(path("helper/main.c"), '#include "proto/frame.h"\n')
    assert not bad_includes(path("devices/net/main.c"), '#include "devices/vhost/vring.h"\n')
    assert not bad_includes(path("machine/main.c"), '#include "base/fd.h"\n#include "proto/agent.h"\n')


def test_os_macros_only_in_os_files():
    pattern = re.compile(r"^\s*#\s*(?:if|ifdef|ifndef|elif)\b.*\b(__linux__|__APPLE__|_WIN32|__FreeBSD__|__unix__|_WIN64)\b",
                         re.M)
    assert pattern.search("#if defined(__linux__)\n")
    bad = [str(f) for f in source.c_files()
           if not re.search(r"-(linux|macos|windows|posix)\.", f.name) and pattern.search(source.text(f))]
    assert not bad


def line_count(path):
    return source.text(path).count("\n")


def test_file_budget():
    over = [f"{f}: {line_count(f)}" for f in source.files()
            if f.suffix in (".c", ".h", ".S", ".py", ".sh") or f.parts[0] == "tools"
            if line_count(f) > FILE_HARD]
    assert not over
    soft = [f"{f}: {line_count(f)}" for f in source.c_files() if line_count(f) > FILE_SOFT]
    if soft:
        print("over the soft budget:", *soft)


def test_header_budget():
    over = [f"{f}: {line_count(f)}" for f in source.c_files() if f.suffix == ".h" and line_count(f) > HEADER_HARD]
    assert not over


def test_function_budget():
    over = [f"{f}:{line}: {name} has {n} lines" for f in source.c_files() if f.suffix == ".c"
            for name, line, n in source.functions(source.text(f)) if n > FUNCTION_HARD]
    assert not over


def test_function_scanner_counts():
    text = 'static int f(int a,\n\t     int b)\n{\n\tif (a) {\n\t\tputs("}\\n{");\n\t}\n\treturn 0;\n}\n\nint g(void)\n{\n}\n'
    assert source.functions(text) == [("f", 1, 8), ("g", 10, 3)]
    long = "int h(void)\n{\n" + "\tf();\n" * 100 + "}\n"
    assert source.functions(long) == [("h", 1, 103)]


def test_helper_budget():
    lines = {False: 0, True: 0}
    for f in source.c_files():
        if f.parts[0] == "helper" and not source.is_test(f):
            lines["launcher" in f.parts] += line_count(f)
    assert lines[False] <= HELPER_LINES and lines[True] <= LAUNCHER_LINES
