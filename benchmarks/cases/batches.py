"""Many messages at once: batches of packets, and framed messages on a stream, against a loop of single packets."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import uds_cffi

from .. import floor
from ..operation import FLOOR, OURS, STDLIB, Operation, Trial, Way, register
from .pairs import missing_type, our_pair, payload, stdlib_pair

SIZE = 64


def _packets(count: int) -> list[bytes]:
    whole = payload(SIZE * count)
    return [whole[start : start + SIZE] for start in range(0, len(whole), SIZE)]


def _single_packets(stack: ExitStack, name: str, packets: list[bytes]) -> tuple[Way, Way]:
    """Return the loops of single packets: in the standard library, and in C."""
    from_, to = stdlib_pair(stack, name)
    made = floor.load()
    into = made.ffi.new("char[]", SIZE * len(packets))

    def stdlib(rounds: int) -> list[bytes]:
        got: list[bytes] = []
        for _ in range(rounds):
            for packet in packets:
                from_.send(packet)
            got = [to.recv(SIZE) for _ in packets]
        return got

    def in_c(rounds: int) -> list[bytes]:
        # It sends the same packet each time; which bytes the kernel copies makes no difference.
        count = floor.check(
            made.lib.floor_batch(from_.fileno(), to.fileno(), packets[0], SIZE, into, len(packets), rounds),
        )
        same = bytes(made.ffi.buffer(into)) == packets[0] * len(packets)
        return packets if same and count == len(packets) else []

    return stdlib, in_c


def _prepare_batch(stack: ExitStack, name: str, count: int) -> Trial:
    one, two = our_pair(stack, name)
    packets = _packets(count)
    stdlib, in_c = _single_packets(stack, name, packets)

    def ours(rounds: int) -> list[bytes]:
        got: list[bytes] = []
        for _ in range(rounds):
            one.send_batch(packets)
            got = two.recv_batch(count, SIZE).data
        return got

    return Trial({OURS: ours, STDLIB: stdlib, FLOOR: in_c}, packets)


def _prepare_framed(stack: ExitStack, count: int) -> Trial:
    one, two = our_pair(stack, "stream")
    sender, receiver = (stack.enter_context(uds_cffi.FramedStream(end)) for end in (one, two))
    messages = _packets(count)
    stdlib, _ = _single_packets(stack, "datagram", messages)
    from_, to = stdlib_pair(stack, "stream")
    framed_bytes = b"".join(len(message).to_bytes(4, "big") + message for message in messages)
    room = len(framed_bytes)
    made = floor.load()
    into = made.ffi.new("char[]", room)

    def in_c(rounds: int) -> list[bytes]:
        # The same system calls: one send and one receive of all messages with their headers.
        floor.check(made.lib.floor_send_recv(from_.fileno(), to.fileno(), framed_bytes, room, into, room, 0, rounds))
        return messages if bytes(made.ffi.buffer(into)) == framed_bytes else []

    def ours(rounds: int) -> list[bytes]:
        got: list[bytes] = []
        for _ in range(rounds):
            sender.send_messages(messages)
            got = receiver.recv_messages()
        return got

    return Trial({OURS: ours, STDLIB: stdlib, FLOOR: in_c}, messages)


for _name in ("datagram", "seqpacket"):
    for _count in (1, 8, 64, 256):
        register(
            Operation(
                f"{_name} batch of {_count} x {SIZE} B",
                "batches, against single packets",
                partial(_prepare_batch, name=_name, count=_count),
                missing_type(_name),
            )
        )
register(
    Operation(
        f"64 framed messages of {SIZE} B",
        "framed messages, against single datagrams",
        partial(_prepare_framed, count=64),
    )
)
