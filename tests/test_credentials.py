"""Credentials: who the peer of a connection is.

Rule: the kernel's word is compared with what the other process says of itself.  Where an identity has to change, a
child changes its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys

import pytest
import support

import uds_cffi
from uds_cffi import (
    ConnCredentials,
    FeatureUnavailable,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixStream,
    calls,
    lib,
)

# Only root can become somebody else.
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its identity")

CLONE_NEWPID = 0x20000000
SO_PEERCRED = 17

connected = pytest.mark.parametrize(
    ("listening", "connection"),
    [
        (UnixListener, UnixStream),
        pytest.param(UnixSeqpacketListener, UnixSeqpacketConn, marks=support.needs("seqpacket")),
    ],
)
paired = pytest.mark.parametrize("kind", support.TYPES)


def myself() -> ConnCredentials:
    groups = tuple(os.getgroups()) if support.supported("peer_groups") else None
    return ConnCredentials(os.getpid(), os.geteuid(), os.getegid(), groups)


# --- The peer of a connection -------------------------------------------------------------------


def connect_and_wait(path: str, connection: type, server: ConnCredentials, done: support.Event) -> None:
    with connection.connect(path) as conn:
        assert conn.peer_credentials() == server
        done.wait()


@support.needs("peer_credentials")
@connected
def test_peer_of_a_connection(listening, connection, socket_path):
    """Each end sees the other process, its effective ids and its groups."""
    me = myself()
    listener, done = listening.bind(socket_path), support.Event()
    with listener, done, support.Child(connect_and_wait, socket_path, connection, me, done) as child:
        conn, _ = listener.accept(timeout=support.PATIENCE)
        with conn:
            assert conn.peer_credentials() == ConnCredentials(child.pid, me.euid, me.egid, me.groups)
            assert me.groups is None or conn.peer_groups() == me.groups
            done.set()


def connect_and_go(path: str) -> None:
    UnixStream.connect(path).close()


@support.needs("peer_credentials")
def test_peer_that_has_died(socket_path):
    """Who connected is known also after that process has ended and was waited for."""
    with UnixListener.bind(socket_path) as listener:
        child = support.Child(connect_and_go, socket_path)
        child.join()
        conn, _ = listener.accept(timeout=support.PATIENCE)
        with conn:
            assert conn.peer_credentials().pid == child.pid
            assert myself().groups is None or conn.peer_groups() == myself().groups


def connect_as(path: str, uid: int, gid: int) -> None:
    os.setegid(gid)
    os.seteuid(uid)
    UnixStream.connect(path).close()
    # What runs at the child's end, coverage among it, writes where only root can.
    os.seteuid(0)


@support.needs("peer_credentials")
@as_root
def test_uid_and_gid_are_told_apart(socket_path, short_dir):
    """The effective uid and gid of who connected arrive each under its own name, also when they differ."""
    os.chmod(short_dir, 0o755)
    with UnixListener.bind(socket_path, mode=0o666) as listener:
        support.run_child(connect_as, socket_path, 2002, 1002)
        conn, _ = listener.accept(timeout=support.PATIENCE)
        with conn:
            peer = conn.peer_credentials()
            assert (peer.euid, peer.egid) == (2002, 1002)


def check_pair(left: UnixStream, creator: ConnCredentials) -> None:
    assert left.peer_credentials() == creator
    assert creator.pid != os.getpid()


@support.needs("peer_credentials")
@paired
def test_peer_of_a_pair(kind):
    """Both ends of a pair name the process that made it, also in a child, and after the other end was closed."""
    left, right = kind.pair()
    with left, right:
        assert left.peer_credentials() == right.peer_credentials() == myself()
        support.run_child(check_pair, left, myself())
        right.close()
        assert left.peer_credentials() == myself()


@support.needs("peer_credentials")
def test_peer_after_shutdown():
    """A connection that was shut down has a peer."""
    left, right = UnixStream.pair()
    with left, right:
        left.shutdown(uds_cffi.SHUT_RDWR)
        assert left.peer_credentials() == right.peer_credentials() == myself()


def listen_again(fd: int) -> None:
    assert lib.uds_listen(fd, 5) == 0


@support.needs("peer_credentials")
def test_listener_is_who_called_listen_last(socket_path):
    """Clients see the process that called listen(2) last, also when it has ended."""
    with UnixListener.bind(socket_path) as listener:
        child = support.Child(listen_again, listener.fileno())
        child.join()
        with UnixStream.connect(socket_path) as conn:
            assert conn.peer_credentials().pid == child.pid


def unshare() -> None:
    assert ctypes.CDLL(None).unshare(CLONE_NEWPID) == 0


@pytest.fixture
def namespaces() -> None:
    """Skip where a process may not make a pid namespace."""
    try:
        support.run_child(unshare)
    except AssertionError:
        pytest.skip("no privilege to make a pid namespace")


def serve_in_another_namespace(path: str, ready: support.Event) -> None:
    unshare()
    support.run_child(serve_stranger, path, ready)


def serve_stranger(path: str, ready: support.Event) -> None:
    assert os.getpid() == 1
    with UnixListener.bind(path) as listener:
        ready.set()
        conn, _ = listener.accept(timeout=support.PATIENCE)
        with conn:
            assert conn.peer_credentials() == ConnCredentials(None, os.geteuid(), os.getegid(), myself().groups)


@support.needs("peer_credentials")
@pytest.mark.usefixtures("namespaces")
def test_peer_in_another_namespace_has_no_pid(socket_path):
    """A process that cannot be seen from here has no pid, and its ids nevertheless."""
    with support.Event() as ready, support.Child(serve_in_another_namespace, socket_path, ready):
        ready.wait()
        UnixStream.connect(socket_path).close()


# --- Where the kernel's answer is none ----------------------------------------------------------


def check_no_peer(sock: UnixStream | UnixDatagram, code: int) -> None:
    with support.raises_errno(code):
        sock.peer_credentials()
    with support.raises_errno(code):
        sock.peer_groups()


@support.needs("peer_credentials")
@support.needs("peer_groups")
def test_datagrams_without_a_pair_have_no_peer(socket_path):
    """A datagram socket that is merely connected, or not even that, has no peer that the kernel knows."""
    with UnixDatagram.bind(socket_path) as receiver, UnixDatagram.connect(socket_path) as sock:
        check_no_peer(receiver, errno.ENOTCONN)
        check_no_peer(sock, errno.ENOTCONN)


@support.needs("peer_credentials")
@support.needs("peer_groups")
def test_unconnected_stream_has_no_peer():
    """A stream socket that was never connected has no peer."""
    with UnixStream.from_stdlib(socket.socket(socket.AF_UNIX)) as sock:
        check_no_peer(sock, errno.ENOTCONN)


@support.needs("peer_credentials")
@support.needs("peer_groups")
def test_closed_socket_has_no_peer():
    """A closed socket is EBADF, here as everywhere."""
    left, right = UnixStream.pair()
    left.close()
    right.close()
    check_no_peer(left, errno.EBADF)


@support.needs("peer_credentials")
def test_junk_is_what_the_kernel_says():
    """The reason for all that: for an unconnected socket Linux answers pid 0 and uid -1, without an error."""
    with UnixDatagram.unbound() as sock:
        answer = sock.get_option(calls.SOL_SOCKET, SO_PEERCRED, 12)
        numbers = [int.from_bytes(answer[i : i + 4], sys.byteorder, signed=True) for i in (0, 4, 8)]
        assert numbers == [0, -1, -1]


@pytest.mark.parametrize("name", ["peer_credentials", "peer_groups", "peer_security_context", "peer_audit_token"])
@paired
def test_absent_features_say_so(kind, name):
    """What this build or this system lacks raises FeatureUnavailable with the table's reason, and nothing else does."""
    left, right = kind.pair()
    row = uds_cffi.features()[name]
    with left, right:
        if (kind, name, row.supported) == (UnixDatagram, "peer_security_context", True):
            # Linux labels the peers of connections only.
            with support.raises_errno(errno.ENOTCONN):
                left.peer_security_context()
        elif row.supported:
            getattr(left, name)()
        else:
            with pytest.raises(FeatureUnavailable) as caught:
                getattr(left, name)()
            assert (caught.value.feature, caught.value.reason) == (name, row.reason)


