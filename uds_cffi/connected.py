"""What connected sockets share: how they are made, and timeouts.

Rule: a timeout is exact and belongs to the object.  With one the attempts do not block in the kernel (MSG_DONTWAIT) and
the library waits; without one the kernel waits.
"""

from __future__ import annotations

import errno

from . import calls, naming
from .address import UnixSocketAddr
from .base import Socket
from .calls import HANDLE, MSG_DONTWAIT, POLLIN, POLLOUT, allocate_handle, check
from .constructors import constructor
from .errors import error
from .identity import HasPeer
from .naming import bytes_of_peer
from .options import apply_options, check_options
from .places import place_of
from .receiver import Receiver, adapt, give_small, preset, return_receiver, take_small
from .waiting import check_timeout, deadline_of, finish, flags_for, limit_in_kernel, now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from typing_extensions import Self

    from ._lib import CData
    from .address import AddressLike
    from .places import Place


_EAGAIN = -errno.EAGAIN
_EINTR = -errno.EINTR
_new = object.__new__


def _begin(cls: Any, preset: tuple[int, int, int]) -> Any:
    """Make a socket with an empty handle, with as few steps as there are."""
    self = _new(cls)
    self._handle = self._token = allocate_handle(HANDLE)
    self._try_token = object()
    self._borrows = self._file = self._read_timeout = self._write_timeout = None
    _, self._recv_flags, self._send_flags = preset
    return self


