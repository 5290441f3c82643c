"""Look at a packet with room for one byte, then with more, and only then take it out of the queue."""

from uds_cffi import UnixSeqpacketConn


def main() -> None:
    """Peek twice, into several buffers as well, and read."""
    left, right = UnixSeqpacketConn.pair()
    with left, right:
        left.send(b"hello world")
        print(f"one byte:  {right.peek(1)}")
        print(f"with room: {right.peek(100)}")
        first, second = bytearray(6), bytearray(5)
        result = right.peek_vectored([first, second])
        print(f"vectored:  {result}, {bytes(first)!r} and {bytes(second)!r}")
        print(f"read:      {right.recv(100)}")
        print(f"now there is nothing left: {right.try_recv(100)}")


if __name__ == "__main__":
    main()
