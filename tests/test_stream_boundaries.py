"""Where a stream has boundaries although it promises none, and what sizes it takes.

Rule: these are the kernel's facts that the library builds on; a test that fails on another kernel says which one
changed.
"""

from __future__ import annotations

import os

import pytest
import support

from uds_cffi import MSG_PEEK, UnixListener, UnixStream, lib

IOV_MAX = lib.IOV_MAX


def test_sends_are_merged(stream: tuple[UnixStream, UnixStream]) -> None:
    """One receive brings what several sends queued, and several receives divide what one send queued."""
    one, two = stream
    one.send(b"ab")
    one.send(b"cd")
    assert two.recv(9) == b"abcd"
    one.send(b"efgh")
    assert [two.recv(1), two.recv(2), two.recv(9)] == [b"e", b"fg", b"h"]


def test_read_to_the_end(socket_path: str) -> None:
    """A client connects, writes all, ends its direction, and reads the answer to the end."""
    with UnixListener.bind(socket_path) as listener:

        def serve() -> None:
            with listener.accept()[0] as conn:
                conn.sendall(b"".join(iter(lambda: conn.recv(100), b"")).upper())

        with support.in_thread(serve), UnixStream.connect(socket_path) as client:
            client.sendall(b"hello " * 100)
            client.shutdown(1)
            assert b"".join(iter(lambda: client.recv(100), b"")) == b"HELLO " * 100


def test_receive_ends_behind_descriptors(stream: tuple[UnixStream, UnixStream]) -> None:
    """Bytes before the descriptors are merged with theirs; bytes behind them are not."""
    one, two = stream
    one.send(b"aa")
    one.send_fds(b"BB", [0])
    one.send(b"cc")
    data, fds = two.recv_fds(100, 1)
    with fds:
        assert (data, len(fds)) == (b"aaBB", 1)
    assert two.recv_fds(100, 1)[0] == b"cc"


def test_messages_with_descriptors_are_never_merged(stream: tuple[UnixStream, UnixStream]) -> None:
    """Two sends with descriptors are two receives, also for the plain receive, which closes them."""
    one, two = stream
    for plain in (False, True):
        one.send_fds(b"AA", [0])
        one.send_fds(b"BB", [1, 2])
        for expected, count in ((b"AA", 1), (b"BB", 2)):
            if plain:
                assert two.recv(100) == expected
                continue
            data, fds = two.recv_fds(100, 9)
            with fds:
                assert (data, len(fds)) == (expected, count)


def test_descriptors_come_with_the_first_byte(stream: tuple[UnixStream, UnixStream]) -> None:
    """Who reads one byte of a message gets its descriptors; the rest comes without."""
    one, two = stream
    one.send_fds(b"ABC", [0])
    data, fds = two.recv_fds(1, 1)
    with fds:
        assert (data, len(fds)) == (b"A", 1)
    data, fds = two.recv_fds(9, 1)
    assert (data, len(fds)) == (b"BC", 0)


def test_peek_first_a_byte_then_more(stream: tuple[UnixStream, UnixStream]) -> None:
    """A peek with a small and then a larger buffer begins at the same byte."""
    one, two = stream
    one.send(b"hello")
    one.send(b" world")
    assert two.peek(1) == b"h"
    assert two.peek(100) == b"hello world"
    assert two.recv(100) == b"hello world"


@support.needs("peek_offset")
def test_peek_that_moves_on(stream: tuple[UnixStream, UnixStream]) -> None:
    """With options.peek_offset each peek begins where the last one ended, until it is switched off."""
    one, two = stream
    one.send(b"0123456789")
    two.options.peek_offset = 0
    assert [two.peek(3), two.peek(3), two.options.peek_offset] == [b"012", b"345", 6]
    two.options.peek_offset = -1
    assert two.peek(3) == b"012"
    assert two.recv(20) == b"0123456789"


@pytest.mark.parametrize("before", [b"", b"queued"])
def test_zero_bytes_take_nothing(stream: tuple[UnixStream, UnixStream], before: bytes) -> None:
    """A receive of no bytes returns none and leaves the queue alone."""
    one, two = stream
    if not before:
        one.close()
    else:
        one.send(before)
    assert two.recv(0) == b""
    assert two.try_recv(0) == b""
    assert two.recv_into(bytearray()) == 0
    assert two.recv_vectored([]) == 0
    assert two.recv_vectored([bytearray(), bytearray()]) == 0
    assert two.recv_fds(0, 1)[0] == b""
    assert two.recv(10) == before


def test_zero_bytes_on_an_empty_queue(stream: tuple[UnixStream, UnixStream]) -> None:
    """On an empty queue a receive of no bytes would block as any other, as recv(2) does."""
    _, two = stream
    two.set_read_timeout(0.01)
    assert two.try_recv(0) is None
    with pytest.raises(TimeoutError):
        two.recv(0)


