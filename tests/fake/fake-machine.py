#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A machine without a VM: speaks proto/machine.h on descriptor 3 and serves run_dir/engine.sock.

Tests lay it out as libexec/caisson/caisson-machine of a fake prefix. A JSON file "fake-machine.json" beside it chooses the failure:
  die: exit with this code before anything;  fault: text of a fault reported instead of RUNNING;  never_ready: stay STARTING;
  ready_s: seconds until RUNNING;  linger_s: seconds it lives on after its backend is gone;  deaf: ignore the shutdown;
  unread: with fault: once a message waits, make the file "unread", wait for the file "go", then fail with it unread;
  garbage: send a record that is not in the protocol;
  steer: listen on the seqpacket socket "steer" beside it: each record (JSON, descriptors) of whoever connects goes to the backend,
  and each record of the backend that is not known here goes back.
"""
import errno
import json
import os
import pathlib
import select
import socket
import sys
import threading
import time

CONF_FILE = pathlib.Path(sys.argv[0]).resolve().parent / "fake-machine.json"
CONF = json.loads(CONF_FILE.read_text()) if CONF_FILE.exists() else {}
START = time.monotonic()


def send(chan, **message):
    chan.send(json.dumps(message).encode())


def state(chan, name, fault="", code=0):
    send(chan, type="state", state=name, accel="tcg", accel_reason="this is a fake", fault={"code": code, "text": fault})


def stage(chan, name):
    send(chan, type="stage", name=name, elapsed_us=int((time.monotonic() - START) * 1e6))


def echo(conn):
    """Everything back, until the client half-closes; then our half."""
    while data := conn.recv(65536):
        conn.sendall(data)
    conn.shutdown(socket.SHUT_WR)


def answer(conn, body, kind="application/json", to_head=False):
    conn.sendall(b"HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
                 % (kind.encode(), len(body), b"" if to_head else body))


def serve(conn):
    with conn:
        buf = b""
        try:
            while True:
                while b"\r\n\r\n" not in buf:
                    data = conn.recv(65536)
                    if not data:
                        return
                    buf += data
                head, buf = buf.split(b"\r\n\r\n", 1)
                method, target = head.split(b" ")[:2]
                if target.endswith(b"/_ping"):
                    answer(conn, b"OK", "text/plain", method == b"HEAD")
                elif target.endswith(b"/version"):
                    answer(conn, json.dumps({"Version": "26.1.5", "ApiVersion": "1.45", "MinAPIVersion": "1.24"}).encode())
                elif target == b"/echo":
                    conn.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n" + buf)
                    echo(conn)
                    return
                else:
                    conn.sendall(b'HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}')
        except OSError:
            pass


def listen(run_dir):
    fd = os.open(run_dir, os.O_PATH | os.O_DIRECTORY)
    path = f"/proc/self/fd/{fd}/engine.sock"
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(1024)

    def accept():
        while True:
            threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


class Steering:
    """The test's hand on the machine's side of the channel."""

    def __init__(self, chan):
        self.chan, self.peer = chan, None
        path = CONF_FILE.with_name("steer")
        path.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server.bind(str(path))
        server.listen(1)
        threading.Thread(target=self.run, args=(server,), daemon=True).start()

    def run(self, server):
        while True:
            self.peer = server.accept()[0]
            while True:
                try:
                    data, fds, _, _ = socket.recv_fds(self.peer, 16384, 4)
                except OSError:
                    break
                if not data:
                    break
                socket.send_fds(self.chan, [data], fds)
                for fd in fds:
                    os.close(fd)

    def back(self, data):
        if self.peer:
            self.peer.send(data)


def stop(chan):
    state(chan, "stopping")
    stage(chan, "stopping")
    state(chan, "off")
    sys.exit(0)


def main():
    if "die" in CONF:
        print("fake: dying early", file=sys.stderr)
        sys.exit(CONF["die"])
    chan = socket.socket(fileno=3)
    launch = json.loads(chan.recv(16384))
    assert launch["type"] == "launch", launch
    CONF_FILE.with_name("launch.json").write_text(json.dumps(launch))
    CONF_FILE.with_name("environ.json").write_text(json.dumps(dict(os.environ)))
    state(chan, "starting")
    stage(chan, "accelerator")
    if "garbage" in CONF:
        chan.send(b'{"type":"exec","path":"/bin/sh"}')
        time.sleep(60)
    if "unread" in CONF:
        state(chan, "running")
        select.select([chan], [], [])
        CONF_FILE.with_name("unread").touch()
        while not CONF_FILE.with_name("go").exists():
            time.sleep(0.02)
    if "fault" in CONF:
        state(chan, "failed", CONF["fault"], -errno.EIO)
        sys.exit(1)
    listen(launch["run_dir"])
    steering = Steering(chan) if CONF.get("steer") else None
    ready_at = float("inf") if "never_ready" in CONF else START + CONF.get("ready_s", 0.1)
    while True:
        timeout = max(0, ready_at - time.monotonic()) if ready_at < float("inf") else None
        if not select.select([chan], [], [], timeout)[0]:
            stage(chan, "engine")
            state(chan, "running")
            ready_at = float("inf")
            continue
        data = chan.recv(16384)
        if not data:
            time.sleep(CONF.get("linger_s", 0))
            sys.exit(0)
        message = json.loads(data)
        if steering and message["type"] not in ("shutdown", "stats-get"):
            steering.back(data)
        if message["type"] == "shutdown" and not CONF.get("deaf"):
            stop(chan)
        if message["type"] == "stats-get":
            send(chan, type="stats", mem_total=1 << 30, mem_available=1 << 29, data_total=0, data_available=0, net_flows=1,
                 net_rx_bytes=2, net_tx_bytes=3, qemu_pid=4242, net_pid=4343, data_net_flows=5, data_net_rx_bytes=6,
                 data_net_tx_bytes=7, data_net_pid=4444)


main()
