"""No send ever raises SIGPIPE.

Python ignores SIGPIPE, so the tests run in children that have it back at its default, which kills.
"""

from __future__ import annotations

import signal
from typing import Any

import pytest
import support

from uds_cffi import SHUT_WR, SocketAncillary, UnixDatagram, UnixStream

STREAM: dict[str, Any] = {
    "send": lambda sock, _: sock.send(b"x"),
    "send a view": lambda sock, _: sock.send(memoryview(b"x")),
    "try_send": lambda sock, _: sock.try_send(b"x"),
    "send_vectored": lambda sock, _: sock.send_vectored([b"x", b"y"]),
    "send_fds": lambda sock, _: sock.send_fds(b"x", [0]),
    "try_send_fds": lambda sock, _: sock.try_send_fds(b"x", [0]),
    "send_ancillary": lambda sock, ancillary: sock.send_ancillary([b"x"], ancillary),
    "with a timeout": lambda sock, _: (sock.set_write_timeout(5.0), sock.send(b"x")),
}
ONLY_STREAM: dict[str, Any] = {
    "sendall": lambda sock, _: sock.sendall(b"x"),
    "sendall_vectored": lambda sock, _: sock.sendall_vectored([b"x"] * 3000),
    "send_vectored in pieces": lambda sock, _: sock.send_vectored([b"x"] * 3000),
    "sendall_fds": lambda sock, _: sock.sendall_fds(b"x", [0]),
    "makefile": lambda sock, _: sock.makefile("wb", 0).write(b"x"),
}


def each_breaks(sock: Any) -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    ways = STREAM if not isinstance(sock, UnixStream) else {**STREAM, **ONLY_STREAM}
    for name, send in ways.items():
        with SocketAncillary(64) as ancillary:
            ancillary.add_fds([0])
            try:
                send(sock, ancillary)
            except BrokenPipeError:
                continue
        raise AssertionError(f"{name} did not fail")


@pytest.mark.parametrize("kind", support.TYPES)
def test_broken_pipe_without_a_signal(kind: Any) -> None:
    """After the own end was shut down every way to send raises BrokenPipeError, and the process lives."""
    one, two = kind.pair()
    with one, two:
        one.shutdown(SHUT_WR)
        support.run_child(each_breaks, one)


def test_peer_that_left() -> None:
    """After the peer closed every way to send on a stream raises BrokenPipeError, and the process lives."""
    one, two = UnixStream.pair()
    two.close()
    with one:
        support.run_child(each_breaks, one)


def test_datagram_to_an_address(socket_path: str) -> None:
    """Sending to an address raises no signal either."""
    with UnixDatagram.bind(socket_path) as target, UnixDatagram.unbound() as sock:
        sock.shutdown(SHUT_WR)

        def send_to() -> None:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            ancillary = SocketAncillary(64)
            for send in (
                lambda: sock.send_to(b"x", socket_path),
                lambda: sock.send_vectored_to([b"x"], socket_path),
                lambda: sock.send_fds_to(b"x", [0], socket_path),
                lambda: sock.send_ancillary_to([b"x"], ancillary, socket_path),
            ):
                with pytest.raises(BrokenPipeError):
                    send()

        support.run_child(send_to)
        assert target.try_recv(1) is None


def test_signal_would_kill() -> None:
    """The proof that the children above are in danger: a write(2) kills one."""

    def write() -> None:
        import os

        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.write(one.fileno(), b"x")

    one, two = UnixStream.pair()
    two.close()
    with one, pytest.raises(AssertionError, match="killed by SIGPIPE"):
        support.run_child(write)
