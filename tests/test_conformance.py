"""What every connected pair does, whatever its type and however it was made.

Rule: a fact that holds for streams, sequenced packets and connected datagrams is written once, here, and checked for
every maker.  A maker is a function that takes a folder and returns two connected sockets; a new way to make a pair is
a new row in MAKERS.  What differs between the types is in the
functions above the tests, and in the test modules of each type.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator
from typing import Any, Callable

import pytest
import support
from blocked import running

from uds_cffi import (
    MSG_DONTWAIT,
    SHUT_RDWR,
    SHUT_WR,
    SocketAncillary,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixSocketAddr,
    UnixStream,
)

_numbers = itertools.count()


def in_folder(folder: str) -> Any:
    return os.path.join(folder, f"s{next(_numbers)}")


def abstract(folder: str) -> Any:
    return UnixSocketAddr.from_abstract(in_folder(folder))


def accepted(listener: Any, conn: Any, name: Callable[[str], Any]) -> Callable[[str], tuple[Any, Any]]:
    def make(folder: str) -> tuple[Any, Any]:
        with listener.bind(name(folder)) as server:
            client = conn.connect(server.local_addr(), timeout=support.PATIENCE)
            return client, server.accept()[0]

    return make


def associated(name: Callable[[str], Any]) -> Callable[[str], tuple[Any, Any]]:
    def make(folder: str) -> tuple[Any, Any]:
        one, two = UnixDatagram.bind(name(folder)), UnixDatagram.bind(name(folder))
        one.connect_to(two.local_addr())
        two.connect_to(one.local_addr())
        return one, two

    return make


def paired(kind: Any) -> Callable[[str], tuple[Any, Any]]:
    return lambda _: kind.pair()


SEQPACKET = support.needs("seqpacket")
ABSTRACT = support.needs("abstract_addresses")
SEQPACKET_TYPES = (UnixSeqpacketListener, UnixSeqpacketConn)
MAKERS = [
    pytest.param(paired(UnixStream), id="stream-pair"),
    pytest.param(paired(UnixDatagram), id="datagram-pair"),
    pytest.param(paired(UnixSeqpacketConn), id="seqpacket-pair", marks=SEQPACKET),
    pytest.param(accepted(UnixListener, UnixStream, in_folder), id="stream-path"),
    pytest.param(accepted(UnixListener, UnixStream, abstract), id="stream-abstract", marks=ABSTRACT),
    pytest.param(accepted(*SEQPACKET_TYPES, in_folder), id="seqpacket-path", marks=SEQPACKET),
    pytest.param(accepted(*SEQPACKET_TYPES, abstract), id="seqpacket-abstract", marks=[SEQPACKET, ABSTRACT]),
    pytest.param(associated(in_folder), id="datagram-path"),
    pytest.param(associated(abstract), id="datagram-abstract", marks=ABSTRACT),
]


@pytest.fixture(params=MAKERS)
def pair(request: pytest.FixtureRequest, short_dir: str) -> Iterator[tuple[Any, Any]]:
    """Make a connected pair in each way."""
    one, two = request.param(short_dir)
    with one, two:
        yield one, two


def data_of(received: Any) -> Any:
    """Return the bytes, or their number, that any receive brought."""
    if isinstance(received, tuple):
        assert received[1] is False
        return received[0]
    return received


def fill(sock: Any) -> int:
    """Send until the peer's queue is full; returns how many sends that took."""
    chunk = bytes(1000)
    for sends in itertools.count():
        if sock.try_send(chunk) is None:
            return sends
    raise AssertionError


def test_bytes_arrive_unchanged_in_both_directions(pair: tuple[Any, Any]) -> None:
    """What one end sends, the other end receives, both ways."""
    everything = bytes(range(256)) * 4
    for one, two in (pair, reversed(pair)):
        assert one.send(everything) == len(everything)
        assert data_of(two.recv(5000)) == everything


def test_order_is_kept(pair: tuple[Any, Any]) -> None:
    """Messages arrive in the order in which they were sent."""
    one, two = pair
    for number in range(9):
        one.send(b"%d" % number)
    assert b"".join(data_of(two.recv(1)) for _ in range(9)) == b"012345678"


def test_buffers_are_gathered_and_scattered(pair: tuple[Any, Any]) -> None:
    """Several buffers are sent as one, and received into several."""
    one, two = pair
    assert one.send_vectored([b"ab", bytearray(b""), memoryview(b"cdefg")]) == 7
    first, second, third = bytearray(1), bytearray(4), bytearray(8)
    assert data_of(two.recv_vectored(iter([first, second, third]))) == 7
    assert (first, second, third) == (b"a", b"bcde", b"fg\0\0\0\0\0\0")


def test_receive_into_memory_leaves_the_rest_alone(pair: tuple[Any, Any]) -> None:
    """recv_into() writes what came and nothing else."""
    one, two = pair
    memory = bytearray(b"########")
    one.send(b"abc")
    assert data_of(two.recv_into(memoryview(memory)[2:])) == 3
    assert memory == b"##abc###"


