"""Where poll(2) says "ready" and the call would block all the same, or where there is nothing to poll.

Rule: nothing hangs that has a timeout, nothing spins, and who waits without one is woken by what ends the wait.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

import blocked
import pytest
import support
from acceptors import ADOPTED, EACH_LISTENER, listening
from blocked import fill

import uds_cffi
from uds_cffi import SocketAncillary, UnixDatagram, UnixListener, UnixStream, lib

# --- A listener that was shut down --------------------------------------------------------------


def wait_for_error(listener, timeout):
    try:
        listener.accept(timeout=timeout)
    except OSError as error:
        return error.errno
    return 0


@pytest.mark.parametrize("timeout", [None, 2.0])
@ADOPTED
@EACH_LISTENER
def test_accept_on_a_listener_that_was_shut_down(socket_path, kind, adopted, timeout):
    """accept() raises EINVAL, as accept(2) does, although a nonblocking accept(2) would say EAGAIN."""
    with listening(kind, socket_path, adopted) as listener:
        # Where there is no POLLRDHUP only the end of both directions can be seen.
        listener.shutdown(uds_cffi.SHUT_RD if lib.UDS_HAS_POLLRDHUP else uds_cffi.SHUT_RDWR)
        assert wait_for_error(listener, timeout) == errno.EINVAL


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
@ADOPTED
@EACH_LISTENER
def test_shutdown_wakes_a_blocked_accept(socket_path, kind, adopted, timeout):
    """shutdown() ends an accept in another thread with EINVAL."""
    with listening(kind, socket_path, adopted) as listener:
        with support.in_thread(wait_for_error, listener, timeout) as result:
            support.until(lambda: blocked.running(listener))
            listener.shutdown(uds_cffi.SHUT_RDWR)
        assert result == [errno.EINVAL]


def test_nonblocking_accept_on_a_listener_that_was_shut_down(socket_path):
    """Who does not wait is told too that no connection will come: otherwise a loop of poll and accept would spin."""
    with UnixListener.bind(socket_path, nonblocking=True) as listener:
        listener.shutdown(uds_cffi.SHUT_RD)
        for accept in (listener.accept, listener.try_accept):
            with pytest.raises(OSError, match=rf"\[Errno {errno.EINVAL}\]"):
                accept()


# --- Datagrams after SHUT_RD --------------------------------------------------------------------


def received(sock):
    """Make each receive of a datagram socket once, and return the data, the rest being checked here."""
    with SocketAncillary(256) as ancillary:
        got = sock.recv_ancillary(8, ancillary)
        assert (got.messages, got.truncated, got.ancillary_truncated, got.flags) == ((), False, False, 0)
        assert got.addr.is_unnamed
    yield got.data
    yield sock.recv(8).data
    yield sock.recv(2**20).data
    packet = sock.recv_from(8)
    assert packet.addr.is_unnamed
    yield packet.data
    assert sock.recv_into(bytearray(8)) == (0, False)
    assert sock.recv_vectored([bytearray(8)]) == (0, False)
    packet = sock.recv_fds(8, 4)
    assert (packet.truncated, len(packet.fds)) == (False, 0)
    yield packet.data
    assert sock.recv_fds_from(8, 4).addr.is_unnamed


def dirty(one, two):
    """Leave traces of a rich message wherever the library keeps memory."""
    one.send_fds(b"long message", [0, 0, 0])
    with pytest.raises(uds_cffi.AncillaryTruncated) as caught:
        two.recv_fds(8, 1)
    caught.value.fds.close()


def test_datagram_after_shutdown_without_a_timeout():
    """A receive that blocks gets an empty packet at once."""
    one, two = UnixDatagram.pair()
    with one, two:
        dirty(one, two)
        two.shutdown(uds_cffi.SHUT_RD)
        assert list(received(two)) == [b""] * 5
        assert two.recv_packet() is None


def test_datagram_after_shutdown_with_a_timeout():
    """The same with a timeout, although the kernel says EAGAIN; where POLLRDHUP is unknown, when the time is over."""
    one, two = UnixDatagram.pair()
    with one, two:
        dirty(one, two)
        two.shutdown(uds_cffi.SHUT_RD)
        if lib.UDS_HAS_POLLRDHUP:
            two.set_read_timeout(support.PATIENCE)
            assert list(received(two)) == [b""] * 5
            assert two.recv_packet() is None
        else:
            two.set_read_timeout(0.1)
            begin, used = time.monotonic(), time.thread_time()
            with pytest.raises(TimeoutError):
                two.recv(8)
            assert 0.1 <= time.monotonic() - begin < 2.0
            assert time.thread_time() - used < 0.06


def test_datagram_after_shutdown_of_both_directions():
    """SHUT_RDWR is seen everywhere."""
    one, two = UnixDatagram.pair()
    with one, two:
        two.set_read_timeout(support.PATIENCE)
        two.shutdown(uds_cffi.SHUT_RDWR)
        assert list(received(two)) == [b""] * 5


def test_nonblocking_datagram_after_shutdown():
    """Who does not wait gets the kernel's answer: there is no packet."""
    one, two = UnixDatagram.pair(nonblocking=True)
    with one, two:
        two.shutdown(uds_cffi.SHUT_RD)
        for call in (lambda: two.recv(8), lambda: two.recv_from(8), lambda: two.recv_fds(8, 1), two.recv_packet):
            with pytest.raises(BlockingIOError):
                call()
        assert two.try_recv(8) is None


