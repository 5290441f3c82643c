"""Threads that close what other threads use.

Rule: a number is never used after it is closed. A call that runs finishes on the number that it began with, the last
one closes it, and later calls raise EBADF; no call ever reaches a descriptor that somebody else has under that number.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading

import blocked
import pytest
import support
from blocked import KINDS, LISTENERS, MARKS, fill, foreign_listener

import uds_cffi
from uds_cffi import UnixListener, UnixStream

EACH_KIND = pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS[kind]) for kind in KINDS])


# --- Closing while a call runs ------------------------------------------------------------------


@EACH_KIND
def test_close_lets_a_running_receive_finish(kind):
    """close() returns at once; the number is closed when the call that runs on it has ended."""
    one, two = KINDS[kind].pair()
    number = two.fileno()
    with one, two:
        with support.in_thread(two.recv, 100) as result:
            support.until(lambda: blocked.running(two))
            two.close()

            assert two.closed
            assert two.fileno() == -1
            assert support.is_open(number)
            with pytest.raises(OSError, match="Bad file descriptor") as caught:
                two.recv(100)
            assert caught.value.errno == errno.EBADF
            two.close()
            assert support.is_open(number)
            one.send(b"late")

        assert blocked.data_of(result[0]) == b"late"
        assert not support.is_open(number)


def test_last_of_several_calls_closes():
    """Of several running calls the last one closes the number."""
    one, two = UnixStream.pair()
    number = two.fileno()
    with one, two, support.in_thread(two.recv, 1) as first, support.in_thread(two.recv, 1) as second:
        support.until(lambda: blocked.running(two) == 2)
        two.close()
        one.send(b"a")
        support.until(lambda: blocked.running(two) == 1)
        assert support.is_open(number)
        one.send(b"b")
        support.until(lambda: blocked.running(two) == 0)
        assert not support.is_open(number)
    assert {*first, *second} == {b"a", b"b"}


def test_close_while_a_send_runs():
    """A blocked send finishes too, and its bytes arrive."""
    one, two = UnixStream.pair()
    number = one.fileno()
    with one, two:
        filled = fill(lambda data: one.send(data, uds_cffi.MSG_DONTWAIT))
        with support.in_thread(one.send, b"late") as result:
            support.until(lambda: blocked.running(one))
            one.close()
            assert support.is_open(number)
            data = two.recv_exactly(filled + 4)
        assert result == [4]
        assert data.endswith(b"zlate")
        assert two.recv(1) == b""
    assert not support.is_open(number)


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS[kind]) for kind in LISTENERS])
@pytest.mark.parametrize("adopted", [False, True])
def test_close_while_accept_waits(socket_path, kind, adopted):
    """A waiting accept keeps the number until it ends; the library's own listener notices the close then."""
    if adopted:
        listener = LISTENERS[kind].from_fd(foreign_listener(kind, socket_path).detach())
    else:
        listener = LISTENERS[kind].bind(socket_path)
    number = listener.fileno()

    def accept():
        try:
            conn, _ = listener.accept()
        except OSError as error:
            return error.errno
        with conn:
            return conn.local_addr().name

    with listener, support.in_thread(accept) as result:
        support.until(lambda: blocked.running(listener))
        listener.close()
        assert support.is_open(number)
        with pytest.raises(OSError, match="Bad file descriptor"):
            listener.accept(timeout=1)
        with KINDS[kind].connect(socket_path):
            pass
    assert result == [os.fsencode(socket_path) if adopted else errno.EBADF]
    assert not support.is_open(number)


def test_wait_with_a_timeout_notices_the_close():
    """A receive with a timeout, which waits and then tries again, ends with EBADF once its socket is closed."""
    one, two = UnixStream.pair()
    number = two.fileno()
    two.set_read_timeout(support.PATIENCE)

    def receive():
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            two.recv(1)
        return caught.value.errno

    with one, two, support.in_thread(receive) as result:
        support.until(lambda: blocked.running(two))
        two.close()
        assert support.is_open(number)
        one.send(b"x")
    assert result == [errno.EBADF]
    assert not support.is_open(number)


@EACH_KIND
def test_shutdown_and_close_end_a_receive(kind):
    """shutdown() wakes a blocked call and close() does not, so that the one comes before the other."""
    one, two = KINDS[kind].pair()
    with one, two, support.in_thread(two.recv, 1) as result:
        support.until(lambda: blocked.running(two))
        two.shutdown(uds_cffi.SHUT_RDWR)
        two.close()
    assert blocked.data_of(result[0]) == b""


# --- Detaching while a call runs ----------------------------------------------------------------


@EACH_KIND
def test_detach_is_refused_while_a_call_runs(kind):
    """detach() raises EBUSY while a call runs, changes nothing, and works afterwards."""
    one, two = KINDS[kind].pair()
    with one, two:
        with support.in_thread(two.recv, 100):
            support.until(lambda: blocked.running(two))
            with pytest.raises(OSError, match="busy") as caught:
                two.detach()
            assert caught.value.errno == errno.EBUSY
            assert not two.closed
            one.send(b"x")
        os.close(two.detach())
        assert two.closed


def test_detach_of_a_listener_is_refused_while_accept_runs(socket_path):
    """A listener stays as it is, nonblocking in the kernel, when it cannot be detached."""
    with UnixListener.bind(socket_path) as listener:

        def accept():
            listener.accept()[0].close()

        with support.in_thread(accept):
            support.until(lambda: blocked.running(listener))
            with pytest.raises(OSError, match="busy") as caught:
                listener.detach()
            assert caught.value.errno == errno.EBUSY
            assert not os.get_blocking(listener.fileno())
            with UnixStream.connect(socket_path):
                pass


# --- Without closing ----------------------------------------------------------------------------


@EACH_KIND
def test_threads_may_receive_on_the_same_socket(kind):
    """Each of several receivers has memory of its own: every message arrives whole, and once."""
    one, two = KINDS[kind].pair()
    two.set_read_timeout(support.PATIENCE)
    count = 400

    def receive():
        got = []
        while True:
            data = blocked.data_of(two.recv(8))
            if data == b"the end.":
                return got
            got.append(data)

    with one, two, contextlib.ExitStack() as threads:
        results = [threads.enter_context(support.in_thread(receive)) for _ in range(4)]
        for number in range(count):
            one.send(b"%08d" % number)
        for _ in range(4):
            one.send(b"the end.")
        threads.close()
    assert sorted(data for result in results for data in result[0]) == [b"%08d" % number for number in range(count)]


@pytest.mark.usefixtures("many_switches")
def test_threads_that_take_the_same_descriptor_get_the_same_owner():
    """Two threads that index a received set at once get one object, and neither is told that it is closed."""
    one, two = UnixStream.pair()
    rounds = 300
    meeting = threading.Barrier(2)
    sets = []

    def take():
        taken = []
        for number in range(rounds):
            meeting.wait(support.PATIENCE)
            taken.append(sets[number][0])
        return taken

    with one, two:
        for _ in range(rounds):
            one.send_fds(b"x", [0])
            sets.append(two.recv_fds(1, 1)[1])
        with support.in_thread(take) as first, support.in_thread(take) as second:
            pass
    for mine, theirs in zip(first[0], second[0]):
        assert mine is theirs
        assert not mine.closed
        mine.close()
