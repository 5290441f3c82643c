"""Two connected sockets without a name, one of them for a child process."""

import os

from uds_cffi import UnixStream


def main() -> None:
    """Let a child process answer over one end of a pair."""
    parent, child = UnixStream.pair()
    print(f"the addresses are {parent.local_addr()} and {parent.peer_addr()}")
    pid = os.fork()
    if pid == 0:
        try:
            parent.close()
            question = child.recv(100)
            child.sendall(b"You said: " + question)
        finally:
            os._exit(0)
    with parent:
        child.close()
        parent.sendall(b"Hello, child!")
        print(parent.recv_exactly(23).decode())
        print(f"after the child's end: {parent.recv(100)!r}")
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
