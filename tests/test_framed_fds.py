"""Descriptors of framed messages: which message they belong to, and who owns them.

Rule: a descriptor that cannot be given to its message is closed, and said to be lost; no message is lost with it.
"""

from __future__ import annotations

import array
import contextlib
import os
import resource
import socket
import struct

import pytest
import support
from framing import framed_pair, wire
from passing import same

import uds_cffi
from uds_cffi import AncillaryTruncated, FramedStream, FrameError, IncompleteReadError, MessageFds, UnixStream
from uds_cffi.receiver import Receiver, return_receiver


@pytest.fixture
def framed():
    """Make two framed streams that are connected and take descriptors."""
    with framed_pair(max_fds=253) as ends:
        yield ends


def pair_with(max_fds, max_size=1048576):
    """Make a plain socket and a framed stream that takes so many descriptors."""
    one, two = socket.socketpair(socket.AF_UNIX)
    return one, FramedStream(UnixStream.from_stdlib(two), max_size, max_fds)


def send_fds(sock, data, numbers):
    """Send bytes with descriptors from a plain socket."""
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", numbers))]
    assert sock.sendmsg([data], control) == len(data)


def test_each_message_has_its_own(framed, files):
    """Descriptors arrive with exactly the messages that they were sent with, in order."""
    one, two = framed
    fds = [None, [files[0]], (), files, None, iter(files[::-1])]
    messages = [b"", b"one", b"none", b"both", b"x" * 20000, b"y" * 20000]
    one.send_messages(messages, fds)
    got = [two.recv_message() for _ in messages]

    assert [message.data for message in got] == messages
    assert {type(message) for message in got} == {MessageFds}
    expected = [[], files[:1], [], files, [], files[::-1]]
    assert [len(message.fds) for message in got] == [len(numbers) for numbers in expected]
    for message, numbers in zip(got, expected):
        with message.fds:
            assert same(message.fds, numbers)


def test_many_at_once_know_theirs(framed, files):
    """Small messages, one with a descriptor and more small ones come as the kernel cuts them, and each has its own."""
    one, two = framed
    one.send_messages([b"a"] * 10 + [b"fd"] + [b"b"] * 10, [None] * 10 + [files] + [None] * 10)
    got = two.recv_messages() + two.recv_messages()

    assert [message.data for message in got] == [b"a"] * 10 + [b"fd"] + [b"b"] * 10
    assert [place for place, message in enumerate(got) if len(message.fds)] == [10]
    with got[10].fds as fds:
        assert same(fds, files)


def test_most_descriptors(framed):
    """253 descriptors go with one message, and are one set."""
    one, two = framed
    one.send_message(b"most", [0] * 253)
    with two.recv_message().fds as fds:
        assert len(fds) == 253


@pytest.mark.parametrize("size", [1, 5, 20000, 300000])
def test_descriptors_of_two_that_overlap(size, files):
    """The end of a message with descriptors and the begin of the next with others may come in one receive."""
    sock, framed = pair_with(2)
    with sock, framed:
        message = b"x" * size
        data = wire(message)
        with support.in_thread(_send_two, sock, data, files):
            one, two = framed.recv_message(), framed.recv_message()
        with one.fds, two.fds:
            assert (one.data, two.data) == (message, message)
            assert same(one.fds, files[:1])
            assert same(two.fds, files[1:])


def _send_two(sock, data, files):
    send_fds(sock, data[:2], files[:1])
    sock.sendall(data[2:])
    send_fds(sock, data[:2], files[1:])
    sock.sendall(data[2:])


@pytest.mark.parametrize("before", [0, 100, 32768 - 8, 32768 - 6, 32768 - 5, 32768 - 4, 32768 - 3])
def test_memory_that_ends_within_the_header(before, files):
    """Descriptors belong to the message whose first byte came with them, wherever the memory ends."""
    sock, framed = pair_with(2)
    with sock, framed:
        # One message so long that the next begins there.
        sock.sendall(wire(b"x" * before))
        send_fds(sock, wire(b"with"), files)
        sock.sendall(wire(b"behind"))
        assert framed.recv_message().data == b"x" * before
        with framed.recv_message().fds as fds:
            assert same(fds, files)
        assert framed.recv_message().data == b"behind"


