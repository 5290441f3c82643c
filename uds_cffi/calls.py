"""Typed functions over the compiled library.

Rules: a function here returns its result or ``-errno``, exactly as C does; ``check`` turns a negative result into an
exception.  The functions of the hot path are the compiled functions themselves, under the names that the rooms above
use.  The constants are plain ints; one that this system lacks is -1, and nothing hands it to the kernel.
"""

from __future__ import annotations

import errno
import os

from ._lib import ffi, lib
from .errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._lib import CData

NULL = ffi.NULL

TRUNC_LENGTH = bool(lib.UDS_HAS_TRUNC_LENGTH)
PACKET_END = bool(lib.UDS_HAS_PACKET_END)
# Whether a send of a datagram to a full peer fails at once, whatever SO_SNDTIMEO says.
DATAGRAMS_NEVER_WAIT = bool(lib.UDS_DATAGRAMS_NEVER_WAIT)
SOCK_STREAM: int = lib.SOCK_STREAM
SOCK_DGRAM: int = lib.SOCK_DGRAM
SOCK_SEQPACKET: int = lib.SOCK_SEQPACKET
SOMAXCONN: int = lib.SOMAXCONN
IOV_MAX: int = lib.IOV_MAX
SCM_MAX_FD: int = lib.UDS_SCM_MAX_FD
SHUT_RD: int = lib.SHUT_RD
SHUT_WR: int = lib.SHUT_WR
SHUT_RDWR: int = lib.SHUT_RDWR
MSG_PEEK: int = lib.MSG_PEEK
MSG_WAITALL: int = lib.MSG_WAITALL
MSG_DONTWAIT: int = lib.MSG_DONTWAIT
MSG_TRUNC: int = lib.MSG_TRUNC
MSG_CTRUNC: int = lib.MSG_CTRUNC
MSG_EOR: int = lib.MSG_EOR
MSG_OOB: int = lib.MSG_OOB
MSG_NOSIGNAL: int = lib.MSG_NOSIGNAL
MSG_CMSG_CLOEXEC: int = lib.MSG_CMSG_CLOEXEC
# The parts of the packed results of receive_fds() and receive_packed().
SIZE_MASK: int = lib.UDS_ONE_FD - 1
CUT: int = lib.UDS_CUT
ANCILLARY_CUT: int = lib.UDS_ANCILLARY_CUT
ONE_FD: int = lib.UDS_ONE_FD
# Whatever of a message was lost.
LOST: int = lib.UDS_CUT | lib.UDS_ANCILLARY_CUT | lib.UDS_SURPLUS
SOL_SOCKET: int = lib.SOL_SOCKET
SO_ERROR: int = lib.SO_ERROR
SO_SNDBUF: int = lib.SO_SNDBUF
SO_RCVBUF: int = lib.SO_RCVBUF
PASSCRED_LEVEL: int = lib.UDS_PASSCRED_LEVEL
PASSCRED: int = lib.UDS_PASSCRED
SO_PASSRIGHTS: int = lib.SO_PASSRIGHTS
SO_PASSPIDFD: int = lib.SO_PASSPIDFD
SO_PEEK_OFF: int = lib.SO_PEEK_OFF
SO_PASSSEC: int = lib.SO_PASSSEC
SO_INQ: int = lib.SO_INQ
SO_COOKIE: int = lib.SO_COOKIE
SO_NETNS_COOKIE: int = lib.SO_NETNS_COOKIE
SO_RCVLOWAT: int = lib.SO_RCVLOWAT
SO_SNDBUFFORCE: int = lib.SO_SNDBUFFORCE
SO_BUF_LOCK: int = lib.SO_BUF_LOCK
SO_OOBINLINE: int = lib.SO_OOBINLINE
SO_RCVTIMEO: int = lib.SO_RCVTIMEO
SO_SNDTIMEO: int = lib.SO_SNDTIMEO
SCM_RIGHTS: int = lib.SCM_RIGHTS
POLLIN: int = lib.POLLIN
POLLOUT: int = lib.POLLOUT


def _distinct(*constants: int) -> tuple[int, ...]:
    # A dict keeps the order; what this system lacks is -1.
    return tuple({constant: None for constant in constants if constant > 0})


