"""The demonstration: two processes pass real open files and credentials, and show each step.

A client connects to a server's sequenced-packet socket, sends a message with open files, and gets an answer.  The
server says who connected, as the kernel tells it, and reads the files that it received.

Rule: both play to the end, also when nobody reads what they print: the connection, whose errors may look the same, says
how it went.
"""

from __future__ import annotations

import os
import tempfile

from . import OwnedFd, UnixListener, UnixSeqpacketConn, UnixSeqpacketListener, UnixSocketAddr, UnixStream
from .printing import PROGRAM, Printer
from .survey import features

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TIMEOUT = 10.0
_COMMAND = f"{PROGRAM} demo"

_printer = Printer()


def _say(who: str, text: str) -> None:
    # One write for each line: two processes share the output.
    _printer.line(f"[{who} {os.getpid()}] {text}")


def _name(value: object) -> str:
    return "unknown" if value is None else str(value)


def _serve(listener: Any, table: dict[str, Any]) -> None:
    conn, peer = listener.accept(timeout=_TIMEOUT)
    with conn:
        conn.set_read_timeout(_TIMEOUT)
        _say("server", f"accepted a connection from {peer}")
        if table["peer_credentials"].supported:
            who = conn.peer_credentials()
            groups = "unknown" if who.groups is None else ", ".join(map(str, who.groups)) or "none"
            _say("server", f"the peer is pid {_name(who.pid)}, uid {_name(who.euid)}, gid {_name(who.egid)}")
            _say("server", f"its supplementary groups: {groups}")
        received = conn.recv_fds(4096, 8)
        data, fds = received[0], received[-1]
        _say("server", f"received {data!r} with {len(fds)} descriptors: {fds.numbers()}")
        total = 0
        for fd in fds:
            kind, number = fd.kind(), fd.fileno()
            with fd.open("rb") as file:
                content = file.read()
            total += len(content)
            _say("server", f"descriptor {number} is a {kind} with {len(content)} bytes: {content[:40]!r}")
        conn.send(f"read {len(fds)} files, {total} bytes".encode())


def _ask(connection: Any, address: UnixSocketAddr, folder: str) -> None:
    with connection.connect(address, timeout=_TIMEOUT) as conn:
        conn.set_read_timeout(_TIMEOUT)
        _say("client", f"connected to {conn.peer_addr()}")
        owned = []
        for name, content in (("greeting.txt", b"Hello from the client.\n"), ("numbers.txt", b"1 2 3 4 5\n")):
            path = os.path.join(folder, name)
            with open(path, "wb") as file:
                file.write(content)
            owned.append(OwnedFd(os.open(path, os.O_RDONLY | os.O_CLOEXEC)))
            os.unlink(path)
        conn.send_fds(b"two files", owned)
        _say(
            "client", f"sent 'two files' with descriptors {[fd.fileno() for fd in owned]}, their names already removed"
        )
        for fd in owned:
            fd.close()
        reply = conn.recv(4096)
        _say("client", f"the answer: {(reply if isinstance(reply, bytes) else reply.data).decode()!r}")


def run() -> int:
    """Run the demonstration and return the exit status (int): 0 when both processes did their part.

    FAILED is that of an output that takes nothing; a reader that has gone is no error.
    """
    global _printer
    _printer = Printer()
    table = features()
    if table["seqpacket"].supported:
        listening, connection = UnixSeqpacketListener, UnixSeqpacketConn
    else:
        listening, connection = UnixListener, UnixStream  # type: ignore[assignment]
    with tempfile.TemporaryDirectory(prefix="uds") as folder:
        if table["abstract_addresses"].supported:
            address = UnixSocketAddr.unnamed()
        else:
            address = UnixSocketAddr(os.path.join(folder, "s"))
        with listening.bind(address) as listener:
            _say("server", f"{listening.__name__} listens at {listener.local_addr()}")
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    _ask(connection, listener.local_addr(), folder)
                    status = 0
                except BaseException as problem:  # noqa: BLE001 - the child has nobody to raise it to.
                    _say("client", f"failed: {problem!r}")
                finally:
                    os._exit(status)
            try:
                _serve(listener, table)
            finally:
                _, status = os.waitpid(child, 0)
        _say("server", "the client has ended" if status == 0 else f"the client failed with status {status}")
    return _printer.status(_COMMAND) if status == 0 else 1
