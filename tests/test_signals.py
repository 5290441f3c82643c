"""Signals, as PEP 475 wants them.

Rules: a handler that returns does not disturb a call, which goes on with the rest of its time; a handler that raises
ends it; nothing is sent twice, and the handler's own failures are never reported as those of the call.
"""

from __future__ import annotations

import errno
import os
import signal
import time

import pytest
import support
from blocked import KINDS, MARKS, Ticks, blocking_calls, fill
from interrupting import INTERRUPTIONS

import uds_cffi
from uds_cffi import UnixDatagram, UnixStream

# One for each way in which the library waits.
WAYS = (
    "stream-recv",
    "stream-recv_waitall",
    "stream-recv_exactly",
    "stream-recv_fds",
    "stream-send",
    "stream-sendall",
    "stream-sendall_fds",
    "datagram-recv_packet",
    "datagram-recv_from",
    "datagram-send_to",
    "datagram-send_batch",
    "seqpacket-recv_batch",
    "stream-accept",
    "stream-accept_adopted",
    "stream-connect",
)


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
@blocking_calls()
def test_call_goes_on_after_signals(socket_path, make_blocked, timeout):
    """Each blocking call, with a timeout and without one, survives handlers that fail calls of their own."""
    with make_blocked(socket_path) as blocked:
        with Ticks(blocked.release) as ticks:
            result = blocked.call(timeout)
        blocked.verify(result)

    assert ticks.count >= 3


@blocking_calls()
def test_handler_that_raises_ends_the_call(socket_path, make_blocked):
    """What a handler raises comes out of each blocking call, which has done nothing and can be made again."""
    check_that_a_handler_ends(make_blocked(socket_path), None)


@blocking_calls(*WAYS)
def test_handler_that_raises_ends_the_wait(socket_path, make_blocked):
    """The same where the library waits, because of a timeout."""
    check_that_a_handler_ends(make_blocked(socket_path), support.PATIENCE)


def check_that_a_handler_ends(context, timeout):

    def refuse():
        # Once, so that it cannot be raised again out of the end of the block.
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise kind

    with context as blocked:
        for kind in INTERRUPTIONS:
            with Ticks(refuse), pytest.raises(kind):
                blocked.call(timeout)
        blocked.release()
        blocked.verify(blocked.call(timeout))


@blocking_calls(*WAYS)
def test_timeout_is_not_restarted_by_signals(socket_path, make_blocked):
    """A timeout is the time of the whole call, however often a signal interrupts it."""
    with make_blocked(socket_path) as blocked:
        with Ticks(interval=0.01) as ticks:
            begin = time.monotonic()
            with pytest.raises(TimeoutError) as caught:
                blocked.call(0.1)
            took = time.monotonic() - begin
        blocked.release()
        blocked.verify(blocked.call(None))

    assert caught.value.errno == errno.ETIMEDOUT
    # With its time begun anew at each signal it would not end.
    assert 0.1 <= took < support.PATIENCE
    assert ticks.count >= 3


def test_timeout_of_recv_is_exact_under_many_signals():
    """A timeout of 0.3 seconds under a signal each 20 ms ends after 0.3 seconds."""
    one, two = UnixStream.pair()
    with one, two, Ticks(interval=0.02) as ticks:
        two.set_read_timeout(0.3)
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            two.recv(1)
        took = time.monotonic() - begin

    assert 0.3 <= took < 1.0
    assert ticks.count >= 5


def test_timeout_of_recv_exactly_is_the_total():
    """Bytes that trickle in do not prolong the time, and are in the error."""
    one, two = UnixStream.pair()
    sent = []

    def trickle():
        sent.append(one.send(b"."))

    with one, two, Ticks(trickle, interval=0.01):
        two.set_read_timeout(0.15)
        begin = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            two.recv_exactly(100_000)
        took = time.monotonic() - begin
        signal.setitimer(signal.ITIMER_REAL, 0)
        left = two.unread_bytes()

    assert 0.15 <= took < 1.0
    assert caught.value.partial == b"." * (len(sent) - left)
    assert len(caught.value.partial) >= 2


def test_timeout_of_sendall_is_the_total():
    """A reader that reads a little at a time does not prolong the time, and the error says how much went."""
    one, two = UnixStream.pair()
    received = []

    def read_a_little():
        received.append(len(two.try_recv(60_000) or b""))

    with one, two, Ticks(read_a_little, interval=0.01):
        one.set_write_timeout(0.15)
        begin = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            one.sendall(b"x" * 2**26)
        took = time.monotonic() - begin
        signal.setitimer(signal.ITIMER_REAL, 0)
        left = two.unread_bytes()

    assert 0.15 <= took < 1.0
    assert caught.value.sent == sum(received) + left
    assert caught.value.sent > 0


def test_waitall_goes_on_after_a_signal():
    """MSG_WAITALL fills the memory although the kernel gives a part of it at each signal."""
    one, two = UnixStream.pair()
    with one, two:
        one.send(b"begin")
        with Ticks(lambda: one.send(b".")):
            assert two.recv(10, uds_cffi.MSG_WAITALL) == b"begin....."
            buffer = bytearray(4)
            assert two.recv_into(buffer, uds_cffi.MSG_WAITALL) == 4

    assert buffer == b"...."


