"""Each feature, used as a program would use it; run in a guest, to hold what `features()` says there against it.

Rule: an exercise knows nothing of the probe of the same name. It uses the public interface, or the standard library's
sockets where that has a way round the feature, and looks at what arrives. What is reported present must work, and what
is reported absent must not: an option that the kernel takes and ignores is no feature.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from typing import Any, Callable

import uds_cffi
from uds_cffi import SocketAncillary, UnixDatagram, UnixListener, UnixSeqpacketConn, UnixStream
from uds_cffi.diagnostics import sockets

# What the host looks for.
TABLE = "@@features"

ROOM = SocketAncillary.with_room_for
MSG_CMSG_CLOEXEC = 0x40000000

EXERCISES: dict[str, Callable[[], object]] = {}


def exercise(function: Callable[[], object]) -> Callable[[], object]:
    """Name an exercise after its feature; it returns whether the thing worked, or raises."""
    EXERCISES[function.__name__] = function
    return function


@contextlib.contextmanager
def pair(kind: Any = UnixStream, **options: Any) -> Iterator[tuple[Any, Any]]:
    """Make a connected pair that waits for nothing longer than a minute."""
    one, two = kind.pair()
    with one, two:
        two.set_read_timeout(60.0)
        for name, value in options.items():
            setattr(two.options, name, value)
        yield one, two


@contextlib.contextmanager
def folder() -> Iterator[str]:
    """Make a folder for socket files."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        yield path


def messages(one: Any, two: Any, **room: Any) -> tuple[Any, ...]:
    """Send a byte, and return the control messages that come with it."""
    one.send(b"x")
    found: tuple[Any, ...] = two.recv_ancillary(1, ROOM(**room)).messages
    return found


@exercise
def seqpacket() -> object:
    """Two packets arrive as two."""
    with pair(UnixSeqpacketConn) as (one, two):
        one.send(b"1")
        one.send(b"22")
        return [two.recv(9).data, two.recv(9).data] == [b"1", b"22"]


@exercise
def abstract_addresses() -> object:
    """A listener without a file is reached, and leaves none."""
    name = f"@uds-{os.getpid()}-{time.monotonic_ns()}"
    address = uds_cffi.UnixSocketAddr(name)
    with UnixListener.bind(address) as listener, UnixStream.connect(address) as client:
        conn, _ = listener.accept(timeout=60.0)
        with conn:
            client.send(b"x")
            return conn.recv(1) == b"x" and not os.path.exists(name)


@exercise
def atomic_cloexec() -> object:
    """A descriptor that the kernel made for recvmsg(2) is close-on-exec."""
    one, two = socket.socketpair()
    with one, two:
        socket.send_fds(one, [b"x"], [1])
        _, found, _, _ = two.recvmsg(1, socket.CMSG_SPACE(4), MSG_CMSG_CLOEXEC)
        fd = int.from_bytes(found[0][2][:4], sys.byteorder)
        try:
            return not os.get_inheritable(fd)
        finally:
            os.close(fd)


@exercise
def packet_length() -> object:
    """Of a packet that was cut, the length is known."""
    with pair(UnixDatagram) as (one, two):
        one.send(bytes(5000))
        received = two.recv_ancillary(10, SocketAncillary(0))
        return received.truncated and received.full_size == 5000


@exercise
def packet_end() -> object:
    """An empty packet is no end."""
    with pair(UnixSeqpacketConn) as (one, two):
        one.send(b"")
        one.close()
        return [two.recv_packet(), two.recv_packet()] == [b"", None]


@exercise
def credentials() -> object:
    """A child's message says who sent it."""
    with pair(UnixDatagram, pass_credentials=True) as (one, two), sleeping(lambda: one.send(b"x")) as child:
        (found,) = two.recv_ancillary(1, ROOM(credentials=True)).messages
        return (found.pid, found.uid, found.gid) == (child, os.getuid(), os.getgid())


@exercise
def send_credentials() -> object:
    """A privileged sender names another user."""
    with pair(UnixDatagram, pass_credentials=True) as (one, two):
        ancillary = ROOM(credentials=True)
        ancillary.add_creds(uds_cffi.Credentials(uid=1234, gid=5678))
        one.send_ancillary([b"x"], ancillary)
        (found,) = two.recv_ancillary(1, ROOM(credentials=True)).messages
        return (found.pid, found.uid, found.gid) == (os.getpid(), 1234, 5678)


