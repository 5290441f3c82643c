"""Numbers that somebody else has by now.

Rule: no call ever reaches a descriptor that took the number of a closed one. Those that took it are canaries here: they
must be untouched in the end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading

import blocked
import pytest
import support
from blocked import KINDS, MARKS, fill

import uds_cffi
from uds_cffi import OwnedFd, OwnedFds, UnixDatagram, UnixStream

EACH_KIND = pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS[kind]) for kind in KINDS])


class Canary:
    """A pair of sockets that nobody may send to or read from, on numbers that were just closed."""

    def __init__(self):
        self.ends = socket.socketpair()
        self.numbers = {sock.fileno() for sock in self.ends}
        for sock in self.ends:
            sock.setblocking(False)
            sock.send(b"untouched")

    def check(self):
        for sock in self.ends:
            assert sock.recv(100) == b"untouched"
            with pytest.raises(BlockingIOError):
                sock.recv(100)
        self.close()

    def close(self):
        for sock in self.ends:
            sock.close()


# What a call on a socket may end with when another thread closes it or its peer.
EXPECTED = (errno.EBADF, errno.EPIPE, errno.ECONNRESET, errno.ECONNREFUSED, errno.EAGAIN, errno.ENOTCONN)


def use(sock, number):
    """Make one of the calls that read or write, without waiting."""
    with contextlib.suppress(uds_cffi.AncillaryTruncated):
        if number == 0:
            sock.try_send(b"foreign")
        elif number == 1:
            sock.try_recv(100)
        elif number == 2:
            sock.try_send_fds(b"foreign", [sock, 0])
        elif number == 3:
            got = sock.try_recv_fds(100, 4)
            if got is not None:
                got[-1].close()
        elif number == 4:
            sock.recv_into(bytearray(100), uds_cffi.MSG_DONTWAIT)
        elif number == 5:
            sock.send_vectored([b"for", b"eign"], uds_cffi.MSG_DONTWAIT)
        elif number == 6:
            sock.set_read_timeout(0.001)
            with contextlib.suppress(TimeoutError):
                sock.recv(100)
        else:
            sock.try_clone().close()


@EACH_KIND
def test_no_call_reaches_a_foreign_descriptor(kind):
    """Four threads close and reopen sockets, four use them: nothing reaches those who got the numbers."""
    slots = [KINDS[kind].pair() for _ in range(4)]
    rounds = 150
    reused = []
    closed = []
    stop = threading.Event()

    def replace(place):
        for _ in range(rounds):
            old = slots[place]
            numbers = {sock.fileno() for sock in old}
            for sock in old:
                sock.close()
            canary = Canary()
            if canary.numbers & numbers:
                reused.append(place)
            slots[place] = KINDS[kind].pair()
            closed.extend(old)
            canary.check()

    def call(first):
        number = first
        while not stop.is_set():
            for sock in slots[number % len(slots)]:
                try:
                    use(sock, number % 8)
                except OSError as error:
                    if error.errno not in EXPECTED:
                        raise
            number += 1

    with contextlib.ExitStack() as callers:
        for number in range(4):
            callers.enter_context(support.in_thread(call, number))
        try:
            with contextlib.ExitStack() as closers:
                for number in range(4):
                    closers.enter_context(support.in_thread(replace, number))
        finally:
            stop.set()

    assert reused
    for sock in closed:
        assert sock.closed
        with pytest.raises(OSError, match="Bad file descriptor"):
            sock.try_send(b"x")
    for pair in slots:
        for sock in pair:
            sock.close()


def test_descriptors_of_others_are_never_sent():
    """A sender whose OwnedFd is closed and whose number is taken by another file sends the right file or nothing."""
    good = os.memfd_create("good") if hasattr(os, "memfd_create") else os.open("/dev/null", os.O_RDONLY)
    identity = os.fstat(good)[1:3]
    one, two = UnixStream.pair(nonblocking=True)
    slots = [OwnedFd(os.dup(good))]
    stop = threading.Event()
    sent = []

    def send():
        while not stop.is_set():
            try:
                sent.append(one.send_fds(b"x", [slots[0]]))
            except OSError as error:
                if error.errno not in EXPECTED:
                    raise

    def check():
        while not stop.is_set() or two.unread_bytes():
            got = two.try_recv_fds(10, 253)
            if got is not None:
                with got[1] as fds:
                    for number in fds.numbers():
                        assert os.fstat(number)[1:3] == identity

    with one, two, support.in_thread(check), support.in_thread(send), support.in_thread(send):
        try:
            while len(sent) < 200:
                slots[0].close()
                other = os.open("/dev/zero", os.O_RDONLY)
                slots[0] = OwnedFd(os.dup(good))
                os.close(other)
        finally:
            stop.set()
    slots[0].close()
    os.close(good)


def occupy(numbers):
    """Open something else under these numbers."""
    for number in numbers:
        other = os.open("/dev/zero", os.O_RDONLY | os.O_CLOEXEC)
        if other != number:
            os.dup2(other, number, inheritable=False)
            os.close(other)


@pytest.mark.parametrize("make", [lambda fds: fds, list], ids=["the set", "its members"])
def test_what_is_closed_while_a_send_waits_is_not_sent(make):
    """A send that waits for room, whose descriptors another thread closes meanwhile, fails with EBADF."""
    one, two = UnixStream.pair()
    with one, two:
        one.send_fds(b"x", [0, 0])
        _, fds = two.recv_fds(1, 2)
        items = make(fds)
        numbers = fds.numbers()
        filled = fill(lambda data: one.send(data, uds_cffi.MSG_DONTWAIT))
        one.set_write_timeout(support.PATIENCE)

        def send():
            with pytest.raises(OSError, match="Bad file descriptor") as caught:
                one.send_fds(b"x", items)
            return caught.value.errno

        with support.in_thread(send) as result:
            support.until(lambda: blocked.running(one))
            for owned in [items] if isinstance(items, OwnedFds) else items:
                owned.close()
            occupy(numbers)
            data = two.recv_exactly(filled)
        for number in numbers:
            os.close(number)

        assert result == [errno.EBADF]
        assert data == b"z" * filled
        assert two.try_recv(1) is None


def test_set_that_is_being_sent_cannot_be_detached():
    """While a thread is sending the set on, detach() is refused (EBUSY) and gives nothing away."""
    one, two = UnixStream.pair()
    with one, two:
        one.send_fds(b"x", [0])
        _, fds = two.recv_fds(1, 1)
        with fds:
            filled = fill(lambda data: one.send(data, uds_cffi.MSG_DONTWAIT))
            with support.in_thread(one.send_fds, b"y", fds) as outcome:
                support.until(lambda: blocked.running(one))
                with support.raises_errno(errno.EBUSY):
                    fds.detach()
                assert support.is_open(fds.numbers()[0])
                two.recv_exactly(filled)
            assert outcome == [1]
            for number in fds.detach():
                os.close(number)


def test_closed_set_is_refused():
    """A set that is closed is a bad descriptor, as each of its members is."""
    one, two = UnixStream.pair()
    with one, two:
        one.send_fds(b"x", [0])
        _, fds = two.recv_fds(1, 1)
        fds.close()
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            one.send_fds(b"x", fds)
    assert caught.value.errno == errno.EBADF


def test_to_stdlib_never_takes_a_foreign_number(monkeypatch):
    """A socket that another thread closes while to_stdlib() runs is not mistaken for the one that got its number."""
    one, two = UnixDatagram.pair()
    number = one.fileno()
    original = socket.fromfd
    canaries = []

    def fromfd(*arguments):
        # What another thread might do at this moment.
        one.close()
        canaries.append(Canary())
        return original(*arguments)

    monkeypatch.setattr(socket, "fromfd", fromfd)
    with two:
        with one.to_stdlib() as copy:
            copy.send(b"to the peer")
        assert two.recv(100).data == b"to the peer"
    assert number in canaries[0].numbers
    canaries[0].check()
