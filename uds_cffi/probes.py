"""Probes: one for each row of the capability table, under the name of the row.

The rule is in ``probing``; the probes of processes and files are in ``processprobes``, and are found here too.
"""

from __future__ import annotations

import errno
import os
import time

from . import calls
from ._lib import ffi, lib
from .fileprobes import bindat, bound_file, connect_somewhere, file_mode
from .metadata import ScmInq, ScmSecurity, ScmTimestamp
from .probing import KERNEL, NOT_PERMITTED, Pair, probe
from .processprobes import diagnostics, pass_pidfd, peer_pidfd, pidfd, pidfd_identity, pidfd_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from ._lib import CData

__all__ = [
    "bindat",
    "bound_file",
    "diagnostics",
    "file_mode",
    "pass_pidfd",
    "peer_pidfd",
    "pidfd",
    "pidfd_identity",
    "pidfd_info",
]

# A clock that was set meanwhile is this many nanoseconds off at most.
_TOLERANCE = 60 * 10**9


@probe(lib.SOCK_SEQPACKET)
def seqpacket(pair: Pair) -> object:
    """Two packets arrive as two."""
    # Without MSG_EOR: the kernel of FreeBSD 15 makes one of them, and keeps nothing of what is promised of packets.
    pair.send(b"1")
    pair.send(b"22")
    data = ffi.new("char[]", 4)
    return [calls.recv_packet(pair.two, data, 4, 0) for _ in range(2)] == [1, 2]


@probe(lib.SOCK_STREAM)
def abstract_addresses(pair: Pair) -> object:
    """A socket that binds to no name gets an abstract one, and that can be sent to."""
    pair.close()
    name = ffi.new("struct uds_name *")
    unnamed = ffi.new("struct sockaddr_un *")
    length = lib.uds_sockaddr_fill(unnamed, b"", 0, 0)
    for handle in (pair.one, pair.two):
        if calls.open_socket(handle, calls.SOCK_DGRAM, 1) < 0:
            return False
    if lib.uds_handle_bind(pair.two, unnamed, length) < 0 or lib.uds_handle_getsockname(pair.two, name) < 0:
        return False
    if name.length <= length + 1 or name.bytes[length] != 0:
        return False
    target = ffi.cast("struct sockaddr_un *", name.bytes)
    return lib.uds_handle_sendto(pair.one, b"x", 1, calls.MSG_DONTWAIT, target, name.length) == 1


@probe(lib.SOCK_DGRAM)
def atomic_cloexec(pair: Pair) -> object:
    """A received descriptor is close-on-exec."""
    pair.send(b"x", [calls.fileno(pair.one)])
    pair.receive()
    number = calls.fds_number(pair.fds, 0, 0)
    return number >= 0 and bool(lib.uds_fcntl(number, lib.F_GETFD, 0) & lib.FD_CLOEXEC)


@probe(lib.SOCK_DGRAM)
def packet_length(pair: Pair) -> object:
    """The length of a queued packet is its length."""
    pair.send(b"12345")
    return calls.packet_length(pair.two, calls.MSG_DONTWAIT) == 5


@probe(lib.SOCK_SEQPACKET if lib.UDS_HAS_SEQPACKET else lib.SOCK_DGRAM)
def packet_end(pair: Pair) -> object:
    """An empty packet is seen, and is not seen once it is gone."""
    pair.send(b"")
    waiting = calls.packet_waiting(pair.two)
    calls.recv_packet(pair.two, ffi.NULL, 0, calls.MSG_DONTWAIT)
    return waiting == 1 and calls.packet_waiting(pair.two) == -errno.EAGAIN


def _own_credentials_came(pair: Pair) -> bool:
    """Whether a message brings the credentials of this process."""
    sender = ffi.new("struct ucred *")
    for level, kind, data in pair.receive():
        if (level, kind) == (lib.SOL_SOCKET, lib.UDS_SCM_CREDENTIALS):
            known = lib.uds_credentials_read(data, len(data), sender)
            return bool(known) and (sender.pid, sender.uid, sender.gid) == (os.getpid(), os.getuid(), os.getgid())
    return False


