"""Control messages: typed values, and the registry that decodes them.

Rule: what is malformed or unknown is a value, UnknownControlMessage, never an exception that would lose descriptors.  A
decoder looks at lengths before it reads.
"""

from __future__ import annotations

import sys

from ._lib import ffi, lib
from .calls import move
from .credentials import Credentials
from .fds import OwnedFds
from .metadata import DECODERS
from .once import once
from .values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ._lib import CData
    from .pidfd import PidFd


class ScmRights(Value):
    """Descriptors that came with a message (unix(7), SCM_RIGHTS).

    Attributes:
        fds: the descriptors (OwnedFds), close-on-exec; whoever reads the message owns them.
    """

    __slots__ = ("fds",)

    fds: OwnedFds

    def __init__(self, fds: OwnedFds) -> None:
        self._set(fds=fds)


class ScmCredentials(Value):
    """Credentials that came with a message (unix(7), SCM_CREDENTIALS); the kernel has checked them.

    Attributes:
        pid: the sender's process id (int), or None when it is in another pid namespace, or when the message was sent
            while neither end had ``options.pass_credentials`` on.
        uid: its real user id, or the one that it claimed (int); 65534 when it has none that is mapped here, or
            none was recorded.
        gid: its real group id, or the one that it claimed (int); 65534 likewise.
    """

    # One slot is filled in a third of the time of three.
    __slots__ = ("_row",)
    _names = ("pid", "uid", "gid")

    _row: tuple[int | None, int, int]

    def __init__(self, pid: int | None, uid: int, gid: int) -> None:
        _set_row(self, (pid, uid, gid))

    def _fields(self) -> tuple[int | None, int, int]:
        return self._row

    @property
    def pid(self) -> int | None:
        """The sender's process id (int), or None."""
        return self._row[0]

    @property
    def uid(self) -> int:
        """Its user id (int)."""
        return self._row[1]

    @property
    def gid(self) -> int:
        """Its group id (int)."""
        return self._row[2]


# The shortest way round __setattr__, which refuses.
_set_row = vars(ScmCredentials)["_row"].__set__
_new = object.__new__


def credentials_of(pid: int, uid: int, gid: int) -> ScmCredentials:
    """Make a value of the kernel's numbers."""
    value = _new(ScmCredentials)
    _set_row(value, (pid or None, uid, gid))
    return value


class ScmPidfd(Value):
    """A descriptor of the sender's process, which came with a message (SCM_PIDFD, Linux 6.5), or why there is none.

    Whoever reads ``fd`` owns it from then on; until then it is closed with the message's other descriptors.

    Attributes:
        fd: the process (PidFd), or None.
        error: why there is none (OSError), or None: EMFILE, this process may open no more; ProcessLookupError, the
            sender was reaped, before Linux 6.16.
    """

    __slots__ = ("_fd", "error", "_taken")
    _names = ("fd", "error")

    _fd: PidFd | None
    error: OSError | None
    # Whether somebody has read the descriptor.
    _taken: bool

    def __init__(self, fd: PidFd | None, error: OSError | None) -> None:
        self._set(_fd=fd, error=error, _taken=False)

    @property
    def fd(self) -> PidFd | None:
        """The sender's process (PidFd), which belongs to whoever reads this, or None."""
        self._set(_taken=True)
        return self._fd

    def _fields(self) -> tuple[PidFd | None, OSError | None]:
        return self._fd, self.error

    def _close_unread(self) -> None:
        """Close the descriptor unless somebody has read it."""
        if self._fd is not None and not self._taken:
            self._fd.close()


class UnknownControlMessage(Value):
    """A control message without a decoder, or one that its decoder could not read.

    Attributes:
        level: cmsg_level (int).
        type: cmsg_type (int).
        data: its bytes.  Where they were descriptors, those are closed and -1 stands in their place.
    """

    __slots__ = ("level", "type", "data")

    level: int
    type: int
    data: bytes

    def __init__(self, level: int, type: int, data: bytes) -> None:
        self._set(level=level, type=type, data=data)


RIGHTS = (lib.SOL_SOCKET, lib.SCM_RIGHTS)
PIDFD = (lib.SOL_SOCKET, lib.SCM_PIDFD)
_CREDENTIALS = (lib.SOL_SOCKET, lib.UDS_SCM_CREDENTIALS)
_INT = ffi.sizeof("int")
_UCRED = ffi.typeof("struct ucred *")
_UCREDS = ffi.typeof("struct ucred[]")
_UCRED_SIZE = ffi.sizeof("struct ucred")


def _decode_ucred(data: bytes) -> ScmCredentials | None:
    """Decode what is a struct ucred itself, for which no call of C is needed."""
    if len(data) != _UCRED_SIZE:
        # The kernel cuts the struct when the control buffer ends in it.
        return None
    ucred = ffi.from_buffer(_UCREDS, data)[0]
    return credentials_of(ucred.pid, ucred.uid, ucred.gid)


def _decode_credentials(data: bytes) -> ScmCredentials | None:
    """Decode the form of any system."""
    ucred = ffi.new(_UCRED)
    if not lib.uds_credentials_read(data, len(data), ucred):
        return None
    return credentials_of(ucred.pid, ucred.uid, ucred.gid)


def encode_credentials(credentials: Credentials) -> bytes:
    """Return the bytes of a ``struct ucred``."""
    fields = [credentials.pid, credentials.uid, credentials.gid]
    return bytes(ffi.buffer(ffi.new("struct ucred *", fields)))


