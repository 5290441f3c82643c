"""The table of socket options: what each row is, and where it means something.

Rules:
- An option is a row, and nothing else in the library names it.  A row says for which sockets it is; on others it is
  refused, because the kernel would store most of them and do nothing.
- What the kernel answers is returned, and raised elsewhere: an OSError that comes out of here is a signal handler's.
"""

from __future__ import annotations

import sys
from weakref import WeakKeyDictionary

from . import calls
from .waiting import check_timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._lib import CData

# The values of write-only options that were set, by name, by the handle of the socket.  Few programs set one.
WRITTEN: WeakKeyDictionary[CData, dict[str, Any]] = WeakKeyDictionary()

# What a socket is to its options.  A listener receives nothing, so what it has is for its connections.
STREAM = "stream"
DATAGRAM = "datagram"
SEQPACKET = "seqpacket"
LISTENER = "listener"
_ALL = (STREAM, DATAGRAM, SEQPACKET, LISTENER)
_CONNECTIONS = (STREAM, DATAGRAM, SEQPACKET)
_PACKETS = (DATAGRAM, SEQPACKET)


def _read_number(
    handle: CData, constant: int, size: int = calls.INT_SIZE, level: int = calls.SOL_SOCKET
) -> tuple[int, Any]:
    """Read an option that is a number: 0 and the number, or -errno and None."""
    value = calls.getsockopt_or_code(handle, level, constant, size)
    if isinstance(value, int):
        return value, None
    return 0, int.from_bytes(value, sys.byteorder, signed=size == calls.INT_SIZE)


class Option:
    """A row: an option that is a C int.

    Attributes:
        name: how users call it (str).
        label: how the manual pages and the kernel's headers call it (str).
        constant: its number (int).
        level: where it has that number (int).
        since: the first Linux that has it (str).
        feature: its row of the capability table, or None for what every system has.
        sockets: what it is for (tuple of str).
        why: why it means nothing elsewhere (str).
        default: its value on a new socket; None where that is not one value.
        access: "read and write", "read" or "write".
        value: what its values are (str).
        description: one or more sentences.
    """

    value = "int"

    __slots__ = (
        "name",
        "label",
        "constant",
        "description",
        "since",
        "feature",
        "sockets",
        "why",
        "default",
        "access",
        "least",
        "level",
    )

    def __init__(
        self,
        name: str,
        label: str,
        constant: int,
        description: str,
        since: str = "2.2",
        feature: str | None = None,
        sockets: tuple[str, ...] = _ALL,
        why: str = "",
        default: object = None,
        access: str = "read and write",
        least: int = 1,
        level: int = calls.SOL_SOCKET,
    ) -> None:
        self.name = name
        self.label = label
        self.constant = constant
        self.description = description
        self.since = since
        self.feature = feature
        self.sockets = sockets
        self.why = why
        self.default = default
        self.access = access
        self.least = least
        self.level = level

    def check_socket(self, role: str) -> None:
        """Raise ValueError unless the option means something on such a socket."""
        if role not in self.sockets:
            why = self.why
            if role == LISTENER:
                why = "a listener receives nothing, and its connections do not inherit it: set it on each of them"
            raise ValueError(f"option {self.name} is for sockets of type {', '.join(self.sockets)}, not {role}: {why}")

    def check(self, value: Any) -> int:
        """Return the value as the kernel takes it, or raise TypeError or ValueError."""
        if type(value) is not int:
            raise TypeError(f"option {self.name} is an int, not {type(value).__name__}")
        if not self.least <= value < 2**31:
            raise ValueError(f"option {self.name}: {value} is not within {self.least} to 2147483647")
        return value

    def is_set(self, handle: CData, value: object) -> bool:
        """Whether the value that was read is another one than that of a new socket."""
        return value != self.default

    def get(self, handle: CData) -> tuple[int, Any]:
        """Read the option: 0 and its value, or -errno and None."""
        return _read_number(handle, self.constant, level=self.level)

    def set(self, handle: CData, value: Any) -> int:
        """Set the option to a checked value: 0, or -errno."""
        return calls.setsockopt_int_or_code(handle, self.level, self.constant, value)


class BoolOption(Option):
    """A row whose values are True and False."""

    __slots__ = ()
    value = "bool"

    def check(self, value: Any) -> int:
        """Return 0 or 1."""
        if type(value) is not bool:
            raise TypeError(f"option {self.name} is True or False, not {value!r}")
        return int(value)

    def get(self, handle: CData) -> tuple[int, Any]:
        """Read the option."""
        code, value = super().get(handle)
        return code, value if code else bool(value)


