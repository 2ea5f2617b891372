#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plays the backend towards caisson-machine: sends one launch, prints every message with its time.

Usage: machine-driver.py --machine PATH [--net PATH] [--qemu PATH] [--kvm-device PATH] --image DIR --state DIR
       [--accel auto|kvm|tcg] [--cpus N] [--memory MIB] [--disk MIB] [--run-for S] [--until STATE] [--ping]
Ctrl-C, the end of --run-for, or --until STATE asks for an orderly shutdown. Exit code 0: ended OFF without fault.
"""
import argparse
import http.client
import json
import os
import select
import socket
import subprocess
import sys
import time


class MachineDriver:
    def __init__(self, machine, state, image, net=None, qemu=None, device=None, accel="auto", cpus=2, memory=2048,
                 disk=65536, debug=False, log=None):
        self.near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        args = [machine]
        for name, value in (("net", net), ("qemu", qemu), ("kvm-device", device)):
            if value:
                args.append(f"--{name}={value}")
        if debug:
            args.append("--debug")
        self.state = os.path.abspath(state)
        self.start = time.monotonic()
        self.messages = []
        self.links = []  # netctl sockets, newest last

        fd = far.fileno()

        def place():
            if fd == 3:
                os.set_inheritable(3, True)
            else:
                os.dup2(fd, 3)

        self.process = subprocess.Popen(args, close_fds=False, preexec_fn=place, stderr=log, stdin=subprocess.DEVNULL)
        far.close()
        self.launch = {
            "type": "launch", "mtu": 1500, "cpus": cpus, "memory_mib": memory, "disk_mib": disk, "accel": accel,
            "image_dir": os.path.abspath(image), "data_dir": self.state + "/data", "run_dir": self.state + "/run",
            "log_dir": self.state + "/log", "cache_dir": self.state + "/cache"}

    def send(self, **message):
        self.near.send(json.dumps(message).encode())

    def send_launch(self):
        self.start = time.monotonic()
        self.send(**self.launch)

    def shutdown(self, deadline_ms=15000, force=False):
        self.send(type="shutdown", deadline_ms=deadline_ms, force=force)

    def receive(self, timeout):
        """One message, or None after TIMEOUT seconds; {"type": "end"} when the machine closed."""
        if not select.select([self.near], [], [], timeout)[0]:
            return None
        try:
            data, fds, _, _ = socket.recv_fds(self.near, 65536, 1)
        except ConnectionResetError:  # it left something of ours unread; what it said is still there
            data, fds, _, _ = socket.recv_fds(self.near, 65536, 1)
        self.links += [socket.socket(fileno=fd) for fd in fds]
        message = json.loads(data) if data else {"type": "end"}
        assert len(fds) == (message["type"] == "net-link"), message
        message["_at"] = time.monotonic() - self.start
        self.messages.append(message)
        return message

    def until(self, test, timeout):
        """Receives until TEST(message); returns that message or None."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            message = self.receive(left)
            if message is None or message["type"] == "end":
                return message if message and test(message) else None
            if test(message):
                return message
        return None

    def until_state(self, state, timeout):
        return self.until(lambda m: m["type"] == "state" and m["state"] == state, timeout)

    def finish(self, timeout=20):
        self.near.close()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(15)
        self.sock.connect(self.path)


def get(path, target):
    connection = UnixConnection(path)
    connection.request("GET", target)
    response = connection.getresponse()
    return response.status, response.read()


def main():
    p = argparse.ArgumentParser()
    for name in ("machine", "image", "state"):
        p.add_argument("--" + name, required=True)
    for name in ("net", "qemu", "kvm-device"):
        p.add_argument("--" + name)
    p.add_argument("--accel", default="auto")
    p.add_argument("--cpus", type=int, default=2)
    p.add_argument("--memory", type=int, default=2048)
    p.add_argument("--disk", type=int, default=65536)
    p.add_argument("--run-for", type=float, default=3600)
    p.add_argument("--until", default=None)
    p.add_argument("--ping", action="store_true", help="GET /_ping and /version once it runs")
    p.add_argument("--debug", action="store_true")
    a = p.parse_args()
    d = MachineDriver(a.machine, a.state, a.image, a.net, a.qemu, a.kvm_device, a.accel, a.cpus, a.memory, a.disk,
                      a.debug)
    d.send_launch()
    fault = False
    asked = False
    end = time.monotonic() + a.run_for
    while True:
        try:
            m = d.receive(max(0.0, end - time.monotonic()) if not asked else 60)
        except KeyboardInterrupt:
            m = None
        if m is None:
            if asked:
                print("no answer to the shutdown", flush=True)
                break
            d.shutdown()
            asked = True
            continue
        print(f"{m['_at']:8.3f}", {k: v for k, v in m.items() if k != "_at"}, flush=True)
        if m["type"] == "end":
            break
        if m["type"] == "state" and m["state"] == "failed":
            fault = True
        if m["type"] == "state" and m["state"] == "running" and a.ping:
            for target in ("/_ping", "/version"):
                try:
                    print(f"{time.monotonic() - d.start:8.3f}", target, get(d.state + "/run/engine.sock", target))
                except OSError as error:
                    print("no answer:", error)
            d.send(type="stats-get")
        if m["type"] == "state" and m["state"] == a.until and not asked:
            d.shutdown()
            asked = True
    return 1 if d.finish() or fault else 0


if __name__ == "__main__":
    sys.exit(main())
