"""Sending and receiving bytes: each type, several sizes."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

from .. import bare, floor
from ..operation import BARE, FLOOR, OURS, STDLIB, Operation, Trial, Way, of_its_own, register
from .pairs import TYPES, exchange, missing_type, our_pair, payload, stdlib_pair

# Bytes sent, bytes asked for, and how the row is called.
SIZES = (
    (64, 4096, "64 B into 4096"),
    (64, 64, "64 B exact"),
    (4096, 4096, "4 KiB"),
    (65536, 65536, "64 KiB"),
)


def _prepare(stack: ExitStack, name: str, size: int, room: int) -> Trial:
    stdlibs = stdlib_pair(stack, name)
    trial = exchange(our_pair(stack, name), stdlibs, payload(size), room)
    trial.ways[BARE] = bare.send_recv(stdlibs[0].fileno(), stdlibs[1].fileno(), payload(size), room)
    return trial


def _prepare_into(stack: ExitStack, name: str, size: int) -> Trial:
    ours = our_pair(stack, name)
    from_, to = stdlib_pair(stack, name)
    data = bytearray(payload(size))
    buffer = bytearray(size)
    made = floor.load()
    into = made.ffi.new("char[]", size)

    def received(one: Any, two: Any) -> Way:
        def way(rounds: int) -> bytes:
            buffer[:1] = b"\0"
            for _ in range(rounds):
                one.send(data)
                two.recv_into(buffer)
            return bytes(buffer)

        return of_its_own(way)

    def in_c(rounds: int) -> bytes:
        memory = made.ffi.from_buffer(data)
        got = floor.check(made.lib.floor_send_recv(from_.fileno(), to.fileno(), memory, size, into, size, 0, rounds))
        return bytes(made.ffi.buffer(into, got))

    in_cffi = bare.recv_into(from_.fileno(), to.fileno(), data, buffer)
    return Trial({OURS: received(*ours), STDLIB: received(from_, to), BARE: in_cffi, FLOOR: in_c}, bytes(data))


for _name in TYPES:
    for _size, _room, _title in SIZES:
        register(
            Operation(
                f"{_name} send+recv {_title}",
                "send and receive bytes",
                partial(_prepare, name=_name, size=_size, room=_room),
                missing_type(_name),
            )
        )

for _name in ("stream", "seqpacket"):
    for _size, _title in ((64, "64 B"), (65536, "64 KiB")):
        register(
            Operation(
                f"{_name} recv_into {_title}",
                "receive into a bytearray",
                partial(_prepare_into, name=_name, size=_size),
                missing_type(_name),
            )
        )
