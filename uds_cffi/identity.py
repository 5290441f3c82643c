"""Who is at the other end of a connection.

Rule: what few programs ask is loaded when it is asked for the first time.
"""

from __future__ import annotations

from . import credentials
from .owner import Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .credentials import ConnCredentials
    from .pidfd import PidFd


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
            OSError: ENOTCONN, as for ``peer_credentials()``; EBADF when closed.
            FeatureUnavailable: "peer_groups", where the system has none.
        """
        return credentials.peer_groups(self._handle)

    def peer_security_context(self) -> bytes:
        """Return the peer's security label (bytes; SO_PEERSEC, from SELinux, AppArmor or Smack).

        Raises:
            FeatureUnavailable: "peer_security_context"; its ``reason`` is "no security module" when none labels
                sockets.
            OSError: ENOTCONN when not connected; EBADF when closed.
        """
        return credentials.peer_security_context(self._handle)

    def peer_pidfd(self) -> PidFd:
        """Return a descriptor of the peer's process (PidFd; SO_PEERPIDFD, Linux 6.5), a new one each time.

        The process is the one that ``peer_credentials()`` names; unlike its pid, the descriptor is never another's.

        Raises:
            OSError: ENOTCONN when not connected, as for ``peer_credentials()``; EBADF when closed; EMFILE when this
                process may open no more.
            ProcessLookupError: the process was reaped; since Linux 6.16 there is a descriptor nevertheless.
            FeatureUnavailable: "peer_pidfd", where the system has none.
        """
        from .pidfd import pidfd_of_peer

        return pidfd_of_peer(self._handle)
