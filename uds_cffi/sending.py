"""Sending, in the shapes that every type has.

Rules:
- Descriptors go with the first byte of a stream message.  After a short send they have gone, and nothing sends them
  twice; with no byte at all the kernel would throw them away, so that is refused.
- No send raises SIGPIPE: C sees to it (MSG_NOSIGNAL, or SO_NOSIGPIPE where there is no such flag).
"""

from __future__ import annotations

import errno

from .calls import (
    IOV_MAX,
    MSG_DONTWAIT,
    MSG_OOB,
    POLLOUT,
    SO_SNDTIMEO,
    check,
    get_timeout_or_code,
    readable,
    unsent_bytes,
)
from .calls import send as c_send
from .capabilities import require
from .connected import Connected
from .fds import Borrowed
from .flags import SEND, check_flags
from .message import Outgoing, check_ancillary, export, send_fds, send_ints
from .outofband import check_answer, check_out_of_band
from .vectors import join
from .waiting import deadline_of, is_over, try_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ._lib import CData
    from .address import UnixSocketAddr
    from .ancillary import SocketAncillary


_EAGAIN = -errno.EAGAIN
# Up to this size, in bytes, copying a buffer costs less than exporting it.
_COPIED = 4096


class Sending(Connected):
    """Connected sockets, able to send."""

    __slots__ = ()

    _stream = False
    # Whether a send to a full peer fails at once, although the kernel has a timeout for it.
    _sends_never_wait = False
    # The flags that a send of plain bytes takes.
    _send_mask = SEND

    def send(self, data: Any, flags: int = 0) -> int:
        """Send bytes (send(2)).

        Args:
            data: a contiguous bytes-like object.
            flags: MSG_DONTWAIT, MSG_EOR (int), on a stream MSG_OOB, which makes the last byte out-of-band data.

        Returns:
            How many bytes went (int): on a stream perhaps fewer than given, as a packet always all.  When fewer went
            with MSG_OOB, there is no out-of-band byte yet: send the rest with MSG_OOB too.

        Raises:
            TypeError, BufferError: the data is not bytes-like, or not contiguous.
            ValueError: flags that are not for this call; MSG_OOB without a byte.  The kernel was not asked.
            FeatureUnavailable: "out_of_band", for MSG_OOB where the build or the kernel has none.
            OSError: BrokenPipeError, ConnectionResetError, ...; EMSGSIZE for a packet larger than the send buffer
                allows; BlockingIOError, TimeoutError.
        """
        if flags == 0:
            kind = type(data)
            if kind is bytearray and len(data) <= _COPIED:
                data, kind = bytes(data), bytes
            if kind is bytes:
                sent = c_send(self._handle, data, len(data), self._send_flags)
                return sent if sent >= 0 else self._send(data, 0, sent)
        flags = check_flags(flags, self._send_mask)
        with export(data) as pointer:
            if flags & MSG_OOB:
                check_out_of_band(flags, len(pointer))
                sent = check_answer(self._send_code(pointer, flags))
            else:
                sent = self._send(pointer, flags)
        return sent

    def _send(self, data: Any, flags: int, sent: int | None = None) -> int:
        return check(self._send_code(data, flags, sent))

    def _send_code(self, data: Any, flags: int, sent: int | None = None) -> int:
        def attempt() -> int:
            return c_send(self._handle, data, len(data), self._send_flags | flags)

        return self._write_code(attempt, flags, result=sent)

    def try_send(self, data: Any, flags: int = 0) -> int | None:
        """Send bytes if that is possible at once: returns how many went, or None when the call would block.

        Otherwise as ``send()``.
        """
        if flags != 0:
            flags = check_flags(flags, self._send_mask)
        if flags & MSG_OOB:
            with export(data) as pointer:
                check_out_of_band(flags, len(pointer))
                sent = self._send_code(pointer, flags | MSG_DONTWAIT)
                return None if sent == _EAGAIN else check_answer(sent)
        if type(data) is not bytes:
            with readable(data) as pointer:
                return self._try_send(pointer, flags)
        return self._try_send(data, flags)

    def _try_send(self, data: Any, flags: int) -> int | None:
        flags |= self._always_sends | MSG_DONTWAIT
        return try_once(lambda: c_send(self._handle, data, len(data), flags))

    def send_vectored(self, buffers: Iterable[Any], flags: int = 0) -> int:
        """Send several buffers as one.

        This is sendmsg(2); a few small ones are copied for one send(2).

        Args:
            buffers: an iterable of contiguous bytes-like objects.
            flags: MSG_DONTWAIT, MSG_EOR (int).

        Returns:
            How many bytes went (int).  More than IOV_MAX buffers take several calls on a stream: only the first may
            fall short while the socket can wait, and an error after it ends with the number so far.

        Raises:
            ValueError: more than IOV_MAX buffers for a packet; the kernel was not asked.
            TypeError, BufferError, OSError: as for ``send()``.
        """
        if flags == 0:
            joined = join(buffers)
            if joined is not None:
                sent = c_send(self._handle, joined, len(joined), self._send_flags)
                return sent if sent >= 0 else self._send(joined, 0, sent)
        flags = check_flags(flags, SEND)
        with Outgoing(buffers) as message:
            return self._send_message(message, flags)

    def send_ancillary(self, buffers: Iterable[Any], ancillary: SocketAncillary, flags: int = 0) -> int:
        """Send several buffers as one, with ancillary data (sendmsg(2)).

        Args:
            buffers: an iterable of contiguous bytes-like objects.
            ancillary: what to send beside them; it is not cleared, and its descriptors stay the caller's.
            flags: MSG_DONTWAIT, MSG_EOR (int).

        Returns:
            How many bytes went (int).  The ancillary data went with the first of them: send the rest without it.

        Raises:
            ValueError: descriptors without a byte on a stream; an ancillary that holds what was received.
            OSError: PermissionError for credentials that are not the sender's; EBADF for a descriptor that is not
                open; EINVAL for malformed items; otherwise as for ``send()``.
        """
        flags = check_flags(flags, SEND)
        return self._send_ancillary(buffers, ancillary, flags, None)

    def _send_ancillary(
        self, buffers: Iterable[Any], ancillary: SocketAncillary, flags: int, addr: UnixSocketAddr | None
    ) -> int:
        check_ancillary(ancillary)
        ancillary._truncated = False
        with Outgoing(buffers, addr, ancillary) as message:
            if message.carries_fds:
                self._check_carrier(message.size)
            return self._send_message(message, flags)

    def _send_message(self, message: Outgoing, flags: int) -> int:
        if message.count > IOV_MAX and not self._stream:
            raise ValueError(f"{message.count} buffers are more than the {IOV_MAX} that one packet is sent from")
        if message.count <= IOV_MAX:
            return self._send_piece(message, flags)
        deadline = deadline_of(self._write_timeout)
        wanted = message.piece()
        total = sent = self._send_piece(message, flags, deadline)
        if sent < wanted:
            return sent
        message.advance(sent)
        while message.size and not is_over(deadline):
            sent = self._send_piece_code(message, flags, deadline)
            if sent < 0:
                # What went is reported; the next call meets the error again.
                break
            message.advance(sent)
            total += sent
        return total

    def _send_piece(self, message: Outgoing, flags: int, deadline: float | None = None) -> int:
        return check(self._send_piece_code(message, flags, deadline))

    def _send_piece_code(self, message: Outgoing, flags: int, deadline: float | None) -> int:
        def attempt() -> int:
            return message.attempt(self._handle, self._send_flags | flags)

        return self._write_code(attempt, flags, deadline)

    def send_fds(self, data: Any, fds: Iterable[Any], flags: int = 0) -> int:
        """Send bytes with descriptors (sendmsg(2), SCM_RIGHTS of unix(7)).

        Args:
            data: a contiguous bytes-like object; on a stream at least one byte.
            fds: an iterable of up to 253 ints and objects with ``fileno()``; they stay the caller's, and may be closed
                as soon as this returns.
            flags: MSG_DONTWAIT, MSG_EOR (int).

        Returns:
            How many bytes went (int).  The descriptors went with the first of them: send the rest without them.

        Raises:
            TypeError, ValueError: what is no descriptor; more than 253; none of the bytes on a stream.
            OSError: EBADF for a descriptor that is not open; PermissionError when the receiver refuses descriptors
                (``options.pass_rights``); OSError (ETOOMANYREFS) when too many are in flight; otherwise as for
                ``send()``.
        """
        if flags == 0 and data and type(data) is bytes and type(fds) is list:
            # What this call refuses is looked at again below, and gets the error that says what it is.
            sent = send_ints(self._handle, data, self._send_flags, fds)
            if sent >= 0:
                return sent
        flags = check_flags(flags, SEND)
        borrowed = Borrowed(fds)
        with export(data) as pointer:
            return self._send_with_fds(pointer, borrowed, flags)

    def _send_with_fds(
        self,
        pointer: CData,
        borrowed: Borrowed,
        flags: int,
        deadline: float | None = None,
        addr: UnixSocketAddr | None = None,
    ) -> int:
        size = len(pointer)
        if borrowed.numbers:
            self._check_carrier(size)

        def attempt() -> int:
            return send_fds(self._handle, pointer, size, self._send_flags | flags, addr, borrowed)

        return self._write(attempt, flags, deadline)

    def try_send_fds(self, data: Any, fds: Iterable[Any], flags: int = 0) -> int | None:
        """Send bytes with descriptors if that is possible at once: returns how many went, or None.

        Otherwise as ``send_fds()``; after None nothing went.
        """
        flags = check_flags(flags, SEND)
        borrowed = Borrowed(fds)
        flags |= self._always_sends | MSG_DONTWAIT
        with export(data) as pointer:
            size = len(pointer)
            if borrowed.numbers:
                self._check_carrier(size)
            return try_once(lambda: send_fds(self._handle, pointer, size, flags, None, borrowed))

    def unsent_bytes(self) -> int:
        """Return the memory that holds what the peer has not read yet, in bytes (int; SIOCOUTQ, Linux).

        It is what ``options.send_buffer`` limits, with the kernel's overhead: 768 for one byte on Linux 6.18, never the
        number of bytes.  0 means that the peer has read all, or has closed.

        Raises:
            FeatureUnavailable: "unsent_bytes", where the system does not tell.
            OSError: EBADF when closed.
        """
        require("unsent_bytes")
        return check(unsent_bytes(self._handle))

    def _check_carrier(self, size: int) -> None:
        if self._stream and not size:
            raise ValueError("descriptors need at least one byte of data on a stream: the kernel drops them otherwise")

    def _write(
        self, attempt: Callable[[], int], flags: int, deadline: float | None = None, result: int | None = None
    ) -> int:
        """Make an attempt to send, unless it was made, and bring it to its end."""
        return check(self._write_code(attempt, flags, deadline, result))

    def _write_code(
        self, attempt: Callable[[], int], flags: int, deadline: float | None = None, result: int | None = None
    ) -> int:
        """Do the same, but return -errno."""
        timeout = self._write_timeout
        if timeout is None and self._sends_never_wait:
            # The kernel's own timeout for that is kept here.
            microseconds = get_timeout_or_code(self._handle, SO_SNDTIMEO)
            timeout = microseconds / 1e6 if microseconds > 0 else None
        return self._finish(attempt, flags, deadline, result, timeout, POLLOUT, SO_SNDTIMEO, None)
