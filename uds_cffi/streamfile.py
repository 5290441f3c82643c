"""File objects over a stream, for code that reads lines or wants ``io`` objects."""

from __future__ import annotations

import io

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Protocol

    class Stream(Protocol):
        """What a file object needs of a stream."""

        def fileno(self) -> int: ...  # noqa: D102
        def recv_into(self, buffer: Any) -> int: ...  # noqa: D102
        def send(self, data: Any) -> int: ...  # noqa: D102


class StreamIO(io.RawIOBase):
    """An unbuffered binary file that borrows a stream."""

    def __init__(self, stream: Stream, reading: bool, writing: bool) -> None:
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
            TimeoutError: the stream's timeout has passed.  What a buffer above had read by then is lost with it, so
                every further read is an OSError, as with the files of ``socket.makefile()``.
        """
        self._check(self._reading)
        if self._timed_out:
            raise OSError("cannot read from timed out object")
        try:
            return self._stream.recv_into(buffer)
        except BlockingIOError:
            return None
        except TimeoutError:
            self._timed_out = True
            raise

    def write(self, data: Any) -> int | None:
        """Send what can be sent; None when the stream is nonblocking and takes nothing."""
        self._check(self._writing)
        try:
            return self._stream.send(data)
        except BlockingIOError:
            return None

    def _check(self, possible: bool) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if not possible:
            raise io.UnsupportedOperation("not readable" if self._writing else "not writable")


def open_stream(
    stream: Stream,
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
