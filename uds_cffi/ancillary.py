"""SocketAncillary: a control buffer of a fixed size, to send from and to receive into.

Rules, those of Rust's ``std::os::unix::net::SocketAncillary``:
- ``len()`` counts padded space; an add that does not fit returns False and changes nothing.
- Every add, ``clear()`` and send reset ``truncated``; a receive overwrites what was there; a send does not clear.

And those of this library: received descriptors have an owner before the receive begins.  Once ``messages()`` or
``Received.messages`` was read they belong to the caller; until then ``clear()``, ``close()``, leaving the ``with``
block and the next receive close them.
"""

from __future__ import annotations

from ._lib import ffi, lib
from .calls import check_c_int, to_bytes
from .capabilities import require
from .control import (
    RIGHTS,
    ScmPidfd,
    UnknownControlMessage,
    credentials_of,
    decode,
    decode_one,
    encode_credentials,
    items,
    replaced,
)
from .credentials import Credentials
from .fds import Borrowed, OwnedFds
from .message import Ancillary
from .metadata import INQ_SIZE, LABEL_SIZE, TIMESTAMP_SIZE
from .owner import refuse_copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from typing_extensions import Self

    from ._lib import CData

_INT = ffi.sizeof("int")
_LIMIT = 2**20


class Messages:
    """The control messages of one receive, and whether anybody has read them."""

    __slots__ = ("_messages", "_read")

    def __init__(self, messages: tuple[Any, ...]) -> None:
        self._messages = messages
        self._read = False

    def read(self) -> tuple[Any, ...]:
        """Return the messages, whose descriptors belong to the caller from now on."""
        self._read = True
        return self._messages

    def close_unread(self) -> None:
        """Close the descriptors of messages that nobody has read."""
        if not self._read:
            self.close()

    def close(self) -> None:
        """Close the descriptors of all messages, read or not, but for those that were taken out."""
        for message in self._messages:
            fds = getattr(message, "fds", None)
            if isinstance(fds, OwnedFds):
                fds.close()
            elif isinstance(message, ScmPidfd):
                message._close_unread()


