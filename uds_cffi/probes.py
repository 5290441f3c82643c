"""Probes: one for each row of the capability table.

Rule: a probe does the thing, on sockets of its own, and looks at what came of it.  It returns "" when that worked, else
the reason why it did not, and it leaves nothing open.  It raises only when this process can open no more descriptors,
because then it has learnt nothing.
"""

from __future__ import annotations

import errno
import os
import sys
import time

from . import calls, sockdiag
from ._lib import ffi, lib
from .metadata import DECODERS, ScmInq, ScmSecurity, ScmTimestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from ._lib import CData


KERNEL = "kernel"
NOT_PERMITTED = "not permitted"
# A clock that was set meanwhile is this many nanoseconds off at most.
_TOLERANCE = 60 * 10**9


class _Pair:
    """Two connected sockets that are closed on exit; nothing here blocks."""

    __slots__ = ("one", "two", "fds", "pidfd")

    def __init__(self) -> None:
        self.one = calls.new_handle()
        self.two = calls.new_handle()
        self.fds = calls.new_fds()
        self.pidfd = calls.new_handle()

    def close(self) -> None:
        calls.close(self.one)
        calls.close(self.two)
        calls.close(self.pidfd)
        calls.fds_close(self.fds, 0)

    def __del__(self) -> None:
        self.close()

    def receive(self) -> list[tuple[int, int, bytes]]:
        """Receive one message at the second socket and return its control messages."""
        receiver = ffi.new("struct uds_receiver *")
        data = ffi.new("char[]", 16)
        control = ffi.new("char[]", 256)
        receiver.handle, receiver.data, receiver.size = self.two, data, 16
        receiver.control, receiver.control_size = control, 256
        receiver.fds, receiver.most = self.fds, calls.SCM_MAX_FD
        receiver.pidfd = self.pidfd
        receiver.flags = calls.MSG_DONTWAIT
        if lib.uds_receive_message(receiver) < 0:
            return []
        found = []
        item = ffi.new("struct uds_control_item *")
        while lib.uds_control_next(control, receiver.control_length, item):
            found.append((item.level, item.type, bytes(ffi.buffer(control + item.offset, item.size))))
        return found

    def receive_values(self) -> list[object]:
        """Receive one message and return what the kernel added to it, as values."""
        values = []
        for level, kind, data in self.receive():
            decoder = DECODERS.get((level, kind))
            if decoder is not None:
                try:
                    values.append(decoder(data))
                except ValueError:
                    continue
        return values

    def send(self, data: bytes, fds: list[int] | None = None) -> int:
        numbers = fds or []
        result = lib.uds_handle_send_fds(
            self.one, data, len(data), calls.MSG_DONTWAIT, ffi.NULL, 0, numbers, ffi.NULL, len(numbers)
        )
        return int(result)

    def set(self, name: int, value: int) -> bool:
        number = ffi.new("int *", value)
        return bool(lib.uds_handle_setsockopt(self.two, lib.SOL_SOCKET, name, number, ffi.sizeof("int")) == 0)


def _probe(kind: int) -> Callable[[Callable[[_Pair], object]], Callable[[], str]]:
    """Turn a function of a connected pair into a probe."""

    def decorate(function: Callable[[_Pair], object]) -> Callable[[], str]:
        def probe() -> str:
            pair = _Pair()
            try:
                opened = calls.open_pair(pair.one, pair.two, kind, 1)
                if opened in (-errno.EMFILE, -errno.ENFILE):
                    calls.check(opened)
                if opened < 0:
                    return KERNEL
                result = function(pair)
                return result if isinstance(result, str) else "" if result else KERNEL
            finally:
                pair.close()

        probe.__name__ = function.__name__
        probe.__doc__ = function.__doc__
        return probe

    return decorate


@_probe(lib.SOCK_SEQPACKET)
def seqpacket(pair: _Pair) -> object:
    """Two packets arrive as two."""
    pair.send(b"1")
    pair.send(b"22")
    data = ffi.new("char[]", 4)
    return [calls.recv_packet(pair.two, data, 4, 0) for _ in range(2)] == [1, 2]


@_probe(lib.SOCK_STREAM)
def abstract_addresses(pair: _Pair) -> object:
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


@_probe(lib.SOCK_DGRAM)
def atomic_cloexec(pair: _Pair) -> object:
    """A received descriptor is close-on-exec."""
    pair.send(b"x", [calls.fileno(pair.one)])
    pair.receive()
    number = calls.fds_number(pair.fds, 0, 0)
    return number >= 0 and bool(lib.uds_fcntl(number, lib.F_GETFD, 0) & lib.FD_CLOEXEC)


@_probe(lib.SOCK_DGRAM)
def packet_length(pair: _Pair) -> object:
    """The length of a queued packet is its length."""
    pair.send(b"12345")
    return calls.packet_length(pair.two, calls.MSG_DONTWAIT) == 5


