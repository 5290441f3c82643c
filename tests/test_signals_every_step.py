"""Calls that make, receive or send descriptors, or keep something for the next call, interrupted at each step."""

from __future__ import annotations

import errno
import itertools
import os

import pytest
import support
from blocked import LISTENERS, MARKS, PACKET_SENDS, RECEIVES, STREAM_SENDS, foreign_listener
from interrupting import Interruption, interrupt_everywhere, is_interrupted

import uds_cffi
from uds_cffi import OwnedFd, SocketAncillary, UnixDatagram, UnixListener, UnixSeqpacketConn, UnixStream

pytestmark = pytest.mark.usefixtures("finalizers_may_speak")


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


@pytest.mark.parametrize("name", ["recv_from", "recv_fds_from", "recv_into"])
def test_receive_a_datagram(name):
    """Receives that come with the sender's address, and into memory."""
    exchange(UnixDatagram, lambda _, two: RECEIVES["datagram"][name](two), one_descriptor)


def test_nothing_to_receive():
    """Receives that find nothing, and put what they had prepared back."""

    def receive(two):
        assert two.try_recv(8) is None
        assert two.try_recv_fds(8, 1) is None
        try:
            two.recv_batch(4, 8, uds_cffi.MSG_DONTWAIT)
        except Interruption:
            # Some of these are a BlockingIOError too.
            raise
        except BlockingIOError:
            pass

    exchange(UnixDatagram, lambda _, two: receive(two), lambda _: None)


def test_receive_into_more_buffers_than_one_call_takes(monkeypatch):
    """Receives of several pieces, of which the last would block."""
    monkeypatch.setattr("uds_cffi.stream.IOV_MAX", 2)
    buffers = [memoryview(bytearray(2)) for _ in range(6)]

    def receive(_, two):
        assert two.recv_vectored(buffers) == 4

    exchange(UnixStream, receive, one_descriptor)


def test_file_of_a_stream():
    """Unbuffered reads and writes, also those that would block."""

    def use(one, two):
        with one.makefile("wb", 0) as writer, two.makefile("rb", 0) as reader:
            assert reader.read(8) == b"data"
            assert writer.write(b"more") == 4
            assert reader.readinto(bytearray(8)) == 4
            assert reader.readinto(bytearray(8)) is None

    one, two = UnixStream.pair()
    two.set_nonblocking(True)
    with one, two:
        interrupt_everywhere(lambda: use(one, two), lambda: one_descriptor(one), lambda: check_exchange(one, two))


@pytest.mark.parametrize("name", ["send", "send_vectored", "sendall_fds", "send_ancillary"])
def test_send(name):
    """Sends, which have sent all or nothing of such a short message."""
    exchange(UnixStream, lambda one, _: STREAM_SENDS[name](one), lambda _: None)


@pytest.mark.parametrize("name", ["send_batch", "send_batch_fds"])
@pytest.mark.parametrize("kind", [pytest.param(UnixSeqpacketConn, marks=MARKS["seqpacket"])])
def test_send_packets(kind, name):
    """Batches, of which some packets may have gone; what goes beside them stays the sender's."""
    exchange(kind, lambda one, _: PACKET_SENDS[name](one), lambda _: None)


@pytest.mark.parametrize("fds", [None, [[0]] * 9], ids=["bytes", "descriptors"])
@pytest.mark.parametrize("kind", [pytest.param(UnixSeqpacketConn, marks=MARKS["seqpacket"])])
def test_send_more_packets_than_there_is_room_for(kind, fds):
    """A batch of which only the first packets go, because the queue is full."""

    def send(one):
        assert 0 < one.send_batch([b"x" * 9000] * 9, uds_cffi.MSG_DONTWAIT, fds=fds) < 9

    def prepare(one):
        one.options.send_buffer = 16384

    exchange(kind, lambda one, _: send(one), prepare)


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


def test_try_accept_on_an_adopted_listener(socket_path):
    """Accepting without waiting, where accept(2) itself would wait."""
    with UnixListener.from_fd(foreign_listener("stream", socket_path, 4096).detach()) as listener:

        def accept():
            accepted = listener.try_accept()
            if accepted is None:
                return False
            accepted[0].close()
            return True

        def prepare():
            UnixStream.connect(socket_path).close()

        def check():
            while accept():
                pass

        interrupt_everywhere(accept, prepare, check)


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


def test_options():
    """An option that is set and read, and one that is not there."""
    one, two = UnixStream.pair()
    with one, two:

        def use():
            one.options.receive_timeout = 3.0
            assert one.options.receive_timeout == 3.0
            with pytest.raises(AttributeError):
                one.options.no_such = 1
            assert "receive_timeout=3.0" in repr(one.options)
            assert "unnamed" in repr(one)

        interrupt_everywhere(use, nothing, use)


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
