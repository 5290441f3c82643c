"""Add descriptors to an ancillary buffer, and send it with several buffers as one message."""

import os

from uds_cffi import SocketAncillary, UnixStream


def main() -> None:
    """Send both ends of a pipe, and use them at the other end."""
    left, right = UnixStream.pair()
    read_end, write_end = os.pipe()
    with left, right:
        ancillary = SocketAncillary(128)
        print(f"room for two descriptors: {ancillary.add_fds([read_end, write_end])}")
        sent = left.send_ancillary([b"a ", b"pipe"], ancillary)
        print(f"{sent} bytes sent; the ancillary data is still there for another send: {len(ancillary) > 0}")
        # What is in flight no longer depends on the sender's own descriptors.
        os.close(read_end)
        os.close(write_end)

        data, fds = right.recv_fds(100, 2)
        with fds:
            print(f"received {data!r} with {len(fds)} descriptors: {', '.join(fd.kind() for fd in fds)}")
            with fds[1].open("wb", buffering=0) as writer:
                writer.write(b"through the pipe")
            with fds[0].open("rb") as reader:
                print(f"read {reader.read()!r}")


if __name__ == "__main__":
    main()
