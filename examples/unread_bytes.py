"""A reader that knows with each receive how much is left, so that it makes room for exactly that."""

import os
import tempfile

from uds_cffi import ScmInq, SocketAncillary, UnixListener, UnixStream


def be_the_client(path: str) -> None:
    """Send a message whose length nobody knows."""
    with UnixStream.connect(path) as conn:
        conn.sendall(b"a header; " + b"x" * 5000)


def main() -> None:
    """Read the header, and then all the rest at once."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "inq.socket")
        with UnixListener.bind(path) as listener:
            child = os.fork()
            if child == 0:
                try:
                    be_the_client(path)
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            conn, _ = listener.accept()
            with conn, SocketAncillary.with_room_for(inq=True) as ancillary:
                # A listener would not hand it on, so it is set on the connection.
                conn.options.inq = True
                header = conn.recv_ancillary(10, ancillary)
                (left,) = header.messages
                assert isinstance(left, ScmInq)
                print(f"received {header.data!r}, and {left.unread} bytes are left")
                rest = conn.recv_ancillary(left.unread, ancillary)
                print(f"received {rest.nbytes} bytes more, and then {rest.messages}")


if __name__ == "__main__":
    main()
