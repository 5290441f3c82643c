"""Framed messages at random: whatever is sent, in whatever pieces, arrives exactly."""

from __future__ import annotations

import array
import socket
import struct
import tempfile

import support
from hypothesis import given, settings
from hypothesis import strategies as st
from passing import same

from uds_cffi import FramedStream, UnixStream

SIZES = st.one_of(st.integers(0, 20), st.sampled_from([100, 8191, 8192, 32760, 32768, 40000, 200000]))
# The size of a message, and how many descriptors it has.
MESSAGES = st.lists(st.tuples(SIZES, st.one_of(st.just(0), st.integers(0, 3))), max_size=30)
PIECES = st.lists(st.one_of(st.integers(1, 10), st.sampled_from([4096, 30000, 100000])), min_size=1, max_size=10)
FEW = settings(max_examples=60, deadline=None)


def made(shape, files):
    """Make messages of this shape, each with other bytes, and their descriptors."""
    messages = [(bytes([place % 251]) * size) for place, (size, _) in enumerate(shape)]
    fds = [
        [files[(place + one) % len(files)].fileno() for one in range(count)] for place, (_, count) in enumerate(shape)
    ]
    return messages, fds


def open_files():
    return [tempfile.TemporaryFile() for _ in range(3)]


def receive(framed, one_by_one):
    """Receive until the end."""
    got = []
    for single in one_by_one:
        more = [framed.recv_message()] if single else framed.recv_messages()
        if more in ([], [None]):
            return got
        got += more
    while True:
        more = framed.recv_messages()
        if not more:
            return got
        got += more


def check(got, messages, fds):
    assert [message.data for message in got] == messages
    for message, numbers in zip(got, fds):
        with message.fds:
            assert same(message.fds, numbers)


@FEW
@given(shape=MESSAGES, batches=st.lists(st.integers(1, 10), max_size=8), singly=st.lists(st.booleans(), max_size=20))
def test_both_ends(shape, batches, singly):
    """Messages and descriptors that are sent in batches are received one by one or many at once."""
    files = open_files()
    one, two = UnixStream.pair()
    with FramedStream(one) as sender, FramedStream(two, max_fds=3) as receiver:
        messages, fds = made(shape, files)

        def send():
            begin = 0
            for size in [*batches, len(messages)]:
                sender.send_messages(messages[begin : begin + size], fds[begin : begin + size])
                begin += size
            sender.close()

        with support.in_thread(send):
            got = receive(receiver, singly)
        check(got, messages, fds)
    for file in files:
        file.close()


@FEW
@given(shape=MESSAGES, pieces=PIECES, heads=st.lists(st.integers(1, 8), min_size=1, max_size=5))
def test_any_pieces(shape, pieces, heads):
    """A plain peer may cut the bytes anywhere, as long as descriptors go in a send that begins at their message."""
    files = open_files()
    one, two = socket.socketpair(socket.AF_UNIX)
    with one, FramedStream(UnixStream.from_stdlib(two), max_fds=3) as receiver:
        messages, fds = made(shape, files)

        def send():
            plain = b""
            for place, (message, numbers) in enumerate(zip(messages, fds)):
                data = struct.pack("!I", len(message)) + message
                if numbers:
                    send_in(one, plain, pieces)
                    head = heads[place % len(heads)]
                    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", numbers))]
                    sent = one.sendmsg([data[:head]], control)
                    plain = data[sent:]
                else:
                    plain += data
            send_in(one, plain, pieces)
            one.shutdown(socket.SHUT_WR)

        with support.in_thread(send):
            got = receive(receiver, [])
        check(got, messages, fds)
    for file in files:
        file.close()


def send_in(sock, data, pieces):
    """Send bytes in pieces of these sizes, over and over; the smallest only at first, or it would take too long."""
    place = 0
    while data:
        size = pieces[place % len(pieces)] if place < 200 else 50000
        sock.sendall(data[:size])
        data = data[size:]
        place += 1


@FEW
@given(data=st.binary(max_size=200), end=st.booleans(), size=st.integers(1, 64))
def test_any_bytes(data, end, size):
    """Any bytes at all are messages, an error that says why not, or not enough yet."""
    one, two = socket.socketpair(socket.AF_UNIX)
    with one, FramedStream(UnixStream.from_stdlib(two), max_size=size) as receiver:
        one.sendall(data)
        if end:
            one.shutdown(socket.SHUT_WR)
        two.close()
        receiver.stream.set_nonblocking(True)
        got = []
        outcome = None
        while outcome is None:
            try:
                more = receiver.recv_messages()
                if more:
                    got += more
                else:
                    outcome = "end"
            except (OSError, ValueError, EOFError) as problem:
                outcome = type(problem).__name__
        expected, rest, reason = parse(data, size)
        if reason is None:
            reason = ("IncompleteReadError" if rest else "end") if end else "BlockingIOError"
        assert (got, outcome) == (expected, reason)


def parse(data, size):
    """Say what the bytes are, in the simplest way."""
    found = []
    while len(data) >= 4:
        length = int.from_bytes(data[:4], "big")
        if length > size:
            return found, data, "FrameError"
        if len(data) < 4 + length:
            break
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found, data, None


def test_large_batches_with_descriptors():
    """Several hundred KiB in each message, with descriptors, many small ones between them."""
    files = open_files()
    shape = [(300000, 2), *[(10, 0)] * 500, (400000, 1), (5, 3), (700000, 0), (0, 1)] * 3
    one, two = UnixStream.pair()
    with FramedStream(one) as sender, FramedStream(two, max_fds=3) as receiver:
        messages, fds = made(shape, files)

        def send():
            sender.send_messages(messages, fds)
            sender.close()

        with support.in_thread(send):
            got = receive(receiver, [])
        check(got, messages, fds)
    for file in files:
        file.close()
