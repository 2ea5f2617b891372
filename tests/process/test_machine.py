# SPDX-License-Identifier: Apache-2.0
"""caisson-machine against a QEMU and a net process that misbehave: every failure has its sentence, and nothing stays.

Needs CAISSON_MACHINE (path of caisson-machine); tests/run and `make test` set it. No VM is booted.
"""
import importlib.util
import json
import os
import signal
import subprocess
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
FAKE = os.path.join(HERE, "..", "fake")
MACHINE = os.environ.get("CAISSON_MACHINE")

pytestmark = pytest.mark.skipif(not MACHINE, reason="CAISSON_MACHINE is not set")

spec = importlib.util.spec_from_file_location("machine_driver", os.path.join(FAKE, "machine-driver.py"))
driver_module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(driver_module)
MachineDriver = driver_module.MachineDriver


def make_image(directory):
    os.makedirs(directory, exist_ok=True)
    files = {}
    for name, size in (("vmlinux", 8192), ("initrd.cpio", 4096), ("root.img", 8 * 4096)):
        with open(os.path.join(directory, name), "wb") as f:
            f.write(bytes(size))
        import hashlib
        files[name] = {"size": size, "sha256": hashlib.sha256(bytes(size)).hexdigest()}
    with open(os.path.join(directory, "image.json"), "w") as f:
        json.dump({"format": 1, "recipe": "00" * 16, "kernel_release": "6.12.0-fake", "engine": "26.1.5", "modules": 3,
                   "cmdline": "console=ttyS0 quiet",
                   "verity": {"data_blocks": 6, "hash_start_block": 6, "salt": "", "root_hash": "ab" * 32},
                   "files": files}, f)
    return directory


class Rig:
    def __init__(self, tmp):
        self.tmp = tmp
        self.image = make_image(os.path.join(tmp, "image"))
        self.drivers = []

    def link(self, kind, scene):
        path = os.path.join(self.tmp, f"fake-{kind}-{scene}")
        if not os.path.lexists(path):
            os.symlink(os.path.join(FAKE, f"fake-{kind}.py"), path)
        return path

    def start(self, scene="good", net="good", accel="tcg", device=None, launch=True, **kw):
        log = open(os.path.join(self.tmp, "machine.log"), "ab")
        d = MachineDriver(MACHINE, os.path.join(self.tmp, "state"), self.image, self.link("net", net),
                          self.link("qemu", scene), device, accel, memory=512, disk=2048, log=log, **kw)
        self.drivers.append(d)
        if launch:
            d.send_launch()
        return d

    def read(self, name):
        with open(os.path.join(self.tmp, "state", "log", name), errors="replace") as f:
            return f.read()

    def processes(self):
        """Processes whose command line names this test's directory."""
        found = []
        for pid in os.listdir("/proc"):
            if pid.isdigit() and int(pid) != os.getpid():
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as f:
                        text = f.read().decode(errors="replace")
                except OSError:
                    continue
                if f"{self.tmp}/fake-" in text:
                    found.append((int(pid), text))
        return found

    def nothing_left(self):
        end = time.monotonic() + 5
        while self.processes() and time.monotonic() < end:
            time.sleep(0.05)
        assert self.processes() == []
        assert sorted(os.listdir(os.path.join(self.tmp, "state", "run"))) == []


@pytest.fixture
def rig(tmp_path):
    r = Rig(str(tmp_path))
    yield r
    for d in r.drivers:
        if d.process.poll() is None:
            d.process.kill()
        d.process.wait()


def stats(d, test=lambda m: m["net_pid"] > 0 and m["net_flows"] == 3 and m["data_net_flows"] == 4):
    """Asks until TEST holds: net starts a moment after QEMU."""
    for _ in range(50):
        d.send(type="stats-get")
        m = d.until(lambda m: m["type"] == "stats", 5)
        if m and test(m):
            return m
        time.sleep(0.1)
    pytest.fail(f"no such stats: {m}")


def failed(d, timeout=20):
    m = d.until_state("failed", timeout)
    assert m, d.messages
    assert m["fault"]["code"] < 0 and m["fault"]["text"]
    return m["fault"]["text"]


def ended(d, timeout=20):
    assert d.until_state("off", timeout), d.messages
    assert d.finish() == 0