class Connected(Socket, HasPeer):
    """Base of the sockets that send and receive."""

    __slots__ = ("_read_timeout", "_write_timeout", "_recv_flags", "_send_flags", "_token", "_try_token")

    # What every send and every receive of this type carries.
    _always_sends = 0
    _always_asks = 0

    _read_timeout: float | None
    _write_timeout: float | None
    _recv_flags: int
    _send_flags: int
    # Stands for this socket with its flags for receiving: a receiver that has it need not be set again.
    _token: object
    # The same for the receives that never wait, whose flags never change.
    _try_token: object

    # The type, and the flags of receives and sends, as the classes below name them: CPython takes its time for each
    # attribute of a class.
    _preset: tuple[int, int, int]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._preset = getattr(cls, "_kind", -1), cls._always_asks, cls._always_sends

    @classmethod
    def _empty(cls) -> Self:
        self: Self = _begin(cls, cls._preset)
        return self

    def _forget(self) -> None:
        self._token = object()
        self._try_token = object()

    @constructor
    def connect(
        cls,
        addr: AddressLike,
        *,
        bind: AddressLike | None = None,
        timeout: float | None = None,
        nonblocking: bool = False,
        options: Mapping[str, Any] | None = None,
        dir_fd: Any = None,
        long_path: bool = False,
    ) -> Self:
        """Make a socket that is connected to an address (connect(2)).

        Args:
            addr: a UnixSocketAddr, or a path as str, bytes or os.PathLike.
            bind: an address to bind to first, so that the peer sees a name; "" lets Linux choose an abstract one.
            timeout: seconds to wait while the listener's backlog is full (float), or None to wait for ever.  Other
                systems than Linux refuse a connection then (ECONNREFUSED; read in their sources, never run there).
            nonblocking: whether the socket is nonblocking, from before it connects (bool).
            options: names and values of options, set before it binds and connects (a mapping).
            dir_fd: where a relative path begins: a directory, as int or an object with ``fileno()``.
            long_path: whether the path may be longer than an address (bool).

        Returns:
            A new socket, close-on-exec, without read and write timeouts; success means that the listener has it in
            its queue.

        Raises:
            AddressError: the address cannot be one, or is unnamed.
            FeatureUnavailable: "bindat", for dir_fd and long_path.
            OSError: with the address: FileNotFoundError, ConnectionRefusedError (also: the abstract name belongs to a
                listener of another type), PermissionError, TimeoutError, OSError (EPROTOTYPE, the file does), ...;
                BlockingIOError when nonblocking and the backlog is full.
        """
        plain = dir_fd is None and not long_path
        if plain and bind is None and timeout is None and options is None and not nonblocking:
            name = bytes_of_peer(addr)
            preset = cls._preset
            if name and preset[0] >= 0:
                self: Self = _begin(cls, preset)
                try:
                    result = calls.open_connected(self._handle, preset[0], name, len(name))
                    if result == 0:
                        return self
                    if result < 0:
                        # It is the socket that could not be made, or the connection.
                        if self.closed:
                            cls._support(result)
                        self._connect(UnixSocketAddr._coerce(addr), None, False, result)
                        return self
                except BaseException:
                    self.close()
                    raise
        if plain:
            return cls._connected(UnixSocketAddr._coerce(addr)._peer(), bind, timeout, bool(nonblocking), options)
        with place_of(addr, dir_fd, long_path) as place:
            return cls._connected(place, bind, timeout, bool(nonblocking), options)

    @classmethod
    def _connected(
        cls,
        target: UnixSocketAddr | Place,
        bind: AddressLike | None,
        timeout: float | None,
        nonblocking: bool,
        options: Mapping[str, Any] | None,
    ) -> Self:
        local = None if bind is None else UnixSocketAddr._coerce(bind)
        deadline = deadline_of(check_timeout(timeout))
        self = cls._created(nonblocking, options)
        try:
            if local is not None:
                naming.bind(self._handle, local)
            self._connect(target, deadline, nonblocking)
        except BaseException:
            self.close()
            raise
        return self

    def _connect(
        self, target: UnixSocketAddr | Place, deadline: float | None, nonblocking: bool, result: int | None = None
    ) -> None:
        """Connect, if a first attempt has failed; a full backlog cannot be polled, so the kernel's timeout ends it."""
        handle = self._handle

        def connect() -> int:
            if isinstance(target, UnixSocketAddr):
                return naming.connect(handle, target)
            return target.connect(handle)

        before = 0
        if deadline is None:
            if result is None:
                result = connect()
            if result == 0:
                return
        else:
            before = calls.get_timeout(handle, calls.SO_SNDTIMEO)

        def attempt(left: float | None = None) -> int:
            failed = limit_in_kernel(handle, calls.SO_SNDTIMEO, deadline, left)
            if failed:
                return failed
            result = connect()
            if result == -errno.EAGAIN and not nonblocking and deadline is not None and now() < deadline:
                # The kernel's timeout is a day at most; then it is begun anew.
                return -errno.EINTR
            return result

        if deadline is not None:
            # The first attempt is made however short the timeout is.
            result = attempt(max(0.0, deadline - now()))
        assert result is not None
        check(finish(handle, result, attempt, POLLOUT, deadline, kernel_timeout=calls.SO_SNDTIMEO), target)
        if deadline is not None:
            check(calls.set_timeout(handle, calls.SO_SNDTIMEO, before))

    @constructor
    def pair(cls, *, nonblocking: bool = False, options: Mapping[str, Any] | None = None) -> tuple[Self, Self]:
        """Make two sockets that are connected to each other and have no name (socketpair(2)).

        Args:
            nonblocking: whether both are nonblocking (bool).
            options: names and values of options, set on both (a mapping).

        Returns:
            Two new sockets, close-on-exec.

        Raises:
            OSError: EMFILE, this process may open no more; what socketpair(2) reports.
        """
        checked = None if options is None else check_options(options, cls._role)
        preset = cls._preset
        if preset[0] < 0:
            cls._kind_here()
        one: Self = _begin(cls, preset)
        two: Self = _begin(cls, preset)
        result = calls.open_pair(one._handle, two._handle, preset[0], 1 if nonblocking else 0)
        if result < 0:
            cls._support(result)
        if checked:
            try:
                apply_options(one.options, checked)
                apply_options(two.options, checked)
            except BaseException:
                one.close()
                two.close()
                raise
        return one, two

    def _carry_mode(self, timeout: float | None) -> None:
        # The standard library makes sockets with a timeout nonblocking in the kernel; here that would beat it.
        self.set_nonblocking(timeout == 0)
        if timeout:
            self.set_read_timeout(timeout)
            self.set_write_timeout(timeout)

    def _mode(self) -> float | None:
        return 0.0 if self.is_nonblocking() else self._read_timeout or self._write_timeout

    def _carry_clone(self, source: Self) -> None:
        super()._carry_clone(source)
        self.set_read_timeout(source._read_timeout)
        self.set_write_timeout(source._write_timeout)

    def set_read_timeout(self, timeout: float | None) -> None:
        """Let each receive raise TimeoutError after so many seconds (float), or never (None, as at first).

        It is the total for one call, exact, and kept by this object: clones made later copy it, other processes do not
        see it.  On a nonblocking socket it has no effect.

        Raises:
            TypeError, ValueError: not a number; zero, negative, infinite.
        """
        timeout = check_timeout(timeout)
        if timeout is None:
            self._read_timeout = None
        self._recv_flags = self._always_asks | flags_for(timeout)
        # After the flags, and whoever sets a receiver reads it before them: nobody pairs the new token with old flags.
        self._token = object()
        # A timeout holds only for attempts that do not block, also when a signal handler raises in between.
        self._read_timeout = timeout
        # Of several that set one at once, the last to come here may find the timeout of one and the flags of another.
        while (flags := self._always_asks | flags_for(self._read_timeout)) != self._recv_flags:
            self._recv_flags = flags
            self._token = object()

    def read_timeout(self) -> float | None:
        """Return the timeout of receives in seconds, exactly as it was set, or None."""
        return self._read_timeout

    def set_write_timeout(self, timeout: float | None) -> None:
        """Let each send raise TimeoutError after so many seconds (float), or never (None); as for reading."""
        timeout = check_timeout(timeout)
        if timeout is None:
            self._write_timeout = None
        self._send_flags = self._always_sends | flags_for(timeout)
        self._write_timeout = timeout
        # As for reading.
        while (flags := self._always_sends | flags_for(self._write_timeout)) != self._send_flags:
            self._send_flags = flags

    def write_timeout(self) -> float | None:
        """Return the timeout of sends in seconds, exactly as it was set, or None."""
        return self._write_timeout

    def _receive(self, receive: Callable[[CData], int], size: int, flags: int) -> tuple[bytes, int]:
        """Receive with flags of this call alone: the bytes, and how many the message had."""
        receiver = preset(self._handle, size, self._recv_flags | flags)
        count = receive(receiver.c)
        if count < 0:
            count = self._finish_receive(receive, receiver, flags, count)
        data: bytes = receiver.view[: min(count, size)]
        return_receiver(receiver)
        return data, count

    def _finish_receive(self, receive: Callable[[CData], int], receiver: Receiver, flags: int, count: int) -> int:
        """Bring a receive that failed at first to its end; after an error of the kernel the pool gets its receiver."""
        count = self._read_code(lambda: receive(receiver.c), flags, result=count)
        if count < 0:
            return_receiver(receiver)
            raise error(-count)
        return count

    def _try_receive(self, receive: Callable[[CData], int], size: int, flags: int) -> tuple[bytes, int] | None:
        """Receive what is there: the bytes, and how many the message had; None when there is nothing yet."""
        give = give_small
        try:
            receiver = take_small()
        except IndexError:
            receiver = Receiver(0)
        if flags or receiver.token is not self._try_token or receiver.size is not size:
            wanted = flags | self._always_asks | MSG_DONTWAIT
            if flags:
                give(receiver)
            if flags or not adapt(receiver, self._try_token, self._handle, size, wanted):
                receiver = preset(self._handle, size, wanted)
                give = return_receiver
        count = receive(receiver.c)
        if count < 0:
            while count == _EINTR:
                count = receive(receiver.c)
            if count < 0:
                give(receiver)
                if count == _EAGAIN:
                    return None
                raise error(-count)
        data: bytes = receiver.view[: min(count, size)]
        give(receiver)
        return data, count

    def _read(
        self, attempt: Callable[[], int], flags: int, deadline: float | None = None, result: int | None = None
    ) -> int:
        """Make an attempt to receive, unless it was made, and bring it to its end."""
        return check(self._read_code(attempt, flags, deadline, result))

    def _read_code(
        self, attempt: Callable[[], int], flags: int, deadline: float | None = None, result: int | None = None
    ) -> int:
        """Do the same, but return -errno, for callers who must know what is the kernel's and what a handler's."""
        timeout = self._read_timeout
        return self._finish(attempt, flags, deadline, result, timeout, POLLIN, calls.SO_RCVTIMEO, 0)

    def _finish(
        self,
        attempt: Callable[[], int],
        flags: int,
        deadline: float | None,
        result: int | None,
        timeout: float | None,
        events: int,
        kernel_timeout: int,
        end: int | None,
    ) -> int:
        if result is None:
            result = attempt()
        if result >= 0:
            return result
        return finish(
            self._handle,
            result,
            attempt,
            events,
            deadline_of(timeout) if deadline is None else deadline,
            waits=False if flags & MSG_DONTWAIT else None,
            kernel_timeout=kernel_timeout if timeout is None else 0,
            end=end,
        )

    def peer_addr(self) -> UnixSocketAddr:
        """Return the address that the peer is bound to, or the unnamed one (getpeername(2)).

        Raises:
            OSError: ENOTCONN when not connected, EBADF when closed.
        """
        return naming.peer_name(self._handle)

    def _state(self) -> str:
        peer = naming.peer_name_or_code(self._handle)
        return " unconnected" if isinstance(peer, int) else f" peer={peer}"
