"""Send and receive packets in batches, with a descriptor beside one of them.

``send_batch()`` says how many packets went, and ``recv_batch()`` waits for the first and takes what is there.  An empty
packet is a packet; the end of the connection is none.
"""

import os

from uds_cffi import UnixSeqpacketConn


def main() -> None:
    """Send five packets in one call, receive them in batches of two, and find the end."""
    sender, receiver = UnixSeqpacketConn.pair()
    read_end, write_end = os.pipe()
    os.write(write_end, b"through the pipe")
    os.close(write_end)
    with receiver:
        with sender:
            sent = sender.send_batch(
                [b"one", b"two", b"", b"a pipe", b"five"], fds=[None, None, None, [read_end], None]
            )
            os.close(read_end)
            print("sent:", sent)
        ended = False
        while not ended:
            with receiver.recv_batch(2, 100, max_fds=1) as batch:
                print("received:", batch.data)
                for packet in batch:
                    for owned in packet.fds:
                        with owned.open() as file:
                            print("in the pipe:", file.read())
                ended = batch.ended
        print("the connection has ended")


if __name__ == "__main__":
    main()
