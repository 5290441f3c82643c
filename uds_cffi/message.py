"""One message and all it points to.

Rules:
- Whoever builds a ``msghdr`` keeps everything alive that it points to, and nothing else holds a pointer into it.
- A caller's buffer is exported for one call only.
"""

from __future__ import annotations

from struct import Struct
from struct import error as struct_error

from . import calls
from ._lib import ffi, lib
from .values import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ._lib import CData
    from .address import UnixSocketAddr
    from .ancillary import SocketAncillary
    from .fds import Borrowed

_IOVECS = ffi.typeof("struct iovec[]")
_MSGHDR = ffi.typeof("struct msghdr *")


def check_list(buffers: Any) -> None:
    """Refuse one buffer where several are expected: it would be taken for a sequence of ints."""
    kind = type(buffers)
    if kind is list or kind is tuple:
        return
    if isinstance(buffers, str) or not hasattr(kind, "__iter__") or calls.is_buffer(buffers):
        raise TypeError(f"an iterable of buffers is needed, not {type(buffers).__name__}")


def which(name: str, place: int, item: Any, problem: TypeError | BufferError) -> TypeError | BufferError:
    """Return the error that says which of several is wrong."""
    return type(problem)(f"{name} {place} is {type(item).__name__}: {problem}")


class Ancillary(Closing):
    """What SocketAncillary is to the calls that take one, so that they do not load it for programs that have none."""

    __slots__ = ()


def check_ancillary(ancillary: object) -> None:
    """Raise TypeError unless this is a SocketAncillary."""
    if not isinstance(ancillary, Ancillary):
        raise TypeError(f"a SocketAncillary is needed, not {type(ancillary).__name__}")


class _Vector:
    """Buffers as an iovec array; they stay exported until ``release()``."""

    __slots__ = ("iov", "count", "size", "_exports")

    def __init__(self, buffers: Iterable[Any], export: Any) -> None:
        check_list(buffers)
        self._exports: list[CData] = []
        try:
            for place, buffer in enumerate(buffers):
                try:
                    self._exports.append(export(buffer))
                except (TypeError, BufferError) as problem:
                    raise which("buffer", place, buffer, problem) from None
            exports = self._exports
            sizes = list(map(len, exports))
            self.count = len(exports)
            self.size = sum(sizes)
            self.iov = ffi.new(_IOVECS, max(self.count, 1))
            lib.uds_iov_fill(self.iov, exports, sizes, self.count)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """End the exports."""
        exports, self._exports = self._exports, []
        for view in exports:
            ffi.release(view)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def export(data: Any) -> CData:
    """Export a contiguous bytes-like object for reading, as a context manager with ``len()`` in bytes."""
    return ffi.from_buffer(data) if type(data) is bytes else calls.readable(data)


# Up to so many ints CPython packs in less time than it converts a list; beyond it PyPy loses far more than that saves.
_FEW = 64
_packers: dict[int, Callable[..., bytes]] = {}


def _packer(count: int) -> Callable[..., bytes]:
    pack = _packers[count] = Struct(f"qii{count}i").pack
    return pack


def send_ints(handle: CData, data: bytes, flags: int, fds: list[Any]) -> int:
    """Send bytes with a list of descriptors that are plain ints, the shortest way.

    Returns how many bytes went.  When it is negative nothing went: the list may hold something else, and then the long
    way says what is wrong with it.
    """
    # A list of our own: no other thread changes it between counting and sending.
    numbers = fds[:]
    for number in numbers:
        if type(number) is not int:
            return -1
    count = len(numbers)
    try:
        if count > _FEW:
            return calls.send_numbers(handle, data, len(data), flags, numbers, count)
        pack = _packers.get(count) or _packer(count)
        return calls.send_packed(handle, data, pack(len(data), flags, count, *numbers))
    except (OverflowError, struct_error):
        return -1


def send_fds(
    handle: CData,
    data: CData,
    size: int,
    flags: int,
    address: UnixSocketAddr | None,
    fds: Borrowed,
) -> int:
    """Send bytes with descriptors, perhaps to an address; returns how many bytes went or -errno."""
    sockaddr, length = (ffi.NULL, 0) if address is None else address._raw()
    numbers = fds.numbers
    owners = ffi.NULL if fds.owners is None else fds.owners
    return lib.uds_handle_send_fds(handle, data, size, flags, sockaddr, length, numbers, owners, len(numbers))


class Incoming(_Vector):
    """Writable buffers to receive into."""

    __slots__ = ()

    def __init__(self, buffers: Iterable[Any]) -> None:
        super().__init__(buffers, calls.writable)
        if self.count > calls.IOV_MAX:
            self.release()
            raise ValueError(f"{self.count} buffers are more than the {calls.IOV_MAX} that one message is read into")


class Outgoing(_Vector):
    """A message to send: buffers, perhaps an address, perhaps ancillary data."""

    __slots__ = ("_message", "_start", "_keep")

    def __init__(
        self,
        buffers: Iterable[Any],
        address: UnixSocketAddr | None = None,
        ancillary: SocketAncillary | None = None,
    ) -> None:
        super().__init__(buffers, export)
        self._message = message = ffi.new(_MSGHDR)
        self._start = 0
        self._keep: list[Any] = []
        if address is not None:
            sockaddr, length = address._raw()
            self._keep.append(sockaddr)
            message.msg_name, message.msg_namelen = sockaddr, length
        if ancillary is not None:
            control, length = ancillary._content()
            self._keep.append(control)
            # Some systems refuse a pointer with length 0.
            if length:
                message.msg_control, message.msg_controllen = control, length
        if self.count > calls.IOV_MAX:
            # A first piece without a byte would lose the ancillary data on a stream.
            self._skip()
        self._point()

    def _skip(self, sent: int = 0) -> int:
        """Go on behind the buffers that are empty or were sent whole; returns what was sent of the next one."""
        while self._start < self.count and sent >= self.iov[self._start].iov_len:
            sent -= self.iov[self._start].iov_len
            self._start += 1
        return sent

    def _point(self) -> None:
        self._message.msg_iov = self.iov + self._start
        self._message.msg_iovlen = min(self.count - self._start, calls.IOV_MAX)

    @property
    def carries_fds(self) -> bool:
        """Whether the ancillary data begins a message with descriptors in it."""
        first = lib.CMSG_FIRSTHDR(self._message)
        while first != ffi.NULL:
            if first.cmsg_level == lib.SOL_SOCKET and first.cmsg_type == lib.SCM_RIGHTS:
                return True
            first = lib.CMSG_NXTHDR(self._message, first)
        return False

    def attempt(self, handle: CData, flags: int) -> int:
        """Send once, at most IOV_MAX buffers; returns how many bytes went or -errno."""
        return lib.uds_handle_sendmsg(handle, self._message, flags)

    def piece(self) -> int:
        """Return how many bytes the next attempt would send."""
        end = min(self.count, self._start + calls.IOV_MAX)
        return sum(self.iov[place].iov_len for place in range(self._start, end))

    def advance(self, sent: int) -> None:
        """Go on behind the bytes that were sent, without the ancillary data, which went with them."""
        self.size -= sent
        message = self._message
        message.msg_control, message.msg_controllen = ffi.NULL, 0
        sent = self._skip(sent)
        if sent:
            entry = self.iov[self._start]
            entry.iov_base = ffi.cast("char *", entry.iov_base) + sent
            entry.iov_len -= sent
        self._point()