class BufferOption(Option):
    """A row whose value on a new socket is the administrator's choice."""

    __slots__ = ()

    # The bits of SO_BUF_LOCK (Linux 5.15; include/uapi/linux/sock_diag.h and socket(7) call them the same).
    _LOCKS = {calls.SO_SNDBUF: 1, calls.SO_RCVBUF: 2}  # noqa: RUF012 - nothing changes it.

    def is_set(self, handle: CData, value: object) -> bool:
        """Whether somebody has set it; also where the kernel does not tell."""
        code, locks = (-1, 0) if calls.SO_BUF_LOCK < 0 else _read_number(handle, calls.SO_BUF_LOCK)
        return code < 0 or bool(locks & self._LOCKS.get(self.constant, 0))


class NumberOption(Option):
    """A row whose value is 64 bits wide, and can only be read."""

    __slots__ = ()

    def get(self, handle: CData) -> tuple[int, Any]:
        """Read the option."""
        return _read_number(handle, self.constant, 8)


class TimeoutOption(Option):
    """A row whose values are seconds, or None for no timeout."""

    __slots__ = ()
    value = "seconds or None"

    def check(self, value: Any) -> int:
        """Return microseconds, at least one: zero would mean no timeout."""
        seconds = check_timeout(value, f"option {self.name}")
        return 0 if seconds is None else min(max(1, round(seconds * 1e6)), 2**50)

    def get(self, handle: CData) -> tuple[int, Any]:
        """Read the option."""
        microseconds = calls.get_timeout_or_code(handle, self.constant)
        return (0, microseconds / 1e6) if microseconds > 0 else (microseconds, None)

    def set(self, handle: CData, value: Any) -> int:
        """Set the option to a checked value."""
        return int(calls.set_timeout(handle, self.constant, value))


class TimestampsOption(Option):
    """The row of timestamps: one setting, which the kernel spells as four options, of which at most one is on."""

    __slots__ = ()
    value = '"off", "microseconds" or "nanoseconds"'

    _UNITS = ("off", "microseconds", "nanoseconds")

    def check(self, value: Any) -> int:
        """Return the place of the unit."""
        if type(value) is not str:
            raise TypeError(f"option {self.name} is a str, not {type(value).__name__}")
        if value not in self._UNITS:
            raise ValueError(f"option {self.name} is {self.value}, not {value!r}")
        return self._UNITS.index(value)

    def get(self, handle: CData) -> tuple[int, Any]:
        """Read which of the options is on."""
        # In this order: the kernel says of SO_TIMESTAMP_NEW that it is on when it is SO_TIMESTAMPNS_NEW (Linux 6.18).
        for place, constants in ((2, calls.NANOSECOND_STAMPS), (1, calls.MICROSECOND_STAMPS)):
            for constant in constants:
                code, value = _read_number(handle, constant)
                # The new ones are unknown before Linux 5.1; the first is the C library's own.
                if code < 0 and constant == constants[0]:
                    return code, None
                if value:
                    return 0, self._UNITS[place]
        return 0, self._UNITS[0]

    def set(self, handle: CData, value: Any) -> int:
        """Switch one on, which switches the others off, or all off."""
        constants = calls.NANOSECOND_STAMPS if value == 2 else calls.MICROSECOND_STAMPS
        return calls.setsockopt_int_or_code(handle, calls.SOL_SOCKET, constants[0], int(value > 0))