def test_peek_takes_nothing_away(pair: tuple[Any, Any]) -> None:
    """What was peeked, also into several buffers, is received afterwards."""
    one, two = pair
    one.send(b"hello")
    first, second = bytearray(2), bytearray(6)
    assert data_of(two.peek(10)) == b"hello"
    assert data_of(two.peek_vectored([first, second])) == 5
    assert (first, second) == (b"he", b"llo\0\0\0")
    assert data_of(two.recv(10)) == b"hello"
    assert two.try_recv(1) is None


def test_try_forms_say_none_instead_of_waiting(pair: tuple[Any, Any]) -> None:
    """try_recv(), try_recv_into() and try_recv_fds() return None on an empty queue, and what is there otherwise."""
    one, two = pair
    memory = bytearray(5)
    assert two.try_recv(5) is None
    assert two.try_recv_into(memory) is None
    assert two.try_recv_fds(5, 1) is None
    assert [one.try_send(b"first"), one.try_send(b"other"), one.try_send_fds(b"third", [])] == [5, 5, 5]
    assert data_of(two.try_recv(5)) == b"first"
    assert data_of(two.try_recv_into(memory)) == 5
    assert memory == b"other"
    *received, fds = two.try_recv_fds(5, 1)
    assert received[0] == b"third"
    assert len(fds) == 0


def test_full_queue_makes_a_nonblocking_send_fail(pair: tuple[Any, Any]) -> None:
    """On a full queue try_send() returns None, and MSG_DONTWAIT and O_NONBLOCK raise BlockingIOError."""
    one, two = pair
    assert fill(one) > 0
    assert one.try_send_fds(b"x", []) is None
    with pytest.raises(BlockingIOError):
        one.send(b"x", MSG_DONTWAIT)
    one.set_nonblocking(True)
    with pytest.raises(BlockingIOError) as caught:
        one.send_vectored([b"x"])
    assert caught.value.errno == errno.EAGAIN
    while two.try_recv(5000):
        pass
    assert one.send(b"x") == 1


def test_write_timeout_holds_on_a_full_queue(pair: tuple[Any, Any]) -> None:
    """A send with a write timeout raises TimeoutError when the queue stays full."""
    one, _ = pair
    fill(one)
    one.set_write_timeout(0.02)
    with pytest.raises(TimeoutError) as caught:
        one.send(bytes(1000))
    assert caught.value.errno == errno.ETIMEDOUT
    assert one.write_timeout() == 0.02


def test_read_timeout_holds_on_an_empty_queue(pair: tuple[Any, Any]) -> None:
    """Each receive with a read timeout raises TimeoutError when nothing comes, and the timeout reads back as set."""
    _, two = pair
    two.set_read_timeout(0.01)
    for receive in (
        lambda: two.recv(1),
        lambda: two.recv_into(bytearray(1)),
        lambda: two.recv_vectored([bytearray(1)]),
        lambda: two.recv_fds(1, 1),
        lambda: two.recv_ancillary(1, SocketAncillary(64)),
        lambda: two.peek(1),
    ):
        with pytest.raises(TimeoutError):
            receive()
    assert two.read_timeout() == 0.01
    two.set_read_timeout(None)
    assert two.read_timeout() is None


def test_nonblocking_receive_on_empty(pair: tuple[Any, Any]) -> None:
    """A nonblocking socket says so, and raises BlockingIOError when nothing is there, whatever its timeout."""
    one, two = pair
    assert two.is_nonblocking() is False
    two.set_nonblocking(True)
    two.set_read_timeout(support.PATIENCE)
    assert two.is_nonblocking() is True
    with pytest.raises(BlockingIOError):
        two.recv(1)
    one.send(b"x")
    assert data_of(two.recv(1)) == b"x"
    two.set_nonblocking(False)
    assert two.is_nonblocking() is False


def test_receive_waits_until_something_comes(pair: tuple[Any, Any]) -> None:
    """A blocking receive, with and without a timeout, sleeps until the peer sends."""
    one, two = pair
    for timeout in (None, support.PATIENCE):
        two.set_read_timeout(timeout)
        with support.in_thread(two.recv, 9) as outcome:
            support.until(lambda: running(two))
            one.send(b"at last")
        assert data_of(outcome[0]) == b"at last"


def test_send_waits_until_there_is_room(pair: tuple[Any, Any]) -> None:
    """A blocking send, with and without a timeout, sleeps until the peer has made room."""
    one, two = pair
    for timeout in (None, support.PATIENCE):
        fill(one)
        one.set_write_timeout(timeout)
        with support.in_thread(one.send, bytes(1000)) as outcome:
            support.until(lambda: running(one))
            while two.try_recv(5000):
                pass
        assert outcome == [1000]


def test_descriptors_travel(pair: tuple[Any, Any]) -> None:
    """A descriptor that is sent arrives as another number for the same open file, close-on-exec."""
    one, two = pair
    read, write = os.pipe()
    with open(read, "rb") as reader:
        one.send_fds(b"here", [write])
        os.close(write)
        *received, fds = two.recv_fds(10, 1)
        with fds, fds[0] as owned:
            assert received[0] == b"here"
            assert not os.get_inheritable(owned.fileno())
            os.write(owned.fileno(), b"through")
        assert reader.read() == b"through"


