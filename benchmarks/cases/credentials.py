"""Credentials beside each message, read as numbers."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import ExitStack

import uds_cffi

from .. import bare, floor
from ..operation import BARE, FLOOR, OURS, STDLIB, Operation, Trial, lacks_feature, register
from .pairs import our_pair, payload, stdlib_pair

ROOM = 4096

# struct ucred of unix(7): pid, uid, gid.
_UCRED = struct.Struct("iII")


def _prepare(stack: ExitStack) -> Trial:
    one, two = our_pair(stack, "stream")
    from_, to = stdlib_pair(stack, "stream")
    two.options.pass_credentials = True
    # PyPy's socket module lacks both names.
    to.setsockopt(socket.SOL_SOCKET, uds_cffi.lib.SO_PASSCRED, 1)
    kind = uds_cffi.lib.SCM_CREDENTIALS
    data = payload(64)
    ancillary = uds_cffi.SocketAncillary.with_room_for(credentials=True)
    space = socket.CMSG_SPACE(_UCRED.size)
    made = floor.load()
    into = made.ffi.new("char[]", ROOM)

    def ours(rounds: int) -> tuple[bytes | None, int]:
        got, pid = None, 0
        for _ in range(rounds):
            one.send(data)
            received = two.recv_ancillary(ROOM, ancillary)
            got, pid = received.data, received.messages[0].pid
        return got, pid

    def stdlib(rounds: int) -> tuple[bytes, int]:
        got, pid = b"", 0
        for _ in range(rounds):
            from_.send(data)
            got, items, _, _ = to.recvmsg(ROOM, space)
            for level, type_, content in items:
                if level == socket.SOL_SOCKET and type_ == kind:
                    pid, _, _ = _UCRED.unpack(content)
        return got, pid

    def in_c(rounds: int) -> tuple[bytes, int]:
        pid = floor.check(
            made.lib.floor_credentials(from_.fileno(), to.fileno(), data, len(data), into, ROOM, rounds),
        )
        return bytes(made.ffi.buffer(into, len(data))), pid

    in_cffi = bare.credentials(from_.fileno(), to.fileno(), data, ROOM)
    return Trial({OURS: ours, STDLIB: stdlib, BARE: in_cffi, FLOOR: in_c}, (data, os.getpid()))


register(Operation("credentials per message", "credentials", _prepare, lacks_feature("credentials")))
