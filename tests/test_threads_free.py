"""Many threads on one socket, at the same moment: on free-threaded CPython (PEP 703) they run truly side by side.

Rule: every test here runs on every interpreter; what it finds on one without a global lock is a mistake on all of them,
because a lock that is handed on between any two bytecodes protects no sequence of them.
"""

from __future__ import annotations

import contextlib
import errno
import queue
import sysconfig
from collections import Counter
from functools import partial
from typing import Any, Callable

import blocked
import pytest
import support
from blocked import KINDS, MARKS
from crowd import EACH, SIZE, record, together

import uds_cffi
from uds_cffi import SocketAncillary

pytestmark = pytest.mark.usefixtures("many_switches")

EACH_KIND = pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS[kind]) for kind in KINDS])

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


# --- The lock -----------------------------------------------------------------------------------


def test_global_lock_stays_off():
    """Loading all of the library leaves the lock off where the interpreter has none, and says nothing of it."""
    program = """
import sys, uds_cffi
from uds_cffi import batch, diagnostics, framed, listener, notification, pidfd, publishing, socketfile, streamfile
for name in dir(uds_cffi):
    getattr(uds_cffi, name)
one, two = uds_cffi.UnixStream.pair()
one.send(b"x")
assert two.recv(1) == b"x"
one.close()
two.close()
print(getattr(sys, "_is_gil_enabled", lambda: True)())
"""
    # The interpreter warns when it switches the lock on for a module that does not say that it needs none.
    assert support.python("-W", "error", "-c", program).strip() == str(not FREE_THREADED)


# --- Sending and receiving ----------------------------------------------------------------------


def senders(sock: Any) -> list[Callable[[bytes], object]]:
    """Return ways to send a record, whole and in one system call."""
    ancillary = SocketAncillary.with_room_for(fds=1)
    ancillary.add_fds([0])
    return [
        sock.send,
        lambda data: sock.send_vectored([data[:5], data[5:]]),
        lambda data: sock.send_fds(data, [0]),
        lambda data: sock.send_ancillary([data], ancillary),
    ]


def receivers(sock: Any) -> list[Callable[[], bytes]]:
    """Return ways to receive a record; each returns b"" at the end."""

    def recv_fds() -> bytes:
        data, *_, fds = sock.recv_fds(SIZE, 1)
        for fd in fds:
            fd.close()
        return bytes(data)

    def recv_ancillary() -> bytes:
        with sock.recv_ancillary(SIZE, SocketAncillary.with_room_for(fds=1)) as received:
            assert not received.truncated
            return bytes(received.data)

    def recv_into() -> bytes:
        memory = bytearray(SIZE)
        got = sock.recv_into(memory)
        return bytes(memory[: got if isinstance(got, int) else got.nbytes])

    return [lambda: blocked.data_of(sock.recv(SIZE)), recv_into, recv_fds, recv_ancillary]


@EACH_KIND
def test_every_message_arrives_once(kind):
    """Threads send and receive on the same two sockets, each in its own way: each message comes whole, and once."""
    one, two = KINDS[kind].pair()
    two.set_read_timeout(support.PATIENCE)

    def send(sender: int, way: Callable[[bytes], object]) -> None:
        for number in range(EACH):
            way(record(sender, number))

    def receive(way: Callable[[], bytes]) -> list[bytes]:
        got = []
        while True:
            data = way()
            if data.startswith(b"the end"):
                return got
            got.append(data)

    def run() -> list[bytes]:
        sending = [lambda sender=sender, way=way: send(sender, way) for sender, way in enumerate(senders(one))]
        with contextlib.ExitStack() as threads:
            outcomes = [threads.enter_context(support.in_thread(receive, way)) for way in receivers(two)]
            together(*sending)
            for _ in outcomes:
                one.send(b"the end".ljust(SIZE))
        return [data for outcome in outcomes for data in outcome[0]]

    with one, two:
        assert Counter(run()) == Counter(record(sender, number) for sender in range(4) for number in range(EACH))


@EACH_KIND
def test_everything_else_meanwhile(kind):
    """While messages pass, other threads ask and set what a socket has; nothing is lost, and every answer is right."""
    one, two = KINDS[kind].pair()
    two.set_read_timeout(support.PATIENCE)
    ended: list[None] = []

    def beside(call: Callable[[], object]) -> None:
        try:
            for _ in range(EACH):
                call()
        finally:
            ended.append(None)

    def clone() -> None:
        with two.try_clone() as copy:
            assert copy.read_timeout() in (support.PATIENCE, support.PATIENCE + 1)

    def timeouts() -> None:
        two.set_read_timeout(support.PATIENCE + 1)
        one.set_write_timeout(support.PATIENCE)
        two.set_read_timeout(support.PATIENCE)
        one.set_write_timeout(None)

    def answers() -> None:
        assert two.peer_addr().is_unnamed
        assert two.options.receive_buffer > 0
        assert not two.is_nonblocking()
        assert two.take_error() is None
        assert two.unread_bytes() >= 0
        assert type(two).__name__ in repr(two)

    def exchange() -> int:
        rounds = 0
        while not rounds or len(ended) < 3:
            one.send(record(0, rounds))
            assert blocked.data_of(two.recv(SIZE)) == record(0, rounds)
            rounds += 1
        return rounds

    with one, two:
        rounds, *_ = together(exchange, *[partial(beside, call) for call in (clone, timeouts, answers)])
    assert rounds


@EACH_KIND
def test_close_in_the_midst(kind):
    """A socket that is closed while threads send on it ends their calls with EBADF; none of them reaches the sockets
    that get its number next.
    """
    for _ in range(15):
        one, two = KINDS[kind].pair()
        changes: queue.SimpleQueue[None] = queue.SimpleQueue()
        with one, two:
            ways = senders(two)
            *codes, found, _ = together(
                *[partial(send_until_closed, way, changes) for way in ways],
                partial(close_and_look, kind, one, two, changes, len(ways)),
                partial(drain, one),
            )
        assert codes == [errno.EBADF] * len(ways)
        assert not any(found)


def send_until_closed(way: Callable[[bytes], object], changes: queue.SimpleQueue[None]) -> int | None:
    changes.put(None)
    try:
        while True:
            way(record(0, 0))
    except OSError as problem:
        return problem.errno
    finally:
        changes.put(None)


def close_and_look(kind: str, one: Any, two: Any, changes: queue.SimpleQueue[None], count: int) -> list[int]:
    """Close a socket when threads have begun to use it, and return what arrives at sockets that are made then."""
    for _ in range(count):
        changes.get(timeout=support.PATIENCE)
    two.close()
    with contextlib.ExitStack() as ends:
        # One of them has the number that is free, now or when the last call has ended.
        made = [ends.enter_context(end) for _ in range(3) for end in KINDS[kind].pair()]
        for _ in range(count):
            changes.get(timeout=support.PATIENCE)
        found = [sock.unread_bytes() for sock in made]
    if kind == "datagram":
        # It is not told that its peer has gone.
        one.shutdown(uds_cffi.SHUT_RD)
    return found


def drain(sock: Any) -> None:
    while blocked.data_of(sock.recv(4096)):
        pass
