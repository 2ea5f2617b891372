# SPDX-License-Identifier: Apache-2.0
"""The desktop itself: cold start with its stages, memory and wake-ups when idle, and what `docker run` costs outside
the engine. Baseline of the start: the same QEMU and kernel up to the first instruction of PID 1 (stage "kernel")."""
import json
import subprocess
import time

import common as c

CAISSON = str(c.PREFIX / "bin/caisson")
DOCKER = str(c.PREFIX / "lib/docker/bin/docker")
STRACE_S = 10


def call(home, *argv, **kw):
    return c.run(c.as_account(argv, home), **kw)


def status(home):
    return json.loads(call(home, CAISSON, "status", "--format", "json"))


def first_ping(home):
    """Seconds from the call of `caisson start --detach` to the first answer of GET /_ping on the engine socket."""
    start = time.monotonic()
    starter = subprocess.Popen(c.as_account([CAISSON, "start", "--detach"], home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sock = str(home / ".docker/desktop/docker.sock")
    while time.monotonic() - start < 120:
        done = subprocess.run(c.as_account(["curl", "-sf", "--max-time", "100", "--unix-socket", sock, "http://x/_ping"], home),
                              capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.startswith("OK"):
            took = time.monotonic() - start
            starter.wait()
            return took
        time.sleep(0.05)
    raise SystemExit("no answer to GET /_ping within 120 s")


def bench_start(home):
    times, stages = [], {}
    for i in range(c.RUNS + 1):
        took = first_ping(home)
        call(home, CAISSON, "start")  # returns when all stages are there
        for stage in status(home)["stages"]:
            stages.setdefault(stage["name"], []).append(stage["elapsed_ms"] / 1000)
        call(home, CAISSON, "stop")
        times.append(took)
    fresh, again = times[0], times[1:]
    rows = [[name, c.spread(values)] for name, values in stages.items()]
    kernel = c.median(stages["kernel"])
    text = c.table("Cold start: when each stage is reached (seconds since launch)", ["stage", "median (min to max)"], rows)
    text += f"\n- first start, empty data disk made and formatted: {fresh:.2f} s to the first /_ping: {c.verdict(fresh <= 12)} (at most 12 s)\n"
    text += f"- later starts: {c.spread(again)} s: {c.verdict(c.median(again) <= 12)} (at most 12 s); "
    text += f"{c.median(again) / kernel:.1f} times the bare kernel's {kernel:.2f} s\n"
    text += f"- second start no slower than the first: {c.verdict(again[0] <= fresh * 1.05)}\n"
    return text


def wakeups(pid):
    """System calls of a process within STRACE_S seconds, as strace -c counts them."""
    done = subprocess.run(["timeout", "-s", "INT", str(STRACE_S), "strace", "-c", "-f", "-p", str(pid)], capture_output=True, text=True)
    for line in done.stderr.splitlines():
        if line.strip().endswith("total"):
            return int(line.split()[-2])
    return 0


def pids(home):
    found = status(home)["pids"]
    return {k: v for k, v in found.items() if v}


def bench_idle(home):
    """Resident memory and system calls of an idle desktop. net maps the guest's memory: the pages it touched count in its
    VmRSS (as RssShmem) but are the guest's, there with or without net; "own" leaves them out."""
    time.sleep(15)  # let the engine settle
    rows, own_total, all_total = [], 0, 0
    for name, pid in sorted(pids(home).items()):
        everything, own = c.memory_kib(pid, "VmRSS"), c.memory_kib(pid, "RssAnon", "RssFile")
        calls = wakeups(pid) if name in ("net", "machine", "backend") else "-"
        rows.append([name, f"{own / 1024:.1f}", f"{everything / 1024:.1f}", calls])
        if name != "qemu":
            own_total, all_total = own_total + own, all_total + everything
    rows.append(["backend + machine + net", f"{own_total / 1024:.1f}", f"{all_total / 1024:.1f}", ""])
    text = c.table("Idle desktop, no containers", ["process", "own resident MiB", "with guest pages MiB", f"system calls in {STRACE_S} s"], rows)
    quiet = all(r[3] == 0 for r in rows if r[0] in ("net", "machine"))
    text += f"\n- together under 20 MiB resident: {own_total / 1024:.1f} MiB own, {all_total / 1024:.1f} MiB with the guest's pages that net touched: "
    text += f"{c.verdict(all_total < 20 * 1024)}\n"
    text += f"- no wake-ups in net and machine: {c.verdict(quiet)}\n"
    return text


def bench_docker_run(home):
    """Outside = wall time of the docker command minus what the engine's own events span (create to destroy)."""
    docker = [DOCKER, "--context", "desktop-linux"]
    subprocess.run(c.as_account(docker + ["load", "--quiet"], home), stdin=open(c.ARCHIVE, "rb"), check=True, capture_output=True)
    image = call(home, *docker, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()[0]
    wall, inside = [], []
    for i in range(c.RUNS + 1):
        name = f"bench{i}"
        start = time.monotonic()
        call(home, *docker, "run", "--rm", "--network", "none", "--name", name, image, "true")
        took = time.monotonic() - start
        # Half a second ahead: the guest's clock is set to the host's at start and may be a little behind.
        lines = call(home, *docker, "events", "--since", "2m", "--until", f"{time.time() + 0.5:.3f}", "--filter", f"container={name}", "--format", "{{.TimeNano}} {{.Action}}").splitlines()
        stamps = [int(l.split()[0]) for l in lines]
        if i:
            wall.append(took)
            inside.append((max(stamps) - min(stamps)) / 1e9)
    outside = [w - n for w, n in zip(wall, inside)]
    rows = [["docker run --rm, wall", c.spread(wall)], ["between the engine's create and destroy events", c.spread(inside)],
            ["outside (CLI, backend, link, request handling before create)", c.spread(outside)]]
    return c.table("docker run --rm of a small image", ["part", "seconds"], rows)


def main():
    home = c.private_home("desktop")
    texts = [bench_start(home)]
    call(home, CAISSON, "start")
    try:
        texts.append(bench_idle(home))
        texts.append(bench_docker_run(home))
    finally:
        subprocess.run(c.as_account([CAISSON, "stop"], home), capture_output=True)
    return "\n".join(texts)