def test_good_start_and_orderly_stop(rig):
    d = rig.start()
    assert d.until_state("running", 20), d.messages
    stages = [m["name"] for m in d.messages if m["type"] == "stage"]
    assert stages[0] == "accelerator" and stages[1:] == ["kernel", "root", "data", "link", "engine"]
    m = stats(d)
    assert m["mem_total"] == 100 and m["qemu_pid"] > 0
    assert os.stat(d.state + "/run/engine.sock").st_mode & 0o777 == 0o600
    assert os.stat(d.state + "/data/Docker.raw").st_size == 2048 << 20
    assert os.stat(d.state + "/data/Docker.raw").st_blocks < 100
    d.shutdown()
    assert d.until_state("stopping", 5)
    ended(d)
    assert [m["name"] for m in d.messages if m["type"] == "stage"][-3:] == ["stopping", "engine-stopped", "unmounted"]
    assert not any(m["type"] == "state" and m["state"] == "failed" for m in d.messages)
    rig.nothing_left()
    assert "\\x1b[31m" in rig.read("vm.log") and "\x1b" not in rig.read("vm.log") + rig.read("console.log")
    assert "never read" not in rig.read("vm.log")
    assert "port 22" in open(os.path.join(rig.tmp, "machine.log")).read()


@pytest.mark.parametrize("scene,words", [
    ("dies-at-once", "no such machine"),
    ("dies-later", "QEMU ended unexpectedly"),
    ("garbage", "no message"),
    ("flood", "too many messages"),
    ("port-flood", "too many messages"),
    ("port-doubled", "broke a rule"),
    ("verity", "4711"),
    ("stuck", "processor stopped"),
    ("reset", "Kernel panic"),
])
def test_failure_is_named_and_nothing_stays(rig, scene, words):
    d = rig.start(scene)
    text = failed(d)
    if scene == "stuck":
        assert "See qemu.log" in text or "did not say" in text
    else:
        assert words in text, text
    assert "\x1b" not in text
    ended(d)
    rig.nothing_left()


@pytest.mark.parametrize("scene,least,most", [("deaf", 5.0, 9.0), ("stubborn", 10.0, 15.0)])
def test_deadline_then_quit_then_kill(rig, scene, least, most):
    d = rig.start(scene)
    assert d.until_state("running", 20)
    begin = time.monotonic()
    d.shutdown(deadline_ms=500)
    ended(d, 30)
    assert least < time.monotonic() - begin < most
    rig.nothing_left()


def test_force_is_at_once(rig):
    d = rig.start("deaf")
    assert d.until_state("running", 20)
    begin = time.monotonic()
    d.shutdown(force=True)
    ended(d)
    assert time.monotonic() - begin < 2
    rig.nothing_left()


def test_a_second_stop_only_shortens_the_first(rig):
    d = rig.start("deaf")
    assert d.until_state("running", 20)
    begin = time.monotonic()
    d.shutdown(deadline_ms=60000)
    assert d.until_state("stopping", 5)
    d.shutdown(deadline_ms=500)
    d.shutdown(deadline_ms=90000)  # changes nothing
    ended(d, 30)
    assert 5 < time.monotonic() - begin < 15
    rig.nothing_left()


def test_stop_before_the_guest_spoke(rig):
    d = rig.start("silent")
    assert d.until(lambda m: m["type"] == "stage", 10)
    begin = time.monotonic()
    d.shutdown()
    ended(d)
    assert time.monotonic() - begin < 3
    rig.nothing_left()


def test_hanging_in_the_greeting_can_be_stopped(rig):
    d = rig.start("no-greeting")
    assert d.until(lambda m: m["type"] == "stage", 10)
    d.shutdown(force=True)
    ended(d, 15)
    rig.nothing_left()


def test_net_that_dies_again_and_again_is_named(rig):
    d = rig.start(net="dies")
    assert "network process" in failed(d, 30)
    ended(d)
    assert "no rings" in rig.read("net.log")
    rig.nothing_left()


def test_net_killed_is_started_again(rig):
    d = rig.start()
    assert d.until_state("running", 20)
    first = stats(d)["net_pid"]
    os.kill(first, signal.SIGKILL)
    stats(d, lambda m: m["net_pid"] not in (0, first) and m["net_flows"] == 3)
    d.shutdown()
    ended(d)
    rig.nothing_left()


