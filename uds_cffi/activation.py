"""Socket activation: sockets that a service manager opened before it started this process (sd_listen_fds(3)).

Rules:
- Close-on-exec comes first, on all of them.  Then each is checked, and only then are they owned, all or none: after an
  error, or when a signal handler raises, they are as open, and as well described by the environment, as before.
- A number is given out once in a process: whatever becomes of the socket, it may be another file's number later.
"""

from __future__ import annotations

import errno
import os
from collections import namedtuple

from . import calls, naming, pidfd
from .address import UnixSocketAddr
from .calls import SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, check
from .datagram import UnixDatagram
from .errors import error
from .fd import OwnedFd, kind_of
from .seqpacket import UnixSeqpacketConn, UnixSeqpacketListener
from .stream import UnixListener, UnixStream
from .values import Closing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NamedTuple, TypeVar, overload

    from ._lib import CData
    from .address import AddressLike
    from .owner import Owner

    Kind = TypeVar("Kind", bound=Owner)

    class ListenFd(NamedTuple):
        """A socket that was passed, and its name."""

        name: str
        socket: Any
else:
    ListenFd = namedtuple("ListenFd", "name socket")
    ListenFd.__doc__ = """One socket of ``listen_fds()``, and its name.

    Attributes:
        name: its name in LISTEN_FDNAMES (str), "unknown" without one.
        socket: UnixListener, UnixSeqpacketListener, UnixDatagram, UnixStream or UnixSeqpacketConn; an OwnedFd for what
            is no Unix socket.
    """

    def overload(function):
        """Stand in for ``typing.overload``."""
        return function


# SD_LISTEN_FDS_START: numbers begin behind standard error.
FIRST = 3

_VARIABLES = ("LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES")
_MOST_NAMED = 10

_CLASSES: dict[tuple[int, bool], type[Owner]] = {
    (SOCK_DGRAM, False): UnixDatagram,
    (SOCK_STREAM, False): UnixStream,
    (SOCK_STREAM, True): UnixListener,
    (SOCK_SEQPACKET, False): UnixSeqpacketConn,
    (SOCK_SEQPACKET, True): UnixSeqpacketListener,
}

# The numbers that were given out, each with what stands for the call that did so.
_taken: dict[int, object] = {}


class ListenFds(Closing, tuple["ListenFd", ...]):
    """The sockets that ``listen_fds()`` gives: a tuple of ``ListenFd(name, socket)``, in the order of their numbers.

    It is false when there are none.  Each socket belongs to the caller; ``close()``, or leaving a ``with`` block,
    closes all of them.
    """

    __slots__ = ()

    def find_all(
        self, name: str | None = None, *, kind: type[Any] | None = None, addr: AddressLike | None = None
    ) -> list[Any]:
        """Return the sockets that have this name, are of this class, and are bound to this address.

        Args:
            name: a name (str), or None for any; several sockets may have the same.
            kind: a class, for example UnixListener, or None for any.
            addr: a UnixSocketAddr, or a path as str, bytes or os.PathLike, or None for any.

        Returns:
            list of sockets, perhaps empty.
        """
        wanted = None if addr is None else UnixSocketAddr._coerce(addr)
        return [
            item.socket
            for item in self
            if (name is None or item.name == name)
            and (kind is None or isinstance(item.socket, kind))
            and (wanted is None or _address(item.socket) == wanted)
        ]

    @overload
    def find(self, name: str | None = None, *, kind: type[Kind], addr: AddressLike | None = None) -> Kind: ...  # noqa: D102
    @overload
    def find(  # noqa: D102, F811
        self, name: str | None = None, *, kind: None = None, addr: AddressLike | None = None
    ) -> Any: ...
    def find(  # noqa: F811
        self, name: str | None = None, *, kind: type[Any] | None = None, addr: AddressLike | None = None
    ) -> Any:
        """Return the one socket that has this name, is of this class, and is bound to this address.

        Arguments are those of ``find_all()``.

        Raises:
            LookupError: there is none, or more than one; the message says what there is.
        """
        found = self.find_all(name, kind=kind, addr=addr)
        if len(found) == 1:
            return found[0]
        wanted = [] if name is None else [f"name {name!r}"]
        if kind is not None:
            wanted.append(f"class {kind.__name__}")
        if addr is not None:
            wanted.append(f"address {str(UnixSocketAddr._coerce(addr))!r}")
        asked = f" with {', '.join(wanted)}" if wanted else ""
        here = ", ".join(_describe(item) for item in self[:_MOST_NAMED]) or "none"
        more = ", ..." if len(self) > _MOST_NAMED else ""
        raise LookupError(f"{len(found) or 'no'} passed sockets{asked}; there are: {here}{more}")

    def close(self) -> None:
        """Close all sockets; those that are closed already stay so."""
        for _, sock in self:
            sock.close()

    def __repr__(self) -> str:
        return f"ListenFds({list(self)!r})"


