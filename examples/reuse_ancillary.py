"""Clear an ancillary buffer and use it again, for another descriptor."""

import tempfile

from uds_cffi import SocketAncillary, UnixStream


def main() -> None:
    """Send two messages from one buffer."""
    left, right = UnixStream.pair()
    ancillary = SocketAncillary.with_room_for(fds=2)
    with left, right, tempfile.TemporaryFile() as one, tempfile.TemporaryFile() as two:
        for number, file in enumerate((one, two), 1):
            ancillary.clear()
            print(f"cleared: {len(ancillary)} bytes used, empty: {ancillary.is_empty}")
            ancillary.add_fds([file])
            left.send_ancillary([b"file %d" % number], ancillary)
        print(f"two more do not fit, so add_fds() changes nothing and returns {ancillary.add_fds([one, two])}")
        for _ in range(2):
            # A receive ends behind the message that carried descriptors.
            data, fds = right.recv_fds(100, 1)
            print(f"received {data!r} with {len(fds)} descriptor")
            fds.close()


if __name__ == "__main__":
    main()
