# SPDX-License-Identifier: Apache-2.0
"""NET-15: no rule of the network process's filter is there for nothing. test-jail-rules proves what each list allows and kills;
here every rule must have a caller in the code that runs behind it. A rule whose caller goes away fails this test."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "devices/net/jail-rules.c"

# What a system call is called in C, where the name differs or another function makes it.
CALLED = {
    "epoll_wait": r"epoll_wait\(", "sendto": r"\bsend(?:to)?\(", "recvfrom": r"\brecv(?:from)?\(", "fstat": r"\bfstat\(",
    "newfstatat": r"\bfstat\(", "brk": r"\b[mc]alloc\(", "clock_gettime": r"clock_gettime\(",
}
# Nobody calls these: the kernel, the C library's end and the sanitizers do.
IMPLICIT = {"rt_sigreturn", "restart_syscall", "exit_group"}


def code(*folders):
    """The text of the process's own sources, comments out."""
    text = ""
    for folder in folders:
        for f in sorted((ROOT / folder).glob("*.c")):
            if not f.name.startswith(("test-", "fuzz-", "fake-", "jail-rules")) and "memory" not in f.name:
                text += re.sub(r"/\*.*?\*/", "", f.read_text(), flags=re.S)
    return text


def rules_of(text):
    """(system call, further names) of each rule, the sanitizers' left out."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r"#ifdef __SANITIZE_ADDRESS__.*?#endif", "", text, flags=re.S)
    found = [(m[1], m[2]) for m in re.finditer(r"\{__NR_(\w+), \"[^\"]+\", -?\d+, ([\w |]+)\}", text)]
    found += [("socket", f"{m[1]} {m[2]} {m[3]}") for m in re.finditer(r"^\tSOCKET\((\w+), (\w+), (\w+),", text, re.M)]
    found += [("setsockopt", m[2]) for m in re.finditer(r"^\tOPTION\((\w+), (\w+),", text, re.M)]
    return found


def unused(rules, text):
    bad = []
    for call, names in rules:
        if call in IMPLICIT:
            continue
        if not re.search(CALLED.get(call, r"\b%s\(" % call), text):
            bad.append(call)
        for name in re.findall(r"[A-Z][A-Z0-9_]{3,}", names):
            if not re.search(r"\b%s\b" % name, text):
                bad.append(f"{call}: {name}")
    return bad


def test_no_rule_is_unused():
    rules = rules_of(RULES.read_text()) + rules_of((ROOT / "devices/vhost/vhost.c").read_text())
    assert len(rules) > 50
    vhost = re.sub(r"const struct jail_rule vhost_jail_rules.*?\n\};", "", code("devices/vhost"), flags=re.S)
    assert not unused(rules, vhost + code("devices/net", "base"))


def test_unused_rule_is_seen():
    rules = rules_of('\t{__NR_ptrace, "why", -1, 0},\n\tOPTION(SOL_SOCKET, SO_MARK, "why"),\n\tSOCKET(AF_INET, SOCK_RAW, 0, "why"),\n')
    assert len(rules) == 3
    assert unused(rules, "socket(AF_INET, SOCK_STREAM, 0); setsockopt(fd, SOL_SOCKET, SO_LINGER, 0, 0);") == [
        "ptrace", "socket: SOCK_RAW", "setsockopt: SO_MARK"]


def test_forbidden_calls_are_nowhere():
    """What the filter kills is not even tried: bind, listen, exec and files have no caller behind the jail."""
    text = code("devices/net")
    for call in ("bind", "listen", "execve", "execl", "open", "openat", "fopen", "system", "popen"):
        assert not re.search(r"(?<![\w.>])%s\(" % call, text), call
