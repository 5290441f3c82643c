"""A log that several processes write: the kernel says when each line was sent, and by whom."""

import os
import tempfile
import time

from uds_cffi import ScmCredentials, ScmTimestamp, SocketAncillary, UnixDatagram


def write(path: str, line: str) -> None:
    """Be a process that sends one line to the log."""
    with UnixDatagram.unbound() as sock:
        sock.send_to(line.encode(), path)


def run(path: str, line: str) -> int:
    """Start such a process and wait for its end; returns its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            write(path, line)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    return pid


def main() -> None:
    """Let two processes write, and read their lines long after they have ended."""
    wanted = {"timestamps": "nanoseconds", "pass_credentials": True}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log.socket")
        with UnixDatagram.bind(path, options=wanted) as log:
            begin = time.time_ns()
            pids = [run(path, "the first"), run(path, "the second")]
            end = time.time_ns()
            last = begin
            for pid in pids:
                ancillary = SocketAncillary.with_room_for(credentials=True, timestamp=True)
                received = log.recv_ancillary(1000, ancillary)
                found = {type(message): message for message in received.messages}
                sent = found[ScmTimestamp].ns
                print(f"{received.data!r} is from the process that wrote it: {found[ScmCredentials].pid == pid}")
                print(f"  and was sent while that ran, in order: {last <= sent <= end}")
                last = sent


if __name__ == "__main__":
    main()