# --- Nothing goes twice -------------------------------------------------------------------------


def receive_all(sock, size):
    """Receive that many bytes, and return them with the number of descriptors that came."""
    data, count = b"", 0
    while len(data) < size:
        piece, fds = sock.recv_fds(size, 253)
        with fds:
            count += len(fds)
        data += piece
    return data, count


def test_descriptors_go_once_with_a_send_that_a_signal_cuts():
    """A signal makes a long send return short; its descriptors have gone with the first byte, and go once."""
    one, two = UnixStream.pair()
    with one, two, Ticks() as ticks:
        sent = one.send_fds(b"x" * 2**20, [0, 0, 0])
        assert 0 < sent < 2**20
        one.shutdown(uds_cffi.SHUT_WR)
        data, count = receive_all(two, sent)

        assert (data, count) == (b"x" * sent, 3)
        assert two.recv(1) == b""
    assert ticks.count >= 1


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
def test_descriptors_of_sendall_go_once_under_signals(timeout):
    """All bytes of a long message arrive in order, and its descriptors once, at the first of them."""
    one, two = UnixStream.pair()
    data = os.urandom(2**20)
    arrived = []

    def read_a_little():
        got = two.try_recv_fds(100_000, 10)
        if got is not None:
            arrived.append((got[0], len(got[1])))
            got[1].close()

    with one, two:
        one.set_write_timeout(timeout)
        with Ticks(read_a_little):
            one.sendall_fds(data, [0, 0])
        while two.unread_bytes():
            read_a_little()

        assert b"".join(piece for piece, _ in arrived) == data
        assert [count for _, count in arrived if count] == [2]
        assert arrived[0][1] == 2


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS[kind]) for kind in ("datagram", "seqpacket")])
def test_each_packet_goes_once_under_signals(kind):
    """A sender that is interrupted all the time sends each packet once, and in order."""
    one, two = KINDS[kind].pair()
    numbers = []

    def read_some():
        for _ in range(100):
            got = two.try_recv(16)
            if got is None:
                return
            numbers.append(int(got.data))

    with one, two:
        with Ticks(read_some, interval=0.001):
            for number in range(2000):
                one.send(b"%d" % number)
        while two.unread_bytes():
            read_some()

    assert numbers == list(range(2000))


def test_datagrams_to_a_name_go_once_under_signals(socket_path):
    """A sender without a connection, whose receiver is full again and again, sends each packet once."""
    with UnixDatagram.bind(socket_path) as receiver, UnixDatagram.unbound() as sender:
        numbers = []

        def read_some():
            while True:
                got = receiver.try_recv(16)
                if got is None:
                    return
                numbers.append(int(got.data))

        with Ticks(read_some, interval=0.001):
            for number in range(200):
                sender.send_to(b"%d" % number, socket_path)
        read_some()

    assert numbers == list(range(200))


# --- What handlers do ---------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
@blocking_calls("stream-recv", "stream-send", "stream-accept", "stream-accept_adopted", "datagram-recv_from")
def test_handler_may_close_the_socket(socket_path, make_blocked, timeout):
    """A call that is interrupted, and whose socket the handler has closed, ends with EBADF."""
    with make_blocked(socket_path) as blocked:
        with Ticks(blocked.sock.close), pytest.raises(OSError, match="Bad file descriptor") as caught:
            blocked.call(timeout)

        assert caught.value.errno == errno.EBADF
        assert blocked.sock.closed


def test_handler_may_use_the_same_socket():
    """A handler that sends and receives on the socket of the interrupted call has memory of its own."""
    one, two = UnixStream.pair()
    inner = []

    def exchange():
        if not inner:
            one.send(b"for the handler")
            inner.append(two.recv(100))
        else:
            one.send(b"for the call")

    with one, two, Ticks(exchange):
        outer = two.recv(12)
        signal.setitimer(signal.ITIMER_REAL, 0)

    assert inner == [b"for the handler"]
    assert outer == b"for the call"


def test_error_is_that_of_the_call_and_not_of_the_handler():
    """A call that fails after interruptions raises its own error, with its own errno."""
    one, two = UnixStream.pair()
    with one, two:
        fill(lambda data: one.send(data, uds_cffi.MSG_DONTWAIT))
        with Ticks(lambda: two.close()), pytest.raises(ConnectionError) as caught:
            one.send(b"x")

    assert caught.value.errno in (errno.EPIPE, errno.ECONNRESET)


# --- Ctrl-C -------------------------------------------------------------------------------------


def _interrupted(ready, call):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ready.set()
    try:
        call()
    except KeyboardInterrupt:
        return
    raise AssertionError("the call returned")


def _sleeps(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "S"


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
@blocking_calls("stream-recv", "stream-send", "datagram-send_to", "stream-accept", "stream-connect")
def test_ctrl_c_ends_a_blocked_process(socket_path, make_blocked, timeout):
    """SIGINT raises KeyboardInterrupt out of a blocked call, at once."""
    with make_blocked(socket_path) as blocked, support.Event() as ready:
        with support.Child(_interrupted, ready, lambda: blocked.call(timeout)) as child:
            ready.wait()
            support.until(lambda: _sleeps(child.pid))
            begin = time.monotonic()
            os.kill(child.pid, signal.SIGINT)
        assert time.monotonic() - begin < support.PATIENCE / 2