@exercise
def peer_credentials() -> object:
    """A client is known to who accepts it."""
    with folder() as path, UnixListener.bind(f"{path}/s") as listener, UnixStream.connect(f"{path}/s"):
        conn, _ = listener.accept(timeout=60.0)
        with conn:
            found = conn.peer_credentials()
            return (found.pid, found.euid, found.egid) == (os.getpid(), os.getuid(), os.getgid())


@exercise
def peer_groups() -> object:
    """The groups that a client had when it connected are known."""
    before = os.getgroups()
    os.setgroups([7, 70_000])
    try:
        with pair() as (one, _):
            return one.peer_groups() == (7, 70_000)
    finally:
        os.setgroups(before)


@exercise
def peer_security_context() -> object:
    """There is a label, and it is not empty."""
    with pair() as (one, _):
        return bool(one.peer_security_context().strip(b"\0"))


@exercise
def peer_audit_token() -> object:
    """The token names the process at the other end."""
    with pair() as (one, _):
        return memoryview(one.peer_audit_token()).cast("i")[5] == os.getpid()


@exercise
def pidfd() -> object:
    """A child's end is seen, and a signal ends it."""
    with sleeping() as child, uds_cffi.PidFd.from_pid(child) as process:
        alive = process.is_alive()
        process.send_signal(signal.SIGKILL)
        return alive and process.wait(60.0) and not process.is_alive()


@exercise
def pidfd_info() -> object:
    """The kernel tells the parent and the user of a process."""
    with uds_cffi.PidFd.from_pid(os.getpid()) as process:
        found = process.info()
        return (found.pid, found.ppid, found.euid) == (os.getpid(), os.getppid(), os.geteuid())


@exercise
def pidfd_identity() -> object:
    """Two pidfds of a process have one inode, and one of another process has another."""
    with contextlib.ExitStack() as stack:
        found = [
            stack.enter_context(uds_cffi.PidFd.from_pid(pid)) for pid in (os.getpid(), os.getpid(), os.getppid() or 1)
        ]
        inodes = [os.fstat(process.fileno()).st_ino for process in found]
        return inodes[0] == inodes[1] != inodes[2]


@exercise
def peer_pidfd() -> object:
    """The other end's process is this one."""
    with pair() as (one, _), one.peer_pidfd() as process:
        return process.pid() == os.getpid()


@exercise
def pass_pidfd() -> object:
    """A message brings its sender's process."""
    with pair(UnixDatagram, pass_pidfd=True) as (one, two):
        (found,) = messages(one, two, pidfd=True)
        with found.fd as process:
            return process.pid() == os.getpid()


@exercise
def bound_file() -> object:
    """A socket's file is found when it has another name."""
    with folder() as path, UnixListener.bind(f"{path}/s") as listener:
        os.rename(f"{path}/s", f"{path}/t")
        with listener.bound_file() as file:
            return os.path.samestat(os.fstat(file.fileno()), os.stat(f"{path}/t"))


@exercise
def bindat() -> object:
    """A socket file is made, and reached, below a path that no address has room for."""
    with folder() as path:
        long = os.path.join(path, *["d" * 90] * 3)
        os.makedirs(long)
        listener = UnixListener.bind(f"{long}/s", long_path=True)
        with listener, UnixStream.connect(f"{long}/s", long_path=True) as client:
            conn, _ = listener.accept(timeout=60.0)
            with conn:
                client.send(b"x")
                return conn.recv(1) == b"x" and stat.S_ISSOCK(os.stat(f"{long}/s").st_mode)


@exercise
def file_mode() -> object:
    """The mode of a socket before it is bound is that of its file."""
    with folder() as path, socket.socket(socket.AF_UNIX) as sock:
        os.fchmod(sock.fileno(), 0o640)
        before = os.umask(0)
        try:
            sock.bind(f"{path}/s")
        finally:
            os.umask(before)
        return stat.S_IMODE(os.stat(f"{path}/s").st_mode) == 0o640


