"""Conversations with the kernel about Unix sockets, over netlink (sock_diag(7)).

Rules:
- C walks messages and attributes; what Python gets are flat records, and places in the bytes that were received.
- A list is complete, or an error.  The kernel ends a list without an error before a socket whose entry does not fit
  into the part that it is making.  Only the clients of a listener can be that many, so they are asked for behind a
  first answer: from then on the kernel's parts are as large as the room here, up to 32 KiB.  Where even that is too
  small, the clients are unknown, and nothing else is.
- After an error the rest of an answer may still come, so each attempt is a new conversation.
- What the kernel refuses stays a number until nobody looks at it any more: a signal handler may raise OSError too.
"""

from __future__ import annotations

import errno
import struct
from collections import namedtuple

from . import calls
from ._lib import ffi, lib
from .errors import FeatureUnavailable, error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NamedTuple, NoReturn

    class Record(NamedTuple):
        """One socket."""

        cookie: int
        device: int
        inode: int
        type: int
        state: int
        present: int
        file: int
        peer: int
        receive_queue: int
        send_queue: int
        shutdown: int
        uid: int
        name: bytes
        clients: tuple[int, ...]

else:
    # One socket: what is a number in struct uds_diag_socket, its name (bytes), and the inodes of its clients.
    Record = namedtuple(
        "Record",
        "cookie device inode type state present file peer receive_queue send_queue shutdown uid name clients",
    )

FEATURE = "diagnostics"
ESTABLISHED: int = lib.UDS_DIAG_ESTABLISHED
UNCONNECTED: int = lib.UDS_DIAG_UNCONNECTED
LISTENING: int = lib.UDS_DIAG_LISTENING
HAS_FILE: int = lib.UDS_DIAG_HAS_FILE
HAS_QUEUES: int = lib.UDS_DIAG_HAS_QUEUES
HAS_UID: int = lib.UDS_DIAG_HAS_UID
HAS_CLIENTS: int = lib.UDS_DIAG_HAS_CLIENTS
ALL_STATES = 0xFFFFFFFF

# Twice the largest page, which is more than any kernel puts into one part.
ROOM = 128 * 1024
MOST = 512
# How often a list that the kernel could not finish is asked for.
ATTEMPTS = 8

_DIAG = ffi.typeof("struct uds_diag *")
_SOCKETS = ffi.typeof("struct uds_diag_socket[]")
_CHARS = ffi.typeof("char[]")
_RECORD = struct.Struct("=QQ14I")
_NUMBERS = 12
_make = tuple.__new__
# This memory is written before it is read.
_allocate = ffi.new_allocator(should_clear_after_alloc=False)

# What a kernel without netlink, or without sock_diag, says.
_ABSENT = (-errno.EPROTONOSUPPORT, -errno.EAFNOSUPPORT, -errno.ESOCKTNOSUPPORT)
# And what those say that do not tell.
_UNKNOWN = (*_ABSENT, -errno.ENOENT, -errno.EACCES, -errno.EPERM)

inode_of_number = lib.uds_inode
inode_of_handle = lib.uds_handle_inode


class Unfinished(OSError):
    """The answer is incomplete, and asking again may help."""


def _retried(function: Callable[..., int], *arguments: Any) -> int:
    """Call a function of C again whenever a signal interrupted it, after its handler has run."""
    while True:
        result = function(*arguments)
        if result != -errno.EINTR:
            return result


def _found(answer: list[Record] | int) -> list[Record]:
    """Return the sockets of an answer, or raise what it is instead."""
    if not isinstance(answer, int):
        return answer
    if answer in (-errno.ENOBUFS, -errno.EBUSY):
        raise Unfinished(-answer, "the kernel could not finish its list of sockets")
    if answer == -errno.EBADMSG:
        raise OSError(errno.EBADMSG, "the kernel's answer about Unix sockets cannot be understood")
    raise error(-answer)


