"""What the library's own rules cost: an operation that keeps the rule against the bare calls that do not.

Both ways make the same system calls through cffi, so that the difference is the rule alone.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

import uds_cffi
from uds_cffi import Packet, ffi, lib

from .. import floor
from ..operation import BARE, OURS, Operation, Trial, Way, of_its_own, register
from .descriptors import check_received, open_files
from .pairs import missing_type, our_pair, payload

GROUP = "what the rules cost"
ROOM = 4096


def _bare_pair(stack: ExitStack, kind: int) -> tuple[int, int]:
    numbers = ffi.new("int[2]")
    floor.check(lib.uds_socketpair(lib.AF_UNIX, kind, 0, numbers))
    one, two = numbers[0], numbers[1]
    stack.callback(os.close, one)
    stack.callback(os.close, two)
    return one, two


def _prepare_handle(stack: ExitStack) -> Trial:
    """Each call counts itself in and out of the handle, so that no number is used after it was closed."""
    one, two = _bare_pair(stack, lib.SOCK_STREAM)
    handle_one, handle_two = ffi.new("struct uds_handle *"), ffi.new("struct uds_handle *")
    floor.check(lib.uds_handle_adopt(handle_one, one, 1))
    floor.check(lib.uds_handle_adopt(handle_two, two, 1))
    data, flags = payload(64), lib.MSG_NOSIGNAL
    size = len(data)
    into = ffi.new("char[]", ROOM)
    view = ffi.buffer(into)

    def received(send: Any, recv: Any, one: Any, two: Any) -> Way:
        def way(rounds: int) -> bytes:
            got = 0
            for _ in range(rounds):
                send(one, data, size, flags)
                got = recv(two, into, ROOM, 0)
            return bytes(view[:got])

        return of_its_own(way)

    ours = received(lib.uds_handle_send, lib.uds_handle_recv, handle_one, handle_two)
    return Trial({OURS: ours, BARE: received(lib.uds_send, lib.uds_recv, one, two)}, data)


def _bare_socketpair(rounds: int) -> int:
    """Make pairs as bare numbers, and close them."""
    numbers = ffi.new("int[2]")
    kind = lib.SOCK_STREAM | lib.SOCK_CLOEXEC if lib.SOCK_CLOEXEC > 0 else lib.SOCK_STREAM
    failed = 0
    for _ in range(rounds):
        failed |= lib.uds_socketpair(lib.AF_UNIX, kind, 0, numbers)
        failed |= lib.uds_close(numbers[0])
        failed |= lib.uds_close(numbers[1])
    return failed


def _prepare_owned_pair(stack: ExitStack) -> Trial:
    """Two objects own the descriptors before the call that makes them."""
    del stack
    pair = uds_cffi.UnixStream.pair

    def ours(rounds: int) -> int:
        for _ in range(rounds):
            one, two = pair()
            one.close()
            two.close()
        return 0

    return Trial({OURS: ours, BARE: _bare_socketpair}, 0)


def _prepare_owned_handles(stack: ExitStack) -> Trial:
    """The same without the objects around the handles."""
    del stack
    type_ = ffi.typeof("struct uds_handle *")

    def ours(rounds: int) -> int:
        failed = 0
        for _ in range(rounds):
            one, two = ffi.new(type_), ffi.new(type_)
            failed |= lib.uds_handle_socketpair(one, two, lib.SOCK_STREAM, 0)
            failed |= lib.uds_handle_close(one)
            failed |= lib.uds_handle_close(two)
        return failed

    return Trial({OURS: ours, BARE: _bare_socketpair}, 0)


def _prepare_owned_fds(stack: ExitStack) -> Trial:
    """A set owns the received descriptor before the call; the bare way gets a number and closes it."""
    one, two = our_pair(stack, "stream")
    made = floor.load()
    into = made.ffi.new("char[]", ROOM)
    numbers = made.ffi.new("int[]", lib.UDS_SCM_MAX_FD)
    fds = open_files(stack, 1)
    number = two.fileno()
    receive, unpack = made.lib.bare_recv_fds, made.ffi.unpack

    def ours(rounds: int) -> bytes:
        data = b""
        for _ in range(rounds):
            one.send_fds(b"x", fds)
            data, received = two.recv_fds(ROOM, 1)
            received.close()
        return data

    def bare(rounds: int) -> bytes:
        for _ in range(rounds):
            one.send_fds(b"x", fds)
            count = receive(number, into, ROOM, numbers, lib.UDS_SCM_MAX_FD)
            for received in unpack(numbers, count):
                os.close(received)
        return bytes(made.ffi.buffer(into, 1))

    def verify() -> None:
        one.send_fds(b"x", fds)
        check_received(fds, unpack(numbers, receive(number, into, ROOM, numbers, lib.UDS_SCM_MAX_FD)))

    return Trial({OURS: ours, BARE: bare}, b"x", verify)


def _prepare_named(stack: ExitStack) -> Trial:
    """A packet is a named tuple that says whether it was cut; the bare way makes a plain tuple of the same."""
    one, two = _bare_pair(stack, lib.SOCK_SEQPACKET)
    data, flags = payload(64), lib.MSG_NOSIGNAL
    size = len(data)
    into = ffi.new("char[]", ROOM)
    view = ffi.buffer(into)
    new: Any = tuple.__new__
    send, recv = lib.uds_send, lib.uds_recv

    def ours(rounds: int) -> Any:
        packet = None
        for _ in range(rounds):
            send(one, data, size, flags)
            got = recv(two, into, ROOM, 0)
            packet = new(Packet, (view[:got], got > ROOM))
        return packet

    def bare(rounds: int) -> Any:
        packet = None
        for _ in range(rounds):
            send(one, data, size, flags)
            got = recv(two, into, ROOM, 0)
            packet = (view[:got], got > ROOM)
        return packet

    return Trial({OURS: ours, BARE: bare}, (data, False))


for _title, _prepare in (
    ("handle, in send+recv 64 B", _prepare_handle),
    ("owner before the call, in socketpair+close, objects", _prepare_owned_pair),
    ("owner before the call, in socketpair+close, handles alone", _prepare_owned_handles),
    ("owner before the call, in 1 fd sent, received, closed", _prepare_owned_fds),
):
    register(Operation(f"rule: {_title}", GROUP, _prepare, baseline=BARE))
register(
    Operation("rule: named tuple, in send+recv 64 B", GROUP, _prepare_named, missing_type("seqpacket"), baseline=BARE)
)
