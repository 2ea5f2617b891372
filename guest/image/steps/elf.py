# SPDX-License-Identifier: Apache-2.0
"""elf: the few facts the build needs from ELF files: needed libraries, interpreter, module information, PVH note."""
import struct

PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_LOAD = 2, 3, 4, 1
DT_NEEDED, DT_STRTAB = 1, 5
NOTE_XEN_PHYS32_ENTRY = 18


class ElfError(Exception):
    pass


def is_elf(data):
    return data[:5] == b"\x7fELF\x02"


def segments(data):
    """(type, offset, vaddr, filesz) of each program header of a 64-bit ELF."""
    if not is_elf(data):
        raise ElfError("not a 64-bit ELF file")
    offset, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for i in range(count):
        kind, _, start, vaddr, _, filesz = struct.unpack_from("<IIQQQQ", data, offset + i * size)
        yield kind, start, vaddr, filesz


def _string(data, offset):
    return data[offset:data.index(b"\0", offset)].decode()


def needed(data):
    """(interpreter or None, [names of needed libraries])."""
    interp, names, strtab, loads, dynamic = None, [], None, [], None
    for kind, start, vaddr, filesz in segments(data):
        if kind == PT_INTERP:
            interp = _string(data, start)
        elif kind == PT_LOAD:
            loads.append((start, vaddr, filesz))
        elif kind == PT_DYNAMIC:
            dynamic = (start, filesz)
    if not dynamic:
        return interp, []
    offsets = []
    for tag, value in struct.iter_unpack("<qQ", data[dynamic[0]:dynamic[0] + dynamic[1] // 16 * 16]):
        if tag == DT_NEEDED:
            offsets.append(value)
        elif tag == DT_STRTAB:
            strtab = next(s + value - v for s, v, f in loads if v <= value < v + f)
    names = [_string(data, strtab + value) for value in offsets]
    return interp, names


def has_pvh_entry(data):
    """The Xen note by which QEMU starts an uncompressed kernel."""
    for kind, start, _, filesz in segments(data):
        end = start + filesz
        while kind == PT_NOTE and start + 12 <= end:
            name_size, desc_size, note = struct.unpack_from("<III", data, start)
            if note == NOTE_XEN_PHYS32_ENTRY and data[start + 12:start + 15] == b"Xen":
                return True
            start += 12 + (name_size + 3) // 4 * 4 + (desc_size + 3) // 4 * 4
    return False


def section(data, wanted):
    """Bytes of the section WANTED, or b""."""
    offset, = struct.unpack_from("<Q", data, 40)
    size, count, names_index = struct.unpack_from("<HHH", data, 58)
    rows = [struct.unpack_from("<IIQQQQ", data, offset + i * size) for i in range(count)]
    names = rows[names_index][4]
    for name, _, _, _, start, length in rows:
        if _string(data, names + name) == wanted:
            return data[start:start + length]
    return b""


def module_info(data, key):
    """Values of KEY in a kernel module's .modinfo."""
    prefix = key.encode() + b"="
    return [entry[len(prefix):].decode() for entry in section(data, ".modinfo").split(b"\0")
            if entry.startswith(prefix)]
