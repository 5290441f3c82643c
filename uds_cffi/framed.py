"""Framed messages on a stream: each is a 4-byte big-endian length and that many bytes.

Rules:
- What has arrived and was not returned comes with the next receive: the last step of a call is to deliver its messages,
  which one call can do and, when it is interrupted before it has returned them, takes back.
- A message comes whole, with all that belongs to it, or is raised with what is left of it, in its place.
"""

from __future__ import annotations

from collections import namedtuple

from .calls import MSG_DONTWAIT
from .errors import FrameError, IncompleteReadError
from .fds import OwnedFds
from .flags import check_flags
from .frames import (
    BROKEN,
    FDS,
    HEADER_SIZE,
    KIND,
    LENGTH,
    LOST,
    PART,
    SHAPE,
    TWO,
    FrameReader,
    busy,
    deliver,
    receive_all,
    receive_one,
    splitters,
    try_all,
    try_one,
)
from .framesending import FrameSending
from .owner import refuse_copy
from .received import AncillaryTruncated
from .receiver import check_max_fds
from .stream import UnixStream
from .waiting import try_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Any, NamedTuple

    from ._lib import CData

    class MessageFds(NamedTuple):
        """A framed message with descriptors."""

        data: bytes
        fds: OwnedFds

else:

    class MessageFds(namedtuple("MessageFds", "data fds")):
        """A framed message: ``data`` (bytes), and the descriptors that came with it (``fds``, OwnedFds)."""

        __slots__ = ()


_new = tuple.__new__
# It owns nothing, and so can be in every message without descriptors.
_NONE = OwnedFds()
# A memory of frames has an int of 32 bits for each place in it.
_LARGEST = 2**31 - 1 - HEADER_SIZE


