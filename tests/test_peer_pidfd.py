"""peer_pidfd(): the process at the other end, as a descriptor.

Rule: no connection, no such process any more, and no such feature are three different errors.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import Any

import pytest
import support

import uds_cffi
from uds_cffi import (
    FeatureUnavailable,
    PidFd,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixStream,
    pidfd,
)

needs_peer = support.needs("peer_pidfd")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

connected = pytest.mark.parametrize(
    ("listening", "connection"),
    [
        (UnixListener, UnixStream),
        pytest.param(UnixSeqpacketListener, UnixSeqpacketConn, marks=support.needs("seqpacket")),
    ],
)


def connect_and_wait(path: str, connection: Any, server: int, done: support.Event) -> None:
    with connection.connect(path) as conn, conn.peer_pidfd() as peer:
        assert peer.pid() == server
        done.wait()


@needs_peer
@connected
def test_peer_of_a_connection(listening: Any, connection: Any, socket_path: str) -> None:
    """Each end gets a PidFd of the other process, close-on-exec, and sees it end."""
    listener, done = listening.bind(socket_path), support.Event()
    with listener, done, support.Child(connect_and_wait, socket_path, connection, os.getpid(), done) as child:
        conn, _ = listener.accept(timeout=support.PATIENCE)
        with conn, conn.peer_pidfd() as peer:
            assert type(peer) is PidFd
            assert peer.pid() == child.pid == conn.peer_credentials().pid
            assert not os.get_inheritable(peer.fileno())
            assert peer.is_alive()
            done.set()
            assert peer.wait(support.PATIENCE)
        child.join()


@needs_peer
def test_peer_of_a_pair(pair: tuple[Any, Any]) -> None:
    """Both ends of a pair name the process that made it, with a descriptor of its own each time."""
    with pair[0].peer_pidfd() as one, pair[0].peer_pidfd() as two, pair[1].peer_pidfd() as three:
        assert len({one.fileno(), two.fileno(), three.fileno()}) == 3
        assert one.pid() == three.pid() == os.getpid()
        assert one.same_process_as(two)
        assert one.same_process_as(three)


def connect_and_go(path: str) -> None:
    UnixStream.connect(path).close()


@needs_peer
def test_peer_that_was_reaped(socket_path: str) -> None:
    """A peer that was reaped has ended and no pid, or, before Linux 6.16, is ProcessLookupError."""
    with UnixListener.bind(socket_path) as listener:
        support.run_child(connect_and_go, socket_path)
        conn, _ = listener.accept(timeout=support.PATIENCE)
        with conn, contextlib.suppress(ProcessLookupError), conn.peer_pidfd() as peer:
            assert peer.pid() is None
            assert not peer.is_alive()


def become(path: str, user: int, ready: support.Event, done: support.Event) -> None:
    with UnixStream.connect(path):
        os.setuid(user)
        ready.set()
        done.wait()


@support.needs("pidfd_info")
@needs_peer
@as_root
def test_current_credentials(socket_path: str) -> None:
    """The PidFd tells who the peer is now, and peer_credentials() who it was when it connected."""
    listener, ready, done = UnixListener.bind(socket_path), support.Event(), support.Event()
    with listener, ready, done, support.Child(become, socket_path, 65534, ready, done):
        conn, _ = listener.accept(timeout=support.PATIENCE)
        ready.wait()
        with conn, conn.peer_pidfd() as peer:
            info = peer.info()
            done.set()
            assert conn.peer_credentials().euid == os.geteuid()
            assert (info.ruid, info.euid, info.suid, info.fsuid) == (65534,) * 4


# --- Another pid namespace ----------------------------------------------------------------------

CLONE_NEWPID = 0x20000000


def unshare() -> None:
    import ctypes

    assert ctypes.CDLL(None).unshare(CLONE_NEWPID) == 0


def serve_in_another_namespace(path: str, ready: support.Event) -> None:
    unshare()
    support.run_child(serve_stranger, path, ready)


def serve_stranger(path: str, ready: support.Event) -> None:
    with UnixListener.bind(path) as listener:
        ready.set()
        conn, _ = listener.accept(timeout=support.PATIENCE)
        with conn, conn.peer_pidfd() as peer:
            assert peer.pid() is None
            assert peer.is_alive()
            if support.supported("pidfd_info"):
                with pytest.raises(ProcessLookupError):
                    peer.info()
            conn.sendall(b"done")


@needs_peer
def test_peer_in_another_namespace(socket_path: str) -> None:
    """A process that cannot be seen from here has no pid, and a pidfd nevertheless."""
    try:
        support.run_child(unshare)
    except AssertionError:
        pytest.skip("no privilege to make a pid namespace")
    with support.Event() as ready, support.Child(serve_in_another_namespace, socket_path, ready):
        ready.wait()
        with UnixStream.connect(socket_path) as client:
            assert client.recv(4) == b"done"


# --- Where there is none ------------------------------------------------------------------------


def check_no_peer(sock: Any, code: int) -> None:
    with support.raises_errno(code):
        sock.peer_pidfd()


@needs_peer
def test_no_peer(socket_path: str) -> None:
    """A socket that is not connected, and a datagram socket that is no pair's, is ENOTCONN; a closed one EBADF."""
    with UnixDatagram.bind(socket_path) as receiver, UnixDatagram.connect(socket_path) as sock:
        check_no_peer(receiver, errno.ENOTCONN)
        check_no_peer(sock, errno.ENOTCONN)
    with UnixStream.from_stdlib(socket.socket(socket.AF_UNIX)) as unconnected:
        check_no_peer(unconnected, errno.ENOTCONN)
    check_no_peer(unconnected, errno.EBADF)


