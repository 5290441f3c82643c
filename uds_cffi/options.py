"""Socket options, read and set by name.

Rules:
- What the kernel would store without doing anything is refused, with the reason, before the kernel is asked.  An option
  that this build does not have raises FeatureUnavailable; a name without a row is an AttributeError.
- Whether the kernel lacks an option is decided by the code that it returned, and never by what was raised: a signal
  handler may raise any OSError.
"""

from __future__ import annotations

import errno

from . import calls
from .capabilities import ROWS, require
from .errors import FeatureUnavailable, error
from .once import once
from .owner import refuse_copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._lib import CData
    from .optionrows import Option


@once
def _rows() -> dict[str, Option]:
    # Most programs use no option, and need not load the table.
    from .optionrows import ROWS_BY_NAME

    return ROWS_BY_NAME


def _row(name: object, role: str) -> Option:
    rows = _rows()
    row = rows.get(name) if isinstance(name, str) else None
    if row is None:
        raise AttributeError(f"there is no option {name!r}; the options are {', '.join(sorted(rows))}")
    row.check_socket(role)
    if row.feature is not None:
        require(row.feature)
    return row


def _writable_row(name: object, role: str) -> Option:
    row = _row(name, role)
    if row.access == "read":
        raise AttributeError(f"option {name} can only be read")
    return row


def _check_answer(row: Option, code: int) -> None:
    """Raise what the kernel's answer says, unless it is 0."""
    if row.feature is not None and code in (-errno.ENOPROTOOPT, -errno.EOPNOTSUPP):
        raise FeatureUnavailable(row.feature, "kernel", -code)
    if code < 0:
        raise error(-code)


@once
def _written() -> Any:
    from .optionrows import WRITTEN

    return WRITTEN


def _written_value(handle: CData, name: str) -> Any:
    return _written().get(handle, {}).get(name)


class Options:
    """The options of one socket, read and set by name: ``sock.options.pass_credentials = True``.

    ``dir(sock.options)`` lists the names that mean something on this type of socket, and ``describe_options()`` of
    ``uds_cffi.options`` what each is.  A write-only option reads as what this object set, else None.

    ``repr()`` shows the options that are set: those whose value is not the one that the kernel gives to a new socket.
    Of the buffers Linux tells since 5.15 whether somebody set them (SO_BUF_LOCK); elsewhere they are always shown.  A
    write-only option is shown when this object has set it.

    Raises:
        AttributeError: there is no such option, or it can only be read and was to be set.
        TypeError, ValueError: a value of the wrong type, or out of range; an option that means nothing on this type of
            socket.  The kernel was not asked.
        FeatureUnavailable: this build or this kernel does not have the option.
        OSError: what the kernel reports; EBADF when the socket is closed.
    """

    __slots__ = ("_handle", "_role")

    _handle: CData
    _role: str

    def __init__(self, handle: CData, role: str) -> None:
        object.__setattr__(self, "_handle", handle)
        object.__setattr__(self, "_role", role)

    def __getattr__(self, name: str) -> Any:
        row = _row(name, self._role)
        if row.access == "write":
            return _written_value(self._handle, name)
        code, value = row.get(self._handle)
        _check_answer(row, code)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        row = _writable_row(name, self._role)
        raw = row.check(value)
        _check_answer(row, row.set(self._handle, raw))
        if row.access == "write":
            # One step, so that all threads get the same dict.
            _written().setdefault(self._handle, {})[name] = value

    __getstate__ = refuse_copy

    def __dir__(self) -> list[str]:
        return sorted(name for name, row in _rows().items() if self._role in row.sockets)

    def _shown(self, row: Option) -> Any:
        """Return the value of an option that is set, or None."""
        if row.access == "write":
            value = _written_value(self._handle, row.name)
            return value if value != row.default else None
        # What this build lacks is not asked for, and what the kernel lacks is not shown.
        if row.access == "read" or (row.feature is not None and not ROWS[row.feature][0]):
            return None
        code, value = row.get(self._handle)
        return value if code == 0 and row.is_set(self._handle, value) else None

    def __repr__(self) -> str:
        rows = _rows()
        shown = [(name, self._shown(rows[name])) for name in dir(self)]
        return f"<{' '.join(['Options', *(f'{name}={value!r}' for name, value in shown if value is not None)])}>"


def check_options(options: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Return a checked copy of an ``options=`` argument, so that bad ones are refused before anything is created."""
    if not hasattr(options, "keys"):
        raise TypeError(f"options is a mapping of names to values, not {type(options).__name__}")
    checked = dict(options)
    for name, value in checked.items():
        _writable_row(name, role).check(value)
    return checked


def apply_options(options: Options, values: Mapping[str, Any]) -> None:
    """Set several options."""
    for name, value in values.items():
        setattr(options, name, value)


def describe_options() -> dict[str, str]:
    """Return what each option is, by name."""
    return {name: row.description for name, row in _rows().items()}


def _check_numbers(level: Any, name: Any) -> None:
    calls.check_c_int("the level of an option", level)
    calls.check_c_int("the name of an option", name)


def get_by_number(handle: CData, level: int, name: int, size: int | None) -> int | bytes:
    """Read any option: an int, or at most ``size`` bytes when a size is given."""
    _check_numbers(level, name)
    if size is None:
        return calls.getsockopt_int(handle, level, name)
    if type(size) is not int:
        raise TypeError(f"an option's size is an int, not {type(size).__name__}")
    if not 0 <= size <= 65536:
        raise ValueError(f"an option's size is within 0 to 65536 bytes, not {size}")
    return calls.getsockopt(handle, level, name, size)


def set_by_number(handle: CData, level: int, name: int, value: Any) -> None:
    """Set any option to an int or to bytes."""
    _check_numbers(level, name)
    if isinstance(value, int):
        if not -(2**31) <= value < 2**31:
            raise ValueError(f"{value} does not fit into a C int; give the bytes instead")
        calls.setsockopt_int(handle, level, name, value)
    else:
        calls.setsockopt(handle, level, name, calls.to_bytes(value))
