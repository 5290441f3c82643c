"""Diagnostics: what the kernel says of sockets that a test has made is what the test has made of them."""

from __future__ import annotations

import os
import socket
import sys

import pytest
import support
from inodes import by_inode, inode

import uds_cffi
from uds_cffi import (
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixSocketAddr,
    UnixStream,
)
from uds_cffi.diagnostics import SocketInfo, info_of, peer_of

needs_it = support.needs("diagnostics")
NAMES = {UnixStream: "stream", UnixDatagram: "datagram", UnixSeqpacketConn: "seqpacket"}
SO_COOKIE = 57

listeners = pytest.mark.parametrize(
    ("listening", "connection"), [(UnixListener, UnixStream), (UnixSeqpacketListener, UnixSeqpacketConn)]
)


# --- What is said of one socket -----------------------------------------------------------------


@needs_it
def test_pair(pair):
    """The ends of a pair are each other's peer, established, unnamed, with empty queues, and this user's."""
    one, two = pair
    table = by_inode()
    assert table[inode(one)] == SocketInfo(
        inode=inode(one),
        cookie=int.from_bytes(one.get_option(socket.SOL_SOCKET, SO_COOKIE, 8), sys.byteorder),
        type=NAMES[type(one)],
        state="established",
        address=UnixSocketAddr.unnamed(),
        peer_inode=inode(two),
        pending=None,
        backlog=None,
        client_inodes=None,
        unread_bytes=0,
        unsent_bytes=0,
        shutdown_read=False,
        shutdown_write=False,
        uid=os.geteuid(),
        file=None,
    )
    assert table[inode(two)].peer_inode == inode(one)
    assert info_of(one) == table[inode(one)] == peer_of(two)
    assert info_of(two) == table[inode(two)] == peer_of(one)


@needs_it
@listeners
def test_connection(listening, connection, socket_path):
    """Listener, waiting client, and accepted connection: the kernel tells who is connected to whom, and when."""
    with listening.bind(socket_path, backlog=5) as listener:
        status = os.stat(socket_path)
        file = (status.st_dev, status.st_ino & 0xFFFFFFFF)
        info = info_of(listener)
        assert (info.state, info.pending, info.backlog, info.client_inodes) == ("listening", 0, 5, ())
        assert (info.unread_bytes, info.unsent_bytes, info.peer_inode) == (None, None, None)
        assert (info.address, info.file) == (UnixSocketAddr(socket_path), file)
        assert peer_of(listener) is None
        with connection.connect(socket_path) as client:
            info = info_of(listener)
            assert (info.pending, info.client_inodes) == (1, (inode(client),))
            assert by_inode()[inode(listener)] == info
            waiting = info_of(client)
            assert (waiting.state, waiting.peer_inode, waiting.address.kind) == ("established", None, "unnamed")
            assert peer_of(client) is None
            with listener.accept()[0] as accepted:
                info = info_of(listener)
                assert (info.pending, info.client_inodes) == (0, ())
                served = peer_of(client)
                assert served == info_of(accepted)
                assert (served.state, served.peer_inode, served.type) == (
                    "established",
                    inode(client),
                    NAMES[connection],
                )
                # An accepted socket is bound to what its listener is.
                assert (served.address, served.file) == (UnixSocketAddr(socket_path), file)
                assert peer_of(accepted) == info_of(client)
            assert peer_of(client) is None


@needs_it
def test_clients_in_order(socket_path):
    """The waiting clients are named in the order in which they came; one that has closed is only counted."""
    with UnixListener.bind(socket_path, backlog=9) as listener:
        clients = [UnixStream.connect(socket_path) for _ in range(4)]
        clients[1].close()
        expected = tuple(inode(client) for client in (clients[0], *clients[2:]))
        for info in (info_of(listener), by_inode()[inode(listener)]):
            assert (info.pending, info.client_inodes) == (4, expected)
        for client in clients:
            client.close()
        assert info_of(listener).client_inodes == ()
        assert info_of(listener).pending == 4


@needs_it
@pytest.mark.parametrize(
    "name", [b"plain", b"nul\0inside", b"line\nbreak", b"ends\0\0", b"\0", b"x" * 107, b"\xff\xfe", b"a b", b"\x1b[31m"]
)
def test_abstract_names(name):
    """An abstract name is told exactly, whatever bytes it has."""
    address = UnixSocketAddr.from_abstract(name[:100] + str(os.getpid()).encode() if len(name) < 100 else name)
    with UnixDatagram.bind(address) as sock:
        assert info_of(sock).address == address == by_inode()[inode(sock)].address
        assert info_of(sock).file is None