def test_each_data_net_brings_a_link(rig):
    d = rig.start()
    assert d.until_state("running", 20)
    first = stats(d)["data_net_pid"]
    assert len(d.links) == 1
    assert int(d.links[0].recv(64)) == first
    os.kill(first, signal.SIGKILL)
    assert d.links[0].recv(64) == b""  # the link ends with the process: the machine keeps no end of it
    m = stats(d, lambda m: m["data_net_pid"] not in (0, first) and m["data_net_flows"] == 4)
    assert len(d.links) == 2 and int(d.links[1].recv(64)) == m["data_net_pid"]
    d.shutdown()
    ended(d)
    rig.nothing_left()


def test_without_the_data_net_the_vm_lives_on(rig):
    d = rig.start(net="data-dies")
    assert d.until_state("running", 20)
    d.receive(6)
    with open(os.path.join(rig.tmp, "machine.log")) as f:
        end = time.monotonic() + 20
        while "of the data card ended 6 times" not in f.read() and time.monotonic() < end:
            f.seek(0)
            d.receive(0.5)
    m = stats(d, lambda m: m["net_flows"] == 3)
    assert m["data_net_flows"] == 0
    assert not any(m["type"] == "state" and m["state"] == "failed" for m in d.messages)
    d.shutdown()
    ended(d)
    rig.nothing_left()


def test_ports_and_subnets_travel(rig):
    d = rig.start("ports")
    assert d.until(lambda m: m["type"] == "port-reset", 20), d.messages
    nets = d.until(lambda m: m["type"] == "guest-nets", 5)
    assert nets and nets["nets"] == ["172.17.0.0/16", "172.18.0.0/16"]
    opens = [d.until(lambda m: m["type"] == "port-open", 5) for _ in range(2)]
    for m in opens:
        assert {k: v for k, v in m.items() if k not in ("id", "_at")} == {
            "type": "port-open", "protocol": "tcp", "host_ip": "0.0.0.0", "host_port": 8080, "target_ip": "172.17.0.2",
            "target_port": 80}
    ids = [m["id"] for m in opens]
    d.send(type="port-result", id=4711, status="ok")  # nobody waits for it
    d.send(type="port-result", id=ids[0], status="ok")
    d.send(type="port-result", id=ids[1], status="in-use")
    m = d.until(lambda m: m["type"] == "port-close", 5)
    assert m and m["id"] == ids[0]
    assert d.until(lambda m: m["type"] == "port-reset", 5)
    m = d.until(lambda m: m["type"] == "port-open", 5)
    assert m and m["id"] not in ids
    d.send(type="port-result", id=ids[0], status="ok")  # late: the id is another's now
    d.send(type="port-result", id=m["id"], status="denied")
    assert any(s["type"] == "stage" and s["name"] == "network" for s in d.messages)
    end = time.monotonic() + 5
    while "port 5 status 2" not in rig.read("console.log") and time.monotonic() < end:
        time.sleep(0.05)
    said = [line.split(" ", 1)[1].strip() for line in rig.read("console.log").splitlines() if "status" in line]
    assert said == ["port 7 status 4", "port 5 status 0", "port 6 status 1", "port 5 status 2"]
    d.shutdown()
    ended(d)
    rig.nothing_left()


def test_backend_gone_stops_the_vm(rig):
    d = rig.start()
    assert d.until_state("running", 20)
    assert d.finish(10) == 0
    rig.nothing_left()


def test_sigterm_stops_the_vm(rig):
    d = rig.start()
    assert d.until_state("running", 20)
    d.process.send_signal(signal.SIGTERM)
    ended(d)
    rig.nothing_left()


def test_machine_killed_leaves_no_process_and_the_next_start_works(rig):
    d = rig.start()
    assert d.until_state("running", 20)
    d.process.kill()
    d.process.wait()
    d = rig.start()
    assert d.until_state("running", 20), d.messages
    d.shutdown()
    ended(d)
    rig.nothing_left()


@pytest.mark.parametrize("victim", ["machine", "qemu", "net", "backend"])
def test_kill_at_any_moment(rig, victim):
    """SIGKILL in steps of 20 ms from the launch on; what is not there yet at that moment is not killed."""
    for i in range(10):
        d = rig.start()
        time.sleep(i * 0.02)
        if victim == "machine":
            d.process.kill()
            d.process.wait()
            continue
        if victim == "backend":
            d.near.close()
            if i % 2:  # else the next start meets it while it is ending
                assert d.process.wait(10) == 0
            continue
        for pid, text in rig.processes():
            if pid != d.process.pid and f"/fake-{victim}-" in text and "--qemu=" not in text:
                os.kill(pid, signal.SIGKILL)
        if not d.until(lambda m: m["type"] == "state" and m["state"] in ("running", "failed"), 20):
            pytest.fail(str(d.messages))
        try:
            d.shutdown(force=True)
        except BrokenPipeError:
            pass  # it failed and has gone already
        ended(d)
    d = rig.start()
    assert d.until_state("running", 30), d.messages
    d.shutdown()
    ended(d)
    rig.nothing_left()


