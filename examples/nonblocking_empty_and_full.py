"""Nonblocking sockets: a receive from an empty queue and a send to a full one."""

from uds_cffi import UnixStream


def main() -> None:
    """Show both, as exceptions and, with the try_ calls, as None."""
    left, right = UnixStream.pair(nonblocking=True)
    with left, right:
        print(f"nonblocking: {left.is_nonblocking()} and {right.is_nonblocking()}")
        try:
            right.recv(100)
        except BlockingIOError:
            print("the queue is empty: recv() raises BlockingIOError")
        print(f"the queue is empty: try_recv() returns {right.try_recv(100)}")
        try:
            while True:
                left.send(bytes(1000))
        except BlockingIOError:
            print("the queue is full: send() raises BlockingIOError")
        print(f"the queue is full: try_send() returns {left.try_send(bytes(1000))}")

        right.set_nonblocking(False)
        print(f"now it blocks: {right.is_nonblocking()}, and there is something: {len(right.recv(1000))} bytes")


if __name__ == "__main__":
    main()