@_probe(lib.SOCK_SEQPACKET if lib.UDS_HAS_SEQPACKET else lib.SOCK_DGRAM)
def packet_end(pair: _Pair) -> object:
    """An empty packet is seen, and is not seen once it is gone."""
    pair.send(b"")
    waiting = calls.packet_waiting(pair.two)
    calls.recv_packet(pair.two, ffi.NULL, 0, calls.MSG_DONTWAIT)
    return waiting == 1 and calls.packet_waiting(pair.two) == -errno.EAGAIN


@_probe(lib.SOCK_DGRAM)
def credentials(pair: _Pair) -> object:
    """A message carries this process's pid."""
    if not pair.set(lib.SO_PASSCRED, 1):
        return False
    pair.send(b"x")
    wanted = ffi.new("struct ucred *", [os.getpid(), os.getuid(), os.getgid()])
    return (lib.SOL_SOCKET, lib.SCM_CREDENTIALS, bytes(ffi.buffer(wanted))) in pair.receive()


@_probe(lib.SOCK_STREAM)
def peer_credentials(pair: _Pair) -> object:
    """The peer of a pair is this process."""
    peer = ffi.new("struct uds_peer *")
    return lib.uds_handle_peer_credentials(pair.one, peer) == 0 and peer.euid == os.geteuid()


@_probe(lib.SOCK_STREAM)
def peer_groups(pair: _Pair) -> object:
    """The peer's groups are this process's."""
    groups = calls.peer_groups(pair.one)
    return isinstance(groups, list) and sorted(groups) == sorted(os.getgroups())


@_probe(lib.SOCK_STREAM)
def peer_security_context(pair: _Pair) -> object:
    """The peer has a label; without a security module the kernel answers as if it had no such option."""
    label = calls.peer_security(pair.one)
    if isinstance(label, bytes):
        return True
    return "no security module" if label == -errno.ENOPROTOOPT else KERNEL


def _made(result: int) -> bool:
    """Whether a call has made a descriptor; raises when this process may open no more."""
    if result in (-errno.EMFILE, -errno.ENFILE):
        calls.check(result)
    return result >= 0


def _is_mine(handle: CData) -> bool:
    """Whether this is a pidfd of this process."""
    info = ffi.new("struct uds_pidfd_info *")
    if lib.uds_pidfd_check(calls.fileno(handle)) < 0:
        return False
    pid = info.pid if lib.uds_handle_pidfd_info(handle, info) == 0 else lib.uds_handle_pidfd_pid(handle)
    return bool(pid == os.getpid())


@_probe(lib.SOCK_STREAM)
def pidfd(pair: _Pair) -> object:
    """This process can be found alive through a pidfd, and could be sent a signal."""
    pair.close()
    if not _made(lib.uds_handle_pidfd_open(pair.one, os.getpid())):
        return False
    return (
        _is_mine(pair.one)
        and calls.wait(pair.one, calls.POLLIN, 0) == 0
        and not lib.uds_handle_pidfd_signal(pair.one, 0)
    )


@_probe(lib.SOCK_STREAM)
def pidfd_info(pair: _Pair) -> object:
    """The kernel tells this process's pid and user id by its pidfd."""
    pair.close()
    info = ffi.new("struct uds_pidfd_info *")
    if not _made(lib.uds_handle_pidfd_open(pair.one, os.getpid())):
        return False
    told = lib.uds_handle_pidfd_info(pair.one, info) == 0
    return told and (info.pid, info.ruid) == (os.getpid(), os.getuid())


@_probe(lib.SOCK_STREAM)
def pidfd_identity(pair: _Pair) -> object:
    """Two pidfds of this process are the same file."""
    pair.close()
    for handle in (pair.one, pair.two):
        if not _made(lib.uds_handle_pidfd_open(handle, os.getpid())):
            return False
    return lib.uds_handle_pidfd_same(pair.one, pair.two) == 1


@_probe(lib.SOCK_STREAM)
def peer_pidfd(pair: _Pair) -> object:
    """The peer of a pair is this process, also after it was closed."""
    calls.close(pair.two)
    return _made(lib.uds_handle_peer_pidfd(pair.one, pair.two)) and _is_mine(pair.two)


@_probe(lib.SOCK_DGRAM)
def pass_pidfd(pair: _Pair) -> object:
    """A message carries a pidfd of this process."""
    if not pair.set(lib.SO_PASSPIDFD, 1):
        return False
    pair.send(b"x")
    for level, kind, data in pair.receive():
        if (level, kind) == (lib.SOL_SOCKET, lib.SCM_PIDFD):
            # A negative number tells why there is none.
            return _made(int.from_bytes(data, sys.byteorder, signed=True)) and _is_mine(pair.pidfd)
    return False


@_probe(lib.SOCK_DGRAM)
def bound_file(pair: _Pair) -> object:
    """The file of a bound socket is the one at its path; where no file can be made, a socket without one has none."""
    pair.close()
    if not _made(calls.open_socket(pair.one, calls.SOCK_DGRAM, 1)):
        return False
    wanted = _bind_somewhere(pair.one)
    # It is found also after it was removed.
    result = lib.uds_handle_bound_file(pair.one, pair.two)
    if result == -errno.EPERM:
        return NOT_PERMITTED
    if wanted is None:
        return result == -errno.ENOENT
    return _made(result) and os.fstat(calls.fileno(pair.two)).st_ino == wanted


