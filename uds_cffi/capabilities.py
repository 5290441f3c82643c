"""The capability table: what this build has.

Rule: present is not supported.  ``declared`` says what this build has; ``supported`` what the running kernel does,
which the probe of the same name finds out.  ``require``, ``features()``, the report and the documentation read the same
rows.  Each kind of socket needs this module, so it is apart from ``survey``, which few programs need.
"""

from __future__ import annotations

from ._lib import lib
from .errors import FeatureUnavailable

# Whether this build has it, and one sentence.
ROWS: dict[str, tuple[bool, str]] = {
    "seqpacket": (bool(lib.UDS_HAS_SEQPACKET), "Sequenced-packet sockets."),
    "abstract_addresses": (
        bool(lib.UDS_HAS_ABSTRACT),
        "Abstract addresses and autobind: names outside the file system.",
    ),
    "atomic_cloexec": (
        bool(lib.UDS_HAS_ATOMIC_CLOEXEC),
        "Descriptors are close-on-exec from birth; where absent, C sets the flag at once.",
    ),
    "packet_length": (
        bool(lib.UDS_HAS_TRUNC_LENGTH),
        "The real length of a packet is known before it is read and when it was cut.",
    ),
    "packet_end": (bool(lib.UDS_HAS_PACKET_END), "An empty packet is told from the end of the connection."),
    "credentials": (
        bool(lib.UDS_HAS_CREDENTIALS),
        "Credentials with each message (SCM_CREDENTIALS, SCM_CREDS2, SCM_CREDS).",
    ),
    "send_credentials": (
        bool(lib.UDS_HAS_SEND_CREDENTIALS),
        "Credentials that the sender names and the kernel checks (SCM_CREDENTIALS).",
    ),
    "peer_credentials": (
        bool(lib.UDS_HAS_PEER_CREDENTIALS),
        "Process and user at the other end of a connection (SO_PEERCRED, LOCAL_PEERCRED, LOCAL_PEEREID).",
    ),
    "peer_groups": (bool(lib.UDS_HAS_PEER_GROUPS), "Supplementary groups of the peer (SO_PEERGROUPS)."),
    "peer_security_context": (bool(lib.UDS_HAS_PEER_SECURITY), "Security label of the peer (SO_PEERSEC)."),
    "peer_audit_token": (
        bool(lib.UDS_HAS_PEER_AUDIT_TOKEN),
        "Audit token of the peer's process (LOCAL_PEERTOKEN of macOS).",
    ),
    "pidfd": (bool(lib.UDS_HAS_PIDFD), "Descriptors of processes (pidfd_open(2))."),
    "pidfd_info": (
        bool(lib.UDS_HAS_PIDFD_INFO),
        "What the kernel knows of a process now, by its pidfd (PIDFD_GET_INFO).",
    ),
    "pidfd_identity": (
        bool(lib.UDS_HAS_PIDFD_IDENTITY),
        "Each process has a file of its own in the pidfs, by which its pidfds are compared.",
    ),
    "peer_pidfd": (bool(lib.UDS_HAS_PEER_PIDFD), "A pidfd of the peer's process (SO_PEERPIDFD)."),
    "pass_pidfd": (bool(lib.UDS_HAS_PASSPIDFD), "A pidfd of the sender with each message (SCM_PIDFD)."),
    "bound_file": (
        bool(lib.UDS_HAS_BOUND_FILE),
        "The file that a socket is bound to (SIOCUNIXFILE), for who has CAP_NET_ADMIN.",
    ),
    "bindat": (
        bool(lib.UDS_HAS_BINDAT),
        "Socket files by a directory's descriptor (dir_fd), and so by paths of any length (long_path).",
    ),
    "file_mode": (
        bool(lib.UDS_HAS_FILE_MODE),
        "A socket file has its permissions from its first instant (fchmod(2) before bind(2)).",
    ),
    "pass_rights": (bool(lib.UDS_HAS_PASSRIGHTS), "Refusing descriptors from the peer (SO_PASSRIGHTS)."),
    "timestamps": (bool(lib.UDS_HAS_TIMESTAMPS), "The time when each packet was sent (SO_TIMESTAMP, SO_TIMESTAMPNS)."),
    "inq": (bool(lib.UDS_HAS_INQ), "Unread bytes of a stream with each receive (SO_INQ)."),
    "pass_security": (bool(lib.UDS_HAS_PASS_SECURITY), "The sender's security label with each message (SO_PASSSEC)."),
    "peek_offset": (bool(lib.UDS_HAS_PEEK_OFF), "Peeking further with each call (SO_PEEK_OFF)."),
    "out_of_band": (bool(lib.UDS_HAS_OUT_OF_BAND), "Out-of-band data of streams (MSG_OOB, SIOCATMARK)."),
    "unsent_bytes": (bool(lib.UDS_HAS_UNSENT_BYTES), "The memory of what the peer has not read (SIOCOUTQ)."),
    "send_buffer_force": (
        bool(lib.UDS_HAS_SEND_BUFFER_FORCE),
        "Send buffers beyond the administrator's limit, for the privileged (SO_SNDBUFFORCE).",
    ),
    "cookie": (bool(lib.UDS_HAS_COOKIE), "A number that no other socket has (SO_COOKIE)."),
    "namespace_cookie": (
        bool(lib.UDS_HAS_NAMESPACE_COOKIE),
        "The number of a socket's network namespace (SO_NETNS_COOKIE).",
    ),
    "diagnostics": (
        bool(lib.UDS_HAS_DIAGNOSTICS),
        "The list of sockets and of who is connected to whom (sock_diag).",
    ),
}


def require(name: str) -> None:
    """Raise FeatureUnavailable unless this build has the feature."""
    if not ROWS[name][0]:
        raise FeatureUnavailable(name, "not built")
