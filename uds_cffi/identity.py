"""Who is at the other end of a connection, and whose file a socket is bound to.

Rule: what few programs ask is loaded when it is asked for the first time.
"""

from __future__ import annotations

from . import credentials, naming
from .address import UnixSocketAddr
from .once import once, path_class
from .owner import Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from .address import AddressLike
    from .credentials import ConnCredentials
    from .fd import OwnedFd
    from .pidfd import PidFd
    from .socketfile import SocketFile


@once
def _bound() -> Any:
    from . import bound

    return bound


@once
def _pidfd() -> Any:
    from . import pidfd

    return pidfd


@once
def _socketfile() -> Any:
    from . import socketfile

    return socketfile


class Bound(Owner):
    """Base of what can be bound to a path."""

    __slots__ = ("_file",)

    _listens: bool

    # What there is to know of a file that was made as bind() was asked to, or that was published.
    _file: SocketFile | None

    @property
    def published_path(self) -> Path | None:
        """The path by which clients find the socket (pathlib.Path), or None when it is bound to no path.

        It is the one that was given to ``bind()`` or ``publish()``, where ``local_addr()`` has the kernel's name: that
        of a temporary folder, or one that goes through a directory's descriptor.  Otherwise both are the same.

        Raises:
            OSError: EBADF when closed.
        """
        if self._file is None:
            return naming.local_name(self._handle).path
        self._check_open()
        return path_class()(self._file.published)

    @property
    def unlink_on_close(self) -> bool:
        """Whether closing the socket removes its file (bool), as ``bind()`` was asked.

        It can be set to False, by who leaves the file to a successor.

        Raises:
            ValueError: it is set to True; that is for ``bind()`` alone, which knows which file is the socket's.
        """
        return self._file is not None and self._file.unlinks

    @unlink_on_close.setter
    def unlink_on_close(self, value: bool) -> None:
        if value and not self.unlink_on_close:
            raise ValueError("unlink_on_close is set to True by bind() alone, which knows which file is the socket's")
        if not value and self._file is not None:
            self._file.keep()

    def _bind(self, addr: AddressLike, ready: Callable[[], object], **asked: Any) -> None:
        """Bind the socket, and make it ready for others, as was asked."""
        for value in asked.values():
            if value is not None and value is not False:
                socketfile = _socketfile()
                socketfile.bind(self, addr, socketfile.asked_of(**asked), ready)
                return
        target = UnixSocketAddr._coerce(addr)
        naming.bind(self._handle, target)
        with naming.named(target):
            ready()

    def _abandon(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.remove()

    def _leave_file(self) -> None:
        """Leave the file to whom the descriptor is given."""
        file, self._file = self._file, None
        if file is not None:
            file.forget()

    def _close_with_file(self) -> None:
        """Remove the file, if it is to be removed, and close."""
        try:
            self._abandon()
        finally:
            self.close()

    def bound_file(self) -> OwnedFd | None:
        """Return the socket file that the socket is bound to, wherever it is now (SIOCUNIXFILE, Linux 4.11).

        A file that was renamed is found, and so is one that was unlinked.  An accepted connection is bound to its
        listener's file.  The kernel demands CAP_NET_ADMIN in the socket's network namespace.

        Returns:
            An OwnedFd with O_PATH (open(2)), close-on-exec: for fstat(2), and for connecting through
            ``/proc/self/fd/N``.  None when the socket is bound to no path.

        Raises:
            PermissionError: CAP_NET_ADMIN is missing.
            FeatureUnavailable: "bound_file", where this kernel or build has no such call.
            OSError: EBADF when closed; EMFILE when this process may open no more.
        """
        file: OwnedFd | None = _bound().file_of(self._handle)
        return file

    def is_still_bound(self) -> bool:
        """Return whether the path that the socket is bound to still names the socket's own file (bool).

        False means that clients who connect to the path do not get here: the file was unlinked or renamed, or another
        socket's is in its place.  A relative path is looked up in the current working directory, as connect(2) would.
        An accepted connection answers for its listener's path.

        That the path names no socket is seen without any privilege; to tell one socket file from another the kernel
        must say which is this socket's, as in ``bound_file()``.

        Raises:
            ValueError: the socket is bound to no path.
            PermissionError: there is a socket file, and CAP_NET_ADMIN is missing to tell whose it is; or a directory
                of the path may not be searched.
            FeatureUnavailable: "bound_file", there is a socket file, and this kernel or build cannot tell whose.
            OSError: EBADF when closed; EMFILE when this process may open no more; what stat(2) reports of the path.
        """
        return bool(_bound().is_still_bound(self._handle))


class HasPeer(Owner):
    """Base of what can be connected."""

    __slots__ = ()

    def peer_credentials(self) -> ConnCredentials:
        """Return who is at the other end (ConnCredentials), as the kernel recorded it when they connected.

        For a client that is the process that called listen(2) last; for both ends of a pair the one that made it.

        Raises:
            OSError: ENOTCONN when not connected, and for datagram sockets that are not one of a pair (Linux would
                answer pid 0, uid -1); EBADF when closed.
            FeatureUnavailable: "peer_credentials", where the system has none.
        """
        return credentials.peer_credentials(self._handle)

    def peer_groups(self) -> tuple[int, ...]:
        """Return the supplementary group ids of the peer, however many (tuple of int; SO_PEERGROUPS, Linux 4.13).

        Raises:
            OSError: ENOTCONN, as for ``peer_credentials()``; EOVERFLOW where the system tells 16 groups at most
                (FreeBSD) and these may not be all; EBADF when closed.
            FeatureUnavailable: "peer_groups", where the system has none.
        """
        return credentials.peer_groups(self._handle)

    def peer_security_context(self) -> bytes:
        """Return the peer's security label (bytes; SO_PEERSEC, from SELinux, AppArmor or Smack).

        Raises:
            FeatureUnavailable: "peer_security_context"; its ``reason`` is "no security module" when none labels
                sockets.
            OSError: ENOTCONN when one does and has recorded nothing of this peer: not connected, or a datagram socket
                (SELinux); EBADF when closed.
        """
        return credentials.peer_security_context(self._handle)

    def peer_audit_token(self) -> bytes:
        """Return the audit token of the peer's process (32 bytes: audit_token_t; LOCAL_PEERTOKEN, macOS).

        It is for the system's own functions, such as audit_token_to_pid(3) and those that check a process's signature;
        unlike the pid, it is never another process's.

        Raises:
            OSError: ENOTCONN when not connected; EBADF when closed; what the system says of a process that has ended.
            FeatureUnavailable: "peer_audit_token", where the system has none.
        """
        return credentials.peer_audit_token(self._handle)

    def peer_pidfd(self) -> PidFd:
        """Return a descriptor of the peer's process (PidFd; SO_PEERPIDFD, Linux 6.5), a new one each time.

        The process is the one that ``peer_credentials()`` names; unlike its pid, the descriptor is never another's.

        Raises:
            OSError: ENOTCONN when not connected, as for ``peer_credentials()``; EBADF when closed; EMFILE when this
                process may open no more.
            ProcessLookupError: the process was reaped; since Linux 6.16 there is a descriptor nevertheless.
            FeatureUnavailable: "peer_pidfd", where the system has none.
        """
        peer: PidFd = _pidfd().pidfd_of_peer(self._handle)
        return peer