ROWS_BY_NAME: dict[str, Option] = {
    row.name: row
    for row in (
        BoolOption(
            "pass_credentials",
            "SO_PASSCRED",
            calls.PASSCRED,
            "Receive credentials with each message.  An unbound socket is given an abstract name when it connects or "
            "sends.",
            "2.2",
            "credentials",
            default=False,
            level=calls.PASSCRED_LEVEL,
        ),
        BoolOption(
            "pass_pidfd",
            "SO_PASSPIDFD",
            calls.SO_PASSPIDFD,
            "Receive a pidfd of the sender with each message, as ScmPidfd.  An unbound socket is given an abstract "
            "name when it connects or sends.",
            "6.5",
            "pass_pidfd",
            default=False,
        ),
        BoolOption(
            "pass_security",
            "SO_PASSSEC",
            calls.SO_PASSSEC,
            "Receive the sender's security label with each message, as ScmSecurity, on a stream only while "
            "pass_credentials or pass_pidfd is on too.  Without a security module that labels sockets the kernel "
            "delivers nothing.",
            "2.6.18, for streams 4.2",
            "pass_security",
            default=False,
        ),
        BoolOption(
            "pass_rights",
            "SO_PASSRIGHTS",
            calls.SO_PASSRIGHTS,
            "Accept descriptors; on by default.  When False, whoever sends some to this socket gets PermissionError "
            "(EPERM), and nothing is queued.  On a listener it holds for its clients from their first byte.",
            "6.16",
            "pass_rights",
            default=True,
        ),
        TimestampsOption(
            "timestamps",
            "SO_TIMESTAMP, SO_TIMESTAMPNS",
            calls.MICROSECOND_STAMPS[0] if calls.MICROSECOND_STAMPS else -1,
            "Receive the time when each packet was sent, as ScmTimestamp.",
            "2.6.22, of 64 bits on 32-bit systems 5.1",
            "timestamps",
            _PACKETS,
            "the kernel delivers timestamps with packets, and never with the bytes of a stream",
            "off",
        ),
        BoolOption(
            "inq",
            "SO_INQ",
            calls.SO_INQ,
            "Receive with each message how many bytes are left to read, as ScmInq.  The kernel does not tell whether "
            "it is on.",
            "6.17",
            "inq",
            (STREAM,),
            "the kernel counts what is left of a stream only",
            False,
            "write",
        ),
        Option(
            "peek_offset",
            "SO_PEEK_OFF",
            calls.SO_PEEK_OFF,
            "Where the next peek begins, in bytes; it moves on with each peek and back with each receive, and -1 is "
            "off.",
            "3.4",
            "peek_offset",
            _CONNECTIONS,
            default=-1,
            least=-1,
        ),
        BoolOption(
            "oob_inline",
            "SO_OOBINLINE",
            calls.SO_OOBINLINE,
            "Leave the out-of-band byte among the others, so that it is never thrown away, and MSG_OOB receives "
            "nothing; at_mark() still tells where it is.",
            "5.15",
            "out_of_band",
            (STREAM,),
            "only streams have out-of-band data",
            False,
        ),
        Option(
            "receive_low_water",
            "SO_RCVLOWAT",
            calls.SO_RCVLOWAT,
            "How many bytes a receive waits for.  poll(2) ignores it on Linux, and so does a receive with a read "
            "timeout.",
            "2.4",
            None,
            (STREAM,),
            "a packet is received whole",
            1,
        ),
        BufferOption(
            "send_buffer",
            "SO_SNDBUF",
            calls.SO_SNDBUF,
            "Bytes that may be queued at the peer, the kernel's overhead included.  Linux doubles what is set, and a "
            "packet can be 32 bytes shorter than what is read.  Connections do not inherit it from a listener.",
        ),
        Option(
            "send_buffer_force",
            "SO_SNDBUFFORCE",
            calls.SO_SNDBUFFORCE,
            "Sets send_buffer beyond the administrator's limit; needs CAP_NET_ADMIN, otherwise it is PermissionError.",
            "2.6.14",
            "send_buffer_force",
            _CONNECTIONS,
            access="write",
        ),
        BufferOption(
            "receive_buffer",
            "SO_RCVBUF",
            calls.SO_RCVBUF,
            "Stored, and without effect on Linux, where the sender's buffer counts.",
        ),
        TimeoutOption(
            "receive_timeout",
            "SO_RCVTIMEO",
            calls.SO_RCVTIMEO,
            "The kernel's own timeout of a receive, in seconds.  It begins anew at every signal and is shared with "
            "clones; set_read_timeout() is exact.  accept() of a listener that was made here does not use it, and "
            "connections do not inherit it.",
        ),
        TimeoutOption(
            "send_timeout",
            "SO_SNDTIMEO",
            calls.SO_SNDTIMEO,
            "The kernel's own timeout of a send, in seconds, with the same limits.",
        ),
        NumberOption(
            "cookie",
            "SO_COOKIE",
            calls.SO_COOKIE,
            "A number that no other socket has until the system is started anew.",
            "4.12",
            "cookie",
            access="read",
        ),
        NumberOption(
            "namespace_cookie",
            "SO_NETNS_COOKIE",
            calls.SO_NETNS_COOKIE,
            "The number of the socket's network namespace, in which abstract names are unique.",
            "5.14",
            "namespace_cookie",
            access="read",
        ),
    )
}
