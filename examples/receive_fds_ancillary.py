"""Receive descriptors into an ancillary buffer of 128 bytes, and go through its messages."""

import tempfile

from uds_cffi import ScmRights, SocketAncillary, UnixStream


def main() -> None:
    """Send two files over a pair, and read them at the other end."""
    left, right = UnixStream.pair()
    with left, right, tempfile.TemporaryFile() as one, tempfile.TemporaryFile() as two:
        for file, content in ((one, b"the first file"), (two, b"the second file")):
            file.write(content)
            file.seek(0)
        left.send_fds(b"two files", [one, two])

        buffer = bytearray(100)
        with SocketAncillary(128) as ancillary:
            received = right.recv_ancillary([buffer], ancillary)
            data = bytes(buffer[: received.nbytes])
            print(f"received {data!r}; ancillary data was cut: {ancillary.truncated}")
            for message in ancillary.messages():
                if isinstance(message, ScmRights):
                    for fd in message.fds:
                        kind = fd.kind()
                        with fd.open() as file:
                            print(f"a descriptor of a {kind}, in which is {file.read()!r}")


if __name__ == "__main__":
    main()
