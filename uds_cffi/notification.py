"""Messages to the service manager: ready, status, descriptors to store (sd_notify(3)).

Rules:
- What a service manager would ignore without a word is refused before it is sent: a message that is too long or
  malformed, a descriptor's name that is none, a barrier beside other assignments.
- What is wrong with the arguments is an error also where there is no service manager, so that tests find it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from . import naming
from .address import UnixSocketAddr
from .ancillary import SocketAncillary
from .credentials import Credentials
from .datagram import UnixDatagram
from .errors import AddressError
from .fds import Borrowed
from .stream import UnixStream
from .waiting import check_timeout, deadline_of, remaining

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

# What systemd reads of one message, PIPE_BUF of Linux, and how long a descriptor's name may be there.
_LONGEST = 4096
_LONGEST_NAME = 255
_BARRIER = (b"BARRIER", b"1")


def notify(
    state: str | bytes | Mapping[str, str | bytes | int] = "",
    *,
    fds: Iterable[Any] | None = None,
    pid: int | None = None,
    barrier: bool = False,
    timeout: float | None = None,
) -> bool:
    """Send a message to the service manager, whose socket NOTIFY_SOCKET names (sd_notify(3)).

    Args:
        state: assignments that sd_notify(3) lists, such as ``READY=1``: one in each line of a str (encoded as UTF-8) or
            bytes, or a mapping of names to values (str, bytes, int; True is 1).  Empty only with ``barrier``.
        fds: descriptors to send with them (an iterable of ints and objects with ``fileno()``), at most 253.  A service
            manager keeps copies of those that come with ``FDSTORE=1``, under the name that ``FDNAME`` gives to all of
            them, and passes them to the next start of the service; others it closes.
        pid: the process that the message is from, when it is not this one (int); that takes CAP_SYS_ADMIN.
        barrier: whether to wait until the service manager has read this message and all before it (bool;
            sd_notify_barrier(3), systemd 246).
        timeout: seconds (float) for all of it, or None to wait for ever: for room in the manager's queue, and for the
            barrier.

    Returns:
        False when there is no NOTIFY_SOCKET, or an empty one: nothing was sent.  True when the message was sent, and,
        with ``barrier``, read, or the manager ended; whether it meant anything to the manager nobody says.

    Raises:
        TypeError, ValueError: a bad argument.  A message of more than 4096 bytes, a NUL, a value of several lines, a
            line without "=", an FDNAME that is no name, FDSTORE=1 without descriptors, and BARRIER=1 beside anything
            but one descriptor are among them: service managers ignore them.
        AddressError: NOTIFY_SOCKET is neither an absolute path nor "@" and an abstract name; vsock addresses are not
            supported.
        FeatureUnavailable: "credentials", for a pid where the system has none.
        OSError: with the address: FileNotFoundError, ConnectionRefusedError, when the manager is gone; PermissionError,
            also for a pid that this process may not name (libsystemd would then send its own); ProcessLookupError for
            one that is none; EBADF for a descriptor that is not open; TimeoutError when the time is over, after which
            the message may have been sent already.
    """
    text = _encode(state)
    borrowed = Borrowed(()) if fds is None else Borrowed(fds)
    _check(text, len(borrowed.numbers), barrier)
    sender = None if pid is None else _sender(pid)
    check_timeout(timeout)
    target = _target()
    if target is None:
        return False
    deadline = deadline_of(timeout)
    with UnixDatagram.connect(target) as sock, naming.named(target):
        sock.set_write_timeout(timeout)
        if text:
            sock.send_ancillary([text], _ancillary(borrowed._items, sender))
        if barrier:
            _wait(sock, sender, deadline)
    return True


def _encode(state: Any) -> bytes:
    """Return the message as it is sent."""
    if isinstance(state, str):
        return state.encode()
    if isinstance(state, bytes):
        return state
    if isinstance(state, Mapping):
        return b"\n".join(_assignment(name, value) for name, value in state.items())
    raise TypeError(f"a state is str, bytes or a mapping, not {type(state).__name__}")


def _assignment(name: Any, value: Any) -> bytes:
    if not isinstance(name, str):
        raise TypeError(f"a name is a str, not {type(name).__name__}: {name!r}")
    if not name or "=" in name or "\n" in name:
        raise ValueError(f"{name!r} is no name of an assignment")
    if isinstance(value, int):
        value = str(int(value))
    if isinstance(value, str):
        value = value.encode()
    elif not isinstance(value, bytes):
        raise TypeError(f"the value of {name} is str, bytes or int, not {type(value).__name__}")
    if b"\n" in value:
        raise ValueError(f"the value of {name} has more than one line: {value!r}")
    return name.encode() + b"=" + bytes(value)


def _check(text: bytes, count: int, barrier: bool) -> None:
    """Raise for what a service manager would ignore."""
    if len(text) > _LONGEST:
        raise ValueError(f"the state is {len(text)} bytes long; a service manager reads at most {_LONGEST}")
    if b"\0" in text:
        raise ValueError(f"the state has a NUL at byte {text.index(0)}")
    pairs = []
    for line in text.split(b"\n"):
        name, equals, value = line.partition(b"=")
        if name and equals:
            pairs.append((name, value))
        elif line:
            raise ValueError(f"{line!r} in the state is no assignment, which is NAME=value")
    if not pairs and count:
        raise ValueError("descriptors go with a state, which is empty; FDSTORE=1 lets the service manager keep them")
    if not pairs and (text or not barrier):
        raise ValueError("the state is empty")
    if _BARRIER in pairs and (barrier or count != 1 or len(pairs) > 1):
        raise ValueError("BARRIER=1 goes alone, with one descriptor; barrier=True sends it so, behind the state")
    if (b"FDSTORE", b"1") in pairs and not count:
        raise ValueError("FDSTORE=1 without descriptors stores nothing; fds= gives them")
    for name, value in pairs:
        if name == b"FDNAME":
            _check_name(value)


def _check_name(name: bytes) -> None:
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"FDNAME is {len(name)} bytes long; the limit is {_LONGEST_NAME}")
    if not name or b":" in name or not all(32 <= byte < 127 for byte in name):
        raise ValueError(f"FDNAME is {name!r}, but a name is of printable ASCII characters without ':'")


def _sender(pid: Any) -> Credentials:
    sender = Credentials(pid=pid)
    if not sender.pid:
        raise ValueError("pid 0 is no process; None is this one")
    return sender


def _target() -> UnixSocketAddr | None:
    """Return the address of the service manager's socket, or None without one."""
    text = os.environ.get("NOTIFY_SOCKET")
    if not text:
        return None
    if text.startswith("/"):
        return UnixSocketAddr.from_path(text)
    if text.startswith("@") and text != "@":
        return UnixSocketAddr.from_abstract(text[1:])
    if text.startswith("vsock"):
        raise AddressError(f"NOTIFY_SOCKET is {text!r}, the address of a virtual machine's host and of no Unix socket")
    raise AddressError(f"NOTIFY_SOCKET is {text!r}, which is neither an absolute path nor '@' and an abstract name")


def _ancillary(fds: list[Any], sender: Credentials | None) -> SocketAncillary:
    ancillary = SocketAncillary.with_room_for(fds=len(fds), credentials=sender is not None)
    if fds:
        ancillary.add_fds(fds)
    if sender is not None:
        ancillary.add_creds(sender)
    return ancillary


def _wait(sock: UnixDatagram, sender: Credentials | None, deadline: float | None) -> None:
    """Send a descriptor that the service manager closes when it reads the message, and wait for that."""
    # A pair of sockets does what the pipe of libsystemd does, and has owners before it is there.
    mine, theirs = UnixStream.pair()
    with mine:
        with theirs:
            if deadline is not None:
                sock.set_write_timeout(remaining(deadline))
            sock.send_ancillary([b"BARRIER=1"], _ancillary([theirs], sender))
        _read_to_the_end(mine, deadline)


# In a function of its own, because CPython 3.13 leaves the jump back from an `if` in a loop outside of the `with`
# around it, and may run a signal handler there.
def _read_to_the_end(sock: UnixStream, deadline: float | None) -> None:
    data = b"?"
    while data:
        if deadline is not None:
            sock.set_read_timeout(remaining(deadline))
        data = sock.recv(_LONGEST)
