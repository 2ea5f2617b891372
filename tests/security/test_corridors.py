# SPDX-License-Identifier: Apache-2.0
"""BCK-01: the guest's messages are a closed set of integers (and addresses, 16 bytes each), by the shape of their type; and
what reads guest bytes on the host is fuzzed."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]


def fields(header, name):
    """(type, declarator) of every member of struct NAME, nested ones too."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / header).read_text(), flags=re.S)
    start = text.index(f"struct {name} {{")
    depth, end = 0, start
    for end in range(text.index("{", start), len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            break
    found = []
    for member in re.findall(r"([^{};]+);", text[start:end]):
        words = member.split()
        if len(words) >= 2:
            found.append((" ".join(words[:-1]), words[-1]))
    return found


def not_integers(members):
    allowed = re.compile(r"^(struct device_stats|struct net_addr|bool|enum \w+|u?int(8|16|32|64)_t)\b")
    return [m for m in members if not allowed.match(m[0]) or "*" in " ".join(m) or "[" in m[1]]


def test_bck_01_guest_messages_are_integers():
    members = fields("proto/agent.h", "agent_message")
    assert len(members) > 8
    assert not_integers(members) == []


def test_bck_01_device_messages_are_integers():
    assert not_integers(fields("proto/device.h", "device_message") + fields("proto/device.h", "device_stats")) == []


def test_bck_01_check_can_fail():
    assert not_integers([("char", "path[64]")]) and not_integers([("const char", "*url")])


def test_bck_01_guest_parsers_are_fuzzed():
    for name in ("agent", "vhost-user", "virtio", "net-frame", "dhcp", "dns", "netctl"):
        if (ROOT / "proto" / f"{name}.c").exists():
            assert (ROOT / "proto" / f"fuzz-{name}.c").is_file(), name
