"""The calls that take or give an address."""

from __future__ import annotations

from . import calls
from ._lib import ffi, lib
from .address import ENCODING, ENCODING_ERRORS, UnixSocketAddr
from .errors import AddressError, error
from .pools import pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from typing import Any

    from ._lib import CData
    from .places import Place


def bytes_of_peer(value: Any) -> bytes:
    """Return an address as ``sun_path`` has it, unchecked, or nothing when it is not obvious."""
    kind = type(value)
    if kind is UnixSocketAddr:
        name: bytes = value.name if value.kind == "path" else value.raw_bytes
        return name
    if kind is str:
        try:
            encoded: bytes = value.encode(ENCODING, ENCODING_ERRORS)
        except UnicodeEncodeError:
            return b""
        return encoded
    return value if kind is bytes else b""


def new_name() -> CData:
    """Make room for a name that the kernel writes."""
    return ffi.new("struct uds_name *")


_names: deque[CData] = pool(8)
take_name = _names.pop
give_name = _names.append


def borrow_name() -> CData:
    """Take a name out of the pool, or make one; ``give_name()`` puts it back."""
    try:
        return take_name()
    except IndexError:
        return new_name()


def returned(name: CData) -> UnixSocketAddr:
    """Read a borrowed name, and put it back."""
    address = UnixSocketAddr._from_name(name)
    give_name(name)
    return address


def local_name(handle: CData) -> UnixSocketAddr:
    """Return the name that a socket is bound to (getsockname(2))."""
    return _found(local_name_or_code(handle))


def local_name_or_code(handle: CData) -> UnixSocketAddr | int:
    """Do the same, but return -errno."""
    name = new_name()
    result = lib.uds_handle_getsockname(handle, name)
    return UnixSocketAddr._from_name(name) if result == 0 else result


def peer_name(handle: CData) -> UnixSocketAddr:
    """Return the name of the peer (getpeername(2))."""
    return _found(peer_name_or_code(handle))


def peer_name_or_code(handle: CData) -> UnixSocketAddr | int:
    """Do the same, but return -errno."""
    name = new_name()
    result = lib.uds_handle_getpeername(handle, name)
    return UnixSocketAddr._from_name(name) if result == 0 else result


def _found(name: UnixSocketAddr | int) -> UnixSocketAddr:
    if isinstance(name, int):
        raise error(-name)
    return name


def bind(handle: CData, address: UnixSocketAddr) -> None:
    """Bind a socket (bind(2))."""
    if address.kind == "unnamed" and not UnixSocketAddr.has_abstract_addresses():
        raise AddressError("the unnamed address: this build or system has no abstract addresses to bind to (autobind)")
    calls.check(lib.uds_handle_bind(handle, *address._raw()), address)


def connect(handle: CData, address: UnixSocketAddr) -> int:
    """Connect a socket (connect(2)); returns 0 or -errno."""
    return lib.uds_handle_connect(handle, *address._raw())


def disconnect(handle: CData) -> int:
    """Dissolve the association of a datagram socket; returns 0 or -errno."""
    return lib.uds_handle_disconnect(handle)


def send_to(handle: CData, data: Any, size: int, flags: int, address: UnixSocketAddr) -> int:
    """Send bytes to an address (sendto(2)); returns how many or -errno."""
    return lib.uds_handle_sendto(handle, data, size, flags, *address._raw())


class named:  # noqa: N801 - used as a statement, like contextlib.suppress.
    """A context in which an error of the kernel is raised again with the address that it is about."""

    __slots__ = ("_address",)

    def __init__(self, address: UnixSocketAddr | Place) -> None:
        self._address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, problem: BaseException | None, traceback: object) -> None:
        if isinstance(problem, OSError) and problem.errno is not None and problem.filename is None:
            problem.filename = str(self._address)
