"""The shortcuts that frequent calls take, where they could differ from the way round.

Rule: what a shortcut compares or leaves out must not be seen. Each test is a case in which it was, or nearly was.
"""

from __future__ import annotations

import itertools
import os
import signal
from typing import Any

import pytest
import support
from blocked import running

import uds_cffi
from uds_cffi import (
    ScmCredentials,
    SocketAncillary,
    UnixDatagram,
    UnixSocketAddr,
    UnixStream,
    ffi,
    lib,
    receiving,
    register_decoder,
    unregister_decoder,
)


@pytest.mark.parametrize("size", [None, 4.0, True, "4", -1])
def test_bad_size_after_any_receive(pair: tuple[Any, Any], size: Any) -> None:
    """A size that is none is refused also when the receiver was last used for a receive without a size, or for 1."""
    one, two = pair
    one.send(b"data")
    for last in (lambda: two.peek_vectored([memoryview(bytearray(1))]), lambda: two.peek(1), lambda: two.peek(4)):
        for receive in (two.recv, two.try_recv, two.peek, lambda size: two.recv_fds(size, 0)):
            last()
            with pytest.raises((TypeError, ValueError)):
                receive(size)
    assert two.recv(4)[:] in (b"data", (b"data", False))


def packet_receives(two: Any) -> list[Any]:
    receives = [
        lambda: two.recv_vectored([memoryview(bytearray(9))]),
        lambda: two.recv_vectored([bytearray(9)]),
        lambda: two.recv(9),
        lambda: two.recv_into(bytearray(9)),
    ]
    if isinstance(two, UnixDatagram):
        receives += [lambda: two.recv_from(9), lambda: two.recv_vectored_from([bytearray(9)])]
    return receives


@pytest.mark.parametrize("pair", support.PACKET_TYPES, indirect=True)
def test_discarded_descriptors_do_not_truncate_the_packet(pair: tuple[Any, Any]) -> None:
    """A whole packet is whole, although the descriptors that came with it were discarded."""
    one, two = pair
    for receive in packet_receives(two):
        one.send_fds(b"data", [0])
        assert receive()[1] is False