class FramedStream(FrameSending):
    """Messages of up to ``max_size`` bytes over a UnixStream, which belongs to this object from now on.

    On the wire each message is its length, 4 bytes, big-endian, and then the message.  One thread may send while
    another receives; of two calls in the same direction at the same time one, or both, is refused with OSError (EBUSY).
    When several threads receive nevertheless, each message comes out of exactly one call.  Timeouts and the nonblocking
    mode are those of ``stream``; a timeout is the total for one call.

    Args:
        stream: a UnixStream at a boundary between messages; ``close()`` closes it.
        max_size: the longest message in bytes, in both directions (int, 1 to 2 GiB).
        max_fds: how many descriptors a received message may have (int, 0 to 253).  With 0 the receives return bytes,
            otherwise MessageFds(data, fds).

    Raises:
        TypeError, ValueError: bad arguments; the stream stays the caller's.
    """

    __slots__ = ("__weakref__", "_max_fds", "_reader")

    _reader: FrameReader | None

    def __init__(self, stream: UnixStream, max_size: int = 1048576, max_fds: int = 0) -> None:
        if not isinstance(stream, UnixStream):
            raise TypeError(f"a UnixStream is needed, not {type(stream).__name__}")
        if type(max_size) is not int:
            raise TypeError(f"max_size is an int, not {type(max_size).__name__}")
        if not 1 <= max_size <= _LARGEST:
            raise ValueError(f"max_size {max_size} is not within 1 to {_LARGEST}")
        self._max_fds = check_max_fds(max_fds)
        self._max_size = max_size
        self._reader = self._writer = None
        self._halves = {}
        self._stream = stream

    @property
    def stream(self) -> UnixStream:
        """The stream (UnixStream), for its timeouts, options and credentials.

        Sending and receiving on it directly breaks the framing.
        """
        return self._stream

    @property
    def max_size(self) -> int:
        """The longest message in bytes (int)."""
        return self._max_size

    @property
    def max_fds(self) -> int:
        """How many descriptors a received message may have (int)."""
        return self._max_fds

    def fileno(self) -> int:
        """Return the descriptor's number, or -1 when it is closed.  It stays owned by the stream.

        Messages that have arrived may be in memory already: receive until a call would block before waiting for the
        descriptor to become readable.
        """
        return self._stream.fileno()

    @property
    def closed(self) -> bool:
        """Whether the stream was closed or gave its descriptor away (bool)."""
        return self._stream.closed

    def close(self) -> None:
        """Close the stream, and the descriptors that were not returned; closing twice changes nothing.

        What was received and not returned is gone, and so is the rest of a message that has begun to go; ``flush()``
        sends that.  A call that is blocked in another thread is not woken: ``stream.shutdown()`` does that.
        """
        self._stream.close()
        reader, self._reader = self._reader, None
        self._writer = None
        self._halves.clear()
        if reader is not None:
            reader.close()

    def recv_messages(self, flags: int = 0) -> list[Any]:
        """Receive all messages that are there, at least one; it waits for that.

        Args:
            flags: MSG_DONTWAIT or 0 (int).

        Returns:
            A list of bytes, or, with ``max_fds``, of MessageFds; at most 1024 at once.  [] exactly at the end of the
            connection.

        Raises:
            AncillaryTruncated: the next message has lost descriptors: more than ``max_fds`` came, and those were
                closed, or the kernel dropped some.  It has the message, ``data``, ``fds`` and ``lost``; the messages
                before it were returned, and the next call goes on behind it.
            FrameError: the peer announces more than ``max_size`` bytes, or its descriptors do not come with the first
                byte of a message.  Nothing can be received any more, and every further call says so.
            IncompleteReadError: the connection ended within a message; it has ``partial`` and ``expected``, of the
                message or, when not even that is whole, of its header.
            OSError: BlockingIOError, TimeoutError, ConnectionResetError, ...; EBUSY, another call is receiving.  What
                has arrived by then comes with the next call.
        """
        if flags != 0:
            return self._recv_now(try_all, flags)
        reader = self._reader
        if reader is None or reader.token is not self._stream._token:
            reader = self._prepare_reader()
        result = receive_all(reader.c)
        shape = result >> SHAPE
        split = splitters.get(shape)
        if split is not None:
            messages = split(reader.view)
        elif 0 < shape < TWO:
            messages = [reader.view[HEADER_SIZE : HEADER_SIZE + (shape & LENGTH)]]
        else:
            return self._recv_unusual(reader, receive_all, result, 0)
        # Here and not in a function of its own: on its way back a handler could lose what was delivered.
        try:
            if not deliver(reader.c, result):
                return messages
        except BaseException:
            reader.recall(result)
            raise
        raise busy("receiving")

    def try_recv_messages(self) -> list[Any] | None:
        """Receive all messages that are there, as ``recv_messages()`` does, or return None when there are none yet.

        It never waits, whatever the timeout is.  [] is the end of the connection.
        """
        reader = self._prepare_reader()
        result = try_once(lambda: reader.attempt(try_all))
        return None if result is None else self._recv_unusual(reader, try_all, result, MSG_DONTWAIT)

    def recv_message(self, flags: int = 0) -> Any:
        """Receive the next message: bytes, or, with ``max_fds``, MessageFds; None exactly at the end of the connection.

        Otherwise as ``recv_messages()``.
        """
        if flags != 0:
            messages = self._recv_now(try_one, flags)
            return messages[0] if messages else None
        reader = self._reader
        if reader is None or reader.token is not self._stream._token:
            reader = self._prepare_reader()
        result = receive_one(reader.c)
        place = result >> SHAPE
        if place <= 0:
            messages = self._recv_unusual(reader, receive_one, result, 0)
            return messages[0] if messages else None
        begin = place >> PART
        message = reader.view[begin : begin + (place & LENGTH)]
        try:
            if not deliver(reader.c, result):
                return message
        except BaseException:
            reader.recall(result)
            raise
        raise busy("receiving")

    def __iter__(self) -> Iterator[Any]:
        """Receive message after message until the end of the connection; a loop may be left and begun anew."""
        return self

    def __next__(self) -> Any:
        message = self.recv_message()
        if message is None:
            raise StopIteration
        return message

    def _recv_now(self, receive: Callable[[CData], int], flags: int) -> list[Any]:
        """Receive without waiting, by a function that never does: another thread may preset flags at any time."""
        check_flags(flags, MSG_DONTWAIT)
        reader = self._prepare_reader()
        return self._recv_unusual(reader, receive, receive(reader.c), flags)

    def _prepare_reader(self) -> FrameReader:
        stream = self._stream
        # Before the flags that it stands for, and an open stream keeps its handle.
        token = stream._token
        stream._check_open()
        reader = self._reader
        if reader is None:
            made = FrameReader(stream._handle, self._max_size, self._max_fds)
            reader = self._reader = self._halves.setdefault("reader", made)
        reader.token = None
        reader.c.flags = stream._recv_flags
        reader.token = token
        return reader

    def _recv_unusual(self, reader: FrameReader, receive: Callable[[CData], int], result: int, flags: int) -> list[Any]:
        """Return what a receive has brought, or will: messages, [] at the end of the connection."""
        if result <= 0 or result & KIND:
            result = self._finish_receive(reader, receive, result, flags)
            if not result:
                return []
        messages: list[Any] = reader.one(result) if receive in (receive_one, try_one) else reader.messages(result)
        found: Collection[int] = ()
        problem = None
        if self._max_fds or result & KIND:
            messages, found, problem = self._with_fds(reader, result, messages)
        try:
            reader.deliver(result)
            if not found and problem is None:
                return messages
        except BaseException:
            reader.recall(result)
            raise
        reader.forget(found)
        if problem is not None:
            raise problem
        return messages

    def _finish_receive(self, reader: FrameReader, receive: Callable[[CData], int], result: int, flags: int) -> int:
        """Bring a receive to its end: the number of a result, or 0 at the end of the connection."""
        if result < 0:
            result = reader.attempt(receive, result)
            result = self._stream._read(lambda: reader.attempt(receive), flags, result=result)
        c = reader.c
        if result & KIND == BROKEN:
            if c.stray and c.length <= self._max_size:
                raise FrameError("descriptors arrived that do not belong to a message", None, self._max_size)
            text = f"the peer announces a message of {c.length} bytes, above max_size {self._max_size}"
            raise FrameError(text, c.length, self._max_size)
        if result == 0:
            rest = reader.rest()
            if rest:
                reader.close()
                if len(rest) < HEADER_SIZE:
                    raise IncompleteReadError(rest, HEADER_SIZE)
                raise IncompleteReadError(rest[HEADER_SIZE:], c.length)
        return result

    def _with_fds(
        self, reader: FrameReader, result: int, messages: list[bytes]
    ) -> tuple[list[Any], Collection[int], AncillaryTruncated | None]:
        """Give messages their descriptors.

        Returns:
            The messages, the serial numbers of the arrivals, and what to raise when descriptors were lost.
        """
        kind = result & KIND
        found = reader.fds() if kind in (FDS, LOST) else {}
        lost = reader.lost() if kind == LOST else 0
        # From here on it is known that what was read belongs together.
        reader.check(result)
        pairs: list[Any] = [_new(MessageFds, (message, _NONE)) for message in messages]
        for place, fds in found.values():
            pairs[place] = _new(MessageFds, (messages[place], fds))
        problem = None
        if kind == LOST:
            problem = AncillaryTruncated(messages[0], pairs[0].fds if found else OwnedFds(), lost)
        return pairs, found, problem

    __getstate__ = refuse_copy

    def __repr__(self) -> str:
        if self.closed:
            return "<FramedStream closed>"
        return f"<FramedStream max_size={self._max_size} max_fds={self._max_fds} stream={self._stream!r}>"
