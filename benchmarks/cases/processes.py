"""Two processes that talk to each other.

Rule: what is compared has a partner of its own each, forked in the same way, and `control` is the standard library once
more with another partner: what differs between these two is no difference of libraries.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import ExitStack
from functools import partial
from typing import Any, Callable

from .. import floor
from ..operation import CONTROL, FLOOR, OURS, STDLIB, Operation, Trial, Way, of_its_own, register
from .pairs import our_pair, payload, stdlib_pair

CHUNK = 65536
_TOTAL = struct.Struct("=Q")

# Long enough for many wake-ups in each slice.
SLICE = 0.01

# A pair of processes may be slow or quick for as long as it lives; several show how much that matters.
PROCESSES = 3


def _partner(stack: ExitStack, mine: Any, theirs: Any, serve: Callable[[], object], place: int | None) -> None:
    """Fork a process that serves the other end until the connection ends, and end both with the stack."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if place is not None:
                floor.load().lib.pin_to_processor(place)
            mine.close()
            serve()
            code = 0
        finally:
            os._exit(code)
    stack.callback(os.waitpid, pid, 0)
    # Not close(): partners that were forked later hold copies of this end.
    stack.callback(mine.shutdown, socket.SHUT_RDWR)
    theirs.close()


def _pin(stack: ExitStack, apart: bool) -> tuple[int | None, list[str]]:
    """Pin this process; return where the partners belong, and a note when that is nowhere in particular."""
    lib = floor.load().lib
    place = 1 if apart else 0
    stack.callback(lib.unpin)
    if lib.pin_to_processor(place) < 0 or lib.pin_to_processor(0) < 0:
        lib.unpin()
        return None, ["the processes could not be pinned to processors"]
    return place, []


def _each(stack: ExitStack, place: int | None, serve: Callable[[str, Any], object]) -> dict[str, Any]:
    """Make a connection to a partner for each way; return our ends."""
    ends = {}
    for name in (OURS, STDLIB, FLOOR, CONTROL):
        mine, theirs = our_pair(stack, "stream") if name == OURS else stdlib_pair(stack, "stream")
        _partner(stack, mine, theirs, partial(serve, name, theirs), place)
        ends[name] = mine
    return ends


def _prepare_ping_pong(stack: ExitStack, apart: bool) -> Trial:
    data = payload(64)
    room = len(data)
    made = floor.load()
    into = made.ffi.new("char[]", room)

    def serve(name: str, end: Any) -> None:
        if name == FLOOR:
            floor.check(made.lib.floor_answer(end.fileno(), into, room))
            return
        while True:
            asked = end.recv(room)
            if not asked:
                return
            end.send(asked)

    place, notes = _pin(stack, apart)
    ends = _each(stack, place, serve)

    def asking(end: Any) -> Way:
        def ask(rounds: int) -> Any:
            got = b""
            for _ in range(rounds):
                end.send(data)
                got = end.recv(room)
            return got

        return of_its_own(ask)

    def in_c(rounds: int) -> bytes:
        got = floor.check(made.lib.floor_ask(ends[FLOOR].fileno(), data, room, into, room, rounds))
        return bytes(made.ffi.buffer(into, got))

    ways: dict[str, Way] = {name: asking(end) for name, end in ends.items()}
    return Trial({**ways, FLOOR: in_c}, data, notes=notes)


def _drain(end: Any) -> None:
    """Receive as many bytes as the other side announces, and say when they are all there, again and again."""
    while True:
        head = end.recv(_TOTAL.size, socket.MSG_WAITALL)
        if not head:
            return
        (left,) = _TOTAL.unpack(head)
        while left:
            left -= len(end.recv(min(left, CHUNK)))
        end.send(b"!")


def _prepare_throughput(stack: ExitStack) -> Trial:
    data = payload(CHUNK)
    made = floor.load()
    into = made.ffi.new("char[]", CHUNK)

    def serve(name: str, end: Any) -> None:
        if name == FLOOR:
            floor.check(made.lib.floor_drain(end.fileno(), into, CHUNK))
        else:
            _drain(end)

    place, notes = _pin(stack, apart=True)
    ends = _each(stack, place, serve)

    def pouring(end: Any) -> Way:
        def pour(rounds: int) -> Any:
            end.sendall(_TOTAL.pack(rounds * CHUNK))
            for _ in range(rounds):
                end.sendall(data)
            return end.recv(1)

        return of_its_own(pour)

    def in_c(rounds: int) -> bytes:
        return bytes([floor.check(made.lib.floor_pour(ends[FLOOR].fileno(), data, CHUNK, rounds))])

    ways: dict[str, Way] = {name: pouring(end) for name, end in ends.items()}
    return Trial({**ways, FLOOR: in_c}, b"!", notes=notes)


for _apart, _where in ((True, "two processors"), (False, "one processor")):
    register(
        Operation(
            f"ping-pong 64 B, {_where}",
            "two processes",
            partial(_prepare_ping_pong, apart=_apart),
            slice_seconds=SLICE,
            processes=PROCESSES,
        )
    )
register(
    Operation(
        "one-way 64 KiB, two processors", "two processes", _prepare_throughput, slice_seconds=SLICE, processes=PROCESSES
    )
)
