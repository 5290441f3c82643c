"""Connect to a listener on a socket file and to one on an abstract address, and write to each."""

import os
import tempfile

from uds_cffi import UnixListener, UnixSocketAddr, UnixStream


def visit(address: UnixSocketAddr) -> None:
    """Listen at an address, connect to it and write."""
    with UnixListener.bind(address) as listener, UnixStream.connect(address) as client:
        client.sendall(b"Hello!")
        conn, _ = listener.accept()
        with conn:
            print(f"{address.kind} address: the server received {conn.recv_exactly(6)!r}")
            print(f"  the client is connected to what it asked for: {client.peer_addr() == address}")


def main() -> None:
    """Visit both kinds of address."""
    with tempfile.TemporaryDirectory() as folder:
        visit(UnixSocketAddr(os.path.join(folder, "service.socket")))
    # The pid keeps two runs of this program apart; an abstract name has no file to remove.
    visit(UnixSocketAddr.from_abstract(f"uds_cffi example {os.getpid()}"))


if __name__ == "__main__":
    main()
