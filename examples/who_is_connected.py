"""Who is connected to a socket file: the kernel tells of the clients that wait, and of who is at the other end."""

import os
import tempfile

from uds_cffi import UnixListener, UnixStream
from uds_cffi.diagnostics import info_of, peer_of, sockets


def be_a_client(path: str, control: UnixStream) -> None:
    """Connect, say something, and stay until the other process closes its end of the pair."""
    with UnixStream.connect(path) as stream:
        stream.sendall(b"good morning")
        control.sendall(b"!")
        control.recv(1)


def look(listener: UnixListener) -> None:
    """Look at a connection before and after it is accepted."""
    info = info_of(listener)
    (inode,) = info.client_inodes
    client = next(info for info in sockets(["established"]) if info.inode == inode)
    print(f"{info.pending} of {info.backlog} places are taken")
    print(f"the client that waits is a {client.type} socket, its user is this one: {client.uid == os.geteuid()}")
    print(f"it has a peer: {client.peer_inode is not None}")

    stream, _ = listener.accept()
    with stream:
        print(f"accepted; the peer is that socket: {peer_of(stream).inode == inode}")
        print(f"{info_of(stream).unread_bytes} bytes wait to be read")


def main() -> None:
    """Listen, with a client in a process of its own."""
    ours, theirs = UnixStream.pair()
    with tempfile.TemporaryDirectory() as folder, UnixListener.bind(os.path.join(folder, "s"), backlog=5) as listener:
        child = os.fork()
        if child == 0:
            ours.close()
            try:
                be_a_client(os.path.join(folder, "s"), theirs)
            finally:
                os._exit(0)
        theirs.close()
        with ours:
            ours.recv(1)
            look(listener)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
