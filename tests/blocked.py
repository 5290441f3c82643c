"""Every call that can block, each in a state in which it does, and a timer that interrupts it.

Rules:
- A `Blocked` call waits until its `release()` has run; then it succeeds. `verify()` asserts that what it did was done
  exactly once: nothing is lost, and nothing went twice.
- A timer's handler is taken away with the timer, so that no signal reaches another test.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple

import pytest
import support

import uds_cffi
from uds_cffi import UnixDatagram, UnixListener, UnixSeqpacketConn, UnixSeqpacketListener, UnixStream

_TASKS = "/proc/self/task"
_HAS_TASKS = os.path.isdir(_TASKS)

KINDS = {"stream": UnixStream, "datagram": UnixDatagram, "seqpacket": UnixSeqpacketConn}
LISTENERS = {"stream": UnixListener, "seqpacket": UnixSeqpacketListener}
MARKS: dict[str, Any] = {"stream": (), "datagram": (), "seqpacket": support.needs("seqpacket")}


class Ticks:
    """A handler that counts, and does something at the third signal and at each one after it.

    By then the call has been interrupted twice at least and has gone on. A call that is never released fails after
    `PATIENCE` seconds instead of hanging.
    """

    def __init__(self, action: Callable[[], object] = lambda: None, interval: float = 0.002) -> None:
        self.count = 0
        self.action = action
        self.interval = interval
        self._busy = False

    def __call__(self, *_: object) -> None:
        if self._busy:
            # A slow action is itself interrupted, and does not begin anew.
            return
        self._busy = True
        try:
            self._tick()
        finally:
            self._busy = False

    def _tick(self) -> None:
        self.count += 1
        if self.count * self.interval > support.PATIENCE:
            raise AssertionError("the call does not end")
        # What the handler does goes wrong, and must not be mistaken for the failure of the call.
        assert uds_cffi.lib.uds_close(-1) < 0
        with contextlib.suppress(OSError):
            os.close(-1)
        if self.count >= 3:
            self.action()

    def __enter__(self) -> Ticks:
        self._previous = signal.signal(signal.SIGALRM, self)
        signal.setitimer(signal.ITIMER_REAL, self.interval, self.interval)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._previous)


class Blocked(NamedTuple):
    """A call, what lets it succeed, and what is true afterwards of its result; and the socket that it is made on."""

    call: Callable[[Any], Any]
    release: Callable[[], object]
    verify: Callable[[Any], object]
    sock: Any = None


def fill(send: Callable[[bytes], int]) -> int:
    """Send until the queue is full, and return how many bytes went."""
    size = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            size += send(b"z" * 32768)
    return size


# --- Receives -----------------------------------------------------------------------------------


def _into(sock: Any) -> bytes:
    buffer = bytearray(8)
    got = sock.recv_into(buffer)
    return bytes(buffer[: getattr(got, "nbytes", got)])


def _vectored(sock: Any) -> bytes:
    buffer = bytearray(8)
    got = sock.recv_vectored([buffer])
    return bytes(buffer[: getattr(got, "nbytes", got)])


def _ancillary(sock: Any) -> bytes:
    with uds_cffi.SocketAncillary(64) as ancillary:
        data: bytes = sock.recv_ancillary(8, ancillary).data
    return data


def _peek(sock: Any) -> bytes:
    data: bytes = sock.peek(8)[:4] if isinstance(sock, UnixStream) else sock.peek(8).data
    assert sock.try_recv(8) is not None
    return data


def _batch(sock: Any) -> bytes:
    data: bytes
    (data,) = sock.recv_batch(64, 8).data
    return data


def _batch_of_all(sock: Any) -> bytes:
    with sock.recv_batch(64, 8, max_fds=1, addresses=True) as batch:
        (packet,) = batch
    data: bytes = packet.data
    return data


RECEIVES: dict[str, dict[str, Callable[[Any], bytes]]] = {
    "stream": {
        "recv": lambda sock: sock.recv(8),
        "recv_large": lambda sock: sock.recv(2**20),
        "recv_waitall": lambda sock: sock.recv(4, uds_cffi.MSG_WAITALL),
        "recv_into": _into,
        "recv_vectored": _vectored,
        "recv_exactly": lambda sock: sock.recv_exactly(4),
        "recv_fds": lambda sock: sock.recv_fds(8, 1)[0],
        "recv_ancillary": _ancillary,
        "peek": _peek,
    },
    "seqpacket": {
        "recv": lambda sock: sock.recv(8).data,
        "recv_large": lambda sock: sock.recv(2**20).data,
        "recv_into": _into,
        "recv_vectored": _vectored,
        "recv_packet": lambda sock: sock.recv_packet(),
        "recv_batch": _batch,
        "recv_batch_of_all": _batch_of_all,
        "recv_fds": lambda sock: sock.recv_fds(8, 1).data,
        "recv_ancillary": _ancillary,
        "peek": _peek,
    },
    "datagram": {
        "recv": lambda sock: sock.recv(8).data,
        "recv_into": _into,
        "recv_packet": lambda sock: sock.recv_packet(),
        "recv_batch": _batch,
        "recv_batch_of_all": _batch_of_all,
        "recv_from": lambda sock: sock.recv_from(8).data,
        "recv_fds_from": lambda sock: sock.recv_fds_from(8, 1).data,
        "recv_ancillary": _ancillary,
    },
}


@contextlib.contextmanager
def _receiving(kind: str, name: str, _path: str) -> Iterator[Blocked]:
    one, two = KINDS[kind].pair()
    sent: list[int] = []
    with one, two:

        def call(timeout: float | None) -> bytes:
            two.set_read_timeout(timeout)
            return RECEIVES[kind][name](two)

        def release() -> None:
            # Once, however many signals come before the call has returned.
            if not sent:
                sent.append(one.send(b"data"))

        def verify(data: bytes) -> None:
            assert data == b"data"
            assert two.try_recv(8) is None

        yield Blocked(call, release, verify, two)


# --- Sends --------------------------------------------------------------------------------------


def _send_ancillary(sock: Any) -> Any:
    with uds_cffi.SocketAncillary.with_room_for(fds=1) as ancillary:
        ancillary.add_fds([0])
        return sock.send_ancillary([b"pay", b"load"], ancillary)


SENDS: dict[str, Callable[[Any], Any]] = {
    "send": lambda sock: sock.send(b"payload"),
    "send_bytearray": lambda sock: sock.send(bytearray(b"payload")),
    "send_vectored": lambda sock: sock.send_vectored([b"pay", b"load"]),
    "send_fds": lambda sock: sock.send_fds(b"payload", [0]),
    "send_ancillary": _send_ancillary,
}
PACKET_SENDS: dict[str, Callable[[Any], Any]] = {
    **SENDS,
    "send_batch": lambda sock: sock.send_batch([b"pay", b"load"]),
    "send_batch_fds": lambda sock: sock.send_batch([b"pay", b"load"], fds=[[0], None]),
}
STREAM_SENDS: dict[str, Callable[[Any], Any]] = {
    **SENDS,
    "sendall": lambda sock: sock.sendall(b"payload"),
    "sendall_vectored": lambda sock: sock.sendall_vectored([b"pay", b"load"]),
    "sendall_fds": lambda sock: sock.sendall_fds(b"payload", [0]),
}
SENDS_TO: dict[str, Callable[[Any, Any], Any]] = {
    "send_to": lambda sock, path: sock.send_to(b"payload", path),
    "send_vectored_to": lambda sock, path: sock.send_vectored_to([b"pay", b"load"], path),
    "send_fds_to": lambda sock, path: sock.send_fds_to(b"payload", [0], path),
    "send_batch_to": lambda sock, path: sock.send_batch_to([b"pay", b"load"], path),
}


class _Arrivals:
    """All that arrives at a socket: bytes, and how many descriptors."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.data = b""
        self.fds = 0

    def drain(self) -> None:
        while True:
            got = self._sock.try_recv_fds(65536, 253)
            if got is None:
                return
            fds = got[-1]
            self.data += got[0]
            self.fds += len(fds)
            fds.close()


