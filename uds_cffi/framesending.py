"""Framed messages: sending.

Rules:
- A message that has begun to go is finished before anything else goes, whatever ended the call that sent it.
- Nothing goes before all of it was checked.
- Descriptors go with the first byte of their message, in a send that holds no other.
"""

from __future__ import annotations

from .calls import MSG_DONTWAIT
from .cut import join
from .errors import FrameError
from .fds import Borrowed
from .flags import check_flags
from .frames import HEADER_SIZE, LARGE_SIZE, MEMORY_SIZE, FrameWriter
from .frames import send as c_send
from .message import check_list
from .values import Closing
from .waiting import deadline_of, remaining

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from .stream import UnixStream


class FrameSending(Closing):
    """The sending half of a FramedStream."""

    __slots__ = ("_stream", "_max_size", "_writer", "_halves")

    _stream: UnixStream
    _max_size: int
    _writer: FrameWriter | None
    # Where the reader and the writer are made: of two that threads make at the same time the first one is used by both.
    _halves: dict[str, Any]

    def send_message(self, data: Any, fds: Iterable[Any] = (), flags: int = 0) -> None:
        """Send one message, and descriptors with it; otherwise as ``send_messages()``.

        Args:
            data: a contiguous bytes-like object, perhaps empty.
            fds: an iterable of up to 253 ints and objects with ``fileno()``; they stay the caller's, and may be closed
                as soon as this returns.
            flags: MSG_DONTWAIT or 0 (int).
        """
        plain = type(fds) is tuple and not fds
        if plain and flags == 0 and type(data) is bytes and len(data) < LARGE_SIZE and self._send_joined(data, 1):
            return
        self.send_messages([data], None if plain else [fds], flags)

    def send_messages(
        self, messages: Iterable[Any], fds: Sequence[Iterable[Any] | None] | None = None, flags: int = 0
    ) -> None:
        """Send messages, many in one system call.  It waits until all have gone.

        Args:
            messages: an iterable of contiguous bytes-like objects, which may be empty.
            fds: None, or a sequence as long as ``messages`` whose items are None or an iterable of descriptors, as for
                ``send_message()``.  A message with descriptors takes a system call of its own.
            flags: MSG_DONTWAIT or 0 (int).

        Raises:
            FrameError: a message is longer than ``max_size``; nothing was sent.
            TypeError, BufferError, ValueError: bad arguments; nothing was sent.
            OSError: BlockingIOError, TimeoutError, BrokenPipeError, ...; EBUSY, another call is sending.  Its ``sent``
                (int) says how many of the messages need not be sent again: they have gone, the last of them perhaps
                only in part; the rest of that is kept, ``pending`` bytes, and goes first with the next send or
                ``flush()``.  None of the others has gone.  It is None when another call has overtaken this
                one: not known.  What a signal handler raises while this waits has ``sent`` too.
        """
        if type(messages) is not list:
            check_list(messages)
            messages = list(messages)
        if fds is None and messages and flags == 0:
            try:
                data = join(messages) if len(messages[0]) < LARGE_SIZE else None
            except TypeError:
                # What is wrong is said below.
                data = None
            if data is not None and self._send_joined(data, len(messages)):
                return
        check_flags(flags, MSG_DONTWAIT)
        self._send_checked(self._prepare_writer(), self._checked(messages, fds), flags)

    def _send_joined(self, data: bytes, count: int) -> bool:
        """Send messages that are joined; False, and nothing was sent, when that needs more than this.

        They may be too many for one call, or one is too long, or holds what looks like a hole, or a rest goes first.
        """
        writer = self._writer
        stream = self._stream
        if writer is None or writer.flags != stream._send_flags or writer.handle is not stream._handle:
            writer = self._prepare_writer()
        ticket = c_send(writer.c, data, len(data), count)
        if not ticket:
            return True
        if ticket < 0 or ticket & 1:
            return False
        self._finish_send(writer, ticket)
        return True

    def flush(self, flags: int = 0) -> None:
        """Send the rest of a message that has begun to go, if there is one; it waits as a send does.

        Raises:
            OSError: as ``send_messages()``; what is left by then is still kept.
        """
        check_flags(flags, MSG_DONTWAIT)
        self._send_checked(self._prepare_writer(), [], flags)

    @property
    def pending(self) -> int:
        """How many bytes are left of a message that has begun to go in a call that failed (int)."""
        writer = self._writer
        return 0 if writer is None else writer.pending()

    def _prepare_writer(self) -> FrameWriter:
        # MSG_DONTWAIT is not among what is preset, which another thread may do at any time, but goes with each push.
        self._stream._check_open()
        writer = self._writer
        if writer is None:
            made = FrameWriter(self._stream._handle, self._max_size)
            writer = self._writer = self._halves.setdefault("writer", made)
        writer.c.flags = writer.flags = self._stream._send_flags
        return writer

    def _checked(self, messages: Sequence[Any], fds: Any) -> list[tuple[Any, int, Borrowed | None]]:
        """Return each message with its size and its descriptors, or raise before anything is sent."""
        if fds is None:
            fds = [None] * len(messages)
        elif not hasattr(type(fds), "__len__") or not hasattr(type(fds), "__getitem__"):
            raise TypeError(f"fds is None or a sequence with an item for each message, not {type(fds).__name__}")
        elif len(fds) != len(messages):
            raise ValueError(f"fds has {len(fds)} items for {len(messages)} messages")
        checked: list[tuple[Any, int, Borrowed | None]] = []
        for place, message in enumerate(messages):
            with memoryview(message) as view:
                size = view.nbytes
                if not view.c_contiguous:
                    raise BufferError(f"message {place} is not contiguous")
                if size > self._max_size:
                    text = f"message {place} has {size} bytes, above max_size {self._max_size}"
                    raise FrameError(text, size, self._max_size)
                if size < LARGE_SIZE and type(message) is not bytes:
                    message = bytes(view)
            borrowed = None if fds[place] is None else Borrowed(fds[place])
            if borrowed is not None and not borrowed.numbers:
                borrowed = None
            checked.append((message, size, borrowed))
        return checked

    def _send_checked(self, writer: FrameWriter, checked: list[tuple[Any, int, Borrowed | None]], flags: int) -> None:
        deadline = deadline_of(self._stream._write_timeout)
        ticket = 0
        try:
            ticket = writer.claim()
            if ticket & 1:
                self._push(writer, ticket, flags, deadline)
                writer.forget(ticket)
            # The loop is there, because CPython 3.13.0 would leave its jump out of this `try`: see ``sendingall``.
            self._send_chunks(writer, ticket, checked, flags, deadline)
        except BaseException as problem:
            problem.sent = writer.settle(ticket) if ticket else 0  # type: ignore[attr-defined]
            raise

    def _send_chunks(
        self,
        writer: FrameWriter,
        ticket: int,
        checked: list[tuple[Any, int, Borrowed | None]],
        flags: int,
        deadline: float | None,
    ) -> None:
        begin = 0
        while begin < len(checked):
            begin = self._send_chunk(writer, ticket, checked, begin, flags, deadline)

    def _send_chunk(
        self,
        writer: FrameWriter,
        ticket: int,
        checked: list[tuple[Any, int, Borrowed | None]],
        begin: int,
        flags: int,
        deadline: float | None,
    ) -> int:
        """Send small messages as far as the memory reaches, and a large one behind them; returns which is next."""
        small: list[bytes] = []
        large = None
        room = MEMORY_SIZE
        place = begin
        borrowed = checked[begin][2]
        while place < len(checked) and large is None:
            message, size, fds = checked[place]
            # What has descriptors goes alone.
            if place > begin and (fds is not None or borrowed is not None):
                break
            if size >= LARGE_SIZE:
                if room < HEADER_SIZE:
                    break
                large = message
            elif room < HEADER_SIZE + size:
                break
            else:
                small.append(message)
                room -= HEADER_SIZE + size
            place += 1
        writer.put(ticket, small, large)
        self._push(writer, ticket, flags, deadline, borrowed)
        if large is not None:
            writer.gone(ticket)
        return place

    def _push(
        self,
        writer: FrameWriter,
        ticket: int,
        flags: int,
        deadline: float | None,
        borrowed: Borrowed | None = None,
    ) -> None:
        """Send what is in the wire until nothing is left of it."""

        def attempt() -> int:
            return writer.push(ticket, flags)

        def attempt_fds() -> int:
            assert borrowed is not None
            return writer.push_fds(ticket, borrowed, flags)

        first: Callable[[], int] = attempt if borrowed is None else attempt_fds
        left = self._stream._write(first, flags, deadline)
        while left:
            if deadline is not None:
                remaining(deadline)
            left = self._stream._write(attempt, flags, deadline)

    def _finish_send(self, writer: FrameWriter, ticket: int) -> None:
        """Bring a send to its end that did not send everything at once."""
        try:
            self._push(writer, ticket, 0, deadline_of(self._stream._write_timeout))
        except BaseException as problem:
            problem.sent = writer.settle(ticket)  # type: ignore[attr-defined]
            raise