def test_shutdown_wakes_a_datagram_receive():
    """A receive with a timeout that is waiting ends when its socket is shut down."""
    one, two = UnixDatagram.pair()
    with one, two:
        two.set_read_timeout(support.PATIENCE)
        with support.in_thread(two.recv, 8) as result:
            support.until(lambda: blocked.running(two))
            two.shutdown(uds_cffi.SHUT_RDWR)
    assert result == [(b"", False)]


# --- A receiver that is full --------------------------------------------------------------------


@contextlib.contextmanager
def full_receiver(path):
    """Yield a sender without a connection, and a receiver whose queue it has filled."""
    with UnixDatagram.bind(path) as receiver, UnixDatagram.unbound() as sender:
        assert fill(lambda data: sender.send_to(data, path, uds_cffi.MSG_DONTWAIT))
        yield sender, receiver


def send_to(sender, path):
    return sender.send_to(b"late", path)


def send_vectored_to(sender, path):
    return sender.send_vectored_to([b"la", b"te"], path)


def send_fds_to(sender, path):
    return sender.send_fds_to(b"late", [0], path)


EACH_SEND = pytest.mark.parametrize("send", [send_to, send_vectored_to, send_fds_to])


@EACH_SEND
def test_full_receiver_times_out_without_spinning(socket_path, send):
    """poll(2) says that one can send, sendto(2) that one cannot: the time passes, and little work is done in it."""
    with full_receiver(socket_path) as (sender, _):
        sender.set_write_timeout(0.2)
        begin, used = time.monotonic(), time.thread_time()
        with pytest.raises(TimeoutError) as caught:
            send(sender, socket_path)
        used = time.thread_time() - used
        assert 0.2 <= time.monotonic() - begin < 3.0
        # A loop that spins uses all of it.
        assert used < 0.1
        assert caught.value.errno == errno.ETIMEDOUT
        assert caught.value.filename == socket_path


@pytest.mark.parametrize("timeout", [None, support.PATIENCE])
@EACH_SEND
def test_send_to_a_full_receiver_goes_on_when_it_is_drained(socket_path, send, timeout):
    """The send succeeds soon after there is room, with the time far from over."""
    with full_receiver(socket_path) as (sender, receiver):
        sender.set_write_timeout(timeout)
        begin = time.monotonic()
        with support.in_thread(send, sender, socket_path) as result:
            support.until(lambda: blocked.running(sender))
            packet = receiver.recv(8)
            while packet.data != b"late":
                packet = receiver.recv(8)
        assert result == [4]
        assert time.monotonic() - begin < support.PATIENCE / 2


def test_full_receiver_refuses_who_does_not_wait(socket_path):
    """BlockingIOError comes at once, with a timeout set too."""
    with full_receiver(socket_path) as (sender, _):
        sender.set_write_timeout(support.PATIENCE)
        with pytest.raises(BlockingIOError):
            sender.send_to(b"x", socket_path, uds_cffi.MSG_DONTWAIT)
        sender.set_nonblocking(True)
        with pytest.raises(BlockingIOError):
            sender.send_to(b"x", socket_path)


def test_receiver_that_goes_away_ends_the_wait(socket_path):
    """A sender that waits for room learns that there is nobody any more."""
    with full_receiver(socket_path) as (sender, receiver):
        sender.set_write_timeout(support.PATIENCE)

        def send():
            with pytest.raises(ConnectionRefusedError):
                sender.send_to(b"x", socket_path)
            return True

        with support.in_thread(send) as result:
            support.until(lambda: blocked.running(sender))
            receiver.close()
        assert result == [True]


# --- A full backlog -----------------------------------------------------------------------------


@contextlib.contextmanager
def full_backlog(path):
    with UnixListener.bind(path, backlog=0) as listener, UnixStream.connect(path):
        yield listener


def test_connect_to_a_full_backlog(socket_path):
    """Nothing can be polled there: the kernel waits, for as long as was asked, and without work."""
    with full_backlog(socket_path):
        with pytest.raises(BlockingIOError) as refused:
            UnixStream.connect(socket_path, nonblocking=True)
        begin, used = time.monotonic(), time.thread_time()
        with pytest.raises(TimeoutError) as late:
            UnixStream.connect(socket_path, timeout=0.2)
        used = time.thread_time() - used
        assert 0.2 <= time.monotonic() - begin < 2.0
        assert used < 0.1
        assert refused.value.filename == late.value.filename == socket_path


def test_connect_leaves_no_timeout_behind(socket_path):
    """A connection that was made with a timeout has none for its sends."""
    with UnixListener.bind(socket_path), UnixStream.connect(socket_path, timeout=5) as client:
        assert client.write_timeout() is None
        assert client.options.send_timeout is None
    os.unlink(socket_path)
    own = {"send_timeout": 3.0}
    with UnixListener.bind(socket_path), UnixStream.connect(socket_path, timeout=5, options=own) as client:
        assert client.options.send_timeout == 3.0


def test_listener_that_closes_refuses_who_waits(socket_path):
    """A connect that waits for room in the backlog ends when the listener is closed."""
    with full_backlog(socket_path) as listener, support.Event() as about_to:

        def connect():
            about_to.set()
            with pytest.raises(ConnectionRefusedError) as caught:
                UnixStream.connect(socket_path, timeout=support.PATIENCE)
            return caught.value.filename

        with support.in_thread(connect) as result:
            about_to.wait()
            listener.close()
        assert result == [socket_path]
