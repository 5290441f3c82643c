"""A worker that is told to stop: the out-of-band byte overtakes the work that is queued."""

import os
import select

from uds_cffi import MSG_OOB, UnixStream


def work(conn: UnixStream) -> None:
    """Do what is asked, and look before each task whether to stop."""
    poll = select.poll()
    poll.register(conn, select.POLLIN | select.POLLPRI)
    while True:
        ((_, events),) = poll.poll()
        if events & select.POLLPRI:
            signal = conn.recv(1, MSG_OOB)
            conn.sendall(b"stopped by " + signal + b" with %d bytes of tasks left" % conn.unread_bytes())
            return
        conn.recv(1)


def main() -> None:
    """Queue ten tasks and the order to stop, and let the worker begin."""
    ours, theirs = UnixStream.pair()
    with ours:
        with theirs:
            ours.sendall(b"0123456789")
            ours.send(b"!", MSG_OOB)
            child = os.fork()
            if child == 0:
                try:
                    work(theirs)
                finally:
                    os._exit(0)
        os.waitpid(child, 0)
        print(ours.recv(100))


if __name__ == "__main__":
    main()
