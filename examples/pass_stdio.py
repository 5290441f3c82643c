"""Pass standard input, output and error to a server, which decides by the peer's user id.

The client, another process, hands its three descriptors over; the server then prints where the client would.
"""

import os
import tempfile

from uds_cffi import UnixListener, UnixStream


def serve(listener: UnixListener) -> None:
    """Accept one client, and print to its standard output if it is ours."""
    conn, _ = listener.accept()
    with conn:
        peer = conn.peer_credentials()
        if peer.euid != os.geteuid():
            conn.sendall(b"refused")
            return
        data, fds = conn.recv_fds(100, 3)
        with fds, fds[1].open("w") as stdout:
            print(f"the server received {data!r} with {len(fds)} descriptors", file=stdout)
            print(f"the client has the server's user id: {peer.euid == os.geteuid()}", file=stdout)
            print(f"the client is another process: {peer.pid != os.getpid()}", file=stdout)
        conn.sendall(b"done")


def ask(path: str) -> None:
    """Hand standard input, output and error to the server and wait for its answer."""
    with UnixStream.connect(path) as client:
        client.sendall_fds(b"my terminal", [0, 1, 2])
        print(f"the client was told {client.recv(100)!r}", flush=True)


def main() -> None:
    """Be the server; the client is a child process."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "terminal.socket")
        with UnixListener.bind(path) as listener:
            pid = os.fork()
            if pid == 0:
                try:
                    ask(path)
                finally:
                    os._exit(0)
            serve(listener)
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