# The spellings of each option of timestamps, which are the types of their control messages too, beginning with the one
# that fits the C library's time_t.
MICROSECOND_STAMPS = _distinct(lib.SO_TIMESTAMP, lib.SO_TIMESTAMP_OLD, lib.SO_TIMESTAMP_NEW)
NANOSECOND_STAMPS = _distinct(lib.SO_TIMESTAMPNS, lib.SO_TIMESTAMPNS_OLD, lib.SO_TIMESTAMPNS_NEW)
# The events that say that nothing more will come, whatever else poll(2) promises.
HANGUP: int = lib.POLLHUP | (lib.POLLRDHUP if lib.UDS_HAS_POLLRDHUP else 0)

adopt = lib.uds_handle_adopt
close = lib.uds_handle_close
detach = lib.uds_handle_detach
move = lib.uds_handle_move
hand_over = lib.uds_handle_open
fileno = lib.uds_handle_fileno
running = lib.uds_handle_users
open_socket = lib.uds_handle_socket
open_pair = lib.uds_handle_socketpair
# Returns UDS_NO_NAME, which is positive, for bytes that are no name of a peer.
open_connected = lib.uds_handle_open_connected
# Returns 1 when the peer has a name, else 0.
accept = lib.uds_handle_accept
dup = lib.uds_handle_dup
dup_number = lib.uds_handle_dup_number
listen = lib.uds_handle_listen
shutdown = lib.uds_handle_shutdown
wait = lib.uds_handle_wait
get_nonblocking = lib.uds_handle_get_nonblocking
set_nonblocking = lib.uds_handle_set_nonblocking
set_timeout = lib.uds_handle_set_timeout
enter_timed = lib.uds_timed_enter
leave_timed = lib.uds_timed_leave
timed_calls = lib.uds_timed_calls
unread_bytes = lib.uds_handle_unread_bytes
unsent_bytes = lib.uds_handle_unsent_bytes
at_mark = lib.uds_handle_at_mark
mode = lib.uds_handle_mode
fds_number = lib.uds_fds_number
fds_take = lib.uds_fds_take
fds_move = lib.uds_fds_move
fds_close = lib.uds_fds_close
send = lib.uds_handle_send
send_numbers = lib.uds_handle_send_numbers
send_packed = lib.uds_handle_send_packed
recv = lib.uds_handle_recv
recv_packet = lib.uds_handle_recv_packet
receive = lib.uds_receive
receive_packet = lib.uds_receive_packet
receive_fds = lib.uds_receive_fds
receive_packed = lib.uds_receive_packed
packet_length = lib.uds_handle_packet_length
packet_waiting = lib.uds_handle_packet_waiting
bound_file = lib.uds_handle_bound_file
flock = lib.uds_handle_flock
funlock = lib.uds_handle_funlock
leads_to_socket = lib.uds_leads_to_socket
is_at = lib.uds_handle_is_at

from_buffer = ffi.from_buffer
release = ffi.release

# A pointer, although cffi makes two objects of it, and one of an array: CPython's collector, which finalizes what is
# in a cycle in any order, would free an array before the __del__ that still asks it.  It does not look into the object
# by which a pointer keeps its struct, so the struct lives until its owner is given back, behind all finalizers.
HANDLE = ffi.typeof("struct uds_handle *")
_FDS = ffi.typeof("struct uds_fds *")
_INTS = ffi.typeof("int[]")

INT_SIZE: int = ffi.sizeof("int")

# In the child of a fork the calls that other threads were making do not exist.
os.register_at_fork(after_in_child=lib.uds_after_fork_in_child)


# A signal handler that raises just as __del__ begins aborts it before its first line, and Python only reports that.
# The memory of handles and slots is therefore freed by C, which closes what is left in it: no bytecode runs in between.
# It is the backstop behind close() and __del__, and nothing relies on when it happens.
allocate_handle = ffi.new_allocator(lib.uds_allocate, lib.uds_handle_free, should_clear_after_alloc=False)
_allocate_fds = ffi.new_allocator(lib.uds_allocate, lib.uds_fds_free, should_clear_after_alloc=False)


def new_handle() -> CData:
    """Make an empty handle.  Whoever holds it owns the descriptor that a call puts into it."""
    return allocate_handle(HANDLE)