# --- Groups -------------------------------------------------------------------------------------


def connect_with_groups(path: str, groups: list[int]) -> None:
    os.setgroups(groups)
    UnixStream.connect(path).close()


@support.needs("peer_groups")
@as_root
@pytest.mark.parametrize("count", [0, 1, 64, 65, 257, 2000])
def test_groups_of_any_number(count, socket_path):
    """All supplementary groups of the peer are reported, however many."""
    groups = list(range(1000, 1000 + count))
    with UnixListener.bind(socket_path) as listener:
        support.run_child(connect_with_groups, socket_path, groups)
        conn, _ = listener.accept(timeout=support.PATIENCE)
        with conn:
            assert sorted(conn.peer_groups()) == groups
            assert conn.peer_credentials().groups == conn.peer_groups()
            assert type(conn.peer_groups()) is tuple


@support.needs("peer_groups")
def test_groups_on_an_older_kernel(monkeypatch):
    """A kernel that does not know the option makes the groups unavailable, and the credentials lack them."""
    monkeypatch.setattr(calls, "peer_groups", lambda handle: -errno.ENOPROTOOPT)
    left, right = UnixStream.pair()
    with left, right:
        with pytest.raises(FeatureUnavailable) as caught:
            left.peer_groups()
        assert (caught.value.feature, caught.value.reason) == ("peer_groups", "kernel")
        assert caught.value.errno == errno.ENOPROTOOPT
        assert left.peer_credentials().groups is None
        assert left.peer_credentials().pid == os.getpid()


