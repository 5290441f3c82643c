"""An exception at the steps of a call, one after the other, which is where handlers raise.

Rule: after an interruption at any bytecode of the library no descriptor is lost, and the next calls work as if nothing
had happened: what the library keeps for them is whole. A trace function raises, so that nothing is left to chance.
"""

from __future__ import annotations

import errno
import gc
import itertools
import os
import sys
import warnings
from pathlib import Path

import census
import pytest
import support
from blocked import LISTENERS, MARKS, PACKET_SENDS, RECEIVES, STREAM_SENDS, Interruption

import uds_cffi
from uds_cffi import OwnedFd, SocketAncillary, UnixListener, UnixSeqpacketConn, UnixStream

LIBRARY = str(Path(uds_cffi.__file__).parent)
# Every step would take too long in each run; the bytecode of each version of Python differs, so together they do more.
# Set the variable to 1 after a change to what is kept between calls.
STRIDE = int(os.environ.get("UDS_TEST_STRIDE", "19" if sys.implementation.name == "cpython" else "61"))


@pytest.fixture(autouse=True)
def _finalizers_may_speak(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", bool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def is_interrupted(call, step):
    """Make a call with an exception at the given step of it; returns False when it has fewer steps."""
    left = step

    def trace(frame, event, _):
        nonlocal left
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        left -= 1
        # What is raised in a finalizer does not come out; there is another test for that.
        if left <= 0 and frame.f_code.co_name != "__del__":
            raise Interruption
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except Interruption:
        return True
    finally:
        sys.settrace(previous)
    return False


def interrupt_everywhere(call, prepare, check):
    """Interrupt a call at each of its steps; after each interruption `check` finds everything in order."""
    prepare()
    # Python 3.13 sees the steps of a function from the second time on.
    assert not is_interrupted(call, sys.maxsize)
    check()
    gc.collect()
    before = census.take()
    for step in itertools.count(1, STRIDE):
        prepare()
        interrupted = is_interrupted(call, step)
        check()
        if not interrupted:
            break
        if step % 100 < STRIDE:
            # PyPy would run out of descriptors.
            gc.collect()
    gc.collect()

    assert step > STRIDE
    assert census.differences(before) == []


def nothing():
    """Prepare nothing."""


# --- Receives and sends -------------------------------------------------------------------------


def drain(sock):
    for _ in range(100):
        got = sock.try_recv_fds(65536, 253)
        if got is None:
            return
        got[-1].close()
    raise AssertionError(f"the queue does not come to its end: {got}")


def check_exchange(one, two):
    """Sizes and numbers of descriptors are those that were asked for, and not those of an interrupted call."""
    drain(two)
    # Always the same, and not what the calls under test ask for: presets that are half changed would not be noticed.
    one.send_fds(b"0123456789", [0, 0, 0])
    got = two.recv_fds(5, 3)
    with got[-1]:
        assert (got[0], len(got[-1])) == (b"01234", 3)
    drain(two)
    one.send(b"0123456789")
    got = two.recv(5)
    assert (got if isinstance(got, bytes) else got.data) == b"01234"
    drain(two)


def exchange(kind, call, prepare):
    one, two = kind.pair()
    with one, two:
        one.set_read_timeout(10)
        two.set_read_timeout(10)
        interrupt_everywhere(lambda: call(one, two), lambda: prepare(one), lambda: check_exchange(one, two))


def one_descriptor(sock):
    sock.send_fds(b"data", [0])


def take_fds(sock):
    for owned in sock.recv_fds(8, 3)[-1]:
        owned.close()


def take_messages(sock):
    with SocketAncillary.with_room_for(fds=3) as ancillary:
        for message in sock.recv_ancillary(8, ancillary).messages:
            for owned in message.fds:
                owned.close()


MORE = {"take_fds": take_fds, "take_messages": take_messages}


@pytest.mark.parametrize(
    "name", ["recv", "recv_large", "recv_into", "recv_vectored", "recv_exactly", "recv_ancillary", *MORE]
)
def test_receive_from_a_stream(name):
    """Receives, with a descriptor in what they receive."""
    receive = {**RECEIVES["stream"], **MORE}[name]
    exchange(UnixStream, lambda _, two: receive(two), one_descriptor)


@pytest.mark.parametrize(
    "name", ["recv", "recv_vectored", "recv_packet", "recv_fds", "recv_batch", "recv_batch_of_all"]
)
@pytest.mark.parametrize("kind", [pytest.param(UnixSeqpacketConn, marks=MARKS["seqpacket"])])
def test_receive_a_packet(kind, name):
    """Receives of a packet, with a descriptor beside it."""
    exchange(kind, lambda _, two: RECEIVES["seqpacket"][name](two), one_descriptor)


@pytest.mark.parametrize("name", ["send", "send_vectored", "sendall_fds", "send_ancillary"])
def test_send(name):
    """Sends, which have sent all or nothing of such a short message."""
    exchange(UnixStream, lambda one, _: STREAM_SENDS[name](one), lambda _: None)


@pytest.mark.parametrize("name", ["send_batch", "send_batch_fds"])
@pytest.mark.parametrize("kind", [pytest.param(UnixSeqpacketConn, marks=MARKS["seqpacket"])])
def test_send_packets(kind, name):
    """Batches, of which some packets may have gone; what goes beside them stays the sender's."""
    exchange(kind, lambda one, _: PACKET_SENDS[name](one), lambda _: None)


# --- What makes descriptors ---------------------------------------------------------------------


def test_pair():
    """Both ends of a pair."""

    def make():
        one, two = UnixStream.pair(options={"send_buffer": 4096})
        one.close()
        two.close()

    interrupt_everywhere(make, nothing, make)


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS[name]) for name in LISTENERS])
def test_connect_and_accept(socket_path, name):
    """A client, and the connection that is accepted from it."""
    listener_type = LISTENERS[name]
    with listener_type.bind(socket_path) as listener:

        def empty():
            while True:
                accepted = listener.try_accept()
                if accepted is None:
                    return
                accepted[0].close()

        def make():
            client = listener_type._connection.connect(socket_path, timeout=10, options={"send_buffer": 4096})
            server, _ = listener.accept(timeout=10)
            client.close()
            server.close()

        def check():
            empty()
            make()

        interrupt_everywhere(make, nothing, check)


