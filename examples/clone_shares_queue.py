"""A clone shares the queue of packets with its original, and lives on when that is closed."""

from uds_cffi import UnixSeqpacketConn


def main() -> None:
    """Receive from the original and from its clone."""
    sender, original = UnixSeqpacketConn.pair()
    with sender, original, original.try_clone() as clone:
        sender.send(b"one")
        sender.send(b"two")
        sender.send(b"three")
        print(f"the original receives {original.recv(10).data!r}")
        print(f"the clone receives {clone.recv(10).data!r}")
        original.close()
        print(f"with the original closed, the clone receives {clone.recv(10).data!r}")
        clone.send(b"and it answers")
        print(f"the sender receives {sender.recv(100).data!r}")


if __name__ == "__main__":
    main()