@probe(lib.SOCK_DGRAM)
def credentials(pair: Pair) -> object:
    """A message carries this process's pid."""
    if not pair.set(lib.UDS_PASSCRED, 1, lib.UDS_PASSCRED_LEVEL):
        return False
    pair.send(b"x")
    return _own_credentials_came(pair)


@probe(lib.SOCK_DGRAM)
def send_credentials(pair: Pair) -> object:
    """A message may name this process's pid, and carries it."""
    if not pair.set(lib.UDS_PASSCRED, 1, lib.UDS_PASSCRED_LEVEL):
        return False
    size = ffi.sizeof("struct ucred")
    own = ffi.new("struct ucred *", [os.getpid(), os.getuid(), os.getgid()])
    control = ffi.new("char[]", lib.CMSG_SPACE(size))
    length = lib.uds_control_add(control, len(control), 0, lib.SOL_SOCKET, lib.SCM_CREDENTIALS, own, size)
    # With a byte, because gVisor delivers no empty datagrams.
    data = ffi.new("char[]", 1)
    vector = ffi.new("struct iovec *", {"iov_base": data, "iov_len": 1})
    content = {"msg_iov": vector, "msg_iovlen": 1, "msg_control": control, "msg_controllen": length}
    message = ffi.new("struct msghdr *", content)
    return lib.uds_handle_sendmsg(pair.one, message, calls.MSG_DONTWAIT) == 1 and _own_credentials_came(pair)


def _of_peer(pair: Pair, ask: Callable[[CData], object]) -> object:
    """Ask of a pair; where the kernel records nothing of one (macOS, NetBSD, OpenBSD), ask of a connection."""
    answer = ask(pair.one)
    return ask(pair.one) if answer == -errno.ENOTCONN and connect_somewhere(pair) else answer


@probe(lib.SOCK_STREAM)
def peer_credentials(pair: Pair) -> object:
    """The peer is this process."""
    peer = ffi.new("struct uds_peer *")
    result = _of_peer(pair, lambda handle: lib.uds_handle_peer_credentials(handle, peer))
    return NOT_PERMITTED if result == -errno.ENOTCONN else result == 0 and peer.euid == os.geteuid()


@probe(lib.SOCK_STREAM)
def peer_groups(pair: Pair) -> object:
    """The peer's groups are this process's; whether the effective one is among them depends on the system."""
    groups = _of_peer(pair, calls.peer_groups)
    own = {os.getegid()}
    if groups == -errno.ENOTCONN:
        return NOT_PERMITTED
    return isinstance(groups, list) and own.union(groups) == own.union(os.getgroups())


@probe(lib.SOCK_STREAM)
def peer_security_context(pair: Pair) -> object:
    """The peer has a label; without a security module the kernel answers as if it had no such option."""
    label = calls.peer_security(pair.one)
    if isinstance(label, bytes):
        return True
    return "no security module" if label == -errno.ENOPROTOOPT else KERNEL


@probe(lib.SOCK_STREAM)
def peer_audit_token(pair: Pair) -> object:
    """The peer's token has this process's pid in it."""
    token = calls.peer_audit_token(pair.one)
    return isinstance(token, bytes) and memoryview(token).cast("i")[5] == os.getpid()


@probe(lib.SOCK_STREAM)
def pass_rights(pair: Pair) -> object:
    """A sender of descriptors is refused."""
    return pair.set(lib.SO_PASSRIGHTS, 0) and pair.send(b"x", [calls.fileno(pair.one)]) == -errno.EPERM


@probe(lib.SOCK_DGRAM)
def timestamps(pair: Pair) -> object:
    """A packet carries the time, of either unit."""
    for constant in (calls.NANOSECOND_STAMPS[0], calls.MICROSECOND_STAMPS[0]):
        if not pair.set(constant, 1):
            return False
        pair.send(b"x")
        expected = time.time_ns()
        found = [value.ns for value in pair.receive_values() if isinstance(value, ScmTimestamp)]
        if not found or abs(found[0] - expected) > _TOLERANCE:
            return False
    return True


