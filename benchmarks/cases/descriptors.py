"""Descriptors: sent, received, and closed."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from functools import partial

from .. import floor
from ..measure import WrongResult
from ..operation import FLOOR, OURS, STDLIB, Operation, Trial, register
from .pairs import our_pair, stdlib_pair

ROOM = 64


def open_files(stack: ExitStack, count: int) -> list[int]:
    """Open a file so many times, closed with the stack."""
    numbers = []
    for _ in range(count):
        numbers.append(os.open(os.devnull, os.O_RDONLY))
        stack.callback(os.close, numbers[-1])
    return numbers


def check_received(sent: list[int], received: list[int]) -> None:
    """Compare the files behind two lists of descriptors, and close the second."""
    try:
        same = [os.path.sameopenfile(one, two) for one, two in zip(sent, received)]
    finally:
        for number in received:
            os.close(number)
    if len(sent) != len(received) or not all(same):
        raise WrongResult(f"{len(sent)} descriptors were sent, {len(received)} received, {same.count(True)} the same")


def _prepare(stack: ExitStack, count: int) -> Trial:
    one, two = our_pair(stack, "stream")
    from_, to = stdlib_pair(stack, "stream")
    fds = open_files(stack, count)
    made = floor.load()
    numbers = made.ffi.new("int[]", fds)

    def ours(rounds: int) -> bytes:
        data = b""
        for _ in range(rounds):
            one.send_fds(b"x", fds)
            data, received = two.recv_fds(ROOM, count)
            received.close()
        return data

    def stdlib(rounds: int) -> bytes:
        data = b""
        for _ in range(rounds):
            socket.send_fds(from_, [b"x"], fds)
            data, received, _, _ = socket.recv_fds(to, ROOM, count)
            for number in received:
                os.close(number)
        return data

    def in_c(rounds: int) -> bytes:
        got = floor.check(made.lib.floor_fds(from_.fileno(), to.fileno(), numbers, count, rounds))
        return b"x" if got == count else b""

    def verify() -> None:
        one.send_fds(b"x", fds)
        check_received(fds, two.recv_fds(ROOM, count)[1].detach())
        socket.send_fds(from_, [b"x"], fds)
        check_received(fds, list(socket.recv_fds(to, ROOM, count)[1]))

    return Trial({OURS: ours, STDLIB: stdlib, FLOOR: in_c}, b"x", verify)


def _missing() -> str | None:
    return None if hasattr(socket, "recv_fds") else "this Python's socket module has no recv_fds"


for _count in (1, 10, 253):
    register(
        Operation(
            f"{_count} fd{'s' * (_count > 1)} sent, received, closed",
            "descriptors",
            partial(_prepare, count=_count),
            _missing,
        )
    )
