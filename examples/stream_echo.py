"""A stream: connect, write all, and read to the end."""

import os
import tempfile
import threading

from uds_cffi import SHUT_WR, UnixListener, UnixStream


def serve(listener: UnixListener) -> None:
    """Answer one client with its own lines in capitals."""
    conn, _ = listener.accept()
    with conn, conn.makefile("rb") as lines:
        for line in lines:
            conn.sendall(line.upper())


def main() -> None:
    """Serve one client in a thread, and be that client."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "echo.socket")
        with UnixListener.bind(path) as listener:
            thread = threading.Thread(target=serve, args=(listener,))
            thread.start()
            with UnixStream.connect(path) as client:
                client.sendall(b"hello from the client\nand good-bye\n")
                # The server reads to the end, so it must see one.
                client.shutdown(SHUT_WR)
                with client.makefile() as answer:
                    print(answer.read(), end="")
            thread.join()


if __name__ == "__main__":
    main()
