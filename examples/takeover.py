"""A server that takes its name over from the one before, in one step, while clients go on connecting."""

import os
import tempfile
import threading

from uds_cffi import UnixListener, UnixStream


def answer(listener: UnixListener, name: bytes, clients: int) -> None:
    """Answer so many clients."""
    for _ in range(clients):
        conn, _ = listener.accept()
        with conn:
            conn.sendall(name)


def ask(path: str) -> str:
    """Be a client."""
    with UnixStream.connect(path) as client:
        return client.recv(100).decode()


def main() -> None:
    """Be two servers, one after the other, and their clients."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "service.socket")
        with UnixListener.bind(path, unlink_on_close=True) as old:
            serving = threading.Thread(target=answer, args=(old, b"the old server", 2))
            serving.start()
            print(f"a client is answered by {ask(path)}")
            # This one has come, and waits for its turn.
            waiting = UnixStream.connect(path)
            with UnixListener.bind(path, takeover=True, unlink_on_close=True) as new:
                print(f"the file is {new.published_path.name}, and was made elsewhere: {new.local_addr().path != path}")
                serving.join()
                with waiting:
                    print(f"who came before is answered by {waiting.recv(100).decode()}")
                old.close()
                print(f"the old server has closed, and left the new one's file: {os.path.exists(path)}")
                serving = threading.Thread(target=answer, args=(new, b"the new server", 1))
                serving.start()
                print(f"a client is answered by {ask(path)}")
                serving.join()
        print(f"and now it is gone: {not os.path.exists(path)}")


if __name__ == "__main__":
    main()
