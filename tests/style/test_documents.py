# SPDX-License-Identifier: Apache-2.0
"""Documents say what is there: links resolve, protocol pages list the headers' messages, promises name tests (MET-10)."""
import re

import pytest

import source

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
# A path in backticks that starts with one of our rooms must exist.
CODE_PATH = re.compile(r"`((?:%s)/[\w./-]+)`" % "|".join(source.ROOMS + (r"\.ci",)))
TEST_ID = re.compile(r"\b((?:VM|BCK|FS|MET|NET|API|HLP|INS|ECI|REG)-\d\d)\b")


def pages():
    return [f for f in source.files() if f.suffix == ".md"]


def dead_links(path, text):
    dead = []
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    for target in LINK.findall(text):
        if "://" in target or target.startswith("mailto:"):
            continue
        if not (source.ROOT / path.parent / target).exists():
            dead.append(target)
    for target in CODE_PATH.findall(text):
        path = source.ROOT / target.rstrip("/.")
        # `base/spawn` names the module: its source or header.
        if not path.exists() and not path.with_suffix(".c").exists() and not path.with_suffix(".h").exists():
            dead.append(target)
    return dead


def test_links_resolve():
    dead = [f"{f}: {d}" for f in pages() for d in dead_links(f, source.text(f))]
    assert not dead


def test_dead_link_is_seen():
    page = source.pathlib.PurePosixPath("README.md")
    assert dead_links(page, "[x](no-such-file.md) `base/no-such.c`") == ["no-such-file.md", "base/no-such.c"]
    assert not dead_links(page, "[x](Makefile) `base/fd.h` [y](https://example.org/)")


def enumerators(header, enum, prefix):
    body = re.search(r"enum %s \{(.*?)\}" % enum, source.blank(source.text(header)), re.S).group(1)
    return {n for n in re.findall(r"\b(%s\w+)\b" % prefix, body) if not n.endswith("_MAX")}


@pytest.mark.parametrize("corridor,enum,prefix", [("agent", "agent_type", "AGENT_"), ("agent", "agent_stage", "AGENT_"),
                                                  ("agent", "agent_cause", "AGENT_"), ("device", "device_type", "DEVICE_"),
                                                  ("proxyctl", "proxyctl_type", "PROXYCTL_")])
def test_protocol_page_lists_messages(corridor, enum, prefix):
    page = source.ROOT / "docs" / "protocol" / f"{corridor}.md"
    assert page.is_file()
    text = page.read_text(encoding="utf-8")
    names = enumerators(f"proto/{corridor}.h", enum, prefix)
    short = {n: n.split(f"{prefix}", 1)[1] for n in names}
    missing = [n for n in sorted(names)
               if not re.search(r"\b%s\b" % n, text) and not re.search(r"`%s`" % short[n].lower(), text)]
    assert not missing
    # and nothing that does not exist
    header = source.text(f"proto/{corridor}.h") + source.text("proto/control-link.h")
    invented = {n for n in re.findall(r"\b%s[A-Z0-9_]+\b" % prefix, text) if n not in header}
    assert not invented


def ids_in_tests():
    found = set()
    for f in source.files():
        if f.parts[:2] == ("tests", "style"):
            if f.name == "test_documents.py":
                found.add("MET-10")
            continue
        if f.parts[:2] == ("tests", "corpus"):
            continue
        if source.is_test(f) and f.suffix in (".py", ".c"):
            found |= set(TEST_ID.findall(source.text(f).replace("_", "-").upper()))
        if f.parts[0] == "tools" and f.name == "test":
            found |= {"MET-05"} if "asan" in source.text(f) else set()
    return found


def test_promises_name_tests_that_exist():
    """MET-10: every promise line of SECURITY.md ends in test ids, and every id has a test."""
    text = source.text("SECURITY.md")
    promises = [line for line in text.split("\n") if re.match(r"^(?:\d+\.|- \*\*P\d+|\| *\d+ *\|)", line)]
    assert promises, "SECURITY.md lists no promises"
    later = re.compile(r"\b(?:not yet|later|planned|comes with)\b", re.I)
    paragraphs = re.split(r"\n(?=\d+\.|\| *\d+ *\||- \*\*P\d+)", text)
    bad = []
    for p in paragraphs:
        if not re.match(r"^(?:\d+\.|- \*\*P\d+|\| *\d+ *\|)", p):
            continue
        first = p.split("\n\n")[0]
        if not TEST_ID.search(first) and not later.search(first):
            bad.append(first[:80])
    assert not bad, f"promises without a test id: {bad}"
    orphans = {i for p in paragraphs if not later.search(p) for i in TEST_ID.findall(p)} - ids_in_tests()
    assert not orphans, f"SECURITY.md names tests that do not exist: {sorted(orphans)}"


def test_design_tests_of_this_issue_exist():
    wanted = {f"VM-{n:02}" for n in (1, 3, 4, 8, 9, 10, 11, 14)} | {f"BCK-{n:02}" for n in (1, 2, 5, 7, 10, 11)}
    wanted |= {"FS-16", "FS-17", "MET-01", "MET-05", "MET-06", "MET-07"}
    missing = wanted - ids_in_tests()
    assert not missing, sorted(missing)
