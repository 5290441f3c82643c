"""A write timeout on a queue that nobody empties."""

from uds_cffi import UnixStream


def main() -> None:
    """Fill the queue until a send takes too long, in single sends and in one sendall()."""
    left, right = UnixStream.pair()
    with left, right:
        left.set_write_timeout(0.1)
        print(f"the timeout is {left.write_timeout()} seconds")
        total = 0
        try:
            while True:
                total += left.send(bytes(1000))
        except TimeoutError as error:
            print(f"TimeoutError: {error.strerror}")
        print(f"everything that was sent waits to be read: {right.unread_bytes() == total}")

        print(f"room is made: {len(right.recv_exactly(total)) == total}")
        try:
            left.sendall(bytes(10_000_000))
        except TimeoutError as error:
            # How much of it went: the caller can go on behind that.
            print(f"sendall() says how much it sent: {error.sent == right.unread_bytes()}")


if __name__ == "__main__":
    main()