def test_bind(short_dir):
    """A listener, whose file another one may replace afterwards."""
    numbers = itertools.count()

    def make():
        UnixListener.bind(f"{short_dir}/{next(numbers)}", backlog=3).close()

    interrupt_everywhere(make, nothing, make)


def test_clone_and_dup():
    """Copies."""
    one, two = UnixStream.pair()
    with one, two, OwnedFd(os.dup(0)) as owned:

        def make():
            one.try_clone().close()
            owned.dup().close()

        interrupt_everywhere(make, nothing, make)


HANDED_ON = {
    "as_stream": lambda owned: owned.as_stream().close(),
    "to_stdlib_socket": lambda owned: owned.to_stdlib_socket().close(),
    "open": lambda owned: owned.open("wb", 0).close(),
}


@pytest.mark.parametrize("name", HANDED_ON)
def test_hand_on_to_another_owner(name):
    """A descriptor that moves from one owner to another has one at every moment."""
    made = []

    def prepare():
        one, two = UnixStream.pair()
        two.close()
        made.append(OwnedFd(one.detach()))

    def check():
        # Whoever has it now: this one, or nobody.
        made.pop().close()

    interrupt_everywhere(lambda: HANDED_ON[name](made[-1]), prepare, check)


@pytest.mark.parametrize("timeout", [None, 0.01])
def test_timeout_is_set_or_is_not(timeout):
    """Wherever setting a timeout is interrupted, what the socket says is what holds."""
    one, two = UnixStream.pair()
    with one, two:
        for step in itertools.count(1):
            one.set_read_timeout(None if timeout else 0.01)
            one.set_write_timeout(None if timeout else 0.01)
            interrupted = is_interrupted(lambda: (one.set_read_timeout(timeout), one.set_write_timeout(timeout)), step)
            assert one.read_timeout() is None or one._recv_flags & uds_cffi.MSG_DONTWAIT
            assert one.write_timeout() is None or one._send_flags & uds_cffi.MSG_DONTWAIT
            if not interrupted:
                break
        assert step > 10
        assert one.read_timeout() == one.write_timeout() == timeout


def test_end_of_a_loan_is_an_end():
    """Wherever the end of a loan is interrupted, closing it again ends it, and nothing is received for the owner."""
    one, two = UnixStream.pair()
    with one, two:
        for step in itertools.count(1):
            one.send(b"x")
            borrowed = UnixStream.borrow(two)
            assert borrowed.recv(10) == b"x"
            interrupted = is_interrupted(borrowed.close, step)
            if borrowed.closed:
                one.send(b"y")
                with support.raises_errno(errno.EBADF):
                    borrowed.recv(10)
                assert two.recv(10) == b"y"
            borrowed.close()
            if not interrupted:
                break
        assert step > 5