@probe(lib.SOCK_STREAM)
def inq(pair: Pair) -> object:
    """Four bytes more than the receive takes are counted."""
    if not pair.set(lib.SO_INQ, 1):
        return False
    pair.send(bytes(16 + 4))
    return ScmInq(4) in pair.receive_values()


# A stream brings labels only beside credentials, and a datagram's peer has none.
@probe(lib.SOCK_SEQPACKET if lib.UDS_HAS_SEQPACKET else lib.SOCK_DGRAM)
def pass_security(pair: Pair) -> object:
    """A message carries a label; where the peer has none either, no security module gives one."""
    if not pair.set(lib.SO_PASSSEC, 1):
        return False
    pair.send(b"x")
    if any(isinstance(value, ScmSecurity) for value in pair.receive_values()):
        return True
    return "no security module" if calls.peer_security(pair.one) == -errno.ENOPROTOOPT else KERNEL


@probe(lib.SOCK_STREAM)
def out_of_band(pair: Pair) -> object:
    """The last byte of a send is received out of band, and the mark is where it was."""
    data = ffi.new("char[]", 2)
    if lib.uds_handle_send(pair.one, b"ab", 2, lib.MSG_OOB | calls.MSG_DONTWAIT) != 2:
        return False
    if calls.recv(pair.two, data, 2, calls.MSG_DONTWAIT) != 1 or calls.at_mark(pair.two) != 1:
        return False
    return calls.recv(pair.two, data + 1, 1, lib.MSG_OOB | calls.MSG_DONTWAIT) == 1 and ffi.unpack(data, 2) == b"ab"


@probe(lib.SOCK_STREAM)
def unsent_bytes(pair: Pair) -> object:
    """What is queued is counted, and not once it is read."""
    pair.send(b"x")
    queued = calls.unsent_bytes(pair.one)
    pair.receive()
    return queued > 0 and calls.unsent_bytes(pair.one) == 0


def _number(handle: CData, name: int) -> int:
    number = ffi.new("uint64_t *")
    length = ffi.new("socklen_t *", ffi.sizeof("uint64_t"))
    return number[0] if lib.uds_handle_getsockopt(handle, lib.SOL_SOCKET, name, number, length) == 0 else 0


@probe(lib.SOCK_STREAM)
def cookie(pair: Pair) -> object:
    """Each socket has a number of its own."""
    numbers = {_number(handle, lib.SO_COOKIE) for handle in (pair.one, pair.two)}
    return len(numbers) == 2 and 0 not in numbers


@probe(lib.SOCK_STREAM)
def namespace_cookie(pair: Pair) -> object:
    """Two sockets of this process are in one namespace, which has a number."""
    numbers = {_number(handle, lib.SO_NETNS_COOKIE) for handle in (pair.one, pair.two)}
    return len(numbers) == 1 and 0 not in numbers


@probe(lib.SOCK_STREAM)
def send_buffer_force(pair: Pair) -> object:
    """A buffer grows beyond the limit; whoever has not the privilege is refused, and so is known to the kernel."""
    most = 2**30 - 1
    number = ffi.new("int *", most)
    lib.uds_handle_setsockopt(pair.one, lib.SOL_SOCKET, lib.SO_SNDBUF, number, ffi.sizeof("int"))
    limit = calls.getsockopt_int(pair.one, lib.SOL_SOCKET, lib.SO_SNDBUF)
    result = lib.uds_handle_setsockopt(pair.one, lib.SOL_SOCKET, lib.SO_SNDBUFFORCE, number, ffi.sizeof("int"))
    if result == -errno.EPERM:
        return True
    grown = calls.getsockopt_int(pair.one, lib.SOL_SOCKET, lib.SO_SNDBUF)
    return result == 0 and (grown > limit or limit >= most)


@probe(lib.SOCK_STREAM)
def peek_offset(pair: Pair) -> object:
    """The second peek shows the second byte."""
    if not pair.set(lib.SO_PEEK_OFF, 0):
        return False
    pair.send(b"ab")
    data = ffi.new("char[]", 2)
    for place in range(2):
        calls.recv(pair.two, data + place, 1, calls.MSG_PEEK | calls.MSG_DONTWAIT)
    return ffi.unpack(data, 2) == b"ab"
