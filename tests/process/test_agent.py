# SPDX-License-Identifier: Apache-2.0
"""The whole agent of the VM, as it is shipped, with a stand-in for init, machine, engine and control card: no VM."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CANNOT_RUN = 77


def check_agent(program):
    # An ordinary account becomes root of a user namespace of its own, where the host allows that.
    namespaces = "-nm" if os.geteuid() == 0 else "-Urnm"
    done = subprocess.run(["unshare", namespaces, "/usr/bin/python3", str(ROOT / "guest/agent/check-agent.py"), str(program)],
                          capture_output=True, text=True, timeout=90)
    if done.returncode == CANNOT_RUN or "unshare failed" in done.stderr:
        pytest.skip((done.stderr or done.stdout).strip() or "check-agent cannot run here")
    return done


def test_agent_whole_process():
    program = pathlib.Path(os.environ.get("CAISSON_BUILD_DIR", ROOT / "build")) / "guest/agent/caisson-agent"
    assert program.is_file(), f"{program} is not built"
    done = check_agent(program)
    assert done.returncode == 0 and "FAILED" not in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("ok  ") >= 20, done.stdout


def test_agent_check_can_fail():
    """A program that is no agent does not pass."""
    done = check_agent("/bin/true")
    assert done.returncode != 0
