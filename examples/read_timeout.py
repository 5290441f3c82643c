"""A read timeout of two seconds: it reads back as it was set, and a receive that gets nothing raises TimeoutError."""

import time

from uds_cffi import UnixStream


def main() -> None:
    """Wait in vain."""
    left, right = UnixStream.pair()
    with left, right:
        print(f"at first: {right.read_timeout()}")
        right.set_read_timeout(2.0)
        print(f"as set: {right.read_timeout()}")
        begin = time.monotonic()
        try:
            right.recv(100)
        except TimeoutError as error:
            elapsed = time.monotonic() - begin
            print(f"TimeoutError: {error.strerror}")
            print(f"two seconds have passed: {elapsed >= 2}")
        left.sendall(b"late, but there")
        print(f"the socket works on: {right.recv(100)!r}")


if __name__ == "__main__":
    main()