# --- Security labels ----------------------------------------------------------------------------


@support.needs("peer_security_context")
def test_security_context():
    """With a security module that labels sockets, both ends of a pair have this process's label."""
    left, right = UnixStream.pair()
    with left, right:
        assert left.peer_security_context() == right.peer_security_context()
        assert left.peer_security_context().strip(b"\0")


def test_security_context_of_a_closed_socket():
    """A closed socket has no label: EBADF, or the feature is absent from the build."""
    left, right = UnixStream.pair()
    left.close()
    right.close()
    code = errno.EBADF if uds_cffi.features()["peer_security_context"].declared else errno.ENOSYS
    with support.raises_errno(code):
        left.peer_security_context()


@pytest.mark.skipif(not lib.UDS_HAS_PEER_SECURITY, reason=f"{support.FEATURE_SKIP}peer_security_context is absent")
def test_security_context_of_nobody(monkeypatch):
    """Where a module labels sockets, a peer without a label is one that is not there, and no missing feature."""
    with UnixDatagram.unbound() as sock:
        monkeypatch.setattr(
            calls, "peer_security", lambda handle: -errno.ENOPROTOOPT if handle is sock._handle else b"system_u\0"
        )
        with support.raises_errno(errno.ENOTCONN):
            sock.peer_security_context()


@pytest.mark.skipif(not lib.UDS_HAS_PEER_SECURITY, reason=f"{support.FEATURE_SKIP}peer_security_context is absent")
def test_security_context_is_the_modules(monkeypatch):
    """The label is what the security module says, byte for byte."""
    monkeypatch.setattr(calls, "peer_security", lambda handle: b"system_u:object_r:x\0")
    left, right = UnixStream.pair()
    with left, right:
        assert left.peer_security_context() == b"system_u:object_r:x\0"
