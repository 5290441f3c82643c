"""The life of a socket file: permissions, what a killed server leaves, a live server, and removal."""

import os
import signal
import stat
import tempfile

from uds_cffi import UnixListener, UnixStream


def be_killed(path: str) -> None:
    """Be a server that is killed, and leaves its file."""
    with UnixListener.bind(path):
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Be the next server at the same path, and then one that comes too early."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "service.socket")
        killed = os.fork()
        if killed == 0:
            be_killed(path)
        os.waitpid(killed, 0)
        print(f"a killed server has left its file: {os.path.exists(path)}")
        with UnixListener.bind(path, mode=0o660, replace_stale=True, unlink_on_close=True) as listener:
            print(f"the next one has replaced it, with mode {stat.S_IMODE(os.stat(path).st_mode):o}")
            with UnixStream.connect(path) as client, listener.accept()[0] as conn:
                conn.sendall(b"hello")
                print(f"a client reads {client.recv(100).decode()}")
            try:
                UnixListener.bind(path, replace_stale=True)
            except OSError as error:
                # Behind the colon is who listens there, as far as the system tells.
                print(f"another one is refused: {error.strerror.partition(':')[0]}")
        print(f"closing it has removed the file: {not os.path.exists(path)}")


if __name__ == "__main__":
    main()
