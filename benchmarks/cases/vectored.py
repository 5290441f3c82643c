"""Several buffers in one packet."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from .. import bare, floor
from ..operation import BARE, FLOOR, OURS, STDLIB, Operation, Trial, register
from .pairs import missing_type, our_pair, payload, stdlib_pair

PIECES = 8


def _prepare(stack: ExitStack, size: int) -> Trial:
    one, two = our_pair(stack, "seqpacket")
    from_, to = stdlib_pair(stack, "seqpacket")
    whole = payload(size * PIECES)
    parts = [whole[start : start + size] for start in range(0, len(whole), size)]
    buffers = [bytearray(size) for _ in parts]
    made = floor.load()
    into = made.ffi.new("char[]", len(whole))

    def collected() -> bytes:
        got = b"".join(buffers)
        # So that the next time cannot find what this time left.
        for buffer in buffers:
            buffer[:1] = b"\0"
        return got

    def ours(rounds: int) -> bytes:
        for _ in range(rounds):
            one.send_vectored(parts)
            two.recv_vectored(buffers)
        return collected()

    def stdlib(rounds: int) -> bytes:
        for _ in range(rounds):
            from_.sendmsg(parts)
            to.recvmsg_into(buffers)
        return collected()

    def in_c(rounds: int) -> bytes:
        got = floor.check(
            made.lib.floor_vectored(from_.fileno(), to.fileno(), whole, into, size, PIECES, rounds),
        )
        return bytes(made.ffi.buffer(into, got))

    in_cffi = bare.vectored(from_.fileno(), to.fileno(), parts, buffers)
    return Trial({OURS: ours, STDLIB: stdlib, BARE: in_cffi, FLOOR: in_c}, whole)


for _size, _title in ((64, "64 B"), (8192, "8 KiB")):
    register(
        Operation(f"vectored {PIECES} x {_title}", "vectored", partial(_prepare, size=_size), missing_type("seqpacket"))
    )
