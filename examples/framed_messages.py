"""Messages with boundaries on a stream, one of them with a descriptor, between two processes."""

import os
import tempfile

from uds_cffi import FramedStream, UnixStream


def serve(stream: UnixStream) -> None:
    """Answer each message with its size, and that of the file that came with it."""
    with FramedStream(stream, max_fds=1) as framed:
        for message in framed:
            with message.fds as fds:
                sizes = [os.fstat(number).st_size for number in fds.numbers()]
            framed.send_message(f"{len(message.data)} bytes, files of {sizes}".encode())


def main() -> None:
    """Send a batch to a child process and print the answers."""
    ours, theirs = UnixStream.pair()
    child = os.fork()
    if child == 0:
        ours.close()
        serve(theirs)
        os._exit(0)
    theirs.close()
    with FramedStream(ours) as framed, tempfile.TemporaryFile() as file:
        file.write(b"x" * 1000)
        file.flush()
        # One call, and hardly more system calls, however many messages.
        framed.send_messages([b"hello", b"", b"a file", b"x" * 100000], [None, None, [file], None])
        for _ in range(4):
            print(framed.recv_message().decode())
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
