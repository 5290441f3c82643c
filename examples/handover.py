"""A server that hands its listeners and its open connections to its successor, and no client notices.

Both are processes, one started by hand or by a supervisor while the other is running. At each moment exactly one of
them serves: the old one goes on if its successor ends before it has said "serving"; the successor begins when it has
all and has said so, also if the old one has ended meanwhile. So there is no time limit: whoever kills a successor that
hangs lets the old one go on. Without all of them the successor raises HandoverError, and is left with nothing.

Requests are lines, and each answer has the number of the server, the number of the request on its connection, and the
request's text. That number, and the parts of requests and answers that are under way, move with the connection.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from uds_cffi import FramedStream, IncompleteReadError, UnixListener, UnixStream

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
# A client with more answers than this waiting is not read from, so that what moves with it stays small.
MOST_UNSENT = 65536
# Nor is one whose request is longer than this.
LONGEST_REQUEST = 65536


class HandoverError(Exception):
    """The old server has ended, or could not be understood, before it had handed over everything."""


class Client:
    """A connection with all that its server knows about it."""

    def __init__(
        self, conn: UnixStream, answered: int = 0, received: bytes = b"", unsent: bytes = b"", ended: bool = False
    ) -> None:
        """Take the connection over, with what an earlier server knew."""
        self.conn, self.answered, self.received, self.unsent, self.ended = conn, answered, received, unsent, ended

    @classmethod
    def restore(cls, conn: UnixStream, state: bytes) -> Client:
        """Make a client of what `state()` said in another process."""
        answered, received, unsent, ended = json.loads(state)
        return cls(conn, answered, bytes.fromhex(received), bytes.fromhex(unsent), ended)

    def state(self) -> bytes:
        """Return all that a successor must know beside the connection itself."""
        return json.dumps([self.answered, self.received.hex(), self.unsent.hex(), self.ended]).encode()

    def wanted(self) -> int:
        """Say what to wait for; 0 when nothing is left to be done."""
        reads = READ if not self.ended and len(self.unsent) < MOST_UNSENT else 0
        return reads | (WRITE if self.unsent else 0)

    def step(self, server: int, ready: int) -> None:
        """Read requests, or send answers; never wait."""
        if ready & READ:
            data = self.conn.try_recv(4096)
            *requests, self.received = (self.received + (data or b"")).split(b"\n")
            self.ended = data == b"" or len(self.received) > LONGEST_REQUEST
            for request in requests:
                self.answered += 1
                self.unsent += b"%d %d %s\n" % (server, self.answered, request)
        if self.unsent:
            sent = self.conn.try_send(self.unsent)
            self.unsent = self.unsent[sent or 0 :]


class Server:
    """A server at a path, with a second socket file beside it where its successor comes to take over."""

    def __init__(
        self, listener: UnixListener, door: UnixListener, number: int = 1, clients: Iterable[Client] = ()
    ) -> None:
        """Take the sockets over."""
        self.listener, self.door, self.number, self.clients = listener, door, number, list(clients)

    @classmethod
    def bind(cls, path: str) -> Server:
        """Be the first server."""
        return cls(UnixListener.bind(path), UnixListener.bind(path + ".handover"))

    @classmethod
    def take_over(cls, path: str) -> Server:
        """Be the next server: take everything over from the one that is running."""
        with FramedStream(UnixStream.connect(path + ".handover"), max_fds=1) as old:
            return cls._take_over(old)

    @classmethod
    def _take_over(cls, old: FramedStream) -> Server:
        # Closes what has come if it is not all.
        with contextlib.ExitStack() as received:
            sockets: list[Any] = []
            number = None
            try:
                old.send_message(b"hand over")
                for data, fds in old:
                    with fds:
                        if not fds:
                            number = int(data)
                            break
                        socket = fds[0].as_stream() if len(sockets) > 1 else fds[0].as_listener()
                        sockets.append((received.enter_context(socket), data))
            except (OSError, IncompleteReadError) as error:
                raise HandoverError(f"the handover failed after {len(sockets)} sockets: {error}") from error
            if number is None:
                raise HandoverError(f"the old server ended after {len(sockets)} sockets, and before it had sent all")
            # From here on nothing is lost whatever happens to the old server: it may have ended.
            with contextlib.suppress(OSError):
                old.send_message(b"serving")
            received.pop_all()
        (listener, _), (door, _), *clients = sockets
        return cls(listener, door, number + 1, [Client.restore(conn, state) for conn, state in clients])

    def hand_over(self, successor: FramedStream) -> bool:
        """Give everything away; False when the successor has ended before it served, and this server goes on."""
        try:
            successor.send_message(b"", [self.listener])
            successor.send_message(b"", [self.door])
            for client in self.clients:
                successor.send_message(client.state(), [client.conn])
            # Only the last message is without a descriptor.
            successor.send_message(b"%d" % self.number)
            return successor.recv_message() == b"serving"
        except (OSError, IncompleteReadError):
            return False

    def serve(self) -> None:
        """Serve until a successor has taken over; the socket files stay, and are the successor's."""
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as successors:
            selector.register(self.listener, READ, self.listener)
            selector.register(self.door, READ, self.door)
            for client in self.clients:
                selector.register(client.conn, client.wanted(), client)
            while True:
                # Between two rounds nothing is half done, and all that is known is in `self.clients`.
                for key, ready in selector.select():
                    if isinstance(key.data, Client):
                        self._serve(selector, key.data, ready)
                    elif isinstance(key.data, FramedStream):
                        if self._hear(selector, key.data):
                            return
                    else:
                        self._accept(selector, key.data, successors)

    def _accept(
        self, selector: selectors.BaseSelector, listener: UnixListener, successors: contextlib.ExitStack
    ) -> None:
        accepted = listener.try_accept()
        if accepted is None:
            return
        conn, _ = accepted
        if listener is self.listener:
            client = Client(conn)
            self.clients.append(client)
            selector.register(conn, client.wanted(), client)
        else:
            # Whoever connects and says nothing, or anything else, changes nothing.
            selector.register(conn, READ, successors.enter_context(FramedStream(conn)))

    def _hear(self, selector: selectors.BaseSelector, successor: FramedStream) -> bool:
        """Listen to what may be a successor; True when it has taken over."""
        try:
            messages = successor.try_recv_messages()
        except (OSError, ValueError, IncompleteReadError):
            messages = []
        if messages is None or (messages == [b"hand over"] and self.hand_over(successor)):
            return messages is not None
        selector.unregister(successor)
        successor.close()
        return False

    def _serve(self, selector: selectors.BaseSelector, client: Client, ready: int) -> None:
        try:
            client.step(self.number, ready)
        except OSError:
            # The client is gone, and so are its answers.
            client.ended, client.unsent = True, b""
        if client.wanted():
            selector.modify(client.conn, client.wanted(), client)
        else:
            selector.unregister(client.conn)
            client.conn.close()
            self.clients.remove(client)

    def close(self) -> None:
        """Close this process's copies of all sockets."""
        for socket in (self.listener, self.door, *(client.conn for client in self.clients)):
            socket.close()


def start(make_server: Callable[[], Server]) -> int:
    """Start a process that makes a server and serves until a successor has taken over; return its pid."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with contextlib.closing(make_server()) as server:
                server.serve()
            status = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(status)
    return pid


def main() -> None:
    """Be a client, and let one server after the other be its server."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "service.socket")
        # Bound before it serves, so that clients can connect from now on.
        first = Server.bind(path)
        pid = start(lambda: first)
        first.close()
        with UnixStream.connect(path) as conn, conn.makefile("rwb", buffering=0) as file:
            for text in (b"first", b"second", b"third"):
                file.write(text)
                successor = start(lambda: Server.take_over(path))
                # The old server ends when the new one serves; half of a request moves with the connection.
                os.waitpid(pid, 0)
                pid = successor
                file.write(b" request\n")
                print("server {}, request {}: {}".format(*file.readline().decode().strip().split(" ", 2)))
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
