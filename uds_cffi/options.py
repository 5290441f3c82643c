"""Socket options: one table of typed rows.

Rule: an option is a row, and nothing else in the library names it.  A row that this build does not have raises
FeatureUnavailable; a name without a row is an AttributeError.
"""

from __future__ import annotations

import errno

from . import calls
from .capabilities import ROWS, require
from .errors import FeatureUnavailable
from .waiting import check_timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._lib import CData


class Option:
    """A row: an int option of level SOL_SOCKET."""

    __slots__ = ("name", "constant", "feature", "description", "readable", "least")

    def __init__(
        self,
        name: str,
        constant: int,
        description: str,
        feature: str | None = None,
        readable: bool = True,
        least: int = 1,
    ) -> None:
        self.name = name
        self.constant = constant
        self.description = description
        self.feature = feature
        self.readable = readable
        self.least = least

    def check(self, value: Any) -> int:
        """Return the value as the kernel takes it, or raise TypeError or ValueError."""
        if type(value) is not int:
            raise TypeError(f"option {self.name} is an int, not {type(value).__name__}")
        if not self.least <= value < 2**31:
            raise ValueError(f"option {self.name}: {value} is not within {self.least} to 2147483647")
        return value

    def is_here(self, handle: CData) -> bool:
        """Whether this build and this kernel have the option, and the socket is open."""
        if self.feature is not None and not ROWS[self.feature][0]:
            return False
        return not self.readable or calls.has_option(handle, calls.SOL_SOCKET, self.constant)

    def get(self, handle: CData) -> Any:
        """Read the option."""
        return calls.getsockopt_int(handle, calls.SOL_SOCKET, self.constant)

    def set(self, handle: CData, value: Any) -> None:
        """Set the option to a checked value."""
        calls.setsockopt_int(handle, calls.SOL_SOCKET, self.constant, value)


class BoolOption(Option):
    """A row whose values are True and False."""

    __slots__ = ()

    def check(self, value: Any) -> int:
        """Return 0 or 1."""
        if type(value) is not bool:
            raise TypeError(f"option {self.name} is True or False, not {value!r}")
        return int(value)

    def get(self, handle: CData) -> bool:
        """Read the option."""
        return bool(super().get(handle))


class TimeoutOption(Option):
    """A row whose values are seconds, or None for no timeout."""

    __slots__ = ()

    def check(self, value: Any) -> int:
        """Return microseconds, at least one: zero would mean no timeout."""
        seconds = check_timeout(value)
        return 0 if seconds is None else min(max(1, round(seconds * 1e6)), 2**50)

    def get(self, handle: CData) -> float | None:
        """Read the option."""
        microseconds = calls.get_timeout(handle, self.constant)
        return microseconds / 1e6 if microseconds else None

    def set(self, handle: CData, value: Any) -> None:
        """Set the option to a checked value."""
        calls.check(calls.set_timeout(handle, self.constant, value))