@needs_peer
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.EINVAL, ProcessLookupError),
        (errno.ESRCH, ProcessLookupError),
        (errno.ENOPROTOOPT, FeatureUnavailable),
        (errno.ENODATA, OSError),
        (errno.EMFILE, OSError),
    ],
)
def test_answers_of_other_kernels(
    code: int, error: type[OSError], monkeypatch: pytest.MonkeyPatch, stream: tuple[UnixStream, UnixStream]
) -> None:
    """A dead peer (Linux 6.5 to 6.15), an unknown option and no connection are told apart."""
    monkeypatch.setattr(pidfd, "peer_pidfd", lambda handle, into: -code)
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        stream[0].peer_pidfd()
    assert type(caught.value) is error
    expected = {errno.EINVAL: errno.ESRCH, errno.ENODATA: errno.ENOTCONN}.get(code, code)
    assert caught.value.errno == expected
    if error is FeatureUnavailable:
        assert (caught.value.feature, caught.value.reason) == ("peer_pidfd", "kernel")


@needs_peer
@pytest.mark.parametrize("code", [errno.EINVAL, errno.ESRCH])
def test_old_kernels_answer_for_nobody(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the same answer stands for a dead peer and for none, whether there is one is asked elsewhere."""
    monkeypatch.setattr(pidfd, "peer_pidfd", lambda handle, into: -code)
    with UnixDatagram.unbound() as sock:
        check_no_peer(sock, errno.ENOTCONN)


def without_descriptors() -> None:
    import resource

    left, right = UnixStream.pair()
    last = right.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, last + 1))
    check_no_peer(left, errno.EMFILE)
    left.close()
    right.close()


@needs_peer
def test_no_descriptor_is_free() -> None:
    """Where no descriptor is free the error is EMFILE, and nothing of a process."""
    support.run_child(without_descriptors)


@support.lacks("peer_pidfd")
def test_peer_pidfd_is_absent(pair: tuple[Any, Any]) -> None:
    """What this build or this system lacks is FeatureUnavailable with the table's reason."""
    with pytest.raises(FeatureUnavailable) as caught:
        pair[0].peer_pidfd()
    assert (caught.value.feature, caught.value.reason) == ("peer_pidfd", uds_cffi.features()["peer_pidfd"].reason)


@needs_peer
def test_borrowed_socket() -> None:
    """A socket of another library can be asked through borrow()."""
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right, UnixStream.borrow(left) as stream, stream.peer_pidfd() as peer:
        assert peer.pid() == os.getpid()
