"""File objects over a stream, for code that reads lines or wants ``io`` objects.

Rule: None, which says that the call would block, comes of what the kernel reports.  A BlockingIOError that a signal
handler raises comes out.
"""

from __future__ import annotations

import errno
import io

from .calls import send, writable
from .errors import error
from .message import export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    from .stream import UnixStream

_EAGAIN = -errno.EAGAIN


class StreamIO(io.RawIOBase):
    """An unbuffered binary file that borrows a stream."""

    def __init__(self, stream: UnixStream, reading: bool, writing: bool) -> None:
        super().__init__()
        self._stream = stream
        self._reading = reading
        self._writing = writing
        self._timed_out = False

    def readable(self) -> bool:
        """Whether it was made for reading, and is open."""
        return self._reading and not self.closed

    def writable(self) -> bool:
        """Whether it was made for writing, and is open."""
        return self._writing and not self.closed

    def fileno(self) -> int:
        """Return the stream's descriptor, which stays the stream's."""
        self._check(True)
        return self._stream.fileno()

    def readinto(self, buffer: Any) -> int | None:
        """Receive into a buffer; None when the stream is nonblocking and there is nothing yet.

        Raises:
            TimeoutError: the stream's timeout has passed, or a signal handler limits the read.  What a buffer above
                had read by then is lost with it, so every further read is an OSError, as with the files of
                ``socket.makefile()``.
        """
        self._check(self._reading)
        if self._timed_out:
            raise OSError("cannot read from timed out object")
        try:
            with writable(buffer) as memory:
                return _count(self._stream._recv_once(memory, len(memory), 0, None, None))
        except TimeoutError:
            self._timed_out = True
            raise

    def write(self, data: Any) -> int | None:
        """Send what can be sent; None when the stream is nonblocking and takes nothing."""
        self._check(self._writing)
        stream = self._stream
        with export(data) as memory:
            return _count(stream._write_code(lambda: send(stream._handle, memory, len(memory), stream._send_flags), 0))

    def _check(self, possible: bool) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if not possible:
            raise io.UnsupportedOperation("not readable" if self._writing else "not writable")


def _count(result: int) -> int | None:
    """Return how many bytes a call has moved, None when it would block, or raise what the kernel reports."""
    if result >= 0:
        return result
    if result == _EAGAIN:
        return None
    raise error(-result)


def open_stream(
    stream: UnixStream,
    mode: str,
    buffering: int | None,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> IO[Any]:
    """Make the file object of ``UnixStream.makefile()``."""
    if "".join(sorted(mode)) not in ("r", "w", "rw", "br", "bw", "brw"):
        raise ValueError(f"mode {mode!r} is not one of 'r', 'w', 'rw', with 'b' for bytes")
    binary = "b" in mode
    if binary and (encoding, errors, newline) != (None, None, None):
        raise ValueError("a binary mode takes no encoding, errors or newline")
    reading, writing = "r" in mode, "w" in mode
    raw = StreamIO(stream, reading, writing)
    if buffering is None or buffering < 0:
        buffering = io.DEFAULT_BUFFER_SIZE
    if buffering == 0:
        if not binary:
            raise ValueError("unbuffered streams must be binary")
        return raw  # type: ignore[return-value]
    buffer: Any
    if reading and writing:
        buffer = io.BufferedRWPair(raw, raw, buffering)
    elif reading:
        buffer = io.BufferedReader(raw, buffering)
    else:
        buffer = io.BufferedWriter(raw, buffering)
    if binary:
        return buffer  # type: ignore[no-any-return]
    text: Any = io.TextIOWrapper(buffer, encoding, errors, newline)
    text.mode = mode
    return text  # type: ignore[no-any-return]