def test_data_before_a_reset(stream: tuple[UnixStream, UnixStream]) -> None:
    """When the peer left with data of ours unread, its own data comes first, then one reset, then the end."""
    one, two = stream
    two.send(b"never read")
    one.send(b"data")
    one.close()
    assert two.recv(9) == b"data"
    with pytest.raises(ConnectionResetError):
        two.recv(9)
    assert two.recv(9) == b""
    with pytest.raises(BrokenPipeError):
        two.send(b"x")


def test_end_of_the_connection_comes_again(stream: tuple[UnixStream, UnixStream]) -> None:
    """At the end every receive says so, as often as it is asked."""
    one, two = stream
    one.close()
    for _ in range(2):
        assert two.recv(9) == b""
        assert two.try_recv(9) == b""
        assert two.recv_into(bytearray(9)) == 0
        assert two.try_recv_into(bytearray(9)) == 0
        assert two.recv_vectored([bytearray(9)]) == 0
        assert two.peek(9) == b""
        assert two.recv_fds(9, 1)[0] == b""


@pytest.mark.parametrize("size", [16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 200_000])
def test_one_large_receive(stream: tuple[UnixStream, UnixStream], size: int) -> None:
    """Everything that is queued comes in one receive, whatever its size, as bytes of that size."""
    one, two = stream
    one.set_option(lib.SOL_SOCKET, lib.SO_SNDBUF, 2_000_000)
    data = os.urandom(size)
    assert one.send(data) == size
    assert two.peek(size) == data
    assert two.recv(size + 5) == data


@pytest.mark.parametrize("asked", [1_000_000, 3_000_000])
def test_receive_of_more_than_is_kept(stream: tuple[UnixStream, UnixStream], asked: int) -> None:
    """A receive of megabytes works between small ones, again and again, and what it returns stays as it was."""
    one, two = stream
    kept = []
    for number in range(4):
        one.send(b"%d" % number * 1000)
        kept.append(two.recv(asked))
        one.send(b"small")
        assert two.recv(5) == b"small"
    assert kept == [b"%d" % number * 1000 for number in range(4)]


def test_earlier_results_stay(stream: tuple[UnixStream, UnixStream]) -> None:
    """A later receive does not write into what an earlier one returned."""
    one, two = stream
    one.send(b"first")
    first = two.recv(5)
    one.send(b"other")
    assert two.recv(5) == b"other"
    assert first == b"first"


@pytest.mark.parametrize("peek", [False, True])
def test_more_buffers_than_one_call_fills(stream: tuple[UnixStream, UnixStream], peek: bool) -> None:
    """More than IOV_MAX buffers are filled as far as there is data; a peek fills at most IOV_MAX."""
    one, two = stream
    count = 2 * IOV_MAX + 10
    data = os.urandom(count - 4)
    one.send(data)
    buffers = [bytearray(1) for _ in range(count)]
    filled = two.peek_vectored(buffers) if peek else two.recv_vectored(iter(buffers))
    assert filled == (IOV_MAX if peek else count - 4)
    assert b"".join(buffers) == data[:filled].ljust(count, b"\0")
    assert two.try_recv(count, MSG_PEEK) == (data if peek else None)


def test_first_piece_of_a_receive_waits_and_the_others_do_not(stream: tuple[UnixStream, UnixStream]) -> None:
    """With more than IOV_MAX buffers only the first receive waits; what the others would wait for stays away."""
    one, two = stream
    two.set_read_timeout(0.01)
    buffers = [bytearray(1) for _ in range(IOV_MAX + 1)]
    with pytest.raises(TimeoutError):
        two.recv_vectored(buffers)
    two.set_read_timeout(None)
    one.send(bytes(IOV_MAX))
    assert two.recv_vectored(buffers) == IOV_MAX
    one.send(b"ab")
    one.close()
    assert two.recv_vectored(buffers) == 2
    assert two.recv_vectored(buffers) == 0


def test_reset_behind_the_first_piece(stream: tuple[UnixStream, UnixStream]) -> None:
    """A reset behind the first IOV_MAX buffers is raised with the number of bytes before it as .nbytes."""
    one, two = stream
    two.send(b"never read")
    one.send(b"x" * IOV_MAX)
    one.close()
    buffers = [bytearray(1) for _ in range(IOV_MAX + 1)]
    with pytest.raises(ConnectionResetError) as caught:
        two.recv_vectored(buffers)
    assert caught.value.nbytes == IOV_MAX  # type: ignore[attr-defined]
    assert b"".join(buffers) == b"x" * IOV_MAX + b"\0"
    assert two.recv(9) == b""


def test_many_streams_keep_their_memory_apart() -> None:
    """Receives on many sockets in turn do not mix their data."""
    pairs = [UnixStream.pair() for _ in range(20)]
    for number, (one, _) in enumerate(pairs):
        one.send(b"%02d" % number)
    results = [two.recv(100) for _, two in pairs]
    for one, two in pairs:
        one.close()
        two.close()
    assert results == [b"%02d" % number for number in range(20)]
