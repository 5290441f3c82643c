"""A service that tells its manager how it is, and a small manager that listens and keeps a descriptor for it."""

import os
import tempfile
from typing import Optional

from uds_cffi import OwnedFd, OwnedFds, ScmCredentials, ScmRights, SocketAncillary, UnixDatagram, notify


def serve() -> None:
    """Be the service."""
    with tempfile.TemporaryFile() as state:
        state.write(b"what the service knows")
        state.flush()
        # The manager keeps a copy, and would pass it to the next start, where listen_fds(others=True) finds it.
        notify({"FDSTORE": 1, "FDNAME": "state"}, fds=[state])
        # The barrier returns when all of it was read, so that the service may end at once.
        notify({"READY": 1, "STATUS": "waiting for clients"}, barrier=True, timeout=10)


def receive(manager: UnixDatagram) -> "tuple[dict[str, str], Optional[int], OwnedFds]":
    """Receive one message: what it says, the process id that the kernel saw, and its descriptors."""
    ancillary = SocketAncillary.with_room_for(fds=253, credentials=True)
    received = manager.recv_ancillary(4096, ancillary)
    pid, fds = None, OwnedFds()
    for message in received.messages:
        if isinstance(message, ScmCredentials):
            pid = message.pid
        elif isinstance(message, ScmRights):
            fds = message.fds
    lines = (received.data or b"").decode(errors="replace").splitlines()
    return dict(line.partition("=")[::2] for line in lines), pid, fds


def manage(manager: UnixDatagram, service: int) -> "dict[str, OwnedFd]":
    """Be the manager until the service is ready; returns what it has stored."""
    stored = {}
    ready = False
    while not ready:
        said, pid, fds = receive(manager)
        # Leaving the block closes what nobody took, and that is the answer to a barrier.
        with fds:
            print("from the service:", pid == service, said)
            if "FDSTORE" in said:
                stored = {said.get("FDNAME", "stored"): fd for fd in fds}
        ready = "BARRIER" in said
    return stored


def main() -> None:
    """Be the manager; the service is a child process."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "notify.sock")
        with UnixDatagram.bind(path, options={"pass_credentials": True}) as manager:
            manager.set_read_timeout(10)
            pid = os.fork()
            if pid == 0:
                os.environ["NOTIFY_SOCKET"] = path
                serve()
                os._exit(0)
            stored = manage(manager, pid)
            os.waitpid(pid, 0)
        for name, fd in stored.items():
            with fd.open("rb") as file:
                file.seek(0)
                print(f"stored as {name!r}: {file.read()!r}")


if __name__ == "__main__":
    main()
