"""Several who accept from one listener at the same moment.

Rule: each client goes to one of them; the others go on waiting as long as they were asked to, no shorter and no longer,
also where the listener was adopted and accept(2) itself waits.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time

import blocked
import pytest
import support
from acceptors import ADOPTED, EACH_LISTENER, listening
from blocked import KINDS, LISTENERS

from uds_cffi import UnixStream, calls

# Long enough for four threads to begin before the first one has waited that long.
WAIT = 0.5


def accept_or_time_out(listener, timeout):
    begin = time.monotonic()
    try:
        listener.accept(timeout=timeout)[0].close()
    except TimeoutError:
        return time.monotonic() - begin
    return None


@ADOPTED
@EACH_LISTENER
def test_four_threads_and_one_client(socket_path, kind, adopted):
    """One of four waiting threads gets the client; the three others go on waiting, and time out."""
    with listening(kind, socket_path, adopted) as listener, contextlib.ExitStack() as stack:
        results = [stack.enter_context(support.in_thread(accept_or_time_out, listener, WAIT)) for _ in range(4)]
        support.until(lambda: blocked.running(listener) == 4)
        with KINDS[kind].connect(socket_path):
            stack.close()

    times = [result[0] for result in results if result[0] is not None]
    assert len(times) == 3
    assert all(WAIT <= took < 3.0 for took in times)


@pytest.mark.parametrize("mode", ["own", "adopted", "waits-itself"])
@EACH_LISTENER
def test_four_processes_and_one_client(socket_path, kind, mode):
    """The same with processes that share the listener: none hangs in accept(2).

    An adopted listener is safe on every system once waiting is a mode of the object.
    """

    def child():
        ready.set()
        took = accept_or_time_out(listener, WAIT)
        assert took is None or WAIT <= took < 3.0
        os.write(write, b"t" if took else b"a")

    read, write = os.pipe()
    processes = contextlib.ExitStack()
    with listening(kind, socket_path, mode != "own") as listener, support.Event() as ready, processes as stack:
        if mode == "waits-itself":
            listener.set_nonblocking(True)
            listener.set_nonblocking(False)
        for _ in range(4):
            stack.enter_context(support.Child(child))
        ready.wait()
        with KINDS[kind].connect(socket_path):
            stack.close()
    assert sorted(os.read(read, 10)) == sorted(b"attt")
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("clones", [False, True], ids=["one-object", "clones"])
@ADOPTED
@EACH_LISTENER
def test_acceptors_do_not_see_each_other(socket_path, kind, adopted, clones):
    """Threads that wait briefly, over and over, get each client once, and none is told that it would have to wait."""
    taken = []
    # No more than a backlog holds; a system may refuse the others.
    room = threading.Semaphore(4)
    over = threading.Event()

    def accept(listener):
        with listener:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    listener.accept(timeout=0.002)[0].close()
                    taken.append(1)
                    room.release()

    with listening(kind, socket_path, adopted) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):
            each = listener.try_clone() if clones else type(listener).borrow(listener)
            stack.enter_context(support.in_thread(accept, each))
        stack.callback(over.set)
        for _ in range(1000):
            assert room.acquire(timeout=support.PATIENCE)
            KINDS[kind].connect(socket_path).close()
        support.until(lambda: len(taken) == 1000)
        stack.close()
        assert listener.try_accept() is None
        assert listener.options.receive_timeout is None


@EACH_LISTENER
def test_four_threads_that_wait_for_ever(socket_path, kind):
    """Without a timeout too, who is too late goes on waiting, and gets the next client."""
    with LISTENERS[kind].bind(socket_path) as listener, contextlib.ExitStack() as stack:

        def accept():
            listener.accept()[0].close()

        for _ in range(4):
            stack.enter_context(support.in_thread(accept))
        support.until(lambda: blocked.running(listener) == 4)
        for _ in range(4):
            KINDS[kind].connect(socket_path).close()


@EACH_LISTENER
def test_adopted_listener_gets_its_own_timeout_back(socket_path, kind):
    """Several accepts at once leave the kernel's own timeout of an adopted listener as it was before all of them."""
    with listening(kind, socket_path, True) as listener:
        for own in (None, 7.0):
            listener.options.receive_timeout = own
            with contextlib.ExitStack() as stack:
                for timeout in (0.03, 0.06, 0.09, 0.12):
                    stack.enter_context(support.in_thread(accept_or_time_out, listener, timeout))
            assert listener.options.receive_timeout == own


def test_accept_without_a_timeout_is_not_hurt_by_one_with(socket_path):
    """On an adopted listener a thread that waits for ever does so, although another one waits for a moment."""
    with listening("stream", socket_path, True) as listener:

        def accept():
            listener.accept()[0].close()
            return "accepted"

        with support.in_thread(accept_or_time_out, listener, 0.2) as first:
            support.until(lambda: calls.get_timeout(listener._handle, calls.SO_RCVTIMEO))
            with support.in_thread(accept) as second:
                first.wait()
                UnixStream.connect(socket_path).close()
    assert first[0] >= 0.2
    assert second == ["accepted"]