@needs_it
@pytest.mark.parametrize("name", ["s", "line\nbreak", "a b", "@at", "\udcff", "é"])
def test_paths(name, short_dir):
    """A path is told exactly, whatever bytes it has, and so is its file."""
    path = os.path.join(short_dir, name)
    with UnixDatagram.bind(UnixSocketAddr.from_path(path)) as sock:
        info = info_of(sock)
        status = os.stat(path)
        assert info.address == UnixSocketAddr.from_path(path)
        assert info.file == (status.st_dev, status.st_ino & 0xFFFFFFFF)
        os.unlink(path)
        assert info_of(sock) == info


@needs_it
def test_longest_and_relative_paths(short_dir, monkeypatch):
    """A path of 108 bytes, and a relative one, are told as they were bound."""
    monkeypatch.chdir(short_dir)
    for path in ("r", os.path.join(short_dir, "x" * (107 - len(short_dir)))):
        with UnixListener.bind(path) as sock:
            assert info_of(sock).address == UnixSocketAddr(path)
    assert len(path) == UnixSocketAddr.max_path_len()


@needs_it
def test_autobind():
    """A name that the kernel chose is told."""
    with UnixDatagram.bind("") as sock:
        assert info_of(sock).address == sock.local_addr()


@needs_it
def test_states_of_datagrams(short_dir):
    """A datagram socket is unconnected; connecting makes both ends established, and only one has a peer."""
    path = os.path.join(short_dir, "d")
    with UnixDatagram.bind(path) as server, UnixDatagram.unbound() as client:
        assert info_of(server).state == info_of(client).state == "unconnected"
        assert peer_of(client) is None
        client.connect_to(path)
        assert info_of(client).state == info_of(server).state == "established"
        assert peer_of(client) == info_of(server)
        assert peer_of(server) is None
        client.disconnect()
        assert peer_of(client) is None
        assert info_of(client).state == "unconnected"


@needs_it
def test_unread_and_unsent(pair):
    """What waits to be read is counted at the reader, all of it or the first packet; its memory at the writer."""
    one, two = pair
    one.send(b"12345")
    assert info_of(two).unread_bytes == 5
    first = info_of(one).unsent_bytes
    assert first >= 5
    one.send(b"678")
    assert info_of(two).unread_bytes == (5 if type(one) is UnixDatagram else 8)
    assert info_of(one).unsent_bytes > first
    assert (info_of(one).unread_bytes, info_of(two).unsent_bytes) == (0, 0)
    while two.try_recv(100) is not None:
        pass
    assert (info_of(one).unsent_bytes, info_of(two).unread_bytes) == (0, 0)


@needs_it
@pytest.mark.parametrize(
    ("how", "own", "other"),
    [
        (uds_cffi.SHUT_RD, (True, False), (False, True)),
        (uds_cffi.SHUT_WR, (False, True), (True, False)),
        (uds_cffi.SHUT_RDWR, (True, True), (True, True)),
    ],
    ids=["RD", "WR", "RDWR"],
)
def test_shutdown(stream, how, own, other):
    """Each end tells which directions are shut down, whoever did it."""
    one, two = stream
    one.shutdown(how)
    for sock, expected in ((one, own), (two, other)):
        info = info_of(sock)
        assert (info.shutdown_read, info.shutdown_write) == expected
        assert info.state == "established"


@needs_it
def test_closed_peer(pair):
    """A peer that is closed is none."""
    one, two = pair
    number = inode(two)
    two.close()
    assert peer_of(one) is None
    assert info_of(one).peer_inode is None
    assert number not in by_inode()


def as_somebody_else() -> None:
    with UnixStream.pair()[0] as sock:
        os.setresuid(-1, 1234, -1)
        assert info_of(sock).uid == 0
        os.setresuid(-1, 0, -1)
        os.fchown(sock.fileno(), 77, -1)
        assert info_of(sock).uid == 77
        os.setresuid(1234, 1234, 1234)
        with UnixStream.pair()[0] as other:
            assert info_of(other).uid == 1234
            # No privileges are left, and others' sockets are listed all the same.
            assert by_inode()[inode(sock)].uid == 77


@needs_it
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_user():
    """The user is who made the socket, or who it was given to; asking needs no privileges."""
    support.run_child(as_somebody_else)
