"""Credentials: what the peer of a connection is, and what one sends with a message."""

from __future__ import annotations

import errno
import os

from . import calls
from .capabilities import require
from .errors import FeatureUnavailable, error
from .values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._lib import CData


class ConnCredentials(Value):
    """Who is at the other end of a connection.

    The kernel recorded it at connect(2), listen(2) or socketpair(2), and it stays: a later setuid(2), an exec, or
    handing the descriptor to another process changes nothing (unix(7), SO_PEERCRED).

    Attributes:
        pid: process id (int), or None where the system does not say or the process is in another pid namespace.
        euid: effective user id (int), or None where the system does not say.
        egid: effective group id (int), or None where the system does not say.
        groups: supplementary group ids (tuple of int), or None where the system does not say.
    """

    __slots__ = ("pid", "euid", "egid", "groups")

    pid: int | None
    euid: int | None
    egid: int | None
    groups: tuple[int, ...] | None

    def __init__(
        self,
        pid: int | None = None,
        euid: int | None = None,
        egid: int | None = None,
        groups: tuple[int, ...] | None = None,
    ) -> None:
        self._set(pid=pid, euid=euid, egid=egid, groups=groups)


def _identifier(name: str, value: int, most: int) -> int:
    if type(value) is not int:
        raise TypeError(f"{name} is an int, not {type(value).__name__}")
    if not 0 <= value <= most:
        raise ValueError(f"{name} {value} is not within 0 to {most}")
    return value


class Credentials(Value):
    """What a process says of itself with a message; the kernel checks it (unix(7), SCM_CREDENTIALS).

    An unprivileged process may name its own pid, and its real, effective or saved user and group id; anything else is
    EPERM when it is sent.

    Attributes:
        pid: process id (int), by default the caller's.
        uid: user id (int), by default the caller's real one.
        gid: group id (int), by default the caller's real one.
    """

    __slots__ = ("pid", "uid", "gid")

    pid: int
    uid: int
    gid: int

    def __init__(self, pid: int | None = None, uid: int | None = None, gid: int | None = None) -> None:
        # Asked anew each time: a forked child is another process.
        self._set(
            pid=_identifier("pid", os.getpid() if pid is None else pid, 2**31 - 1),
            uid=_identifier("uid", os.getuid() if uid is None else uid, 2**32 - 1),
            gid=_identifier("gid", os.getgid() if gid is None else gid, 2**32 - 1),
        )


def peer_groups(handle: CData) -> tuple[int, ...]:
    """Return the peer's supplementary groups; FeatureUnavailable where there are none to ask for."""
    require("peer_groups")
    groups = calls.peer_groups(handle)
    if isinstance(groups, int):
        if groups == -errno.ENOPROTOOPT:
            raise FeatureUnavailable("peer_groups", "kernel", errno.ENOPROTOOPT)
        raise error(-groups)
    return tuple(groups)


def peer_credentials(handle: CData) -> ConnCredentials:
    """Return what the system knows of the peer."""
    require("peer_credentials")
    pid, euid, egid = calls.peer_credentials(handle)
    groups = calls.peer_groups(handle)
    return ConnCredentials(pid, euid, egid, None if isinstance(groups, int) else tuple(groups))


def peer_audit_token(handle: CData) -> bytes:
    """Return the audit token of the peer's process."""
    require("peer_audit_token")
    token = calls.peer_audit_token(handle)
    if isinstance(token, int):
        raise error(-token)
    return token


def _labels_are_given() -> bool:
    """Whether a security module labels sockets: the ends of a pair of streams then have a label."""
    one, two = calls.new_handle(), calls.new_handle()
    try:
        calls.check(calls.open_pair(one, two, calls.SOCK_STREAM, 1))
        return isinstance(calls.peer_security(one), bytes)
    finally:
        calls.close(one)
        calls.close(two)


def peer_security_context(handle: CData) -> bytes:
    """Return the peer's security label."""
    require("peer_security_context")
    label = calls.peer_security(handle)
    if isinstance(label, int):
        # Linux answers as if it did not know the option where no module labels sockets, and also where one has recorded
        # nothing of this socket's peer.
        if label == -errno.ENOPROTOOPT:
            if _labels_are_given():
                raise error(errno.ENOTCONN)
            raise FeatureUnavailable("peer_security_context", "no security module", errno.ENOPROTOOPT)
        raise error(-label)
    return label
