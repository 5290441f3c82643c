"""Netlink messages as the kernel sends them about Unix sockets, made byte by byte, and a kernel that sends them.

Rule: what is written here comes from netlink(7) and sock_diag(7), not from the code that is tested.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Any

import pytest

from uds_cffi import ffi, lib

ERROR, DONE, OVERRUN, SOCK_DIAG = 2, 3, 4, 20
MULTI, CHANGED = 0x2, 0x10
NAME, VFS, PEER, ICONS, RQLEN, MEMINFO, SHUTDOWN, UID = range(8)
ESTABLISHED, CLOSE, LISTEN = 1, 7, 10
AF_UNIX = 1


def attribute(kind: int, value: bytes, length: int | None = None) -> bytes:
    """Make an attribute, padded to four bytes; ``length`` is a lie about its length."""
    size = 4 + len(value) if length is None else length
    return struct.pack("=HH", size, kind) + value + bytes(-len(value) % 4)


def numbers(*values: int) -> bytes:
    return struct.pack(f"={len(values)}I", *values)


def entry(
    inode: int,
    *attributes: bytes,
    kind: int = 1,
    state: int = ESTABLISHED,
    cookie: int | None = None,
    family: int = AF_UNIX,
) -> bytes:
    """Make the body of a message about one socket."""
    number = inode + 1000 if cookie is None else cookie
    # The cookie is in two halves, the lower one first on every machine.
    head = struct.pack("=BBBxIII", family, kind, state, inode, number & 0xFFFFFFFF, number >> 32)
    return head + b"".join(attributes)


def message(kind: int, body: bytes, flags: int = MULTI, sequence: int = 1, length: int | None = None) -> bytes:
    """Make a message, padded to four bytes; ``length`` is a lie about its length."""
    size = 16 + len(body) if length is None else length
    return struct.pack("=IHHII", size, kind, flags, sequence, 0) + body + bytes(-len(body) % 4)


def done(code: int = 0, flags: int = MULTI, sequence: int = 1) -> bytes:
    return message(DONE, struct.pack("=i", code), flags, sequence)


def refusal(code: int, sequence: int = 1) -> bytes:
    """Make the message that refuses a request with an errno."""
    return message(ERROR, struct.pack("=i", -code) + bytes(20), 0, sequence)


class Kernel:
    """What stands for ``lib`` in a conversation: it answers each question by what a test has prepared.

    An answer is a list of parts: bytes, or a negative errno of the receive.  The number in the messages is set to that
    of the question.
    """

    def __init__(self, *answers: list[bytes | int], opened: int = 0) -> None:
        self.answers = list(answers)
        self.opened = opened
        self.questions: list[tuple[int, int, bool]] = []
        self.conversations = 0
        self._parts: list[bytes | int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(lib, name)

    def uds_diag_open(self, handle: Any) -> int:
        self.conversations += 1
        return self.opened

    def uds_diag_ask(self, diag: Any, inode: int, states: int, clients: bool) -> int:
        self.questions.append((inode, states, bool(clients)))
        diag.sequence += 1
        diag.size = diag.place = diag.ended = diag.changed = 0
        self._parts = list(self.answers.pop(0))
        return 0

    def uds_diag_receive(self, diag: Any) -> int:
        part = self._parts.pop(0)
        if isinstance(part, int):
            return part
        place = 0
        text = bytearray(part)
        while place + 16 <= len(text):
            struct.pack_into("=I", text, place + 8, diag.sequence)
            place += max(4, (struct.unpack_from("=I", text, place)[0] + 3) & ~3)
        ffi.memmove(diag.data, bytes(text), len(text))
        diag.size, diag.place = len(text), 0
        return len(text)


FIELDS = [name for name, _ in ffi.typeof("struct uds_diag_socket").fields]


def read(data: bytes, most: int = 8, sequence: int = 1) -> tuple[list[Any], Any]:
    """Let C read data that was received; return what it returned at each call, and its struct."""
    memory = ffi.new("char[]", data or b"\0")
    found = ffi.new("struct uds_diag_socket[]", most)
    diag = ffi.new("struct uds_diag *", {"data": memory, "sockets": found, "most": most, "size": len(data)})
    diag.sequence = sequence
    results: list[Any] = []
    while True:
        count = lib.uds_diag_read(diag)
        if count <= 0:
            results.append(count)
            return results, diag
        results.append([{name: getattr(found[i], name) for name in FIELDS} for i in range(count)])


CLONE_NEWNET = 0x40000000


def enter_namespace() -> int:
    """Move this process into a new network namespace; return 0, or -1 when it may not."""
    return int(ctypes.CDLL(None).unshare(CLONE_NEWNET))


def _may_enter() -> bool:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if os.geteuid() == 0 and enter_namespace() == 0 else 1)
    return os.waitpid(pid, 0)[1] == 0


as_root_of_a_namespace = pytest.mark.skipif(not _may_enter(), reason="only root can make a network namespace")
