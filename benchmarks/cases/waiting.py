"""Timeouts that do not pass, and receives that find nothing."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from functools import partial

from .. import floor
from ..operation import FLOOR, OURS, STDLIB, Operation, Trial, register
from .pairs import exchange, missing_type, our_pair, payload, stdlib_pair

ROOM = 4096
SECONDS = 5.0


def _prepare_timeouts(stack: ExitStack) -> Trial:
    ours, stdlibs = our_pair(stack, "stream"), stdlib_pair(stack, "stream")
    for end in ours:
        end.set_read_timeout(SECONDS)
        end.set_write_timeout(SECONDS)
    for other in stdlibs:
        other.settimeout(SECONDS)
    return exchange(ours, stdlibs, payload(64), ROOM, flags=socket.MSG_DONTWAIT)


def _prepare_nothing(stack: ExitStack, name: str) -> Trial:
    _, two = our_pair(stack, name)
    _, to = stdlib_pair(stack, name)
    to.setblocking(False)
    made = floor.load()
    into = made.ffi.new("char[]", ROOM)

    def ours(rounds: int) -> int:
        nothing = 0
        for _ in range(rounds):
            if two.try_recv(ROOM) is None:
                nothing += 1
        return rounds - nothing

    def stdlib(rounds: int) -> int:
        nothing = 0
        for _ in range(rounds):
            try:
                to.recv(ROOM)
            except BlockingIOError:
                nothing += 1
        return rounds - nothing

    def in_c(rounds: int) -> int:
        return floor.check(made.lib.floor_nothing(to.fileno(), into, ROOM, rounds))

    return Trial({OURS: ours, STDLIB: stdlib, FLOOR: in_c}, 0)


register(Operation("timeouts on both ends, data ready", "timeouts", _prepare_timeouts))
for _name in ("stream", "seqpacket"):
    register(
        Operation(
            f"{_name} nothing to read",
            "nothing to read: try_recv() against BlockingIOError",
            partial(_prepare_nothing, name=_name),
            missing_type(_name),
        )
    )
