#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Stands in for caisson-net: sends READY, answers STATS_GET, opens a log flow and one to a forbidden port.

Behind "fake-net-" in the file name: good, dies (at once, with code 9), data-dies (only that of the data card).
The one of the data card says its pid on the netctl link and opens no flows.
"""
import os
import socket
import struct
import sys

scene = os.path.basename(sys.argv[0]).removeprefix("fake-net").removeprefix("-").removesuffix(".py") or "good"
data_card = "--role=data" in sys.argv
if scene == "dies" or scene == "data-dies" and data_card:
    sys.stderr.write("fake net: no rings\n")
    sys.exit(9)
control = socket.socket(fileno=4)
vhost = socket.socket(fileno=3)
control.send(struct.pack("<HHI", 1, 1, 0))
if data_card:
    link = socket.socket(fileno=5)
    link.send(b"%d" % os.getpid())
for port, text in () if data_card else ((2001, b"dockerd: hello \x1b[31m\n"), (22, b"never read\n")):
    ours, theirs = socket.socketpair()
    socket.send_fds(control, [struct.pack("<HHIHH", 2, 1, 4, port, 0)], [theirs.fileno()])
    theirs.close()
    try:
        ours.sendall(text)
    except OSError:
        pass
while True:
    data = control.recv(128)
    if not data:
        sys.exit(0)
    if struct.unpack("<H", data[:2])[0] == 3:
        control.send(struct.pack("<HHI", 4, 1, 80) + struct.pack("<10Q", 4 if data_card else 3, 7, 0, 1000, 2000, 10, 20, 0, 0, 0))