def _bind_somewhere(handle: CData) -> int | None:
    """Bind a socket to a file that is removed at once: its inode, or None where none can be made."""
    import tempfile

    try:
        folder = tempfile.mkdtemp(prefix="u")
    except OSError:
        return None
    path = os.fsencode(os.path.join(folder, "s"))
    try:
        name = ffi.new("struct sockaddr_un *")
        length = lib.uds_sockaddr_fill(name, path, len(path), 1)
        if not length or lib.uds_handle_bind(handle, name, length) < 0:
            return None
        return os.stat(path).st_ino
    finally:
        if os.path.lexists(path):
            os.unlink(path)
        os.rmdir(folder)


@_probe(lib.SOCK_STREAM)
def pass_rights(pair: _Pair) -> object:
    """A sender of descriptors is refused."""
    return pair.set(lib.SO_PASSRIGHTS, 0) and pair.send(b"x", [calls.fileno(pair.one)]) == -errno.EPERM


@_probe(lib.SOCK_DGRAM)
def timestamps(pair: _Pair) -> object:
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


@_probe(lib.SOCK_STREAM)
def inq(pair: _Pair) -> object:
    """Four bytes more than the receive takes are counted."""
    if not pair.set(lib.SO_INQ, 1):
        return False
    pair.send(bytes(16 + 4))
    return ScmInq(4) in pair.receive_values()


@_probe(lib.SOCK_STREAM)
def pass_security(pair: _Pair) -> object:
    """A message carries a label; where the peer has none either, no security module gives one."""
    if not pair.set(lib.SO_PASSSEC, 1):
        return False
    pair.send(b"x")
    if any(isinstance(value, ScmSecurity) for value in pair.receive_values()):
        return True
    return "no security module" if calls.peer_security(pair.one) == -errno.ENOPROTOOPT else KERNEL


@_probe(lib.SOCK_STREAM)
def out_of_band(pair: _Pair) -> object:
    """The last byte of a send is received out of band, and the mark is where it was."""
    data = ffi.new("char[]", 2)
    if lib.uds_handle_send(pair.one, b"ab", 2, lib.MSG_OOB | calls.MSG_DONTWAIT) != 2:
        return False
    if calls.recv(pair.two, data, 2, calls.MSG_DONTWAIT) != 1 or calls.at_mark(pair.two) != 1:
        return False
    return calls.recv(pair.two, data + 1, 1, lib.MSG_OOB | calls.MSG_DONTWAIT) == 1 and ffi.unpack(data, 2) == b"ab"


@_probe(lib.SOCK_STREAM)
def unsent_bytes(pair: _Pair) -> object:
    """What is queued is counted, and not once it is read."""
    pair.send(b"x")
    queued = calls.unsent_bytes(pair.one)
    pair.receive()
    return queued > 0 and calls.unsent_bytes(pair.one) == 0


def _number(handle: CData, name: int) -> bytes:
    try:
        return calls.getsockopt(handle, lib.SOL_SOCKET, name, 8)
    except OSError:
        return b""


@_probe(lib.SOCK_STREAM)
def cookie(pair: _Pair) -> object:
    """Each socket has a number of its own."""
    numbers = {_number(handle, lib.SO_COOKIE) for handle in (pair.one, pair.two)}
    return len(numbers) == 2 and all(map(any, numbers))


@_probe(lib.SOCK_STREAM)
def namespace_cookie(pair: _Pair) -> object:
    """Two sockets of this process are in one namespace, which has a number."""
    numbers = {_number(handle, lib.SO_NETNS_COOKIE) for handle in (pair.one, pair.two)}
    return len(numbers) == 1 and all(map(any, numbers))


@_probe(lib.SOCK_STREAM)
def send_buffer_force(pair: _Pair) -> object:
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


@_probe(lib.SOCK_STREAM)
def peek_offset(pair: _Pair) -> object:
    """The second peek shows the second byte."""
    if not pair.set(lib.SO_PEEK_OFF, 0):
        return False
    pair.send(b"ab")
    data = ffi.new("char[]", 2)
    for place in range(2):
        calls.recv(pair.two, data + place, 1, calls.MSG_PEEK | calls.MSG_DONTWAIT)
    return ffi.unpack(data, 2) == b"ab"


@_probe(lib.SOCK_STREAM)
def diagnostics(pair: _Pair) -> object:
    """The kernel knows both, each as the other's peer."""
    inodes = [sockdiag.inode_of_handle(handle) for handle in (pair.one, pair.two)]
    conversation = sockdiag.Conversation()
    try:
        opened = conversation.open()
        if opened in (-errno.EMFILE, -errno.ENFILE):
            calls.check(opened)
        answers = [conversation.ask(inode) for inode in inodes] if opened == 0 else []
    finally:
        conversation.close()
    peers = [answer[0].peer for answer in answers if isinstance(answer, list) and answer]
    return peers == inodes[::-1]