def listen_fds(names: Iterable[str] | None = None, *, clear: bool = False, others: bool = False) -> ListenFds:
    """Take over the sockets that a service manager passed to this process (sd_listen_fds(3), systemd.socket(5)).

    They are the numbers from 3 on, as many as LISTEN_FDS says, when LISTEN_PID is this process; their names are in
    LISTEN_FDNAMES.  Each is given out once: a later call returns what is left.  They keep the mode that they have,
    blocking as a rule, and closing them removes no file.

    Args:
        names: take only those with one of these names (an iterable of str), and leave the others to later calls and to
            other libraries; None takes all.
        clear: whether to remove the variables from ``os.environ``, also when they are for another process, so that no
            child sees them (bool).  After an error they are still there.
        others: whether what is no Unix socket is given as an OwnedFd (bool); otherwise it is an error.

    Returns:
        ListenFds, empty when nothing was passed to this process: there is no LISTEN_PID or no LISTEN_FDS, LISTEN_PID is
        another process, or LISTEN_PIDFDID is another that had its number.

    Raises:
        TypeError: ``names`` is a str, or holds something else.
        ValueError: a variable is malformed; a descriptor is no Unix socket, or one that neither listens nor is
            connected.  The message says its number, its name, and what it is.
        OSError: EBADF, a descriptor that should have been passed is not open.  After all errors everything is as it
            was, except that the descriptors are close-on-exec.
    """
    wanted = None if names is None else _check_names(names)
    count = _count()
    labels = _labels(count)
    for number in range(FIRST, FIRST + count):
        # One that was given out may be another file by now.
        if number not in _taken:
            _set_close_on_exec(number, count)
    token = object()
    made: list[tuple[int, ListenFd]] = []
    saved = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    # The loops are in functions of their own, because CPython 3.13 leaves the jump back from an `if` in a loop outside
    # of the `try` around it, and may run a signal handler there.
    try:
        _claim(count, labels, wanted, others, token, made)
        # From here on nothing fails but what a signal handler raises.
        _adopt(made)
        if clear:
            _clear()
        return tuple.__new__(ListenFds, _items(made))
    except BaseException:
        _give_back(token, made)
        os.environ.update(saved)
        raise


def _claim(
    count: int,
    labels: list[str],
    wanted: set[str] | None,
    others: bool,
    token: object,
    made: list[tuple[int, ListenFd]],
) -> None:
    """Make an object that owns nothing yet for each descriptor that is wanted and nobody took, and check that."""
    for place in range(count):
        number, label = FIRST + place, labels[place] if labels else "unknown"
        # Of several threads the dict lets one be the first.
        if (wanted is None or label in wanted) and _taken.setdefault(number, token) is token:
            made.append((number, ListenFd(label, _class_of(number, label, others)._empty())))


def _adopt(made: list[tuple[int, ListenFd]]) -> None:
    for number, item in made:
        check(calls.adopt(item.socket._handle, number, 0))


def _clear() -> None:
    for name in _VARIABLES:
        os.environ.pop(name, None)


def _items(made: list[tuple[int, ListenFd]]) -> list[ListenFd]:
    return [item for _, item in made]


def _give_back(token: object, made: list[tuple[int, ListenFd]]) -> None:
    """Own none of the descriptors any more, and let a later call have them."""
    for _, item in made:
        # -EBADF from those that own nothing yet.
        calls.detach(item.socket._handle)
    for number in [number for number, other in list(_taken.items()) if other is token]:
        del _taken[number]


def _check_names(names: Any) -> set[str]:
    if isinstance(names, (str, bytes)) or not hasattr(type(names), "__iter__"):
        raise TypeError(f"names is an iterable of str, not {type(names).__name__}")
    wanted = set()
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a name is a str, not {type(name).__name__}: {name!r}")
        wanted.add(name)
    return wanted


