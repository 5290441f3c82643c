"""A root as a file that the kernel unpacks into memory: cpio's newc format.

Documented in the kernel's Documentation/driver-api/early-userspace/buffer-format.rst. It is not compressed: under
emulation unpacking takes longer than reading.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


def pack(root: Path, archive: Path) -> None:
    """Write all files of a root: folders, regular files and links; all are root's."""
    with archive.open("wb") as out:
        for number, path in enumerate([root, *sorted(root.rglob("*"))], 1):
            info = path.lstat()
            if stat.S_ISLNK(info.st_mode):
                data = os.fsencode(os.readlink(path))
            elif stat.S_ISREG(info.st_mode):
                data = path.read_bytes()
            elif stat.S_ISDIR(info.st_mode):
                data = b""
            else:
                continue
            name = os.fsencode(path.relative_to(root))
            write(out, number, info.st_mode, int(info.st_mtime), name, data)
        write(out, 0, 0, 0, b"TRAILER!!!", b"")


def write(out: BinaryIO, number: int, mode: int, mtime: int, name: bytes, data: bytes) -> None:
    """Write one entry: a header of hexadecimal numbers, the name and the content, each padded to 4 bytes."""
    fields = (number, mode, 0, 0, 1, mtime, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name + b"\0"
    out.write(header + bytes(-len(header) % 4))
    out.write(data + bytes(-len(data) % 4))
