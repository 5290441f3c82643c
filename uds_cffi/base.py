"""What all sockets share: descriptor, names, options, modes.

Rules:
- A constructor makes the object first, with an empty handle, and lets C fill it; what fails afterwards closes it.
- A socket belongs to one domain, type and listening state, checked when it is taken over.
"""

from __future__ import annotations

import errno

from . import calls, naming
from .calls import CLOSED, check
from .calls import close as close_handle
from .constructors import constructor
from .errors import FeatureUnavailable, error
from .identity import Bound
from .once import socket_module
from .options import Options, apply_options, check_options, get_by_number, set_by_number
from .owner import Owner, number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar

    from typing_extensions import Self

    from .address import UnixSocketAddr


class Socket(Bound):
    """Base of the socket types."""

    __slots__ = ("_borrows",)

    _kind: int
    _feature: str | None = None
    _listens = False
    _role: str
    _instead: ClassVar[dict[str, str]] = {}

    _borrows: Any

    def __init__(self, *arguments: object, **keywords: object) -> None:
        """Refuse: a socket is made by a class method that says how it begins."""
        cls = type(self)
        makers = ("connect", "pair", "bind", "unbound", "from_fd", "from_stdlib", "borrow")
        names = ", ".join(f"{name}()" for name in makers if hasattr(cls, name))
        raise TypeError(f"{cls.__name__} is made by its class methods: {names}")

    @classmethod
    def _empty(cls) -> Self:
        self: Self = object.__new__(cls)
        self._handle = calls.new_handle()
        self._borrows = None
        self._file = None
        self._prepare()
        return self

    def _prepare(self) -> None:
        """Set up what the socket type keeps beside the descriptor."""

    def _forget(self) -> None:
        """Forget what stands for a handle that this socket has no more."""

    @classmethod
    def _created(cls, nonblocking: bool = False, options: Mapping[str, Any] | None = None) -> Self:
        """Make a new socket, with its options set."""
        checked = None if options is None else check_options(options, cls._role)
        self = cls._empty()
        result = calls.open_socket(self._handle, cls._kind_here(), bool(nonblocking))
        if result < 0:
            cls._support(result)
        if checked:
            try:
                apply_options(self.options, checked)
            except BaseException:
                self.close()
                raise
        return self

    @classmethod
    def _kind_here(cls) -> int:
        if cls._kind < 0:
            raise FeatureUnavailable(str(cls._feature), "not built")
        return cls._kind

    @classmethod
    def _support(cls, result: int) -> int:
        if cls._feature and result in (-errno.ESOCKTNOSUPPORT, -errno.EPROTONOSUPPORT, -errno.EPROTOTYPE):
            raise FeatureUnavailable(cls._feature, "kernel", -result)
        return check(result)

    @classmethod
    def _check_kind(cls, number: int, description: tuple[int, int, bool]) -> None:
        """Raise unless the descriptor is a Unix socket of this type and listening state."""
        domain, kind, listening = description
        wanted = cls._kind_here()
        if not calls.is_unix(domain):
            raise ValueError(f"descriptor {number} is a socket of address family {domain}, not AF_UNIX")
        if kind != wanted:
            raise ValueError(
                f"descriptor {number} is a socket of type {calls.type_name(kind)}; "
                f"{cls.__name__} is of type {calls.type_name(wanted)}"
            )
        if listening != cls._listens:
            state = "listening" if listening else "not listening"
            raise ValueError(f"descriptor {number} is {state}, and so no {cls.__name__}")

    @constructor
    def from_fd(cls, fd: int) -> Self:
        """Take over an open descriptor (int).

        The caller no longer owns it once this has returned; when it raises, the caller still does.

        Raises:
            TypeError: not an int.
            OSError: EBADF, it is not open; ENOTSOCK, it is no socket.
            ValueError: not a Unix socket of this type and listening state.
        """
        if type(fd) is not int:
            raise TypeError(f"a descriptor is an int, not {type(fd).__name__}")
        cls._check_kind(fd, calls.describe(fd))
        self = cls._empty()
        check(calls.adopt(self._handle, fd, 0))
        return self

    @classmethod
    def _take(cls, owned: Owner) -> Self:
        """Take a descriptor over from its owner, in one step."""
        cls._check_kind(owned.fileno(), calls.describe_held(owned._handle))
        self = cls._empty()
        check(calls.move(owned._handle, self._handle))
        return self

    @constructor
    def from_stdlib(cls, sock: Any) -> Self:
        """Turn a ``socket.socket`` into this type; the source is left closed, and the timeout is carried over.

        The new socket has another descriptor number for the same open file description, so that the descriptor has
        an owner at every moment.

        Raises:
            TypeError: not an object with ``fileno()``, ``gettimeout()`` and ``close()``.
            OSError, ValueError: as ``from_fd()``; the source stays as it was.
        """
        for name in ("fileno", "gettimeout", "close"):
            if not callable(getattr(sock, name, None)):
                raise TypeError(f"a socket.socket is needed, not {type(sock).__name__}")
        cls._check_kind(sock.fileno(), calls.describe(sock.fileno()))
        timeout = sock.gettimeout()
        self = cls._empty()
        check(calls.dup_number(sock.fileno(), self._handle))
        try:
            self._carry_mode(timeout)
        except BaseException:
            self.close()
            raise
        sock.close()
        return self

    def _carry_mode(self, timeout: float | None) -> None:
        """Take over the standard library's timeout: None blocks, 0 never waits."""
        raise NotImplementedError

    def _mode(self) -> float | None:
        """Return the standard library's timeout for this socket's mode."""
        raise NotImplementedError

    def to_stdlib(self) -> Any:
        """Turn this socket into a ``socket.socket``; this one is left closed, and the mode is carried over.

        The standard library has one timeout for reading and writing: it gets the one for reading, or else the one for
        writing.

        Returns:
            socket.socket, which owns its descriptor.

        Raises:
            OSError: EBADF when closed.
        """
        socket = socket_module()
        timeout = self._mode()
        # A duplicate that no other thread can close; fromfd() duplicates it again, so that the descriptor has an
        # owner at every moment.
        with Owner._empty() as mine:
            check(calls.dup(self._handle, mine._handle))
            domain, kind, _ = calls.describe_held(mine._handle)
            sock = socket.fromfd(mine.fileno(), domain, kind)
        try:
            sock.settimeout(timeout)
        except BaseException:
            sock.close()
            raise
        self._leave_file()
        self.close()
        return sock

    @constructor
    def borrow(cls, obj: Any) -> Self:
        """Work on a descriptor that belongs to somebody else, and never close it.

        Args:
            obj: an int or an object with ``fileno()``, such as ``writer.get_extra_info("socket")`` of asyncio; the
                object is kept alive by the result.

        Returns:
            A socket of this type, also a context manager.  Closing it ends the loan.  Timeouts and the mode of a socket
            of this library are copied.

        Raises:
            TypeError, OSError, ValueError: as ``from_fd()``.
        """
        number = number_of(obj)
        self = cls._empty()
        self._borrows = (obj,)
        if isinstance(obj, Owner):
            # Its handle knows when its owner closes it.
            cls._check_kind(number, calls.describe_held(obj._handle))
            self._handle = obj._handle
            if isinstance(obj, Socket) and type(obj) is type(self):
                self._carry_clone(obj)
        else:
            cls._check_kind(number, calls.describe(number))
            check(calls.adopt(self._handle, number, 1))
        return self

    def close(self) -> None:  # noqa: D102 - inherited below.
        if self._borrows is None:
            if self._file is not None:
                self._close_with_file()
                return
            result = close_handle(self._handle)
            if not result:
                # It says the same as the socket's own, and the finalizer need not ask it.  While calls are running the
                # child of a fork, in which they are not, may still have to close.
                self._handle = CLOSED
            elif result < 0:
                check(result)
        else:
            self._leave_file()
            # Before and after, so that at no moment anything stands for the owner's handle and is used.
            self._forget()
            self._handle = calls.new_handle()
            self._borrows = ()
            self._forget()

    close.__doc__ = Owner.close.__doc__

    def detach(self) -> int:  # noqa: D102 - inherited below.
        if self._borrows is not None:
            raise ValueError("a borrowed descriptor belongs to somebody else and is not given away; fileno() tells it")
        number = super().detach()
        self._leave_file()
        return number

    detach.__doc__ = Owner.detach.__doc__

    def try_clone(self) -> Self:
        """Return a second socket for the same open file description; each is closed on its own.

        Queue, peer and the kernel's options are shared; timeouts are copied.  The copy is close-on-exec.

        Raises:
            OSError: EBADF when closed; EMFILE when this process may open no more.
        """
        copy = type(self)._empty()
        check(calls.dup(self._handle, copy._handle))
        if self._file is not None:
            copy._file = self._file.shared()
        copy._carry_clone(self)
        return copy

    def _carry_clone(self, source: Self) -> None:
        """Take over what the source keeps beside the descriptor."""

    def local_addr(self) -> UnixSocketAddr:
        """Return the address that the socket is bound to, or the unnamed one (getsockname(2)).

        A file that was renamed keeps its first name here.

        Raises:
            OSError: EBADF when closed.
        """
        return naming.local_name(self._handle)

    def take_error(self) -> OSError | None:
        """Return the error that is stored on the socket, and clear it (SO_ERROR of socket(7)); None for none.

        On Linux only ECONNRESET is ever stored: the peer closed with data of ours unread.
        """
        code = calls.getsockopt_int(self._handle, calls.SOL_SOCKET, calls.SO_ERROR)
        return error(code) if code else None

    def set_nonblocking(self, nonblocking: bool) -> None:
        """Let calls that would block raise BlockingIOError instead (True), or wait (False).

        This is the kernel's O_NONBLOCK, which clones and other processes share (fcntl(2)).
        """
        check(calls.set_nonblocking(self._handle, bool(nonblocking)))

    def is_nonblocking(self) -> bool:
        """Return whether calls that would block raise BlockingIOError (bool)."""
        self._check_open()
        return self._refuses_to_wait()

    def _refuses_to_wait(self) -> bool:
        """Do the same; False when closed."""
        return bool(calls.get_nonblocking(self._handle) > 0)

    def shutdown(self, how: int) -> None:
        """End one or both directions for every copy of the socket (shutdown(2)); blocked calls wake up.

        Args:
            how: ``SHUT_RD``, ``SHUT_WR`` or ``SHUT_RDWR`` (int).

        Raises:
            ValueError: another value.
            OSError: EBADF when closed; what shutdown(2) reports.
        """
        if how not in (calls.SHUT_RD, calls.SHUT_WR, calls.SHUT_RDWR):
            raise ValueError(f"how is SHUT_RD, SHUT_WR or SHUT_RDWR, not {how!r}")
        check(calls.shutdown(self._handle, how))

    def unread_bytes(self) -> int:
        """Return what FIONREAD counts (int).

        Linux: on a stream all bytes that can be read, and one too many, for ever, for each out-of-band byte that was
        thrown away; on sequenced packets the sum of all; on datagrams the length of the first, or 0.
        """
        return check(calls.unread_bytes(self._handle))

    def get_option(self, level: int, name: int, size: int | None = None) -> int | bytes:
        """Read any option by its numbers (getsockopt(2)): a C int, or at most ``size`` bytes (0 to 65536) when given.

        Raises:
            TypeError, ValueError: bad arguments; the kernel was not asked.
            OSError: ENOPROTOOPT, there is no such option; otherwise what getsockopt(2) reports.
        """
        return get_by_number(self._handle, level, name, size)

    def set_option(self, level: int, name: int, value: Any) -> None:
        """Set any option by its numbers (setsockopt(2)) to a C int or to bytes; raises as ``get_option()`` does."""
        set_by_number(self._handle, level, name, value)

    @property
    def options(self) -> Options:
        """The socket's options, read and set by name (Options)."""
        return Options(self._handle, self._role)

    def _state(self) -> str:
        """Say what else ``repr`` shows of an open socket."""
        raise NotImplementedError

    def __repr__(self) -> str:
        name = type(self).__name__
        number = self.fileno()
        if number < 0:
            return f"<{name} closed>"
        local = naming.local_name_or_code(self._handle)
        if isinstance(local, int):
            return f"<{name} fd={number} ({error(-local)})>"
        mode = " nonblocking" if self._refuses_to_wait() else ""
        return f"<{name} fd={number}{'' if self._borrows is None else ' borrowed'} local={local}{self._state()}{mode}>"