_decoders: dict[tuple[int, int], Callable[[bytes], Any]] = dict(DECODERS)
if lib.UDS_HAS_CREDENTIALS:
    # Only a system on which they are sent brings them as they were sent.
    _decoders[_CREDENTIALS] = _decode_ucred if lib.UDS_HAS_SEND_CREDENTIALS else _decode_credentials
# The library's own raise nothing, and return None for what is malformed: an exception is a signal handler's.
_OWN = dict(_decoders)
# The kinds that C reads for the library, while a user decodes them otherwise.
replaced: set[tuple[int, int]] = set()


def register_decoder(level: int, type: int, decoder: Callable[[bytes], Any]) -> None:
    """Decode control messages of this level and type (ints) with ``decoder(data: bytes)``.

    What the decoder returns stands in ``messages()``; when it raises an Exception, an UnknownControlMessage does, also
    when it was a signal handler that raised it within the decoder.  It replaces an earlier decoder, or the library's
    own, for messages that are received from now on: each is decoded by the receive that brings it.  Descriptors are
    decoded by the library itself.

    Raises:
        TypeError: the decoder is not callable, or level or type is not an int.
        ValueError: the level and type are those of SCM_RIGHTS or SCM_PIDFD, whose descriptors need their owner.
    """
    if not callable(decoder):
        raise TypeError(f"a decoder is a function of bytes, not {decoder!r}")
    for value in (level, type):
        if not isinstance(value, int):
            raise TypeError(f"a level and a type are ints, not {value!r}")
    if (level, type) == RIGHTS:
        raise ValueError("SCM_RIGHTS carries descriptors, which the library itself must own")
    if (level, type) == PIDFD:
        raise ValueError("SCM_PIDFD carries a descriptor, which the library itself must own")
    if (level, type) == _CREDENTIALS:
        replaced.add(_CREDENTIALS)
    _decoders[level, type] = decoder


def unregister_decoder(level: int, type: int) -> None:
    """Forget a decoder that was registered: its messages are decoded by the library's own again.

    Where the library has none, they are UnknownControlMessage.

    Raises:
        KeyError: none is registered for this level and type.
    """
    key = (level, type)
    own = _OWN.get(key)
    if _decoders.get(key) is own:
        raise KeyError(f"no decoder is registered for level {level} and type {type}")
    if own is None:
        del _decoders[key]
    else:
        _decoders[key] = own
    replaced.discard(key)


def items(control: CData, length: int) -> list[tuple[int, int, bytes]]:
    """Return level, type and data of each item in the first ``length`` bytes of a control buffer."""
    found = []
    item = ffi.new("struct uds_control_item *")
    while lib.uds_control_next(control, length, item):
        found.append((item.level, item.type, bytes(ffi.buffer(control + item.offset, item.size))))
    return found


def decode(
    found: list[tuple[int, int, bytes]], fds: OwnedFds | None, at_end: bool | None, pidfd: CData | None = None
) -> tuple[Any, ...]:
    """Turn received control messages into values.

    Args:
        found: level, type and data of each; C has moved the descriptors out of it.
        fds: the owner of those descriptors, if there are any; each SCM_RIGHTS message gets its own share of them.
        at_end: whether this may be the end of a stream, which Linux gives the credentials of no sender: certainly
            (True), perhaps (None), then those of pid 0, uid 0 and gid 0 are left out, or no (False).
        pidfd: the handle into which C has put the sender's pidfd, if there is one.
    """
    messages: list[Any] = []
    first = 0
    senders: list[int] = []
    for level, type, data in found:
        key = (level, type)
        if key == RIGHTS:
            count = 0 if fds is None else min(len(data) // _INT, len(fds) - first)
            messages.append(ScmRights(fds._share(first, count) if fds is not None and count else OwnedFds()))
            first += count
        elif key == PIDFD and pidfd is not None:
            senders.append(len(messages))
            messages.append(UnknownControlMessage(level, type, data))
        elif key == _CREDENTIALS and (at_end or (at_end is None and not any(data))):
            continue
        else:
            messages.append(decode_one(level, type, data))
    for place in senders:
        # Last, because a user's decoder may raise; until here the handle's owner can close it.
        messages[place] = decode_pidfd(messages[place], move, pidfd)
    return tuple(messages)


@once
def _pidfd() -> Any:
    # Most programs receive no pidfd.
    from . import pidfd

    return pidfd


def decode_pidfd(
    unknown: UnknownControlMessage, take: Callable[..., int], *source: Any
) -> ScmPidfd | UnknownControlMessage:
    """Take the sender's pidfd with ``take(*source, into)`` from where C has put it, or read why there is none."""
    if len(unknown.data) != _INT:
        return unknown
    number = int.from_bytes(unknown.data, sys.byteorder, signed=True)
    if number < -1:
        return ScmPidfd(None, _pidfd().pidfd_error(-number))
    process: PidFd = _pidfd().PidFd._empty()
    # C has closed one that it could not keep.
    if number < 0 or take(*source, process._handle) < 0:
        return unknown
    return ScmPidfd(process, None)


def close_unread(messages: Iterable[Any]) -> None:
    """Close the senders' pidfds among messages, but for those that somebody has read."""
    for message in messages:
        if isinstance(message, ScmPidfd):
            message._close_unread()


def decode_one(level: int, type: int, data: bytes) -> Any:
    """Decode one control message that carries no descriptors."""
    key = (level, type)
    decoder = _decoders.get(key)
    if decoder is not None:
        own = _OWN.get(key)
        if decoder is own:
            value = own(data)
            if value is not None:
                return value
        else:
            try:
                return decoder(data)
            except Exception:  # noqa: BLE001 - a decoder's failure must not lose the rest of the message.
                pass
    return UnknownControlMessage(level, type, data)
