# SPDX-License-Identifier: Apache-2.0
"""What the benches share: accounts, medians, CPU time of a process, tables and the description of the machine."""
import os
import pwd
import statistics
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent
PREFIX = Path(os.environ.get("CAISSON_PREFIX", "/opt/caisson"))
ARCHIVE = os.environ.get("CAISSON_IMAGE_ARCHIVE", "")
ACCOUNT = os.environ.get("CAISSON_ACCOUNT") or pwd.getpwuid(os.getuid()).pw_name
WORK = Path(os.environ.get("CAISSON_WORK", "/tmp"))
RUNS = int(os.environ.get("CAISSON_BENCH_RUNS", "5"))
TICKS = os.sysconf("SC_CLK_TCK")


def as_account(argv, home=None):
    """ARGV with the rights and a private home of the ordinary account (the desktop refuses root)."""
    entry = pwd.getpwnam(ACCOUNT)
    env = ["env", "-i", f"HOME={home or entry.pw_dir}", f"USER={ACCOUNT}", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"]
    if os.getuid() == entry.pw_uid:
        return env + list(argv)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups"] + env + list(argv)


def private_home(name):
    """A fresh home directory owned by the account."""
    entry = pwd.getpwnam(ACCOUNT)
    home = WORK / f"home-{name}"
    home.mkdir(mode=0o700, exist_ok=True)
    os.chown(home, entry.pw_uid, entry.pw_gid)
    return home


def run(argv, **kw):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=kw.pop("timeout", 120), **kw)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def cpu_seconds(pid):
    """User and system time of a process so far (/proc/PID/stat fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_seconds_fine(pid):
    """Time on a processor of a process with one thread, in nanosecond steps (/proc/PID/schedstat)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def memory_kib(pid, *keys):
    """Sum of KEYS (VmRSS, RssAnon, RssFile, RssShmem) of /proc/PID/status in KiB."""
    lines = dict(l.split(":", 1) for l in Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(lines[k].split()[0]) for k in keys)


def median(values):
    return statistics.median(values)


def spread(values, form="{:.2f}"):
    """'median (min to max)'."""
    return f"{form.format(median(values))} ({form.format(min(values))} to {form.format(max(values))})"


def machine():
    cpu = next((l.split(":", 1)[1].strip() for l in Path("/proc/cpuinfo").read_text().splitlines() if l.startswith("model name")), "?")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1048576
    qemu = run(["qemu-system-x86_64", "--version"]).splitlines()[0]
    return f"{os.cpu_count()} x {cpu}, {memory} GiB, kernel {os.uname().release}; {qemu}"


def table(title, head, rows):
    """A Markdown table, aligned, as text."""
    cells = [list(map(str, r)) for r in [head] + rows]
    widths = [max(len(r[i]) for r in cells) for i in range(len(head))]
    line = lambda r: "| " + " | ".join(c.ljust(w) for c, w in zip(r, widths)) + " |"
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([f"## {title}", "", line(cells[0]), rule] + [line(r) for r in cells[1:]]) + "\n"


def verdict(ok):
    return "met" if ok else "MISSED"