def _number(variable: str, least: int, most: int) -> int | None:
    """Read a variable that is a decimal number, or return None when there is no such variable."""
    text = os.environ.get(variable)
    if text is None:
        return None
    # int() takes signs, spaces, underscores and the digits of other scripts, which no service manager writes.
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{variable} is {text!r}, which is no decimal number")
    if len(text) > 20 or not least <= int(text) <= most:
        raise ValueError(f"{variable} is {text[:40]}, which is not within {least} to {most}")
    return int(text)


def _count() -> int:
    """Return how many descriptors were passed to this process."""
    pid = _number("LISTEN_PID", 1, 2**31 - 1)
    if pid != os.getpid() or not _is_this_process(_number("LISTEN_PIDFDID", 0, 2**64 - 1)):
        return 0
    return _number("LISTEN_FDS", 0, 2**31 - 1 - FIRST) or 0


def _is_this_process(identity: int | None) -> bool:
    """Whether this is the inode number of this process's pidfd, which no other process ever has (systemd 259)."""
    if identity is None:
        return True
    # Where the kernel does not tell, the process id alone must do, as in libsystemd.
    number = identity
    with pidfd.PidFd._empty() as own:
        if pidfd.pidfd_open(own._handle, os.getpid()) >= 0 and pidfd.pidfd_same(own._handle, own._handle) >= 0:
            number = os.fstat(own.fileno()).st_ino
    # All that a 32-bit kernel shows of it.
    return not (number ^ identity) & 0xFFFFFFFF


def _labels(count: int) -> list[str]:
    """Return the names of all descriptors, or nothing when they have none."""
    text = os.environ.get("LISTEN_FDNAMES")
    if text is None or not count:
        return []
    labels = text.split(":")
    if len(labels) != count:
        raise ValueError(f"LISTEN_FDNAMES is {text!r}, {len(labels)} names, but LISTEN_FDS is {count}")
    return labels


def _set_close_on_exec(number: int, count: int) -> None:
    try:
        os.set_inheritable(number, False)
    except OSError as problem:
        # What a signal handler raises may be an OSError too.
        if problem.errno != errno.EBADF:
            raise
        text = f"descriptor {number} is not open, but LISTEN_FDS says that {count} were passed, from {FIRST} on"
        raise OSError(errno.EBADF, text) from None


def _class_of(number: int, label: str, others: bool) -> type[Owner]:
    """Choose the class of a descriptor, which stays whose it is, or raise."""
    handle = calls.new_handle()
    check(calls.adopt(handle, number, 1))
    what = kind_of(handle)
    if what == "socket":
        domain, kind, listening = calls.describe_held(handle)
        if calls.is_unix(domain):
            return _unix_class(handle, number, label, kind, listening)
        what = f"socket of address family {domain}"
    if others:
        return OwnedFd
    raise ValueError(
        f"descriptor {number} ({label!r}) of LISTEN_FDS is no Unix socket, but: {what}; "
        "names= can leave it to others, and others=True gives it as an OwnedFd"
    )


def _unix_class(handle: CData, number: int, label: str, kind: int, listening: bool) -> type[Owner]:
    found = _CLASSES.get((kind, listening))
    if found is None:
        raise ValueError(
            f"descriptor {number} ({label!r}) of LISTEN_FDS is a Unix socket of type {calls.type_name(kind)}, "
            "for which this build has no class"
        )
    if kind != SOCK_DGRAM and not listening:
        peer = naming.peer_name_or_code(handle)
        if peer == -errno.ENOTCONN:
            raise ValueError(
                f"descriptor {number} ({label!r}) of LISTEN_FDS is a Unix socket of type {calls.type_name(kind)} "
                "that neither listens nor is connected"
            )
        if isinstance(peer, int):
            raise error(-peer)
    return found


def _address(sock: Any) -> UnixSocketAddr | None:
    """Return what a socket is bound to, or None for what is no socket, and for one that was closed."""
    return None if isinstance(sock, OwnedFd) or sock.closed else sock.local_addr()


def _describe(item: ListenFd) -> str:
    address = _address(item.socket)
    where = "" if address is None else f" at {str(address)!r}"
    return f"{item.name!r} ({type(item.socket).__name__}{where})"