def test_ancillary_data_travels(pair: tuple[Any, Any]) -> None:
    """send_ancillary() and recv_ancillary() carry bytes and control messages together."""
    one, two = pair
    with SocketAncillary(128) as sent, SocketAncillary(128) as arrived:
        assert sent.add_fds([0])
        assert one.send_ancillary([b"by", b"tes"], sent) == 5
        with two.recv_ancillary(10, arrived) as received:
            assert (received.data, received.nbytes, received.truncated) == (b"bytes", 5, False)
            (rights,) = received.messages
            with rights.fds[0] as owned:
                assert os.path.sameopenfile(owned.fileno(), 0)


def test_clone_shares_the_queue_and_lives_on(pair: tuple[Any, Any]) -> None:
    """A clone reads from the same queue, and the connection stays when the original is closed."""
    one, two = pair
    two.set_read_timeout(support.PATIENCE)
    with two.try_clone() as clone:
        assert clone.fileno() != two.fileno()
        assert clone.read_timeout() == support.PATIENCE
        one.send(b"1")
        one.send(b"2")
        assert data_of(two.recv(1)) == b"1"
        two.close()
        assert data_of(clone.recv(1)) == b"2"
        clone.send(b"3")
        assert data_of(one.recv(1)) == b"3"


def test_end_that_was_shut_down_cannot_send(pair: tuple[Any, Any]) -> None:
    """After shutdown(SHUT_WR) every send raises BrokenPipeError, and what was sent before still arrives."""
    one, two = pair
    one.send(b"last")
    one.shutdown(SHUT_WR)
    with SocketAncillary(64) as nothing:
        for send in (
            lambda: one.send(b"x"),
            lambda: one.try_send(b"x"),
            lambda: one.send_vectored([b"x"]),
            lambda: one.send_fds(b"x", [0]),
            lambda: one.send_ancillary([b"x"], nothing),
        ):
            with pytest.raises(BrokenPipeError):
                send()
    assert data_of(two.recv(10)) == b"last"


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
def test_shutdown_wakes_a_blocked_receive(pair: tuple[Any, Any], timeout: float | None) -> None:
    """shutdown() of the own end wakes a thread that is blocked in a receive, which then returns no bytes."""
    _, two = pair
    two.set_read_timeout(timeout)
    with support.in_thread(two.recv, 1) as outcome:
        support.until(lambda: running(two))
        two.shutdown(SHUT_RDWR)
    assert data_of(outcome[0]) == b""


def test_closed_end_raises_ebadf(pair: tuple[Any, Any]) -> None:
    """After close() sends and receives raise OSError (EBADF), and closing again changes nothing."""
    one, _ = pair
    one.close()
    one.close()
    assert one.closed
    for call in (lambda: one.send(b"x"), lambda: one.recv(1), lambda: one.recv_fds(1, 0), lambda: one.peer_addr()):
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            call()
        assert caught.value.errno == errno.EBADF


def test_ends_are_close_on_exec_and_blocking(pair: tuple[Any, Any]) -> None:
    """Both ends are close-on-exec, blocking, without timeouts, and without an error."""
    for end in pair:
        assert not os.get_inheritable(end.fileno())
        assert os.get_blocking(end.fileno())
        assert (end.read_timeout(), end.write_timeout(), end.take_error()) == (None, None, None)


def test_each_end_is_the_others_peer(pair: tuple[Any, Any]) -> None:
    """What one end calls its peer's address, the other calls its own."""
    one, two = pair
    assert one.peer_addr() == two.local_addr()
    assert two.peer_addr() == one.local_addr()


def test_two_threads_send_and_receive_at_once(pair: tuple[Any, Any]) -> None:
    """One thread sends on a socket while another receives on it, and nothing is lost in either direction."""
    one, two = pair
    chunk = bytes(1000)

    def send_all(sock: Any) -> None:
        for _ in range(100):
            sock.send(chunk)

    def receive_all(sock: Any) -> int:
        total = 0
        while total < 100 * len(chunk):
            total += len(data_of(sock.recv(1000)))
        return total

    with support.in_thread(send_all, one), support.in_thread(send_all, two), support.in_thread(receive_all, one) as got:
        assert receive_all(two) == 100 * len(chunk)
    assert got == [100 * len(chunk)]


def test_other_process_has_the_other_end(pair: tuple[Any, Any]) -> None:
    """The ends work in two processes."""
    one, two = pair

    def answer() -> None:
        two.send(data_of(two.recv(10)).upper())

    with support.Child(answer):
        one.send(b"question")
        assert data_of(one.recv(10)) == b"QUESTION"


def test_unread_bytes_counts_what_waits(pair: tuple[Any, Any]) -> None:
    """unread_bytes() is 0 on an empty queue and the length of a message that waits."""
    one, two = pair
    assert two.unread_bytes() == 0
    one.send(b"12345")
    assert two.unread_bytes() == 5