_TABLE = {
    row.name: row
    for row in (
        BoolOption(
            "pass_credentials",
            calls.SO_PASSCRED,
            "Receive credentials with each message (SO_PASSCRED, Linux 2.2).  An unbound socket is given an abstract "
            "name when it connects or sends.",
            "credentials",
        ),
        BoolOption(
            "pass_rights",
            calls.SO_PASSRIGHTS,
            "Accept descriptors (SO_PASSRIGHTS, Linux 6.16; on by default).  When False, whoever sends some to this "
            "socket gets PermissionError, and nothing is queued.  On a listener it holds for its clients from their "
            "first byte.",
            "pass_rights",
        ),
        BoolOption(
            "pass_pidfd",
            calls.SO_PASSPIDFD,
            "Receive a pidfd of the sender with each message (SO_PASSPIDFD, Linux 6.5).  An unbound socket is given an "
            "abstract name when it connects or sends.",
            "pass_pidfd",
        ),
        Option(
            "peek_offset",
            calls.SO_PEEK_OFF,
            "Where the next peek begins, in bytes; it moves on with each peek, and -1 is off (SO_PEEK_OFF, Linux 3.4).",
            "peek_offset",
            least=-1,
        ),
        Option(
            "send_buffer",
            calls.SO_SNDBUF,
            "Bytes that may be queued at the peer, the kernel's overhead included (SO_SNDBUF).  Linux doubles what is "
            "set, and a packet can be 32 bytes shorter than what is read.",
        ),
        Option(
            "receive_buffer",
            calls.SO_RCVBUF,
            "Stored, and without effect on Linux, where the sender's buffer counts (SO_RCVBUF).",
        ),
        TimeoutOption(
            "receive_timeout",
            calls.SO_RCVTIMEO,
            "The kernel's own timeout of a receive, in seconds (SO_RCVTIMEO).  It begins anew at every signal and is "
            "shared with clones; set_read_timeout() is exact.  accept() of a listener that was made here does not use "
            "it.",
        ),
        TimeoutOption(
            "send_timeout",
            calls.SO_SNDTIMEO,
            "The kernel's own timeout of a send, in seconds (SO_SNDTIMEO), with the same limits.",
        ),
    )
}


def _row(name: str) -> Option:
    try:
        row = _TABLE[name]
    except (KeyError, TypeError):
        raise AttributeError(f"there is no option {name!r}; the options are {', '.join(sorted(_TABLE))}") from None
    if row.feature is not None:
        require(row.feature)
    return row


def _translate(row: Option, error: OSError) -> OSError:
    if row.feature is not None and error.errno in (errno.ENOPROTOOPT, errno.EOPNOTSUPP):
        return FeatureUnavailable(row.feature, "kernel", error.errno)
    return error


class Options:
    """The options of one socket, read and set by name: ``sock.options.pass_credentials = True``.

    ``dir(sock.options)`` lists the names, and ``describe_options()`` of ``uds_cffi.options`` what each is.  A
    write-only option would read as what this object set, else None.

    Raises:
        AttributeError: there is no such option.
        TypeError, ValueError: a value of the wrong type, or out of range; the kernel was not asked.
        FeatureUnavailable: this build or this kernel does not have the option.
        OSError: what the kernel reports; EBADF when the socket is closed.
    """

    __slots__ = ("_handle", "_written")

    _handle: CData
    _written: dict[str, Any]

    def __init__(self, handle: CData, written: dict[str, Any]) -> None:
        object.__setattr__(self, "_handle", handle)
        object.__setattr__(self, "_written", written)

    def __getattr__(self, name: str) -> Any:
        row = _row(name)
        if not row.readable:
            return self._written.get(name)
        try:
            return row.get(self._handle)
        except OSError as error:
            raise _translate(row, error) from None

    def __setattr__(self, name: str, value: Any) -> None:
        row = _row(name)
        raw = row.check(value)
        try:
            row.set(self._handle, raw)
        except OSError as error:
            raise _translate(row, error) from None
        if not row.readable:
            self._written[name] = value

    def __dir__(self) -> list[str]:
        return sorted(_TABLE)

    def __repr__(self) -> str:
        # An error is not waited for, because it might be one that a signal handler raises.
        shown = [f"{name}={getattr(self, name)!r}" for name, row in sorted(_TABLE.items()) if row.is_here(self._handle)]
        return f"<Options {' '.join(shown)}>"


def check_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a checked copy of an ``options=`` argument, so that bad ones are refused before anything is created."""
    if options is None:
        return {}
    if not hasattr(options, "keys"):
        raise TypeError(f"options is a mapping of names to values, not {type(options).__name__}")
    checked = dict(options)
    for name, value in checked.items():
        _row(name).check(value)
    return checked


def apply_options(options: Options, values: Mapping[str, Any]) -> None:
    """Set several options."""
    for name, value in values.items():
        setattr(options, name, value)


def describe_options() -> dict[str, str]:
    """Return what each option is, by name."""
    return {name: row.description for name, row in _TABLE.items()}
