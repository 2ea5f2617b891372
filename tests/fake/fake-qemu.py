#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Stands in for QEMU: speaks QMP, the agent protocol and a console on the descriptors that its arguments name.

What goes wrong is the part of the file name behind "fake-qemu-" (tests make links): good, dies-at-once, no-greeting,
dies-later, flood, garbage, console-flood, deaf (ignores the guest's shutdown), stubborn (ignores quit as well),
stuck (processor stopped: internal-error), silent (never says hello), verity (fails with a cause), kvm-silent and
kvm-stuck (as silent and stuck, but good under tcg), reset (kernel panic), ports (publishes ports 5 and 6 and names two subnets;
answers come to the console; a refusal of 6 closes 5; then an agent that is new opens 5 again), port-flood, port-doubled.
"""
import json
import os
import re
import select
import socket
import struct
import sys
import time

MAGIC = 0x314E5343


def frame(kind, body, seq=1):
    return struct.pack("<IIII", MAGIC, kind, len(body), seq) + body


def mapped(*octets):
    return bytes(10) + b"\xff\xff" + bytes(octets)


def port_open(port, target=(172, 17, 0, 2)):
    return frame(6, struct.pack("<IIHH", port, 0, 8080, 80) + mapped(0, 0, 0, 0) + mapped(*target))


def subnet(index, n, *start):
    return frame(9, struct.pack("<II", index, n) + mapped(*start, 0, 0) + struct.pack("<I", 112))


def descriptor(name):
    for arg in sys.argv:
        m = re.match(rf"socket,id={name},fd=(\d+)", arg)
        if m:
            return socket.socket(fileno=int(m.group(1)))
    sys.exit(f"no chardev {name}")


def main():
    scene = os.path.basename(sys.argv[0]).removeprefix("fake-qemu").removeprefix("-").removesuffix(".py") or "good"
    if "--version" in sys.argv:
        print("QEMU emulator version 10.0.2 (fake)")
        return 0
    if scene.startswith("kvm-"):
        scene = scene.removeprefix("kvm-") if "kvm" in sys.argv else "good"
    if scene == "dies-at-once":
        sys.stderr.write("fake: no such machine \x1b[31m\n")
        return 1
    cards = []
    for arg in sys.argv:
        m = re.match(r"socket,id=(?:control|data),path=([^,]+)", arg)
        if m:
            cards.append(socket.socket(socket.AF_UNIX))
            cards[-1].bind(m.group(1))
            cards[-1].listen(1)
    qmp, agent, console = descriptor("qmp"), descriptor("agent"), descriptor("console")
    if scene != "no-greeting":
        qmp.sendall(b'{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": ""},'
                    b' "capabilities": ["oob"]}}\r\n')
    console.sendall(b"Linux version fake \x1b[2J\n")

    def hello(*stages):
        agent.sendall(frame(1, struct.pack("<IIQ", 1, 0, 1000)))
        for s in stages:
            agent.sendall(frame(2, struct.pack("<IIQ", s, 0, 2000)))

    if scene == "garbage":
        agent.sendall(b"GET / HTTP/1.1\r\n\r\n" * 4)
    elif scene == "flood":
        hello(1)
        try:
            while True:
                agent.sendall(frame(4, struct.pack("<Q", 0)) * 16)
        except OSError:
            pass
    elif scene == "port-flood":
        hello(1, 2, 3, 4, 5, 6)
        try:
            for i in range(1, 1 << 30):
                agent.sendall(port_open(i) + frame(7, struct.pack("<I", i)))
        except OSError:
            pass
    elif scene == "port-doubled":
        hello(1, 2, 3, 4, 5, 6)
        agent.sendall(frame(8, b"") + port_open(5) + port_open(5))
    elif scene == "ports":
        hello(1, 2, 3, 4, 5, 6, 10)
        agent.sendall(frame(8, b"") + subnet(0, 2, 172, 17) + subnet(1, 2, 172, 18) + port_open(5) + port_open(6)
                      + port_open(7, target=(127, 0, 0, 1)))
    elif scene == "verity":
        hello(1)
        agent.sendall(frame(3, struct.pack("<IIQQ", 3, 0, 4711, 3000)))
    elif scene == "stuck":
        time.sleep(0.3)
        qmp.sendall(b'{"timestamp": {"seconds": 1, "microseconds": 1}, "event": "STOP"}\r\n')
    elif scene == "reset":
        hello(1)
        console.sendall(b"Kernel panic - not syncing: fake\n")
        qmp.sendall(b'{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}\r\n')
        time.sleep(0.1)
        return 0
    elif scene == "dies-later":
        hello(1, 2, 3, 4, 5)
        time.sleep(0.5)
        return 7
    elif scene not in ("silent", "no-greeting"):
        hello(1, 2, 3, 4, 5, 6)
    buffers = {qmp: b"", agent: b""}
    readers = [qmp, agent]
    while True:
        ready = select.select(readers, [], [], 0 if scene == "console-flood" else None)[0]
        if scene == "console-flood":
            try:
                console.send(b"flood \x1b]0;title\x07 %s %n\n" * 200)
            except OSError:
                pass
        for s in ready:
            try:
                data = s.recv(65536)
            except OSError:
                data = b""
            if not data:
                readers.remove(s)
                if s is qmp and scene != "stubborn":
                    return 0
                continue
            buffers[s] += data
        while b"\n" in buffers[qmp]:
            line, buffers[qmp] = buffers[qmp].split(b"\n", 1)
            command = json.loads(line)
            if command["execute"] == "quit" and scene == "stubborn":
                continue
            status = "internal-error" if scene == "stuck" else "running"
            value = {"status": status, "running": scene != "stuck"} if command["execute"] == "query-status" else {}
            qmp.sendall(json.dumps({"return": value, "id": command.get("id", 0)}).encode() + b"\r\n")
            if command["execute"] == "quit":
                qmp.sendall(b'{"event": "SHUTDOWN", "data": {"guest": false, "reason": "host-qmp-quit"}}\r\n')
                return 0
        while len(buffers[agent]) >= 16:
            _, kind, length, _ = struct.unpack("<IIII", buffers[agent][:16])
            body = buffers[agent][16:16 + length]
            buffers[agent] = buffers[agent][16 + length:]
            if kind == 17 and scene not in ("deaf", "stubborn"):
                for s in (7, 8, 9):
                    agent.sendall(frame(2, struct.pack("<IIQ", s, 0, 9000)))
                qmp.sendall(b'{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}\r\n')
                time.sleep(0.05)
                return 0
            if kind == 20:
                port, status = struct.unpack("<II", body)
                console.sendall(f"port {port} status {status}\n".encode())
                if port == 6 and status:
                    agent.sendall(frame(7, struct.pack("<I", 5)) + frame(8, b"") + port_open(5))
            if kind == 19:
                agent.sendall(frame(5, struct.pack("<QQQQQ", 100, 50, 1000, 900, 5)))


if __name__ == "__main__":
    sys.exit(main())