# Stands for the handle of whatever was closed; nothing fills it.
CLOSED = new_handle()
lib.uds_handle_seal(CLOSED)


def new_timed() -> CData:
    """Make what counts the calls that need a timeout of the kernel's own."""
    return ffi.new("struct uds_timed *")


def new_int() -> CData:
    """Make a C int, which is 0."""
    return ffi.new("int *")


def new_fds() -> CData:
    """Make empty slots, of generation 0, for received descriptors.  Whoever holds them owns what a call puts in."""
    return _allocate_fds(_FDS)


def check(result: int, address: object = None) -> int:
    """Return a result that is no error, or raise the error."""
    if result < 0:
        raise error(-result, address)
    return result


def check_c_int(name: str, value: Any) -> None:
    """Raise TypeError or ValueError unless the value is an int that C can hold as one."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is an int, not {type(value).__name__}")
    if not -(2**31) <= value < 2**31:
        raise ValueError(f"{name} {value} does not fit into a C int")


def readable(data: Any) -> CData:
    """Export a contiguous bytes-like object for reading, as a context manager with ``len()`` in bytes."""
    return from_buffer(data) if type(data) is bytearray and data else _export(data, False)


def writable(buffer: Any) -> CData:
    """Export a contiguous writable buffer, as a context manager with ``len()`` in bytes."""
    return from_buffer(buffer) if type(buffer) is bytearray and buffer else _export(buffer, True)


def _export(data: Any, must_be_writable: bool) -> CData:
    view = memoryview(data)
    try:
        if must_be_writable and view.readonly:
            raise TypeError(f"a writable bytes-like object is needed, not {type(data).__name__}")
        if not view.c_contiguous:
            raise BufferError("the data is not contiguous")
        empty = not view.nbytes
    finally:
        # Where nothing counts references, what a forgotten view exports could not be resized before a collection.
        view.release()
    try:
        return from_buffer(b"" if empty else data)
    except TypeError:
        if must_be_writable:
            raise
        # PyPy has no address for what may move, such as the buffer of a BytesIO; a copy stays where it is.
        return from_buffer(to_bytes(data))


def to_bytes(data: Any) -> bytes:
    """Copy a bytes-like object, and nothing that only could be made into bytes, such as a list or a number."""
    with memoryview(data) as view:
        return bytes(view)


def is_buffer(value: Any) -> bool:
    """Whether it is bytes-like; some of those can be iterated over as well, an mmap of PyPy for one."""
    try:
        memoryview(value).release()
    except TypeError:
        return False
    return True


def fds_detach(fds: CData, generation: int) -> list[int]:
    """Take all numbers that are left in the slots; from now on the caller owns them."""
    numbers = ffi.new(_INTS, SCM_MAX_FD)
    count = lib.uds_fds_detach(fds, generation, numbers)
    return ffi.unpack(numbers, count) if count else []


def describe(number: int) -> tuple[int, int, bool]:
    """Return domain, type and listening state of a socket; raise OSError (ENOTSOCK, EBADF) for anything else."""
    if not 0 <= number < 2**31:
        raise error(errno.EBADF)
    description = ffi.new("struct uds_description *")
    check(lib.uds_describe(number, description))
    return description.domain, description.type, bool(description.listening)


def describe_held(handle: CData) -> tuple[int, int, bool]:
    """Return the same for the descriptor of a handle."""
    description = ffi.new("struct uds_description *")
    check(lib.uds_handle_describe(handle, description))
    return description.domain, description.type, bool(description.listening)


def type_name(kind: int) -> str:
    """Return the name of a socket type, or its number."""
    names = {SOCK_STREAM: "SOCK_STREAM", SOCK_DGRAM: "SOCK_DGRAM", SOCK_SEQPACKET: "SOCK_SEQPACKET"}
    return names.get(kind, str(kind))


def is_unix(domain: int) -> bool:
    """Whether this address family is AF_UNIX."""
    return domain == lib.AF_UNIX


def readlink(handle: CData) -> str | None:
    """Return what the system calls the open file (``/proc/self/fd``), or None where it has no such place."""
    target = ffi.new("char[]", 64)
    size = lib.uds_handle_readlink(handle, target, 64)
    return ffi.unpack(target, size).decode("ascii", "replace") if size >= 0 else None


def getsockopt_or_code(handle: CData, level: int, name: int, size: int) -> bytes | int:
    """Return the value of an option, at most ``size`` bytes, or -errno."""
    value = ffi.new("unsigned char[]", max(size, 1))
    length = ffi.new("socklen_t *", size)
    result: int = lib.uds_handle_getsockopt(handle, level, name, value, length)
    return result if result < 0 else bytes(ffi.buffer(value, min(length[0], size)))


def getsockopt(handle: CData, level: int, name: int, size: int) -> bytes:
    """Return the value of an option, at most ``size`` bytes; raise OSError."""
    value = getsockopt_or_code(handle, level, name, size)
    if isinstance(value, int):
        raise error(-value)
    return value


def getsockopt_int(handle: CData, level: int, name: int) -> int:
    """Return the value of an option that is a C int."""
    value = ffi.new("int *")
    length = ffi.new("socklen_t *", ffi.sizeof("int"))
    check(lib.uds_handle_getsockopt(handle, level, name, value, length))
    return int(value[0])


def setsockopt(handle: CData, level: int, name: int, value: bytes) -> None:
    """Set an option to bytes."""
    check(lib.uds_handle_setsockopt(handle, level, name, value, len(value)))


def setsockopt_int_or_code(handle: CData, level: int, name: int, value: int) -> int:
    """Set an option that is a C int: 0, or -errno."""
    number = ffi.new("int *", value)
    return int(lib.uds_handle_setsockopt(handle, level, name, number, ffi.sizeof("int")))


def setsockopt_int(handle: CData, level: int, name: int, value: int) -> None:
    """Set an option that is a C int; raise OSError."""
    check(setsockopt_int_or_code(handle, level, name, value))


def has_timeout(handle: CData, name: int) -> bool:
    """Whether SO_RCVTIMEO or SO_SNDTIMEO is set."""
    value = ffi.new("int64_t *")
    return lib.uds_handle_get_timeout(handle, name, value) == 0 and value[0] != 0


def get_timeout_or_code(handle: CData, name: int) -> int:
    """Return SO_RCVTIMEO or SO_SNDTIMEO in microseconds, 0 for none, or -errno."""
    value = ffi.new("int64_t *")
    result: int = lib.uds_handle_get_timeout(handle, name, value)
    return result if result < 0 else int(value[0])


def get_timeout(handle: CData, name: int) -> int:
    """Return the same, but raise OSError."""
    return check(get_timeout_or_code(handle, name))


def peer_credentials(handle: CData) -> tuple[int | None, int | None, int | None]:
    """Return pid, effective uid and effective gid of the peer, None for what the system does not say."""
    peer = ffi.new("struct uds_peer *")
    check(lib.uds_handle_peer_credentials(handle, peer))
    present = peer.present
    return (
        peer.pid if present & lib.UDS_PEER_PID else None,
        peer.euid if present & lib.UDS_PEER_UID else None,
        peer.egid if present & lib.UDS_PEER_GID else None,
    )


def _resized(function: Any, ctype: str, handle: CData, room: int) -> Any:
    """Call a function that reports how much it has, with more room until everything fits."""
    while True:
        memory = ffi.new(ctype, room)
        needed = function(handle, memory, room)
        if needed < 0:
            return needed
        if needed <= room:
            return ffi.unpack(memory, needed)
        room = needed


def peer_groups(handle: CData) -> list[int] | int:
    """Return the peer's supplementary groups, or -errno."""
    groups: list[int] | int = _resized(lib.uds_handle_peer_groups, "gid_t[]", handle, 64)
    return groups


def peer_security(handle: CData) -> bytes | int:
    """Return the peer's security label as the module gives it, or -errno."""
    label: bytes | int = _resized(lib.uds_handle_peer_security, "char[]", handle, 256)
    return label


def peer_audit_token(handle: CData) -> bytes | int:
    """Return the audit token of the peer's process, or -errno."""
    token = ffi.new("char[]", lib.UDS_AUDIT_TOKEN_SIZE)
    result: int = lib.uds_handle_peer_audit_token(handle, token)
    return result if result < 0 else bytes(ffi.buffer(token))
