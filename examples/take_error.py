"""The error that a socket stores: on Linux that the peer closed with data of ours unread."""

from uds_cffi import UnixStream


def main() -> None:
    """Ask for the stored error after two ways in which the peer can go."""
    left, right = UnixStream.pair()
    with left:
        right.close()
        try:
            left.send(b"Anybody there?")
        except BrokenPipeError as error:
            print(f"the peer is gone, so send() raised: {error.strerror}")
        print(f"nothing was stored: {left.take_error()}")

    left, right = UnixStream.pair()
    with left:
        left.sendall(b"nobody reads this")
        right.close()
        error = left.take_error()
        print(f"the peer left data unread, so this was stored: {type(error).__name__} ({error.strerror})")
        print(f"and taking it has cleared it: {left.take_error()}")


if __name__ == "__main__":
    main()
