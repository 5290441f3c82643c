"""Packets that were sent separately are received separately, and one that does not fit says so."""

from uds_cffi import UnixSeqpacketConn


def main() -> None:
    """Send three packets and receive three, the last of them into too little room."""
    left, right = UnixSeqpacketConn.pair()
    with left, right:
        for data in (b"first", b"second", b"the third is longer"):
            left.send(data)
        for _ in range(2):
            packet = right.recv(100)
            print(f"received {packet.data!r}, truncated: {packet.truncated}")
        packet = right.recv(9)
        print(f"received {packet.data!r}, truncated: {packet.truncated}")


if __name__ == "__main__":
    main()
