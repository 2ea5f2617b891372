#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""embed OUTPUT NAME=FILE...: a C header with each file as a string, so that the program needs no data files."""
import pathlib
import sys

lines = ["/* made by embed.py */", "#pragma once"]
for item in sys.argv[2:]:
    name, path = item.split("=", 1)
    lines.append(f"static const char {name}[] =")
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        escaped = line.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
        lines.append(f'\t"{escaped}\\n"')
    lines[-1] += ";"
pathlib.Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")
