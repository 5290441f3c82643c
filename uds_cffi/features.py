"""The capability table.

Rule: present is not supported.  ``declared`` says what this build has; ``supported`` what the running kernel does,
found out by a message or a call that carries the thing, because there are kernels that accept options and ignore them.
The report, ``require`` and the documentation read the same rows.  Nothing is probed at import.
"""

from __future__ import annotations

from collections import namedtuple

from . import probes
from .errors import FeatureUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class Feature(NamedTuple):
        """One row of the table."""

        name: str
        declared: bool
        supported: bool
        reason: str
        description: str

else:

    class Feature(namedtuple("Feature", "name declared supported reason description")):
        """One row of the table: what a capability is, and whether it is here.

        Attributes:
            name: the name that ``FeatureUnavailable.feature`` uses (str).
            declared: whether this build has it (bool).
            supported: whether a probe that carries the thing worked on this kernel just now (bool).
            reason: "" when supported, else "not built", "kernel" or "no security module" (str).
            description: one sentence (str).
        """

        __slots__ = ()


_ROWS = {
    "seqpacket": (probes.SEQPACKET, probes.seqpacket, "Sequenced-packet sockets."),
    "abstract_addresses": (
        probes.ABSTRACT,
        probes.abstract_addresses,
        "Abstract addresses and autobind: names outside the file system.",
    ),
    "atomic_cloexec": (
        probes.ATOMIC_CLOEXEC,
        probes.atomic_cloexec,
        "Descriptors are close-on-exec from birth; where absent, C sets the flag at once.",
    ),
    "packet_length": (
        probes.TRUNC_LENGTH,
        probes.packet_length,
        "The real length of a packet is known before it is read and when it was cut.",
    ),
    "packet_end": (
        probes.PACKET_END,
        probes.packet_end,
        "An empty packet is told from the end of the connection.",
    ),
    "credentials": (
        probes.CREDENTIALS,
        probes.credentials,
        "Credentials with each message (SCM_CREDENTIALS).",
    ),
    "peer_credentials": (
        probes.PEER_CREDENTIALS,
        probes.peer_credentials,
        "Process and user at the other end of a connection (SO_PEERCRED).",
    ),
    "peer_groups": (
        probes.PEER_GROUPS,
        probes.peer_groups,
        "Supplementary groups of the peer (SO_PEERGROUPS).",
    ),
    "peer_security_context": (
        probes.PEER_SECURITY,
        probes.peer_security_context,
        "Security label of the peer (SO_PEERSEC).",
    ),
    "pass_rights": (
        probes.PASSRIGHTS,
        probes.pass_rights,
        "Refusing descriptors from the peer (SO_PASSRIGHTS).",
    ),
    "peek_offset": (
        probes.PEEK_OFF,
        probes.peek_offset,
        "Peeking further with each call (SO_PEEK_OFF).",
    ),
}


def require(name: str) -> None:
    """Raise FeatureUnavailable unless this build has the feature."""
    if not _ROWS[name][0]:
        raise FeatureUnavailable(name, "not built")


def features() -> dict[str, Feature]:
    """Return what this build declares and this kernel supports, by name.

    Each call asks the running kernel anew, with messages on sockets of its own; it takes about a millisecond and
    leaves nothing open.

    Raises:
        OSError: EMFILE, this process may open no more descriptors, so nothing can be found out.
    """
    table = {}
    for name, (declared, probe, description) in _ROWS.items():
        reason = probe() if declared else "not built"
        table[name] = Feature(name, bool(declared), not reason, reason, description)
    return table