class SocketAncillary(Ancillary):
    """Ancillary data of messages: descriptors, credentials, and whatever else a control message can be.

    ``SocketAncillary(capacity)`` has room for that many bytes (int) of control messages, headers and padding included;
    ``with_room_for`` counts them.
    """

    __slots__ = ("_control", "_capacity", "_length", "_truncated", "_rights", "_borrowed", "_received", "_wants")

    _control: CData
    _capacity: int
    _length: int
    _truncated: bool
    _rights: int
    # Keeps the objects alive whose numbers were added.
    _borrowed: list[Borrowed]
    # What the last receive brought: without descriptors nobody need know whether it was read.
    _received: Messages | tuple[Any, ...] | None
    # Stands for this capacity, in receivers that are set for it.
    _wants: object

    def __init__(self, capacity: int) -> None:
        """Make an empty buffer.

        Raises:
            TypeError: the capacity is not an int.
            ValueError: it is negative, or above 1 MiB, which no kernel takes.
        """
        if type(capacity) is not int:
            raise TypeError(f"capacity is an int, not {type(capacity).__name__}")
        if not 0 <= capacity <= _LIMIT:
            raise ValueError(f"capacity {capacity} is not within 0 to {_LIMIT} bytes")
        self._control = ffi.new("char[]", max(capacity, 1))
        self._capacity = capacity
        self._length = 0
        self._truncated = False
        self._rights = 0
        self._borrowed = []
        self._received = None
        self._wants = object()

    @classmethod
    def with_room_for(
        cls,
        *,
        fds: int = 0,
        credentials: bool = False,
        pidfd: bool = False,
        timestamp: bool = False,
        inq: bool = False,
        security: bool = False,
    ) -> Self:
        """Make a buffer with room for what is named, however this system pads it.

        Args:
            fds: how many descriptors in one message, 0 to 253 (int).
            credentials: whether one message of credentials (bool).
            pidfd: whether one message of the sender's pidfd (bool).
            timestamp: whether one ScmTimestamp, of ``options.timestamps`` (bool).
            inq: whether one ScmInq, of ``options.inq`` (bool).
            security: whether one ScmSecurity, of ``options.pass_security``, of up to 512 bytes (bool).

        Raises:
            ValueError: ``fds`` is out of range.
        """
        if type(fds) is not int:
            raise TypeError(f"fds is an int, not {type(fds).__name__}")
        if not 0 <= fds <= lib.UDS_SCM_MAX_FD:
            raise ValueError(f"{fds} descriptors are not within 0 to {lib.UDS_SCM_MAX_FD}")
        capacity = lib.CMSG_SPACE(fds * _INT) if fds else 0
        for wanted, size in (
            (credentials, lib.UDS_CREDENTIALS_SIZE),
            (pidfd, _INT),
            (timestamp, TIMESTAMP_SIZE),
            (inq, INQ_SIZE),
            (security, LABEL_SIZE),
        ):
            if wanted:
                capacity += lib.CMSG_SPACE(size)
        return cls(capacity)

    @property
    def capacity(self) -> int:
        """The size of the buffer in bytes (int)."""
        return self._capacity

    def __len__(self) -> int:
        """Return how many bytes are in use, padding included."""
        return self._length

    def __bool__(self) -> bool:
        """Return True: an empty buffer is one too."""
        return True

    @property
    def is_empty(self) -> bool:
        """Whether no byte is in use (bool)."""
        return self._length == 0

    @property
    def truncated(self) -> bool:
        """Whether the last receive lost control messages, descriptors perhaps (bool; MSG_CTRUNC of recvmsg(2))."""
        return self._truncated

    def add_fds(self, fds: Iterable[Any]) -> bool:
        """Add a message of descriptors (SCM_RIGHTS).

        They are borrowed: the objects are kept alive until the buffer is cleared, and the caller keeps them open until
        the message is sent.

        Args:
            fds: an iterable of ints and objects with ``fileno()``; an empty one adds an empty message.

        Returns:
            False, and nothing has changed, when it does not fit.

        Raises:
            TypeError, ValueError: what is no descriptor; more than 253 of them in one ancillary.
            OSError: EBADF, an object of this library that is closed.
        """
        borrowed = Borrowed(fds)
        numbers = borrowed.numbers
        if self._rights + len(numbers) > lib.UDS_SCM_MAX_FD:
            raise ValueError(
                f"{len(numbers)} descriptors beside {self._rights} are more than the {lib.UDS_SCM_MAX_FD} "
                "that one message carries"
            )
        if not self._add(*RIGHTS, bytes(ffi.buffer(ffi.new("int[]", numbers)))):
            return False
        self._rights += len(numbers)
        self._borrowed.append(borrowed)
        return True

    def add_creds(self, credentials: Credentials) -> bool:
        """Add a message of credentials (SCM_CREDENTIALS), which the kernel checks when it is sent.

        Returns:
            False, and nothing has changed, when it does not fit.

        Raises:
            TypeError: not a Credentials.
            FeatureUnavailable: "credentials", this build has none per message; "send_credentials", on this system the
                receiver alone asks for them.
        """
        if not isinstance(credentials, Credentials):
            raise TypeError(f"a Credentials is needed, not {type(credentials).__name__}")
        require("credentials")
        require("send_credentials")
        return self._add(lib.SOL_SOCKET, lib.SCM_CREDENTIALS, encode_credentials(credentials))

    def add(self, level: int, type: int, data: bytes) -> bool:
        """Add a message of any kind.

        Args:
            level: cmsg_level (int).
            type: cmsg_type (int).
            data: its content (bytes); descriptors in it are borrowed, as in ``add_fds``.

        Returns:
            False, and nothing has changed, when it does not fit.
        """
        check_c_int("level", level)
        check_c_int("type", type)
        data = to_bytes(data)
        if (level, type) == RIGHTS:
            if len(data) % _INT:
                raise ValueError(
                    f"descriptors are {_INT} bytes each, and {len(data)} bytes are no whole number of them"
                )
            numbers = ffi.new("int[]", len(data) // _INT)
            ffi.memmove(numbers, data, len(numbers) * _INT)
            return self.add_fds(ffi.unpack(numbers, len(numbers)) if len(numbers) else ())
        return self._add(level, type, data)

    def _add(self, level: int, type: int, data: bytes) -> bool:
        self._truncated = False
        # What was received is not sent on: the first add after a receive begins anew.
        begin = self._length if self._received is None else 0
        length = lib.uds_control_add(self._control, self._capacity, begin, level, type, data, len(data))
        if length < 0:
            return False
        self._drop_received()
        self._length = length
        return True

    def clear(self) -> None:
        """Empty the buffer; received descriptors that nobody has read are closed."""
        if self._received is not None:
            self._drop_received()
        self._length = self._rights = 0
        self._borrowed.clear()
        self._truncated = False

    def close(self) -> None:
        """Close received descriptors that nobody has read; the buffer is empty afterwards, and can be used again."""
        self.clear()

    def messages(self) -> tuple[Any, ...]:
        """Return the control messages, as values.

        After a receive those are the received ones, always the same objects, and their descriptors belong to the
        caller from now on.  Otherwise they are what was added, descriptors as plain bytes in UnknownControlMessage:
        those are only borrowed.

        Returns:
            tuple of ScmRights, ScmCredentials, ScmPidfd, what registered decoders made, and UnknownControlMessage.
        """
        received = self._received
        if received is not None:
            return received if isinstance(received, tuple) else received.read()
        return tuple(
            UnknownControlMessage(level, type, data) if (level, type) == RIGHTS else decode_one(level, type, data)
            for level, type, data in items(self._control, self._length)
        )

    def _content(self) -> tuple[CData, int]:
        """Return the buffer and how much of it a send takes."""
        if self._received is not None and self._length:
            raise ValueError("this ancillary holds what was received, which cannot be sent on; clear() it and add anew")
        return self._control, self._length

    def _drop_received(self) -> None:
        received, self._received = self._received, None
        if isinstance(received, Messages):
            received.close_unread()

    def _take_alone(self, length: int, pid: int, uid: int, gid: int, alone: int) -> tuple[Any, ...] | None:
        """Take over a receive that brought nothing, or credentials alone, which C has read; None if that is no way."""
        if replaced or self._length:
            # A user's decoder is to read them; or another thread has used it since this receive began.
            return None
        messages = self._received = (credentials_of(pid, uid, gid),) if alone else ()
        self._length = length
        return messages

    def _take(
        self,
        found: list[tuple[int, int, bytes]],
        length: int,
        fds: OwnedFds | None,
        truncated: bool,
        at_end: bool | None,
        pidfd: CData | None,
    ) -> Messages:
        """Take over what a receive has brought: its control messages, and the descriptors with their owner."""
        received = Messages(decode(found, fds, at_end, pidfd))
        if self._received is not None or self._length:
            # Another thread has used it since this receive began.
            self.clear()
        self._length = length
        self._truncated = truncated
        self._received = received
        return received

    __getstate__ = refuse_copy

    def __repr__(self) -> str:
        state = " truncated" if self._truncated else ""
        return f"<SocketAncillary {self._length} of {self._capacity} bytes{state}>"
