"""A server that notices that another has taken its place: its path leads to another process's socket."""

import os
import tempfile
import time

from uds_cffi import UnixListener, UnixStream


def take_over(path: str) -> None:
    """Be the other server: replace the file, in one step, and serve one client."""
    with UnixListener.bind(path + ".new") as listener:
        os.rename(path + ".new", path)
        conn, _ = listener.accept()
        with conn:
            conn.sendall(b"the other server")


def main() -> None:
    """Be the first server, and then a client."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "service.socket")
        with UnixListener.bind(path) as listener:
            print(f"clients come here: {listener.is_still_bound()}")
            other = os.fork()
            if other == 0:
                try:
                    take_over(path)
                finally:
                    os._exit(0)
            while listener.is_still_bound():
                # A server would look once in a while, between two clients.
                time.sleep(0.01)
            print("the path leads to another socket now")
            with listener.bound_file() as file:
                print(f"our own file has {os.fstat(file.fileno()).st_nlink} names")
            with UnixStream.connect(path) as client:
                print(f"a client reaches {client.recv(100).decode()}")
            os.waitpid(other, 0)


if __name__ == "__main__":
    main()