def test_timeout_that_is_set_while_a_receive_begins(pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout that another thread sets just when a receiver is being set is not forgotten by later receives."""
    one, two = pair
    check_max_fds = receiving.check_max_fds

    def meanwhile(max_fds: int) -> int:
        two.set_read_timeout(0.01)
        return check_max_fds(max_fds)

    one.send(b"x")
    monkeypatch.setattr(receiving, "check_max_fds", meanwhile)
    two.recv_fds(100, 1)
    monkeypatch.undo()
    for receive in (lambda: two.recv_fds(100, 1), lambda: two.recv(100)):
        with pytest.raises(TimeoutError):
            receive()


def test_traceback_does_not_keep_a_buffer(pair: tuple[Any, Any]) -> None:
    """While the exception of a signal handler is being handled the buffer can be resized: nothing exports it."""
    _, two = pair
    buffer = bytearray(10)

    class Alarm(Exception):
        pass

    def handler(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        try:
            two.recv_into(buffer)
        except Alarm:
            buffer.extend(b"more")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(buffer) == 14


def test_buffer_that_is_made_shorter_meanwhile(pair: tuple[Any, Any]) -> None:
    """Bytes that have lost their place while the call waited are reported."""
    one, two = pair
    buffers = [bytearray(4), bytearray(4)]

    def receive() -> None:
        with pytest.raises(BufferError, match="3 of 8 bytes have no place"):
            two.recv_vectored(buffers)

    with support.in_thread(receive):
        support.until(lambda: running(two) == 1)
        del buffers[1][:3]
        one.send(b"12345678")
    assert buffers == [b"1234", b"5"]


@pytest.mark.parametrize("sizes", [[64] * 65, [40_000, 40_000], [0, 0], []])
def test_vectors_beyond_the_shortcut(pair: tuple[Any, Any], sizes: list[int]) -> None:
    """Many buffers, large ones, and none at all are sent and received as few small ones are."""
    one, two = pair
    data = [bytes([place % 256]) * size for place, size in enumerate(sizes)]
    total = sum(sizes)
    if not total and isinstance(two, UnixStream):
        assert one.send_vectored(data) == 0
        return
    assert one.send_vectored(data) == total
    buffers = [bytearray(size) for size in sizes]
    received = two.recv_vectored(buffers)
    assert received in (total, (total, False))
    assert buffers == data


def test_send_refuses_what_the_kernel_refuses(pair: tuple[Any, Any], number: int) -> None:
    """A list of ints takes the short way, and errors say as much as on the long one."""
    one, two = pair
    for fds, problem in (
        ([number, -1], ValueError),
        ([number] * 254, ValueError),
        ([number, 10**6], OSError),
        ([number, True], TypeError),
        ([2**31], OSError),
    ):
        with pytest.raises(problem):
            one.send_fds(b"x", fds)
    assert two.try_recv(1) is None
    assert one.send_fds(b"x", [number]) == 1
    result = two.recv_fds(1, 1)
    result[-1].close()


def test_receiver_of_a_closed_socket_is_no_way_to_the_next(pair: tuple[Any, Any]) -> None:
    """A new socket on the number of a closed one has nothing to do with what the receiver remembers."""
    one, two = pair
    one.send(b"x")
    two.recv(10)
    two.close()
    other, same = type(one).pair()
    with other, same:
        other.send(b"for another")
        with support.raises_errno(uds_cffi.errors.errno.EBADF):
            two.recv(10)
        assert same.recv(11)[:] in (b"for another", (b"for another", False))


# --- recv_ancillary, again with the same size and ancillary ---------------------------------------


def by_size(ancillary: SocketAncillary) -> tuple[int, SocketAncillary]:
    return 10, ancillary


@support.needs("credentials")
def test_decoders_of_the_moment_count(pair: tuple[Any, Any]) -> None:
    """Each message is decoded as was registered when it was received, also where the library knows the kind itself."""
    one, two = pair
    two.options.pass_credentials = True
    ancillary = SocketAncillary.with_room_for(credentials=True)
    arguments = by_size(ancillary)
    key = (lib.SOL_SOCKET, lib.SCM_CREDENTIALS)

    def received() -> Any:
        one.send(b"x")
        result = two.recv_ancillary(*arguments)
        assert result.messages is ancillary.messages()
        (message,) = result.messages
        return message

    plain = [received() for _ in range(3)]
    register_decoder(*key, len)
    try:
        assert [received() for _ in range(3)] == [ffi.sizeof("struct ucred")] * 3
    finally:
        unregister_decoder(*key)
    mine = ScmCredentials(os.getpid(), os.getuid(), os.getgid())
    assert [*plain, received()] == [mine] * 4


def test_every_kind_of_message_after_every_other(pair: tuple[Any, Any]) -> None:
    """What one message brought, or lost, does not show in the next one, whichever way each was received."""
    one, two = pair
    ancillary = SocketAncillary(lib.CMSG_SPACE(4))
    arguments = by_size(ancillary)

    def send(count: int) -> None:
        if count:
            one.send_fds(b"data", [0] * count)
        else:
            one.send(b"data")

    for counts in itertools.product((0, 1, 40), repeat=3):
        for count in counts:
            send(count)
            with two.recv_ancillary(*arguments) as result:
                assert (result.data, result.nbytes, result.full_size, result.truncated) == (b"data", 4, 4, False)
                assert result.addr == UnixSocketAddr.unnamed()
                assert ancillary.truncated is result.ancillary_truncated is (count == 40)
                assert bool(len(ancillary)) is bool(result.messages) is bool(count)
                assert result.flags & ~lib.MSG_EOR == (lib.MSG_CTRUNC if count == 40 else 0)


def test_ancillary_that_another_thread_fills_meanwhile(pair: tuple[Any, Any]) -> None:
    """What another thread adds while a receive waits is gone when the message comes."""
    one, two = pair
    ancillary = SocketAncillary(128)
    arguments = by_size(ancillary)
    for _ in range(3):
        with support.in_thread(two.recv_ancillary, *arguments) as received:
            support.until(lambda: lib.uds_handle_users(two._handle) == 1)
            assert ancillary.add(12345, 1, b"mine")
            one.send(b"x")
        assert received[0].messages == ancillary.messages() == ()
        assert ancillary.is_empty


def test_room_of_one_ancillary_is_not_the_next_ones(pair: tuple[Any, Any]) -> None:
    """A receive into a small ancillary leaves all the room to the next recv_fds, and to a larger ancillary."""
    one, two = pair
    small, large = by_size(SocketAncillary(0)), by_size(SocketAncillary(128))
    most = 253
    for _ in range(2):
        for arguments, count in ((small, 0), (large, 1)):
            for _ in range(2):
                one.send_fds(b"x", [0])
                with two.recv_ancillary(*arguments) as result:
                    assert sum(len(message.fds) for message in result.messages) == count
                one.send_fds(b"x", [0])
                with two.recv_fds(arguments[0], most)[-1] as fds:
                    assert len(fds) == 1