def test_many_small_ones_before(framed, files):
    """Thousands of small messages before one with descriptors change nothing about whose they are."""
    one, two = framed
    with support.in_thread(one.send_messages, [b"s"] * 9000 + [b"fd"], [None] * 9000 + [files]):
        got = []
        while len(got) < 9001:
            got += two.recv_messages()

    assert [message.data for message in got] == [b"s"] * 9000 + [b"fd"]
    assert not any(len(message.fds) for message in got[:-1])
    with got[-1].fds as fds:
        assert same(fds, files)


def test_half_a_message_keeps_its_descriptors(files):
    """Descriptors that come before their message is whole wait for it."""
    sock, framed = pair_with(2)
    with sock, framed:
        data = wire(b"data")
        send_fds(sock, data[:1], files)
        for end in range(1, len(data)):
            with pytest.raises(BlockingIOError):
                framed.recv_message(uds_cffi.MSG_DONTWAIT)
            sock.send(data[end : end + 1])
        message = framed.recv_message()
        with message.fds as fds:
            assert message.data == b"data"
            assert same(fds, files)


def test_descriptors_outlive_the_framed_stream(files):
    """What was returned belongs to the caller, and close() leaves it alone."""
    sock, framed = pair_with(2)
    with sock, framed:
        send_fds(sock, wire(b"data"), files)
        fds = framed.recv_message().fds
    with fds:
        assert same(fds, files)


@pytest.mark.parametrize("end", [2, 7, 8])
def test_close_closes_what_was_not_returned(files, end):
    """Descriptors of a message that nobody has asked for, or that is not whole, are closed with the framed stream."""
    sock, framed = pair_with(2)
    with sock, framed:
        sock.sendall(wire(b"first"))
        send_fds(sock, wire(b"data")[:end], files)
        assert framed.recv_message().data == b"first"
    # The census of the test tells whether they are gone.


def test_end_within_a_message_closes_its_descriptors(files):
    """Descriptors of a message that will never be whole are closed when that is told."""
    sock, framed = pair_with(2)
    with framed:
        with sock:
            send_fds(sock, wire(b"data")[:6], files)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(2):
            with pytest.raises(IncompleteReadError):
                framed.recv_message()
        assert len(os.listdir("/proc/self/fd")) == before


# --- What is lost -------------------------------------------------------------------------------


@pytest.mark.parametrize(("max_fds", "kept"), [(0, 0), (1, 1)])
@pytest.mark.parametrize("many", [False, True])
def test_surplus_is_closed_and_reported_with_its_message(files, max_fds, kept, many):
    """A message with too many descriptors is raised, in its place among the others, with those that were kept."""
    sock, framed = pair_with(max_fds)
    with sock, framed:
        sock.sendall(wire(b"before"))
        send_fds(sock, wire(b"data"), files)
        sock.sendall(wire(b"behind"))

        def receive():
            got = framed.recv_messages()[0] if many else framed.recv_message()
            return got.data if max_fds else got

        assert receive() == b"before"
        with pytest.raises(AncillaryTruncated, match=f"{2 - kept} closed, {kept} kept") as caught:
            receive()
        with caught.value.fds as fds:
            assert (caught.value.data, caught.value.lost) == (b"data", 2 - kept)
            assert same(fds, files[:kept])
        assert receive() == b"behind"


def test_kernel_that_cuts_is_reported(files):
    """When this process can open no more, the kernel drops descriptors, and the message says that it did."""
    sock, framed = pair_with(2)
    with sock, framed:
        send_fds(sock, wire(b"data"), files)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (framed.fileno() + 1, hard))
        try:
            with pytest.raises(AncillaryTruncated, match="kernel dropped") as caught:
                framed.recv_message()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert (caught.value.data, caught.value.lost) == (b"data", None)
        caught.value.fds.close()
        sock.sendall(wire(b"behind"))
        assert framed.recv_message().data == b"behind"


