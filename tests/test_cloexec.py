"""Close-on-exec: what this library opens never reaches another program by accident."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
import support

from uds_cffi import (
    OwnedFd,
    SocketAncillary,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixStream,
)

seqpacket = support.needs("seqpacket")
LISTENERS = [(UnixListener, UnixStream), pytest.param((UnixSeqpacketListener, UnixSeqpacketConn), marks=seqpacket)]


def cloexec(*owners: Any) -> bool:
    """Tell whether the descriptors of all of these are close-on-exec."""
    return not any(os.get_inheritable(owner.fileno()) for owner in owners)


@pytest.fixture
def leaky() -> Iterator[int]:
    """Open a file that other programs do inherit."""
    with tempfile.TemporaryFile() as file:
        os.set_inheritable(file.fileno(), True)
        yield file.fileno()


@pytest.mark.parametrize("kind", support.TYPES)
def test_pairs_and_clones(kind: Any) -> None:
    """Both ends of a pair, and clones, are close-on-exec."""
    one, two = kind.pair()
    with one, two, one.try_clone() as clone:
        assert cloexec(one, two, clone)


@pytest.mark.parametrize("classes", LISTENERS)
@pytest.mark.parametrize("nonblocking", [False, True])
def test_listeners_and_connections(classes: Any, nonblocking: bool, socket_path: str) -> None:
    """Listeners, clients and accepted connections are close-on-exec, blocking or not."""
    listener_class, stream_class = classes
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listener_class.bind(socket_path, nonblocking=nonblocking))
        client = stack.enter_context(stream_class.connect(socket_path, nonblocking=nonblocking))
        server = stack.enter_context(listener.accept(nonblocking=nonblocking)[0])
        clone = stack.enter_context(listener.try_clone())
        assert cloexec(listener, client, server, clone)
        stack.enter_context(stream_class.connect(socket_path))
        assert cloexec(stack.enter_context(listener.try_accept()[0]))


def test_datagram_sockets(socket_path: str) -> None:
    """Datagram sockets are close-on-exec, however they are made."""
    with (
        UnixDatagram.unbound() as one,
        UnixDatagram.bind(socket_path) as two,
        UnixDatagram.connect(socket_path) as three,
    ):
        assert cloexec(one, two, three)


@pytest.mark.parametrize("kind", support.TYPES)
def test_received_descriptors(kind: Any, leaky: int) -> None:
    """Received descriptors are close-on-exec though the sent one was not, in every shape of receive."""
    one, two = kind.pair()
    with one, two:
        for _ in range(3):
            one.send_fds(b"x", [leaky, leaky])
        with two.recv_fds(1, 2)[-1] as fds:
            assert not any(os.get_inheritable(number) for number in fds.numbers())
            assert cloexec(fds[0], fds[1])
            for owner in fds:
                owner.close()
        with two.try_recv_fds(1, 2)[-1] as fds:
            numbers = fds.detach()
        assert not any(os.get_inheritable(number) for number in numbers)
        for number in numbers:
            os.close(number)
        with two.recv_ancillary(1, SocketAncillary(64)) as received:
            assert not any(os.get_inheritable(number) for number in received.messages[0].fds.numbers())


def test_copies_of_a_descriptor(leaky: int) -> None:
    """A duplicate is close-on-exec though its original is not."""
    with OwnedFd(os.dup(leaky)) as owner:
        os.set_inheritable(owner.fileno(), True)
        with owner.dup() as copy:
            assert cloexec(copy)


def test_conversions_from_and_to_the_standard_library() -> None:
    """What is converted is close-on-exec afterwards."""
    one, two = socket.socketpair(socket.AF_UNIX)
    with two:
        one.set_inheritable(True)
        with UnixStream.from_stdlib(one) as stream:
            assert cloexec(stream)
            with stream.to_stdlib() as again:
                assert cloexec(again)


# The targets of the links, one in a line; the program must not open anything that could look like one of ours.
LISTING = """
import os
for name in os.listdir("/proc/self/fd"):
    try:
        print(os.readlink("/proc/self/fd/" + name))
    except OSError:
        pass
"""


def links_of_another_program() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LISTING],
        close_fds=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=support.PATIENCE,
    )
    return set(done.stdout.splitlines())


def test_another_program_has_none_of_them(leaky: int, socket_path: str) -> None:
    """A program that is executed has nothing that this library opened, but does have what is inheritable."""
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        one, two = map(enter, UnixStream.pair())
        listener = enter(UnixListener.bind(socket_path))
        owners: list[Any] = [one, two, enter(one.try_clone()), listener]
        owners += [enter(UnixStream.connect(socket_path)), enter(listener.accept()[0]), enter(UnixDatagram.unbound())]
        with tempfile.TemporaryFile() as private:
            one.send_fds(b"x", [private.fileno()])
        owners.append(enter(two.recv_fds(1, 1)[1][0]))
        ours = {os.readlink(f"/proc/self/fd/{owner.fileno()}") for owner in owners}
        # The clone shares its link with the original.
        assert len(ours) == len(owners) - 1
        inherited = os.readlink(f"/proc/self/fd/{leaky}")
        found = links_of_another_program()
    assert inherited in found
    assert not found & ours
