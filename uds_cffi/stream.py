"""Streams: a connection of bytes without boundaries.

Rule: nothing is lost silently.  What takes several calls reports how far it got, in the error that ended it.
"""

from __future__ import annotations

import errno

from .calls import (
    IOV_MAX,
    MSG_DONTWAIT,
    MSG_OOB,
    MSG_PEEK,
    MSG_WAITALL,
    SOCK_STREAM,
    check,
    from_buffer,
    receive,
    release,
    writable,
)
from .calls import recv as c_recv
from .errors import IncompleteReadError, error
from .flags import PEEK, RECV_MESSAGE, RECV_STREAM, SEND_STREAM, TRY_STREAM, check_flags
from .listener import Listener
from .message import check_list
from .once import once
from .outofband import OutOfBand, check_answer, check_out_of_band
from .receiver import Receiver, adapt, borrow_receiver, check_size, give_small, return_receiver, take_small
from .receiving import Receiving
from .sendingall import SendingAll
from .unbatched import Unbatched
from .vectors import scatter, small_size
from .waiting import deadline_of, is_over, try_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO, Any

    from ._lib import CData
    from .fds import OwnedFds


def _check_stream_flags(flags: int, size: int) -> int:
    flags = check_flags(flags, RECV_STREAM)
    if flags & MSG_OOB:
        check_out_of_band(flags, size)
    if flags & MSG_WAITALL and flags & MSG_PEEK:
        raise ValueError("MSG_WAITALL with MSG_PEEK: what is peeked stays in the queue, so it cannot be waited for")
    return flags


# The errors that stand for nothing but time: the kernel will not forget them.
_WAITS = (errno.EAGAIN, errno.ETIMEDOUT)


@once
def _open_stream() -> Callable[..., IO[Any]]:
    from .streamfile import open_stream

    return open_stream