def test_two_machines_never_share_the_disk(rig):
    first = rig.start()
    assert first.until_state("running", 20)
    second = rig.start()
    assert second.until_state("running", 1) is None
    first.shutdown()
    ended(first)
    assert second.until_state("running", 10), second.messages
    second.shutdown()
    ended(second)
    rig.nothing_left()


def test_shrinking_is_refused(rig):
    d = rig.start()
    assert d.until_state("running", 20)
    d.shutdown()
    ended(d)
    d = rig.start(launch=False)
    d.launch["disk_mib"] = 1024
    d.send_launch()
    assert "cannot be made smaller" in failed(d)
    ended(d)
    assert os.stat(d.state + "/data/Docker.raw").st_size == 2048 << 20


@pytest.mark.parametrize("break_it,words", [
    (lambda i: os.unlink(i + "/root.img"), "root.img"),
    (lambda i: os.truncate(i + "/vmlinux", 1), "vmlinux"),
    (lambda i: open(i + "/image.json", "a").write("x"), "image.json"),
    (lambda i: os.unlink(i + "/image.json"), "image.json"),
])
def test_broken_image_is_named(rig, break_it, words):
    break_it(rig.image)
    d = rig.start()
    assert words in failed(d)
    ended(d)


def test_no_qemu_no_memory_no_image_are_one_sentence_with_the_remedy(rig):
    d = rig.start(launch=False)
    d.launch["memory_mib"] = 1 << 24
    d.send_launch()
    assert "settings set memory" in failed(d)
    ended(d)
    d = rig.start(launch=False)
    d.launch["image_dir"] = rig.tmp + "/nowhere"
    d.send_launch()
    assert "No VM image" in failed(d) and "Build or install" in failed_again(d)
    ended(d)
    os.unlink(rig.link("qemu", "good"))
    os.symlink("/nonexistent", os.path.join(rig.tmp, "fake-qemu-good"))
    d = rig.start()
    assert "apt install" in failed(d)
    ended(d)
    rig.nothing_left()


def failed_again(d):
    return next(m["fault"]["text"] for m in d.messages if m["type"] == "state" and m["state"] == "failed")


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can be mounted by root only")
def test_full_host_disk_is_named(rig):
    data = os.path.join(rig.tmp, "state", "data")
    os.makedirs(data, mode=0o700)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "caisson-test", data]).returncode:
        pytest.skip("no mounts here")
    try:
        d = rig.start()
        text = failed(d)
        assert "Free some space" in text and "8.0 MiB" in text.replace("8 MiB", "8.0 MiB"), text
        ended(d)
    finally:
        subprocess.run(["umount", data], check=True)


def test_console_flood_is_bounded(rig):
    d = rig.start("console-flood")
    assert d.until_state("running", 20)
    time.sleep(4)
    rss = int(next(line for line in open(f"/proc/{d.process.pid}/status") if line.startswith("VmRSS")).split()[1])
    d.shutdown(force=True)
    ended(d)
    size = sum(os.stat(d.state + "/log/" + n).st_size for n in os.listdir(d.state + "/log") if "console" in n)
    assert size < (4 << 20) * 2
    assert "dropped" in rig.read("console.log")
    with open(MACHINE, "rb") as f:
        sanitized = b"__asan_init" in f.read()
    assert sanitized or rss < 16384


def test_messages_that_are_none_change_nothing(rig):
    d = rig.start(launch=False)
    for data in (b"", b"{", b"[]", b'{"type":"launch"}', b'{"type":"state"}', b'{"type":"shutdown","force":1}'):
        if data:
            d.near.send(data)
    d.send_launch()
    assert d.until_state("running", 20)
    d.shutdown()
    ended(d)


