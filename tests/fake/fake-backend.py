#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for caisson-backend that follows docs/protocol/backend-api.md, without any machine behind it.

Tests lay it out as libexec/caisson/caisson-backend of a fake prefix. FAKE_BACKEND (a JSON object in the environment)
sets its behaviour: stages [[name, ms], ...], delay (seconds per stage), die_before ("text", exit code 1), die_silent,
fault (sentence), vanish (killed after the first stage), accel, stop_delay, hang (no answers), containers (what the engine's socket
answers), no_net (no captures).
"""
import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time

CONF = json.loads(os.environ.get("FAKE_BACKEND", "{}"))
HOME = os.environ["HOME"]
STATE = os.path.join(HOME, ".docker/desktop")
ACCEL = CONF.get("accel", "tcg")
REASON = CONF.get("reason", "KVM opens but does not run kernel code")
SETTINGS = {
    "Cpus": {"key": "Cpus", "name": "cpus", "type": "integer", "unit": "CPUs", "default": 2, "min": 1, "max": 2,
             "choices": None, "description": "Processors of the VM"},
    "MemoryMiB": {"key": "MemoryMiB", "name": "memory", "type": "integer", "unit": "MiB", "default": 2048, "min": 1024,
                  "max": 8192, "choices": None, "description": "Memory of the VM"},
    "Accelerator": {"key": "Accelerator", "name": "accelerator", "type": "choice", "unit": None, "default": "auto",
                    "min": None, "max": None, "choices": ["auto", "kvm", "tcg"], "description": "How the VM runs"},
    "HostAccess": {"key": "HostAccess", "name": "host-access", "type": "string", "unit": None, "default": "all", "min": None,
                   "max": None, "choices": None, "live": True, "description": "Ports of this computer"},
    "NetworkRules": {"key": "NetworkRules", "name": "network-rules", "type": "list", "unit": None, "default": [], "min": None,
                     "max": None, "choices": None, "live": True, "description": "Where containers may connect to"},
    "DnsDomains": {"key": "DnsDomains", "name": "dns-domains", "type": "list", "unit": None, "default": [], "min": None,
                   "max": None, "choices": None, "live": True, "description": "Resolvers of one domain"},
}
PORTS = [{"id": 1, "protocol": "tcp", "address": "127.0.0.1", "port": 8080, "asked": "0.0.0.0", "target": "172.17.0.2",
          "target_port": 80, "connections": 7, "now": 2, "rx_bytes": 2048, "tx_bytes": 4096, "refused": 0},
         {"id": 2, "protocol": "udp", "address": "::", "port": 53, "asked": "::", "target": "172.17.0.3", "target_port": 53,
          "connections": None, "now": None, "rx_bytes": None, "tx_bytes": None, "refused": None}]
NET = {"linked": True, "complete": True, "stats": {"tcp_now": 3, "rx_bytes": 2048, "rule_refused": 4},
       "rules": [{"name": "loopback", "builtin": True, "allowed": 0, "refused": 4}],
       "flows": [{"protocol": "tcp", "state": 4, "inbound": False, "guest": "192.168.65.3", "guest_port": 40000,
                  "host": "2001:db8::1", "host_port": 443, "rx_bytes": 1, "tx_bytes": 2, "idle_ms": 3000}],
       "dns": [{"name": "evil\x1b[2J.example", "type": 1, "rcode": 0, "answers": 1, "ttl_s": 60, "hits": 5}], "ports": PORTS}
STORE = os.path.join(STATE, "settings-store.json")


def stored():
    try:
        with open(STORE, encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return {}


class Desktop:
    def __init__(self, state):
        self.state = state
        self.events = []
        self.cond = threading.Condition()
        self.started = time.monotonic()
        self.stop_asked = None
        self.fault = None

    def emit(self, **event):
        with self.cond:
            self.events.append(event)
            self.cond.notify_all()

    def set_state(self, state):
        self.state = state
        known = state != "starting" or any(e.get("name") == "accelerator" for e in self.events)
        self.emit(event="state", state=state, accelerator=ACCEL if known else None, reason=REASON if known else "")

    def wait(self, seconds):
        with self.cond:
            self.cond.wait_for(lambda: self.stop_asked is not None, seconds)
        return self.stop_asked is not None

    def run(self):
        self.set_state("starting")
        for name, ms in CONF.get("stages", [["accelerator", 400], ["kernel", 2700], ["engine", 10900]]):
            if self.wait(CONF.get("delay", 0.05)):
                return self.end()
            self.emit(event="stage", name=name, elapsed_ms=ms)
            if CONF.get("vanish"):
                time.sleep(0.2)
                os.kill(os.getpid(), signal.SIGKILL)
        if "fault" in CONF:
            self.fault = {"code": "EIO", "message": CONF["fault"]}
            self.emit(event="fault", **self.fault)
            self.set_state("failed")
            return self.end(1)
        if "warning" in CONF:
            self.emit(event="warning", message=CONF["warning"])
        self.set_state("running")
        self.wait(None)
        return self.end()

    def end(self, code=0):
        if self.stop_asked is not None:
            self.set_state("stopping")
            self.stop_asked = None
            self.wait(0 if CONF.get("forced") else CONF.get("stop_delay", 0.1))
            with open(os.path.join(STATE, "stopped-by"), "w", encoding="utf-8") as f:
                json.dump(self.last_stop, f)
        self.emit(event="end", state="off", exit_code=code)
        time.sleep(0.1)
        os.unlink(os.path.join(STATE, "run/backend.sock"))
        os._exit(code)

    def ask_stop(self, body):
        self.last_stop = body
        with self.cond:
            self.stop_asked = body
            self.cond.notify_all()

    def status(self):
        sock = os.path.join(STATE, "docker.sock")
        on = self.state != "off"
        return {
            "state": self.state, "fault": self.fault, "uptime_ms": 61234 if on else None, "stages": [],
            "accelerator": {"setting": "auto", "used": ACCEL if on else None, "reason": REASON if on else ""},
            "isolation": "no isolation guarantee (software emulation)" if ACCEL == "tcg" else "VM boundary by KVM",
            "mode": {"name": "user", "reason": "the helper is not installed"},
            "pids": {"backend": os.getpid(), "machine": None, "qemu": None, "net": None},
            "engine": {"socket": sock, "ready": self.state == "running", "clients": 0},
            "context": {"name": "desktop-linux", "endpoint": "unix://" + sock, "current": on, "previous": "default",
                        "warning": None},
            "settings": {"Cpus": 2, "MemoryMiB": 2048, "DiskSizeMiB": 65536, "Accelerator": "auto"},
            "needs_restart": CONF.get("needs_restart", []),
            "disk": {"path": os.path.join(STATE, "vms/0/data/Docker.raw"), "size_bytes": 1 << 36, "used_bytes": 5 << 28},
            "network": {"subnet": "192.168.66.0/24", "moved_from": "192.168.65.0/24", "overlaps": None, "ipv6": True,
                        "egress": "allow", "proxy_mode": "manual", "proxy": "http through proxy.corp:3128 (manual)", "ports": 2,
                        "linked": True} if on else None,
            "memory": None, "net": None, "versions": {"caisson": "0.1.0", "api": 1},
            "paths": {"state": STATE, "log": os.path.join(STATE, "log")},
        }

    def settings(self):
        now, out = stored(), []
        for key, spec in SETTINGS.items():
            value = now.get(key, spec["default"])
            out.append({**spec, "value": value, "is_default": value == spec["default"],
                        "in_force": None if self.state == "off" else spec["default"]})
        return {"file": STORE, "needs_restart": [], "settings": out}

    def patch(self, body):
        now, changed = stored(), []
        for key, value in body.items():
            spec = SETTINGS.get(key)
            if not spec:
                return 400, error("SETTING_UNKNOWN", f"There is no setting {key}.")
            if value is not None and spec["choices"] and value not in spec["choices"]:
                return 400, error("SETTING_RANGE", f"{spec['name']} is one of auto, kvm, tcg.")
            if spec["type"] in ("string", "list"):
                if "bad" in json.dumps(value):
                    return 400, error("SETTING_RANGE", f"{key}: \"bad\": it is not understood.")
            elif value is not None and not spec["choices"] and not spec["min"] <= value <= spec["max"]:
                return 400, error("SETTING_RANGE", f"{spec['name']} is from {spec['min']} to {spec['max']}; {value} is not.")
            if value is None:
                now.pop(key, None)
            else:
                now[key] = value
            changed.append(key)
        os.makedirs(STATE, mode=0o700, exist_ok=True)
        with open(STORE, "w", encoding="utf-8") as f:
            json.dump(now, f)
        waits = [k for k in changed if not SETTINGS[k].get("live")]
        return 200, {"changed": changed, "needs_restart": waits if self.state == "running" else []}


def error(code, message):
    return {"error": {"code": code, "message": message}}


def answer(f, status, body):
    data = json.dumps(body).encode()
    f.write(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(data)) + data)
    f.flush()


def stream(desktop, f):
    f.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
    f.flush()
    i = 0
    while True:
        with desktop.cond:
            desktop.cond.wait_for(lambda: len(desktop.events) > i)
            event = desktop.events[i]
        i += 1
        line = json.dumps(event).encode() + b"\n"
        f.write(b"%x\r\n%s\r\n" % (len(line), line))
        if event["event"] == "end":
            f.write(b"0\r\n\r\n")
            f.flush()
            return
        f.flush()


def serve(desktop, conn):
    with conn, conn.makefile("rwb") as f:
        serve_requests(desktop, f)


def engine():
    """The engine's socket: one question, who is who."""
    path = os.path.join(STATE, "docker.sock")
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)
    while True:
        with listener.accept()[0] as conn, conn.makefile("rwb") as f:
            assert f.readline().startswith(b"GET /containers/json ")
            while f.readline().strip():
                pass
            answer(f, 200, CONF["containers"])


