"""Many threads on one socket, at the same moment: on free-threaded CPython (PEP 703) they run truly side by side.

Rule: every test here runs on every interpreter; what it finds on one without a global lock is a mistake on all of them,
because a lock that is handed on between any two bytecodes protects no sequence of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import sys
import sysconfig
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any, Callable

import blocked
import pytest
import support
from blocked import KINDS, MARKS

import uds_cffi
from uds_cffi import FramedStream, OwnedFd, SocketAncillary, UnixDatagram, UnixStream

EACH_KIND = pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS[kind]) for kind in KINDS])

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

# As many as make each other wait on a machine with few processors, and as many messages as take each a short while.
CROWD = 4
EACH = 150
SIZE = 24


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """Let an interpreter with a global lock hand it on as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(*functions: Callable[[], Any]) -> list[Any]:
    """Run functions in threads that begin at the same moment, and return what each returns."""
    meeting = threading.Barrier(len(functions))

    def begin(function: Callable[[], Any]) -> Any:
        meeting.wait(support.PATIENCE)
        return function()

    with contextlib.ExitStack() as threads:
        outcomes = [threads.enter_context(support.in_thread(begin, function)) for function in functions]
    return [outcome[0] for outcome in outcomes]


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


def test_first_use_by_all_at_once():
    """Threads that use the library for the first time at the same moment each find all of it."""
    program = """
import sys, threading, uds_cffi
names = sorted(uds_cffi.__all__)
meeting = threading.Barrier(6)
failures = []

def use(turn):
    meeting.wait()
    try:
        for name in names[turn:] + names[:turn]:
            getattr(uds_cffi, name)
        one, two = uds_cffi.UnixStream.pair(options={"send_buffer": 65536})
        with one, two:
            one.send_fds(b"x", [0])
            two.recv_fds(1, 1)[1].close()
            two.local_addr().path, repr(two.options), uds_cffi.UnixSocketAddr.from_uri("unix:/x")
    except BaseException as problem:
        failures.append(problem)

sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=use, args=(9 * turn,)) for turn in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(failures)
"""
    assert support.python("-W", "error", "-c", program).strip() == "[]"


# --- Sending and receiving ----------------------------------------------------------------------


def record(sender: int, number: int) -> bytes:
    return b"%04d %06d" % (sender, number) + b"." * (SIZE - 11)


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


# --- Owners -------------------------------------------------------------------------------------


def test_one_descriptor_many_takers():
    """Of threads that detach, close or move the same descriptor at once one gets it, and the others are told."""
    outcomes = Counter()
    for _ in range(EACH):
        read, write = os.pipe()
        os.close(write)
        owned = OwnedFd(read)

        def detach(owned: OwnedFd = owned) -> int:
            try:
                return owned.detach()
            except OSError as problem:
                return -problem.errno

        numbers = together(*[detach] * CROWD)
        taken = [number for number in numbers if number >= 0]
        assert taken == [read]
        os.close(read)
        outcomes.update(number for number in numbers if number < 0)
    assert set(outcomes) == {-errno.EBADF}


def test_sets_of_descriptors_share_their_slots():
    """Threads that receive and close sets of descriptors use the same slots again and again; none closes another's."""

    def work() -> int:
        one, two = UnixStream.pair()
        with one, two:
            for _ in range(EACH):
                one.send_fds(b"x", [one, two])
                _, fds = two.recv_fds(1, 2)
                kept = fds[1]
                assert [support.is_open(number) for number in fds.numbers()] == [True, True]
                fds.close()
                fds.close()
                assert support.is_open(kept.fileno())
                kept.close()
        return EACH

    assert together(*[work] * CROWD) == [EACH] * CROWD


# --- Batches and frames -------------------------------------------------------------------------


def test_batches_of_many_threads():
    """Batches that threads send and receive on the same two sockets lose no packet, and bring none twice."""
    one, two = UnixDatagram.pair()
    two.set_read_timeout(support.PATIENCE)

    def send(sender: int) -> None:
        for first in range(0, EACH, 10):
            packets = [record(sender, number) for number in range(first, first + 10)]
            while packets:
                del packets[: one.send_batch(packets)]

    def receive() -> list[bytes]:
        got: list[bytes] = []
        while True:
            with two.recv_batch(16, SIZE) as batch:
                got += [data for data in batch.data if not data.startswith(b"the end")]
                ends = len(batch.data) - len([data for data in batch.data if not data.startswith(b"the end")])
            for _ in range(ends - 1):
                # Another thread's.
                one.send(b"the end")
            if ends:
                return got

    with one, two, contextlib.ExitStack() as threads:
        outcomes = [threads.enter_context(support.in_thread(receive)) for _ in range(CROWD)]
        together(*[lambda sender=sender: send(sender) for sender in range(CROWD)])
        for _ in outcomes:
            one.send(b"the end")
        threads.close()
    got = Counter(data for outcome in outcomes for data in outcome[0])
    assert got == Counter(record(sender, number) for sender in range(CROWD) for number in range(EACH))


def test_frames_of_many_receivers():
    """Several threads receive on one FramedStream: some are refused, and each message comes out of exactly one call."""
    one, two = UnixStream.pair()
    two.set_read_timeout(support.PATIENCE)
    # More of a kind than one receive takes, and of lengths that change.
    messages = [b"%06d" % number * (1 + number % 7) for number in range(6 * EACH)]
    done = threading.Event()

    def receive(call: Callable[[], list[bytes] | None]) -> list[bytes]:
        got: list[bytes] = []
        while not done.is_set():
            try:
                found = call()
            except OSError as problem:
                if problem.errno != errno.EBUSY:
                    raise
                continue
            if found is None:
                continue
            got += found
            if b"the end" in found:
                done.set()
        return got

    with FramedStream(one) as sending, FramedStream(two) as receiving:

        def send() -> list[bytes]:
            for place in range(0, len(messages), 5):
                sending.send_messages(messages[place : place + 5])
            sending.send_message(b"the end")
            return []

        found = together(send, *[partial(receive, receiving.try_recv_messages)] * CROWD)
    assert Counter(data for got in found for data in got) == Counter([*messages, b"the end"])