@exercise
def pass_rights() -> object:
    """Who sends descriptors is refused."""
    with pair(pass_rights=False) as (one, _):
        try:
            one.send_fds(b"x", [0])
        except PermissionError:
            return True
        return False


@exercise
def timestamps() -> object:
    """A packet brings the time, of either unit."""
    for unit in ("microseconds", "nanoseconds"):
        with pair(UnixDatagram, timestamps=unit) as (one, two):
            before = time.time_ns()
            (found,) = messages(one, two, timestamp=True)
            if not before - 10**9 < found.ns < time.time_ns() + 10**9:
                return False
    return True


@exercise
def inq() -> object:
    """What is left is counted."""
    with pair(inq=True) as (one, two):
        one.send(bytes(99))
        (found,) = messages(one, two, inq=True)
        return found.unread == 99


@exercise
def pass_security() -> object:
    """A packet brings a label."""
    with pair(UnixDatagram, pass_security=True) as (one, two):
        (found,) = messages(one, two, security=True)
        return bool(found.label.strip(b"\0"))


@exercise
def peek_offset() -> object:
    """Each peek shows the next byte."""
    with pair(peek_offset=0) as (one, two):
        one.send(b"abc")
        return [two.peek(1), two.peek(1), two.recv(3)] == [b"a", b"b", b"abc"]


@exercise
def out_of_band() -> object:
    """The urgent byte is apart from the others."""
    with pair() as (one, two):
        one.send(b"ab", uds_cffi.MSG_OOB)
        return [two.recv(9), two.at_mark(), two.recv(1, uds_cffi.MSG_OOB)] == [b"a", True, b"b"]


@exercise
def unsent_bytes() -> object:
    """What the peer has not read is counted."""
    with pair() as (one, two):
        one.send(bytes(1000))
        queued = one.unsent_bytes()
        two.recv(1000)
        return queued >= 1000 and one.unsent_bytes() == 0


@exercise
def send_buffer_force() -> object:
    """A buffer is larger than the limit."""
    with pair() as (_, two):
        two.options.send_buffer = 2**30
        limit = two.options.send_buffer
        two.options.send_buffer_force = 2 * limit
        return two.options.send_buffer >= 2 * limit


@exercise
def cookie() -> object:
    """Each socket has a number, and keeps it."""
    with pair() as (one, two):
        return 0 != one.options.cookie == one.options.cookie != two.options.cookie != 0


@exercise
def namespace_cookie() -> object:
    """Sockets of one namespace have one number."""
    with pair() as (one, two):
        return one.options.namespace_cookie == two.options.namespace_cookie != 0


@exercise
def diagnostics() -> object:
    """The list has a listener with its file and what waits for it."""
    with folder() as path, UnixListener.bind(f"{path}/s") as listener, UnixStream.connect(f"{path}/s"):
        (found,) = [info for info in sockets(["listening"]) if info.address.name == os.fsencode(f"{path}/s")]
        return found.inode == os.fstat(listener.fileno()).st_ino and found.pending == 1


@contextlib.contextmanager
def sleeping(first: Callable[[], object] = int) -> Iterator[int]:
    """Start a child that calls a function and then sleeps; yield its pid, and kill it."""
    pid = os.fork()
    if pid == 0:
        try:
            first()
            time.sleep(60)
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def attempt(function: Callable[[], object]) -> tuple[bool, str]:
    """Return whether the thing worked, and why not."""
    try:
        return bool(function()), "something else arrived"
    except Exception:  # noqa: BLE001 - whatever it raises, the thing did not work.
        return False, traceback.format_exc()


def main() -> int:
    """Print a line for each feature that is not as reported, and the table for the host; return 0 if none is."""
    table = uds_cffi.features()
    if set(table) != set(EXERCISES):
        print(f"features without an exercise, or the other way round: {set(table) ^ set(EXERCISES)}")
        return 1
    wrong = 0
    for name, row in table.items():
        works, why = attempt(EXERCISES[name])
        if works != row.supported:
            wrong += 1
            print(f"{name}: reported {row.supported} {row.reason}; the exercise: {works}, {why}")
    print(f"{TABLE} {json.dumps({name: row.reason or 'yes' for name, row in table.items()})}")
    print(f"{len(table)} features exercised, {wrong} are not as reported")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
