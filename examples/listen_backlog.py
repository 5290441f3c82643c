"""Listen with a backlog: how many connections may wait to be accepted."""

import os
import tempfile

from uds_cffi import UnixListener, UnixStream


def main() -> None:
    """Connect until the backlog is full, make room, and connect again."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "service.socket")
        clients = []
        with UnixListener.bind(path, backlog=2) as listener:
            try:
                while True:
                    clients.append(UnixStream.connect(path, nonblocking=True))
            except BlockingIOError:
                # Linux admits one more than the backlog says.
                print(f"{len(clients)} connections wait; for the next one connect() would block")
            try:
                UnixStream.connect(path, timeout=0.1)
            except TimeoutError:
                print("connect() with a timeout waits for a place, in vain")
            conn, _ = listener.accept()
            conn.close()
            clients.append(UnixStream.connect(path, timeout=0.1))
            print(f"after an accept() connection number {len(clients)} finds a place")
            for client in clients:
                client.close()


if __name__ == "__main__":
    main()