def serve_requests(desktop, f):
    while True:
        start = f.readline().decode().split()
        if not start:
            return
        length = 0
        while (line := f.readline().strip()):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = json.loads(f.read(length)) if length else {}
        if CONF.get("hang") and desktop.state != "off":
            time.sleep(3600)
        method, path = start[0], start[1]
        if (method, path) == ("GET", "/v1/status"):
            answer(f, 200, desktop.status())
        elif (method, path) == ("GET", "/v1/version"):
            answer(f, 200, {"caisson": "0.1.0", "api": 1, "pid": os.getpid()})
        elif CONF.get("settings_file") and path.startswith("/v1/settings"):
            answer(f, 409, error("SETTINGS_FILE", CONF["settings_file"]))
        elif (method, path) == ("GET", "/v1/settings"):
            answer(f, 200, desktop.settings())
        elif (method, path) == ("PATCH", "/v1/settings"):
            answer(f, *desktop.patch(body))
        elif desktop.state == "off":
            answer(f, 409, error("NOT_RUNNING", "The desktop is not running."))
        elif (method, path) == ("GET", "/v1/ports"):
            answer(f, 200, {"complete": True, "linked": True, "ports": PORTS})
        elif method == "GET" and path.startswith("/v1/net?"):
            answer(f, 200, NET)
        elif method == "GET" and path.startswith("/v1/net/capture?"):
            if CONF.get("no_net"):
                answer(f, 503, error("NO_NETWORK", "The network process does not run at the moment."))
                continue
            f.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + path.encode() + b"\0" * 100000)
            f.flush()
            return
        elif (method, path) == ("POST", "/v1/stop"):
            desktop.ask_stop(body)
            answer(f, 202, {"state": "stopping"})
        elif (method, path) == ("GET", "/v1/events"):
            stream(desktop, f)
            return
        else:
            answer(f, 404, error("NOT_FOUND", "no such path"))


def main():
    if "--oneshot-api" in sys.argv:
        serve(Desktop("off"), socket.socket(fileno=3))
        return 0
    if "die_before" in CONF:
        sys.stderr.write(CONF["die_before"])
        return 1
    os.makedirs(os.path.join(STATE, "run"), mode=0o700, exist_ok=True)
    os.makedirs(os.path.join(STATE, "log"), mode=0o700, exist_ok=True)
    lock = open(os.path.join(STATE, "run/backend.lock"), "w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write("Another backend of this user runs already.\n")
        return 3
    path = os.path.join(STATE, "run/backend.sock")
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    log = os.open(os.path.join(STATE, "log/backend.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(log, CONF.get("log", "2026-11-22T00:00:00.000Z INFO backend: fake backend up\n").encode())
    os.dup2(log, 2)  # the pipe's end: "the sockets listen"
    desktop = Desktop("starting")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Thread(target=desktop.run, daemon=True).start()
    if "containers" in CONF:
        threading.Thread(target=engine, daemon=True).start()
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=serve, args=(desktop, conn), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