@pytest.mark.parametrize("max_fds", [0, 2])
def test_descriptors_without_a_message(files, max_fds):
    """Descriptors that come in the middle of a message break the format: an error, and they are closed."""
    sock, framed = pair_with(max_fds)
    with sock, framed:
        data = wire(b"data")
        sock.sendall(wire(b"before") + data[:6])
        before = framed.recv_message()
        assert (before.data if max_fds else before) == b"before"
        with pytest.raises(BlockingIOError):
            framed.recv_message(uds_cffi.MSG_DONTWAIT)
        send_fds(sock, data[6:7], files)
        for receive in (framed.recv_message, framed.recv_messages):
            with pytest.raises(FrameError, match="descriptors arrived that do not belong to a message") as caught:
                receive()
            assert caught.value.length is None


def test_bad_length_closes_descriptors(files):
    """A message that is too long loses its descriptors, which are closed."""
    sock, framed = pair_with(2, max_size=100)
    with sock, framed:
        send_fds(sock, struct.pack("!I", 101), files)
        with pytest.raises(FrameError, match="101 bytes, above max_size 100"):
            framed.recv_message()


# --- Sending ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fds", "error"),
    [
        ([[0]], ValueError),
        ([[0], [0], [0]], ValueError),
        (5, TypeError),
        (iter([[0], [0]]), TypeError),
        ([[0], 5], TypeError),
        ([[0], ["name"]], TypeError),
        ([[0], [-1]], ValueError),
        ([[0], [0] * 254], ValueError),
    ],
    ids=str,
)
def test_bad_descriptors_are_refused_before_anything_goes(framed, fds, error):
    """One item for each message, and what can be a descriptor: otherwise nothing goes."""
    one, two = framed
    with pytest.raises(error):
        one.send_messages([b"a", b"b"], fds)
    one.send_message(b"c")

    assert two.recv_message().data == b"c"


def test_closed_descriptor_is_ebadf_and_the_message_does_not_go(framed, number):
    """A number that is not open ends the call at its message; those before it have gone."""
    one, two = framed
    closed = os.dup(number)
    os.close(closed)
    with support.raises_errno(9) as caught:
        one.send_messages([b"a", b"b", b"c"], [None, [closed], None])
    assert caught.value.sent == 1
    one.send_message(b"d", [number])
    got = [two.recv_message() for _ in range(2)]

    assert [message.data for message in got] == [b"a", b"d"]
    with got[1].fds as fds:
        assert same(fds, [number])


def test_descriptor_may_be_closed_after_the_send(framed, number):
    """Objects that own descriptors are sent too, and stay the caller's."""
    one, two = framed
    owned = uds_cffi.OwnedFd(os.dup(number))
    with owned:
        one.send_message(b"x", [owned])
        assert not owned.closed
    with two.recv_message().fds as fds:
        assert same(fds, [number])


def test_what_was_received_can_be_sent_on(framed, files):
    """A received set is a set of descriptors to send."""
    one, two = framed
    one.send_message(b"x", files)
    with two.recv_message().fds as fds:
        two.send_message(b"y", fds)
    with one.recv_message().fds as fds:
        assert same(fds, files)


def test_short_send_sends_descriptors_once(files):
    """When only a part of a message goes, its descriptors have gone, and the rest goes without them."""
    one, two = UnixStream.pair(nonblocking=True)
    with FramedStream(one, 2**24) as sender, FramedStream(two, 2**24, 253) as receiver:
        with pytest.raises(BlockingIOError) as caught:
            sender.send_message(b"x" * 2**22, files)
        assert caught.value.sent == 1
        assert sender.pending > 0
        message = None
        while message is None:
            with contextlib.suppress(BlockingIOError):
                sender.flush()
            with contextlib.suppress(BlockingIOError):
                message = receiver.recv_message()
        with message.fds:
            assert message.data == b"x" * 2**22
            assert same(message.fds, files)
        sender.send_message(b"next")
        assert receiver.recv_message().data == b"next"
        assert sender.pending == 0


def test_receivers_of_the_library_are_not_disturbed(files):
    """The control memory of framed streams is their own: a borrowed receiver goes back as it was."""
    sock, framed = pair_with(2)
    with sock, framed:
        receiver = Receiver(10)
        return_receiver(receiver)
        send_fds(sock, wire(b"data"), files)
        framed.recv_message().fds.close()
        assert receiver.fds is None
