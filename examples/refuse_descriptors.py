"""A server that refuses descriptors: whoever sends some is told, and nothing of it arrives."""

import os
import tempfile

from uds_cffi import UnixListener, UnixStream


def be_the_client(path: str) -> None:
    """Try to send a descriptor, and send words instead."""
    with UnixStream.connect(path) as conn:
        try:
            conn.send_fds(b"a present", [0])
        except PermissionError:
            conn.sendall(b"it was refused")


def main() -> None:
    """Serve one client, which sends before it is accepted."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "strict.socket")
        with UnixListener.bind(path, options={"pass_rights": False}) as listener:
            child = os.fork()
            if child == 0:
                try:
                    be_the_client(path)
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            conn, _ = listener.accept()
            with conn:
                print(f"descriptors are accepted: {conn.options.pass_rights}")
                print(f"all that the client sent: {conn.recv(1000)!r}")


if __name__ == "__main__":
    main()
