"""Streams: sending all there is, however many system calls it takes.

Rules:
- An OSError says how much went before it, also one that a signal handler raises.
- No loop is written inside a ``try``: CPython 3.13.0 leaves the jump back to the beginning of some loops out of the
  ``try`` around them, and may run a signal handler there.  A function that loops is called there instead.
"""

from __future__ import annotations

from .calls import MSG_OOB, check
from .calls import send as c_send
from .fds import Borrowed
from .flags import SEND, SEND_STREAM, check_flags
from .message import Outgoing, export
from .outofband import check_answer, check_out_of_band
from .sending import Sending
from .waiting import deadline_of, remaining

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ._lib import CData


class SendingAll(Sending):
    """Base of what sends bytes without boundaries."""

    __slots__ = ()

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of the data; the timeout is the total.  With MSG_OOB its last byte is out-of-band data.

        Raises:
            OSError: as for ``send()``, with ``sent`` (int), how many bytes went before it.
            TypeError, BufferError: as for ``send()``.
        """
        first = None
        if flags == 0 and type(data) is bytes and data:
            # The commonest: all goes at once, with as few steps as there are.
            try:
                first = c_send(self._handle, data, len(data), self._send_flags)
                if first == len(data):
                    return
            except OSError as problem:
                # A signal handler's.
                problem.sent = max(first or 0, 0)  # type: ignore[attr-defined]
                raise
        flags = check_flags(flags, SEND_STREAM)
        with export(data) as memory:
            size, deadline = len(memory), deadline_of(self._write_timeout)
            if flags & MSG_OOB:
                check_out_of_band(flags, size)
            # A short send has no out-of-band byte yet, so the flag goes with each piece.
            self._send_rest(memory, size, flags, 0, deadline, first)

    def _send_rest(
        self, memory: CData, size: int, flags: int, sent: int, deadline: float | None, result: int | None = None
    ) -> None:
        """Send what is left, of which the first attempt may have been made."""

        def attempt() -> int:
            return c_send(self._handle, memory + sent, size - sent, self._send_flags | flags)

        def send() -> None:
            nonlocal sent, result
            while sent < size:
                if sent and deadline is not None:
                    remaining(deadline)
                count = self._write_code(attempt, flags, deadline, result)
                sent += check_answer(count) if flags & MSG_OOB else check(count)
                result = None

        try:
            self._check_open()
            send()
        except OSError as problem:
            problem.sent = sent  # type: ignore[attr-defined]
            raise

    def sendall_vectored(self, buffers: Iterable[Any], flags: int = 0) -> None:
        """Send all of several buffers; otherwise as ``sendall()``."""
        flags = check_flags(flags, SEND)
        deadline = deadline_of(self._write_timeout)
        with Outgoing(buffers) as message:
            size = message.size
            try:
                self._check_open()
                self._send_pieces(message, flags, deadline)
            except OSError as problem:
                problem.sent = size - message.size  # type: ignore[attr-defined]
                raise

    def _send_pieces(self, message: Outgoing, flags: int, deadline: float | None) -> None:
        begun = False
        while message.size:
            if begun and deadline is not None:
                remaining(deadline)
            message.advance(self._send_piece(message, flags, deadline))
            begun = True

    def sendall_fds(self, data: Any, fds: Iterable[Any], flags: int = 0) -> None:
        """Send all of the data, with descriptors at its first byte; the timeout is the total.

        Raises:
            OSError: as for ``send_fds()``, with ``sent`` (int); when it is not 0 the descriptors have gone.
            TypeError, ValueError: as for ``send_fds()``.
        """
        flags = check_flags(flags, SEND)
        deadline = deadline_of(self._write_timeout)
        borrowed = Borrowed(fds)
        with export(data) as memory:
            try:
                sent = self._send_with_fds(memory, borrowed, flags, deadline)
            except OSError as problem:
                problem.sent = 0  # type: ignore[attr-defined]
                raise
            self._send_rest(memory, len(memory), flags, sent, deadline)