def _sent(sock: Any, receiver: Any, filled: int, name: str, write: Callable[[], Any]) -> Blocked:
    arrivals = _Arrivals(receiver)

    def call(timeout: float | None) -> Any:
        sock.set_write_timeout(timeout)
        return write()

    def verify(result: Any) -> None:
        assert result == (None if name.startswith("sendall") else 2 if "batch" in name else 7)
        arrivals.drain()
        assert arrivals.data[filled:] == b"payload"
        assert arrivals.fds == (1 if "fds" in name or "ancillary" in name else 0)

    return Blocked(call, arrivals.drain, verify, sock)


@contextlib.contextmanager
def _sending(kind: str, name: str, _path: str) -> Iterator[Blocked]:
    one, two = KINDS[kind].pair()
    with one, two:
        filled = fill(lambda data: one.send(data, uds_cffi.MSG_DONTWAIT))
        yield _sent(one, two, filled, name, lambda: {**PACKET_SENDS, **STREAM_SENDS}[name](one))


@contextlib.contextmanager
def _sending_to(_kind: str, name: str, path: str) -> Iterator[Blocked]:
    with UnixDatagram.unbound() as sender, UnixDatagram.bind(path) as receiver:
        filled = fill(lambda data: sender.send_to(data, path, uds_cffi.MSG_DONTWAIT))
        yield _sent(sender, receiver, filled, name, lambda: SENDS_TO[name](sender, path))


