"""A manager that knows which of its services a datagram is from: each brings a pidfd of its sender.

The services say what they like; that they are who they are, and whether they still run, is the kernel's word.
"""

import os
import tempfile

from uds_cffi import ScmPidfd, SocketAncillary, UnixDatagram


def manage(manager: UnixDatagram, services: "dict[int, str]") -> None:
    """Receive one report from each service, and wait for its end."""
    running = []
    with SocketAncillary.with_room_for(pidfd=True) as ancillary:
        for _ in services:
            received = manager.recv_ancillary(100, ancillary)
            for message in received.messages:
                if isinstance(message, ScmPidfd):
                    if message.error is not None:
                        raise message.error
                    # To read it is to own it.
                    running.append((message.fd, received.data))
    for sender, data in sorted(running, key=lambda pair: services[pair[0].pid()]):
        with sender:
            name = services[sender.pid()]
            print(f"{name} reports {data!r} and has ended: {sender.wait(10)}")


def main() -> None:
    """Be the manager; the services are child processes."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "notify.socket")
        services = {}
        with UnixDatagram.bind(path, options={"pass_pidfd": True}) as manager:
            for name in ("the first service", "the second service"):
                pid = os.fork()
                if pid == 0:
                    with UnixDatagram.connect(path) as service:
                        service.send(b"READY=1")
                    os._exit(0)
                services[pid] = name
            manage(manager, services)
            for pid in services:
                os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