@pytest.mark.parametrize("name", ["a b", "comma,id=x,readonly=off", 'quote"', "$(x)", "-dash", "new\u00e9"])
def test_no_name_reaches_an_argument(rig, name):
    """BCK-07: odd paths of every kind; QEMU's and net's command lines keep their golden form."""
    rig.tmp = os.path.join(rig.tmp, name)
    rig.image = make_image(os.path.join(rig.tmp, "image"))
    d = rig.start()
    assert d.until_state("running", 20), d.messages
    stats(d)
    with open(f"/proc/{d.process.pid}/task/{d.process.pid}/children") as f:
        children = [int(p) for p in f.read().split()]
    lines = [open(f"/proc/{p}/cmdline", "rb").read().split(b"\0") for p in children]
    for line in lines:
        for arg in line[2:]:  # behind the interpreter and the fake's own path
            assert name.encode() not in arg
    assert sorted(len(line) for line in lines) == [4, 5, 86]
    d.shutdown()
    ended(d)


def test_check_lists_everything(rig):
    out = subprocess.run([MACHINE, "--check", "--image-dir=" + rig.image, "--data-dir=" + rig.tmp,
                          "--qemu=" + rig.link("qemu", "good")], capture_output=True, text=True, timeout=30)
    rows = {row["id"]: row for row in json.loads(out.stdout)}
    assert set(rows) == {"cpu-extension", "firmware", "kvm-module", "kvm-device", "kvm-works", "qemu", "image", "memory",
                         "disk", "memfd"}
    assert rows["qemu"]["result"] == "ok" and rows["image"]["result"] == "ok"
    with open(rig.image + "/root.img", "r+b") as f:
        f.write(b"\1")
    out = subprocess.run([MACHINE, "--check", "--image-dir=" + rig.image], capture_output=True, text=True, timeout=30)
    rows = {row["id"]: row for row in json.loads(out.stdout)}
    assert out.returncode == 1 and rows["image"]["result"] == "fail" and "root.img" in rows["image"]["detail"]


@pytest.mark.parametrize("scene,least,most", [("kvm-stuck", 0, 6), ("kvm-silent", 7.5, 14), ("kvm-dies-at-once", 0, 6)])
def test_kvm_that_does_not_boot_leads_to_tcg_once(rig, scene, least, most):
    """The probe is told (by the remembered verdict) that KVM works; the first boot shows that it does not."""
    d = rig.start(scene, accel="auto", device="/dev/null")
    assert d.until_state("running", 20), d.messages
    d.shutdown()
    ended(d)
    path = os.path.join(d.state, "cache", "accel.json")
    with open(path) as f:
        verdict = json.load(f)
    # no KVM there at all: that may change (rights, another hypervisor), so only QEMU's version is kept
    assert not verdict["known"] and verdict["qemu"] == "10.0.2" and "KVM_GET_API_VERSION" in verdict["reason"]
    verdict["known"] = verdict["works"] = True
    with open(path, "w") as f:
        json.dump(verdict, f)

    d = rig.start(scene, accel="auto", device="/dev/null")
    m = d.until_state("running", 30)
    assert m, d.messages
    assert least <= m["_at"] <= most
    assert m["accel"] == "tcg" and "did not boot" in m["accel_reason"]
    assert [s["accel"] for s in d.messages if s["type"] == "state"][1] == "kvm"
    d.shutdown()
    ended(d)

    d = rig.start(scene, accel="auto", device="/dev/null")
    m = d.until_state("running", 20)
    assert m and m["_at"] < 4 and m["accel"] == "tcg" and "did not boot" in m["accel_reason"]
    d.shutdown()
    ended(d)
    rig.nothing_left()


def test_a_qemu_killed_by_somebody_says_nothing_about_kvm(rig):
    d = rig.start("good", accel="auto", device="/dev/null")
    assert d.until_state("running", 20), d.messages
    d.shutdown()
    ended(d)
    path = os.path.join(d.state, "cache", "accel.json")
    with open(path) as f:
        verdict = json.load(f)
    verdict["known"] = verdict["works"] = True
    with open(path, "w") as f:
        json.dump(verdict, f)

    d = rig.start("kvm-silent", accel="auto", device="/dev/null")
    assert d.until(lambda m: m["type"] == "stage", 10)
    end = time.monotonic() + 10
    while not (qemu := [p for p, text in rig.processes() if "-nodefaults" in text]) and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(qemu[0], signal.SIGKILL)
    m = d.until_state("running", 30)
    assert m and m["accel"] == "tcg", d.messages
    d.shutdown()
    ended(d)
    with open(path) as f:
        assert json.load(f)["works"]
    rig.nothing_left()
