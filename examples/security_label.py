"""Who sent this, in the words of the security module; where there is none, how one is told."""

import os

from uds_cffi import ScmSecurity, SocketAncillary, UnixDatagram, features


def main() -> None:
    """Receive a message of another process, with its label."""
    row = features()["pass_security"]
    # Without a security module the kernel takes the option and delivers nothing; one that lacks it raises an error.
    wanted = {"pass_security": True} if row.reason in ("", "no security module") else {}
    left, right = UnixDatagram.pair(options=wanted)
    with left, right, SocketAncillary.with_room_for(security=True) as ancillary:
        child = os.fork()
        if child == 0:
            try:
                left.send(b"hello")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        received = right.recv_ancillary(100, ancillary)
        labels = [message.label for message in received.messages if isinstance(message, ScmSecurity)]
    print(f"received {received.data!r}")
    print(f"it has a label, or there is a reason why not: {bool(labels) == row.supported == (not row.reason)}")


if __name__ == "__main__":
    main()