class Conversation:
    """One netlink socket, and the memory that answers are received into."""

    __slots__ = ("_handle", "_diag", "_data", "_sockets")

    def __init__(self, room: int = ROOM, most: int = MOST) -> None:
        """Make the memory, for answers in parts of ``room`` bytes, read ``most`` sockets at a time."""
        self._handle = calls.new_handle()
        self._data = _allocate(_CHARS, room)
        self._sockets = _allocate(_SOCKETS, most)
        self._diag = ffi.new(
            _DIAG,
            {"handle": self._handle, "data": self._data, "room": room, "sockets": self._sockets, "most": most},
        )

    def open(self) -> int:
        """Open the socket; 0 or -errno."""
        return lib.uds_diag_open(self._handle)

    def close(self) -> None:
        """Close the socket."""
        calls.close(self._handle)

    def ask(self, inode: int, states: int = ALL_STATES, clients: bool = False) -> list[Record] | int:
        """Return the socket of this inode, or, with inode 0, all in these states, a mask of ``1 << state``.

        With ``clients`` a list may end early; see the rules above.  Or -errno: -ENOENT, there is no such socket, or the
        kernel lists no Unix sockets; -EMSGSIZE, it has more clients than the kernel can name; -EBUSY, the list changed
        while the kernel made it; -ENOBUFS, it had no memory to go on; -EBADMSG, the answer cannot be understood.
        """
        diag = self._diag
        found: list[Record] = []
        result = _retried(lib.uds_diag_ask, diag, inode, states, clients)
        while result >= 0 and not diag.ended:
            result = _retried(lib.uds_diag_receive, diag)
            if result == -errno.EAGAIN:
                # It has no end.
                return -errno.EBADMSG
            while result > 0:
                result = self._read(found)
        if result < 0:
            return result
        return -errno.EBUSY if diag.changed else found

    def _read(self, found: list[Record]) -> int:
        """Add sockets out of what was received to a list; how many, 0 when it has no more, or -errno."""
        data = self._data
        count = lib.uds_diag_read(self._diag)
        if count <= 0:
            return count
        for fields in _RECORD.iter_unpack(ffi.buffer(self._sockets, count * _RECORD.size)):
            name, size, clients, number = fields[_NUMBERS:]
            text = ffi.unpack(data + name, size) if size else b""
            inodes = struct.unpack(f"={number}I", ffi.buffer(data + clients, number * 4)) if number else ()
            found.append(_make(Record, (*fields[:_NUMBERS], text, inodes)))
        return count

    def find(self, inode: int) -> Record | None:
        """Return the socket of this inode, or None when this network namespace has none.

        A listener has its clients, where the kernel can name them all.

        Raises:
            FeatureUnavailable, Unfinished, OSError: as ``list_all()``.
        """
        answer = self.ask(inode, clients=True)
        crowded = answer == -errno.EMSGSIZE
        if crowded:
            answer = self.ask(inode)
        if answer == -errno.ENOENT:
            # A kernel that lists no Unix sockets at all says the same.
            self._list(0)
            return None
        record = next(iter(_found(answer)), None)
        if record is None or not crowded:
            return record
        # A part of a list is larger than the answer about one socket.
        listeners = self._list(1 << LISTENING, clients=True)
        return next((other for other in listeners if other.cookie == record.cookie), record)

    def list_all(self, states: int) -> list[Record]:
        """Return all sockets of this network namespace that are in these states, a mask of ``1 << state``.

        Listeners have their clients, where the kernel can name them all.

        Raises:
            FeatureUnavailable: the kernel lists no Unix sockets.
            Unfinished: the list changed while the kernel made it, or it had no memory to go on.
            OSError: EBADMSG, the answer cannot be understood; whatever else the kernel answers.
        """
        # By cookie: a socket that is bound meanwhile moves in the kernel's table, and may be met twice.
        found = {record.cookie: record for record in self._list(states)}
        waited_for = {record.cookie: record.inode for record in found.values() if _is_waited_for(record)}
        if waited_for:
            for record in self._list(1 << LISTENING, clients=True):
                if waited_for.pop(record.cookie, None) is not None:
                    found[record.cookie] = record
        # What stood behind a listener with too many, or was closed meanwhile.
        for cookie, inode in waited_for.items():
            alone = self.find(inode)
            if alone is not None and alone.cookie == cookie:
                found[cookie] = alone
        return list(found.values())

    def _list(self, states: int, clients: bool = False) -> list[Record]:
        answer = self.ask(0, states, clients)
        if answer == -errno.ENOENT:
            raise FeatureUnavailable(FEATURE, "kernel", errno.ENOENT)
        return _found(answer)


def _is_waited_for(record: Record) -> bool:
    return record.state == LISTENING and record.receive_queue > 0


def known(states: int) -> list[Record]:
    """Return the sockets of this network namespace that are in these states, without the clients of listeners.

    None where the kernel has no sock_diag, lists no Unix sockets, or a security policy forbids it.

    Raises:
        OSError: as ``converse()``.
    """

    def talk(conversation: Conversation) -> list[Record]:
        answer = conversation.ask(0, states)
        return [] if answer in _UNKNOWN else _found(answer)

    found: list[Record] = converse(talk, lambda code: [] if code in _UNKNOWN else _refuse(code))
    return found


def _refuse(code: int) -> NoReturn:
    """Raise what the kernel said instead of opening a conversation."""
    if code in _ABSENT:
        raise FeatureUnavailable(FEATURE, "kernel", -code)
    raise error(-code)


def converse(talk: Callable[[Conversation], Any], refuse: Callable[[int], Any] = _refuse) -> Any:
    """Return what a function makes of a conversation; with a new one, up to eight times, where an answer is unfinished.

    Raises:
        FeatureUnavailable: the kernel has no sock_diag, or lists no Unix sockets.
        OSError: EMFILE, this process may open no more descriptors; EACCES, EPERM, a security policy forbids it; what
            was unfinished eight times is EBUSY or ENOBUFS; else as the methods of Conversation.
    """
    for _ in range(ATTEMPTS):
        conversation = Conversation()
        try:
            opened = conversation.open()
            return refuse(opened) if opened < 0 else talk(conversation)
        except Unfinished as unfinished:
            code, text = unfinished.args
        finally:
            conversation.close()
    raise OSError(code, f"{text}, {ATTEMPTS} times in a row")
