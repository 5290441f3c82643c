"""Handlers that raise, at any moment of the calls that make descriptors.

Rule: the owner of a descriptor exists before the system call that makes it, so there is no moment at which an exception
from a signal handler, Ctrl-C for one, can lose a descriptor. About 10,000 interruptions leave the census unchanged.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

import census
import pytest
import support
from blocked import LISTENERS, MARKS, foreign_listener
from interrupting import Interruption, forget_what_is_handled

from uds_cffi import OwnedFd, SocketAncillary, UnixDatagram, UnixSeqpacketConn, UnixStream

pytestmark = [pytest.mark.raises_anywhere, pytest.mark.usefixtures("finalizers_may_speak")]

INTERVAL = 0.0001
# Times the number of tests about 10,000. What they leave is collected now and then, because PyPy waits too long.
INTERRUPTIONS = 910


@pytest.fixture(autouse=True)
def _no_jit():
    # What PyPy has compiled runs handlers at the end of a loop only, and not between any two steps.
    try:
        from pypyjit import set_param
    except ImportError:
        yield
        return
    set_param("off")
    yield
    set_param("default")


def repeat(work):
    while True:
        work()


def interrupt(work, finish=lambda: None):
    """Repeat some work while a timer's handler raises out of any place in it, finalizers included."""
    hits = 0

    def handler(_, frame):
        nonlocal hits
        # Not out of the loop below, nor out of this handler, but out of everything else.
        if frame is not None and frame.f_code not in quiet:
            hits += 1
            raise Interruption

    quiet = (interrupt.__code__, handler.__code__)
    work()
    finish()
    gc.collect()
    before = census.take()
    previous = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)
        while hits < INTERRUPTIONS:
            try:
                repeat(work)
            except Interruption:
                if hits % 200 == 0:
                    try:
                        gc.collect()
                    except Interruption:
                        # Out of a hook that another library has hung into the collector.
                        pass
    finally:
        # Not to be interrupted, and the frame of this function is the only one here.
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    finish()
    forget_what_is_handled()
    gc.collect()

    assert census.differences(before) == []


@pytest.mark.parametrize("kind", [UnixStream, UnixDatagram])
def test_pair(kind):
    """Neither end of a pair is lost."""

    def work():
        one, two = kind.pair()
        one.close()
        two.close()

    interrupt(work)


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS[name]) for name in LISTENERS])
def test_connect_and_accept(socket_path, name):
    """No client and no accepted connection is lost."""
    listener_type = LISTENERS[name]
    with listener_type.bind(socket_path) as listener:
        connect = listener_type._connection.connect

        def work():
            client = connect(socket_path, timeout=support.PATIENCE)
            server, _ = listener.accept(timeout=support.PATIENCE)
            client.close()
            server.close()
            empty()

        def empty():
            # A client that was interrupted has left a connection here.
            while listener.try_accept() is not None:
                pass

        interrupt(work, empty)


def test_accept_on_an_adopted_listener(socket_path):
    """No connection is lost where accept(2) itself waits."""
    with LISTENERS["stream"].from_fd(foreign_listener("stream", socket_path, 4096).detach()) as listener:

        def work():
            with UnixStream.connect(socket_path):
                listener.accept()[0].close()

        interrupt(work)


def recv_fds(sock, _):
    sock.recv_fds(8, 4)[-1].close()


def recv_fds_and_take(sock, _):
    for owned in sock.recv_fds(8, 4)[-1]:
        owned.close()


def recv_ancillary(sock, ancillary):
    for message in sock.recv_ancillary(8, ancillary).messages:
        for owned in message.fds:
            owned.close()


@pytest.mark.parametrize(
    ("kind", "receive"),
    [
        (UnixStream, recv_fds),
        (UnixStream, recv_fds_and_take),
        (UnixStream, recv_ancillary),
        pytest.param(UnixSeqpacketConn, recv_fds, marks=MARKS["seqpacket"]),
        (UnixDatagram, recv_ancillary),
    ],
)
def test_receive(kind, receive):
    """No received descriptor is lost: not in the set, not on the way out of it, not in an ancillary."""
    one, two = kind.pair()
    ancillary = SocketAncillary.with_room_for(fds=4)
    with one, two, ancillary:

        def work():
            one.send_fds(b"x", [0, 0])
            receive(two, ancillary)
            empty()

        def empty():
            # What was sent before an interruption is still in the queue, or, received, in the ancillary.
            while two.try_recv_fds(8, 4) is not None:
                pass
            ancillary.clear()

        interrupt(work, empty)


def test_clone_and_dup():
    """No copy is lost."""
    one, two = UnixStream.pair()
    with one, two, OwnedFd(os.dup(0)) as owned:

        def work():
            one.try_clone().close()
            owned.dup().close()

        interrupt(work)


def make_socket():
    one, two = UnixStream.pair()
    two.close()
    return one


def make_set():
    one, two = UnixStream.pair()
    with one, two:
        one.send_fds(b"x", [0, 0])
        return two.recv_fds(1, 2)[1]


@pytest.mark.parametrize("make", [make_socket, make_set])
def test_interrupted_finalizer_still_closes(make):
    """An exception at the very beginning of a finalizer, where a handler may raise, does not keep it from closing."""
    interrupted = []

    def interrupt_finalizers(frame, event, _):
        if event == "call" and frame.f_code.co_name == "__del__":
            interrupted.append(event)
            raise Interruption

    make().close()
    gc.collect()
    before = census.take()
    unclosed = make()
    previous = sys.gettrace()
    sys.settrace(interrupt_finalizers)
    try:
        del unclosed
        gc.collect()
        gc.collect()
    finally:
        sys.settrace(previous)
    gc.collect()

    assert interrupted == ["call"]
    assert census.differences(before) == []
