"""A server that takes its sockets from a service manager, and makes its own when it is started by hand.

The manager is played by this program: it opens the sockets before the server runs, so that no client is refused.
"""

import fcntl
import os
import sys
import tempfile

from uds_cffi import UnixDatagram, UnixListener, UnixStream, listen_fds


def serve(path: str) -> None:
    """Be the server: greet one client, and read what was logged."""
    with listen_fds(clear=True) as passed:
        if passed:
            print("activated with:", ", ".join(name for name, _ in passed))
            listener = passed.find("greeter", kind=UnixListener)
        else:
            print("started by hand")
            listener = UnixListener.bind(path)
        with listener:
            if not passed:
                print("listening:", listener.local_addr().is_path)
                return
            conn, _ = listener.accept(timeout=10)
            with conn:
                conn.sendall(b"hello")
        print("logged:", passed.find("log", kind=UnixDatagram).recv(100).data, flush=True)


def start(sockets: dict, path: str) -> int:
    """Start the server as a service manager does: sockets from descriptor 3 on, and variables that say so."""
    pid = os.fork()
    if pid == 0:
        copies = [fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD, 10) for sock in sockets.values()]
        for number, copy in enumerate(copies, 3):
            os.dup2(copy, number)
            os.close(copy)
        if sockets:
            os.environ["LISTEN_PID"] = str(os.getpid())
            os.environ["LISTEN_FDS"] = str(len(sockets))
            os.environ["LISTEN_FDNAMES"] = ":".join(sockets)
        os.execv(sys.executable, [sys.executable, "-I", __file__, path])
    return pid


def main() -> None:
    """Be the server when there is an argument, else the manager and the client."""
    if sys.argv[1:]:
        serve(sys.argv[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        path, log_path = os.path.join(folder, "greeter.sock"), os.path.join(folder, "log.sock")
        with UnixListener.bind(path) as greeter, UnixDatagram.bind(log_path) as log:
            # Nobody runs yet, and nothing is refused.
            with UnixStream.connect(path) as client, UnixDatagram.connect(log_path) as logger:
                logger.send(b"somebody came")
                pid = start({"greeter": greeter, "log": log}, path)
                client.set_read_timeout(10)
                answer = client.recv(100)
            os.waitpid(pid, 0)
            print("the client was told", answer, flush=True)
        os.unlink(path)
        os.waitpid(start({}, path), 0)


if __name__ == "__main__":
    main()