class UnixStream(Unbatched, OutOfBand, SendingAll, Receiving):
    """A stream socket that is connected (unix(7), SOCK_STREAM).

    Made by ``connect``, ``pair``, ``UnixListener.accept``, ``from_fd``, ``from_stdlib`` and ``borrow``; a context
    manager. ``recv``, ``recv_into``, ``recv_vectored``, ``recv_exactly`` and ``peek`` discard ancillary data,
    descriptors included, as recv(2) does; ``options.pass_rights = False`` refuses descriptors altogether.
    """

    __slots__ = ()

    _kind = SOCK_STREAM
    _role = "stream"
    _stream = True
    _send_mask = SEND_STREAM

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive at most ``size`` bytes (recv(2)); ancillary data is discarded.

        Args:
            size: in bytes (int).  With 0 it waits until there is something, and takes nothing.
            flags: MSG_PEEK, MSG_DONTWAIT, MSG_WAITALL, MSG_OOB (int).  MSG_OOB takes the out-of-band byte alone,
                wherever it is, and never waits for one.

        Returns:
            bytes; b"" at the end of the connection.  A receive ends before an out-of-band byte, and one that begins
            at it throws it away; ``at_mark()`` tells.

        Raises:
            TypeError, ValueError: bad arguments; the kernel was not asked.
            FeatureUnavailable: "out_of_band", for MSG_OOB where the build or the kernel has none.
            OSError: ConnectionResetError, BlockingIOError, TimeoutError, ...; EINVAL for MSG_OOB when there is no
                out-of-band byte, or ``options.oob_inline`` is on.  With MSG_WAITALL a timeout after some
                bytes returns those, and another error has them in ``partial`` (bytes).
        """
        if flags != 0:
            flags = _check_stream_flags(flags, size)
            if flags & MSG_WAITALL:
                return self._recv_whole(size, flags)
            if flags & MSG_OOB:
                # There is one such byte at most.
                byte = bytearray(min(check_size(size), 1))
                return bytes(byte[: self.recv_into(byte, flags)])
            return self._receive(receive, size, flags)[0]
        try:
            receiver = take_small()
        except IndexError:
            receiver = Receiver(0)
        if (receiver.token is not self._token or receiver.size is not size) and not adapt(
            receiver, self._token, self._handle, size, self._recv_flags
        ):
            return self._receive(receive, size, 0)[0]
        count = receive(receiver.c)
        if count < 0:
            count = self._finish_receive(receive, receiver, 0, count)
        data: bytes = receiver.view[:count]
        give_small(receiver)
        return data

    def _recv_whole(self, size: int, flags: int, *, exactly: bool = False) -> bytes:
        """Receive until ``size`` bytes are there; less at the end, or, unless ``exactly``, when it would wait."""
        receiver = borrow_receiver(check_size(size))
        count, code = self._fill(receiver.memory, size, flags)
        data: bytes = receiver.view[:count]
        return_receiver(receiver)
        if code and (exactly or not count or code not in _WAITS):
            problem = error(code)
            problem.partial = data  # type: ignore[attr-defined]
            raise problem
        return data

    def _recv_once(self, memory: CData, size: int, flags: int, deadline: float | None, result: int | None) -> int:
        def attempt() -> int:
            return c_recv(self._handle, memory, size, self._recv_flags | flags)

        return self._read_code(attempt, flags, deadline, result)

    def _fill(self, memory: CData, size: int, flags: int) -> tuple[int, int]:
        """Receive until memory is full or the connection ends: how far it got, and the errno that stopped it or 0."""
        deadline = deadline_of(self._read_timeout)
        # The kernel's own MSG_WAITALL ends at a signal, and swallows an error that follows some bytes.
        flags &= ~MSG_WAITALL
        done = 0
        self._check_open()
        while done < size:
            if done and is_over(deadline):
                return done, errno.ETIMEDOUT
            count = self._recv_once(memory + done, size - done, flags, deadline, None)
            if count <= 0:
                return done, -count
            done += count
        return done, 0

    def try_recv(self, size: int, flags: int = 0) -> bytes | None:
        """Receive what is there: bytes, b"" at the end, or None if nothing; with MSG_OOB as ``recv()``."""
        if flags != 0:
            flags = check_flags(flags, TRY_STREAM)
            if flags & MSG_OOB:
                return self.recv(size, flags)
        received = self._try_receive(receive, size, flags)
        return None if received is None else received[0]

    def recv_into(self, buffer: Any, flags: int = 0) -> int:
        """Receive into a writable contiguous buffer, as much as fits; ancillary data is discarded.

        Returns:
            How many bytes were written (int), 0 at the end of the connection.

        Raises:
            TypeError, BufferError: the buffer is read-only, or not contiguous.
            ValueError, OSError: as for ``recv()``, and the same flags; with MSG_WAITALL an error after some bytes has
                ``nbytes`` (int), how many are in the buffer.
        """
        count = None
        if flags != 0:
            flags = check_flags(flags, RECV_STREAM)
        elif type(buffer) is bytearray and buffer:
            # The commonest buffer is always writable and contiguous.
            memory = from_buffer(buffer)
            try:
                count = c_recv(self._handle, memory, len(buffer), self._recv_flags)
            finally:
                # Neither a traceback nor an interpreter that counts no references may keep the buffer's size fixed.
                release(memory)
            if count >= 0:
                return count
        with writable(buffer) as memory:
            if flags and _check_stream_flags(flags, len(memory)) & MSG_OOB:
                count = check_answer(self._recv_once(memory, len(memory), flags, None, None))
            elif flags & MSG_WAITALL:
                count, code = self._fill(memory, len(memory), flags)
                if code and not (count and code in _WAITS):
                    problem = error(code)
                    problem.nbytes = count  # type: ignore[attr-defined]
                    raise problem
            else:
                count = check(self._recv_once(memory, len(memory), flags, None, count))
        return count

    def try_recv_into(self, buffer: Any, flags: int = 0) -> int | None:
        """Receive what is there into a buffer: how many bytes, or None; with MSG_OOB as ``recv_into()``."""
        flags = check_flags(flags, TRY_STREAM)
        if flags & MSG_OOB:
            return self.recv_into(buffer, flags)
        with writable(buffer) as memory:
            return try_once(lambda: c_recv(self._handle, memory, len(memory), flags | MSG_DONTWAIT))

    def recv_exactly(self, size: int, flags: int = 0) -> bytes:
        """Receive exactly ``size`` bytes (int); ancillary data is discarded.  The timeout is the total.

        The flags are MSG_DONTWAIT or 0 (int).

        Raises:
            IncompleteReadError: the connection ended before; it has ``partial`` and ``expected``.
            OSError: BlockingIOError, TimeoutError, ConnectionResetError, ..., with ``partial`` (bytes), what had
                arrived.
        """
        data = self._recv_whole(size, check_flags(flags, MSG_DONTWAIT), exactly=True)
        if len(data) < size:
            raise IncompleteReadError(data, size)
        return data

    def recv_vectored(self, buffers: Iterable[Any], flags: int = 0) -> int:
        """Receive into several writable buffers, one after the other; ancillary data is discarded.

        This is recvmsg(2); a few small bytearrays are filled after one recv(2).

        More than IOV_MAX of them take several calls, of which only the first waits.

        Args:
            buffers: an iterable of writable contiguous buffers.
            flags: MSG_PEEK, MSG_DONTWAIT (int).  A peek fills at most IOV_MAX buffers.

        Returns:
            How many bytes were written (int), 0 at the end of the connection.

        Raises:
            TypeError, BufferError, ValueError, OSError: as for ``recv_into()``; an error of a further call has
                ``nbytes`` (int), how many bytes are in the buffers.
        """
        if flags != 0:
            flags = check_flags(flags, RECV_MESSAGE)
        size = small_size(buffers)
        if size is not None:
            data = self.recv(size, flags)
            scatter(data, buffers)
            return len(data)
        check_list(buffers)
        pieces = list(buffers)
        if len(pieces) <= IOV_MAX:
            return self._recv_scattered(pieces, flags)[0]
        total, _, room, _ = self._recv_scattered(pieces[:IOV_MAX], flags)
        start = IOV_MAX
        full = total == room and not flags & MSG_PEEK
        while full and start < len(pieces):
            piece = pieces[start : start + IOV_MAX]
            try:
                count, _, room, _ = self._recv_scattered(piece, flags | MSG_DONTWAIT, -errno.EAGAIN)
            except OSError as problem:
                # The kernel has forgotten the error, so it is reported now, with what came before it.
                problem.nbytes = total  # type: ignore[attr-defined]
                raise
            if count < 0:
                break
            total += count
            start += IOV_MAX
            full = count == room
        return total

    def peek(self, size: int, flags: int = 0) -> bytes:
        """Receive at most ``size`` bytes that stay in the queue (MSG_PEEK of recv(2)); otherwise as ``recv()``."""
        return self.recv(size, check_flags(flags, PEEK & RECV_MESSAGE) | MSG_PEEK)

    def peek_vectored(self, buffers: Iterable[Any], flags: int = 0) -> int:
        """Fill several buffers with bytes that stay in the queue; otherwise as ``recv_vectored()``."""
        return self.recv_vectored(buffers, check_flags(flags, PEEK & RECV_MESSAGE) | MSG_PEEK)

    def recv_fds(self, size: int, max_fds: int, flags: int = 0) -> tuple[bytes, OwnedFds]:
        """Receive bytes and the descriptors that came with them (recvmsg(2)).

        There is always room for 253 descriptors and for every other control message, which is discarded.

        Args:
            size: at most how many bytes (int).
            max_fds: how many descriptors are wanted, 0 to 253 (int).
            flags: MSG_PEEK, MSG_DONTWAIT (int).  A peek duplicates the descriptors each time.

        Returns:
            The bytes, and an OwnedFds, close-on-exec, that owns the descriptors.

        Raises:
            AncillaryTruncated: descriptors were lost: more than ``max_fds`` came, and those were closed, or the kernel
                dropped some; it has ``data``, ``fds`` and ``lost``.
            TypeError, ValueError, OSError: as for ``recv()``.
        """
        data, _, fds = self._recv_with_fds(size, max_fds, flags)
        return data, fds

    def try_recv_fds(self, size: int, max_fds: int, flags: int = 0) -> tuple[bytes, OwnedFds] | None:
        """Receive bytes and descriptors if there are any: otherwise None; the rest is as for ``recv_fds()``."""
        received = self._try_recv_with_fds(size, max_fds, flags)
        return None if received is None else (received[0], received[2])

    def makefile(
        self,
        mode: str = "r",
        buffering: int | None = None,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Make a file object that reads and writes the stream, as ``socket.makefile()`` does.

        Args:
            mode: "r", "w" or "rw", with "b" for bytes.
            buffering, encoding, errors, newline: as for ``open()``.

        Returns:
            A file object.  It borrows the stream: closing it leaves the stream open, and the stream's timeouts apply;
            after one has passed in a read, further reads are an OSError.  It is for blocking streams.

        Raises:
            ValueError: another mode, or unbuffered text.
        """
        return _open_stream()(self, mode, buffering, encoding, errors, newline)


class UnixListener(Listener[UnixStream]):
    """A stream socket that listens (unix(7), SOCK_STREAM), made by ``bind``; it accepts UnixStream connections."""

    __slots__ = ()

    _kind = SOCK_STREAM
    _connection = UnixStream
