# SPDX-License-Identifier: Apache-2.0
"""The kill matrix: SIGKILL of each process while starting, running and stopping. The next start works, data written and
synced before is there, and no process, socket or lock of the dead desktop stays behind. Boots are shared: the start
that proves one kill is the machine that the next kill hits."""
import os
import signal
import time

import pytest

import desktop

ROLES = ("qemu", "net", "machine", "backend")
ALL_ROLES = {*ROLES, "net-data", "proxy"}


@pytest.fixture(scope="module")
def counter(session_desktop):
    """How many marks the volume must hold."""
    return {"n": 0}


def mark(d, counter):
    """One more synced line in the volume; the lines so far must be there."""
    counter["n"] += 1
    d.docker("volume", "create", "marks")
    out = d.container(f"echo mark {counter['n']} >>/v/marks; sync; cat /v/marks", "-v", "marks:/v")
    assert out.split("\n")[:-1] == [f"mark {i}" for i in range(1, counter["n"] + 1)]


def check_clean_after(d, pids):
    assert d.wait_gone(pids.values(), 30), {r: p for r, p in pids.items() if desktop.is_alive(p)}
    orphans = [(p, argv) for p, (_, argv, uid) in desktop.all_processes().items()
               if uid == d.account.pw_uid and argv and os.path.basename(argv[0]) in desktop.ROLES]
    assert not orphans


@pytest.mark.parametrize("role", ("qemu", "machine", "backend"))
def test_killed_while_running(vm, counter, role):
    mark(vm, counter)
    pids = vm.processes()
    assert set(pids) == ALL_ROLES
    os.kill(pids[role], signal.SIGKILL)
    check_clean_after(vm, pids)
    assert vm.caisson("status").returncode != 0 or "running" not in vm.caisson("status").stdout
    vm.start()
    mark(vm, counter)


def test_net_killed_while_running(vm, counter):
    """Killing net stops no container: the machine starts another and the engine answers again."""
    vm.docker("run", "-d", "--name", "survivor", "debian-test:13", "sleep", "600")
    started = vm.docker("inspect", "-f", "{{.State.StartedAt}}", "survivor").stdout
    pids = vm.processes()
    os.kill(pids["net"], signal.SIGKILL)
    assert desktop.wait_for(lambda: vm.processes().get("net") not in (None, pids["net"]), 15), "net is not started again"
    answer = desktop.wait_for(lambda: vm.docker("inspect", "-f", "{{.State.StartedAt}} {{.State.Running}}", "survivor", check=False, timeout=30)
                              .stdout.strip(), 30, 0.5)
    assert answer == f"{started.strip()} true"
    now = vm.processes()
    assert {r: now[r] for r in ("qemu", "machine", "backend")} == {r: pids[r] for r in ("qemu", "machine", "backend")}
    vm.docker("rm", "-f", "survivor")
    mark(vm, counter)


@pytest.mark.parametrize("role,after", [("qemu", 1.0), ("machine", 3.0), ("backend", 5.0), ("net", 0.5)])
def test_killed_while_starting(vm, counter, role, after):
    mark(vm, counter)
    vm.stop()
    child = vm.popen([vm.prefix / "bin" / "caisson", "start"], stdout=-1, stderr=-2)
    try:
        pids = desktop.wait_for(lambda: (lambda p: p if role in p else None)(vm.processes()), 20)
        assert pids, f"no {role} within 20 s"
        time.sleep(after)
        pids = vm.processes()
        os.kill(pids[role], signal.SIGKILL)
        if role == "net":
            # Net comes back by itself and the start succeeds.
            out, _ = child.communicate(timeout=120)
            assert child.returncode == 0, out.decode(errors="replace")
        else:
            out, _ = child.communicate(timeout=60)
            assert child.returncode != 0 and out.strip(), "start must fail and say why"
            check_clean_after(vm, pids)
            vm.start()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    mark(vm, counter)


@pytest.mark.parametrize("role", ROLES)
def test_killed_while_stopping(vm, counter, role):
    mark(vm, counter)
    vm.docker("run", "-d", "--rm", "debian-test:13", "sh", "-c", "trap 'sleep 3; exit' TERM; while :; do sleep 0.2; done")
    pids = vm.processes()
    child = vm.popen([vm.prefix / "bin" / "caisson", "stop"], stdout=-1, stderr=-2)
    try:
        time.sleep(1.0)
        if desktop.is_alive(pids[role]):
            os.kill(pids[role], signal.SIGKILL)
        child.communicate(timeout=60)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    check_clean_after(vm, pids)
    vm.start()
    mark(vm, counter)


def test_stale_files_are_not_trusted(vm, counter):
    """Socket, lock and pid files of an earlier boot stand in the way of nothing."""
    vm.stop()
    run = vm.state / "run"
    vm.run(["sh", "-c", f"cd {run} && echo 1 >backend.lock && echo 1 >backend.pid && rm -f backend.sock engine.sock && "
            f"/usr/bin/python3 -c 'import socket; [socket.socket(socket.AF_UNIX).bind(n) for n in (\"backend.sock\", \"engine.sock\", \"../docker.sock\")]'"],
           check=True)
    vm.start()
    mark(vm, counter)
