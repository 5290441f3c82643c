"""A server that knows its client by pidfd, and notices its end although the connection stays open.

The client hands the connection to a child of its own and exits.  A pid would say nothing then, and may soon be another
process's; the pidfd says that the client has ended.
"""

import os
import select
import tempfile

from uds_cffi import UnixListener, UnixStream


def serve(listener: UnixListener, client: int) -> None:
    """Serve one client until it has ended."""
    conn, _ = listener.accept()
    with conn, conn.peer_pidfd() as peer:
        print(f"the client is the process that was started: {peer.pid() == client}")
        print(f"it is alive: {peer.is_alive()}")
        conn.sendall(b"you may go")
        # Both are descriptors, so one poll(2) waits for the client's words and for its end.
        poll = select.poll()
        poll.register(conn, select.POLLIN)
        poll.register(peer, select.POLLIN)
        ready = [number for number, _ in poll.poll()]
        print(f"the client has ended: {peer.fileno() in ready and not peer.is_alive()}")
        print(f"the connection is still open: {conn.try_recv(100) is None}")
        os.waitpid(client, 0)
        print(f"the pid means nothing any more: {peer.pid()}")
        conn.sendall(b"you too")


def connect(path: str) -> None:
    """Be the client: connect, leave the connection to a child, and go."""
    with UnixStream.connect(path) as conn:
        conn.recv(100)
        if os.fork() == 0:
            # The heir stays until it is told to go.
            conn.recv(100)


def main() -> None:
    """Be the server; the client is a child process."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "watched.socket")
        with UnixListener.bind(path) as listener:
            client = os.fork()
            if client == 0:
                try:
                    connect(path)
                finally:
                    os._exit(0)
            serve(listener, client)


if __name__ == "__main__":
    main()