# --- Connections --------------------------------------------------------------------------------


def foreign_listener(kind: str, path: str, backlog: int = 8) -> socket.socket:
    """Make a listener that blocks in the kernel, as other programs do."""
    sock = socket.socket(socket.AF_UNIX, KINDS[kind]._kind)
    sock.bind(path)
    sock.listen(backlog)
    return sock


@contextlib.contextmanager
def _accepting(kind: str, name: str, path: str) -> Iterator[Blocked]:
    clients: list[Any] = []
    if name == "accept_adopted":
        listener = LISTENERS[kind].from_fd(foreign_listener(kind, path).detach())
    else:
        listener = LISTENERS[kind].bind(path)

    def call(timeout: float | None) -> Any:
        listener.set_timeout(timeout)
        return listener.accept()

    def release() -> None:
        if not clients:
            clients.append(KINDS[kind].connect(path))

    def verify(result: Any) -> None:
        with result[0], clients[0]:
            clients[0].send(b"hello")
            assert RECEIVES[kind]["recv"](result[0]) == b"hello"
        assert listener.try_accept() is None

    with listener:
        yield Blocked(call, release, verify, listener)


@contextlib.contextmanager
def _connecting(kind: str, _name: str, path: str) -> Iterator[Blocked]:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(foreign_listener(kind, path, 1))
        waiting = 0
        # How many a backlog admits is for the system, and for PyPy's listen(), to say.
        with contextlib.suppress(BlockingIOError):
            while True:
                stack.enter_context(KINDS[kind].connect(path, nonblocking=True))
                waiting += 1
        accepted: list[socket.socket] = []

        def release() -> None:
            if not accepted:
                accepted.append(stack.enter_context(listener.accept()[0]))

        def verify(client: Any) -> None:
            with client:
                client.send(b"hello")
                while len(accepted) <= waiting:
                    accepted.append(stack.enter_context(listener.accept()[0]))
                assert accepted[-1].recv(5) == b"hello"

        yield Blocked(lambda timeout: KINDS[kind].connect(path, timeout=timeout), release, verify)


# --- The table ----------------------------------------------------------------------------------

_Maker = Callable[[str, str, str], Any]


def _table() -> Iterator[tuple[str, str, _Maker]]:
    for kind, receives in RECEIVES.items():
        for name in receives:
            yield kind, name, _receiving
        for name in STREAM_SENDS if kind == "stream" else PACKET_SENDS:
            yield kind, name, _sending
    for name in SENDS_TO:
        yield "datagram", name, _sending_to
    for kind in LISTENERS:
        yield kind, "accept", _accepting
        yield kind, "accept_adopted", _accepting
        yield kind, "connect", _connecting


def blocking_calls(*names: str) -> pytest.MarkDecorator:
    """Parametrize a test over all blocking calls, or over those that are named "kind-call"."""
    rows = {f"{kind}-{name}": (kind, name, make) for kind, name, make in _table()}
    return pytest.mark.parametrize(
        "make_blocked",
        [
            pytest.param(lambda path, row=rows[key]: row[2](row[0], row[1], path), id=key, marks=MARKS[rows[key][0]])
            for key in names or rows
        ],
    )


def _sleepers() -> dict[str, str]:
    """Return the threads of this process that sleep in the kernel, and how often each has done so (proc(5))."""
    found = {}
    for name in os.listdir(_TASKS):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"{_TASKS}/{name}/status") as file:
            fields = dict(line.split(":\t", 1) for line in file)
            if fields["State"].startswith("S"):
                found[name] = fields["voluntary_ctxt_switches"]
    return found


def running(sock: Any) -> int | None:
    """Count the calls that sleep on a socket; None when one has begun and does not sleep, or not yet.

    A thread that sleeps before and after the count, and did not wake in between, has slept while it was in the call: it
    waits for the interpreter's lock outside of calls only. Where the system does not tell, calls that have begun count.
    """
    before = _sleepers() if _HAS_TASKS else {}
    count = uds_cffi.lib.uds_handle_users(sock._handle)
    if _HAS_TASKS:
        after = _sleepers()
        if sum(after.get(thread) == switches for thread, switches in before.items()) < count:
            return None
    return count


def data_of(got: Any) -> bytes:
    """Return the bytes of a receive, whatever shape the type gives them."""
    return got if isinstance(got, bytes) else got.data
