"""Diagnostics: lists of sockets, what can be asked about, and what cannot."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import pytest
import support
from inodes import by_inode, inode
from netlink import as_root_of_a_namespace, enter_namespace

from uds_cffi import (
    FeatureUnavailable,
    OwnedFd,
    UnixDatagram,
    UnixListener,
    UnixStream,
    diagnostics,
    lib,
)
from uds_cffi.diagnostics import SocketInfo, info_of, peer_of, sockets

needs_it = support.needs("diagnostics")


# --- Lists --------------------------------------------------------------------------------------


@needs_it
def test_states_choose(socket_path):
    """Only sockets in the states that are asked for are listed."""
    with UnixListener.bind(socket_path) as listener, UnixDatagram.unbound() as alone:
        one, two = UnixStream.pair()
        with one, two:
            expected = {"listening": inode(listener), "unconnected": inode(alone), "established": inode(one)}
            for state, number in expected.items():
                table = by_inode([state])
                assert {info.state for info in table.values()} == {state}
                assert table.keys() & set(expected.values()) == {number}
            table = by_inode(iter(("listening", "unconnected")))
            assert table.keys() & set(expected.values()) == {inode(listener), inode(alone)}
            assert sockets(()) == []
            assert by_inode(diagnostics.STATES).keys() >= set(expected.values())


@needs_it
@pytest.mark.parametrize(
    ("states", "error", "text"),
    [
        ("listening", TypeError, r"such as \('listening',\), not str"),
        (b"x", TypeError, "not bytes"),
        (5, TypeError, "not iterable"),
        (["listen"], ValueError, "'listen' is no state of a socket; there are 'established', 'unconnected', 'listen"),
        ([10], ValueError, "10 is no state"),
        ([["listening"]], ValueError, r"\['listening'\] is no state"),
    ],
)
def test_wrong_states(states, error, text):
    """Anything but an iterable of the names of states is refused, with the names that there are."""
    with pytest.raises(error, match=text):
        sockets(states)


def many_pairs(count: int, ready: support.Event, done: support.Event) -> None:
    pairs = [socket.socketpair() for _ in range(count)]
    ready.set()
    done.wait()
    assert len(pairs) == count


@needs_it
def test_many_sockets():
    """A long list, of several processes, has each socket once, with the peer that it has."""
    import resource

    # 10,000 in five processes, unless this process may open less.
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    each = min(1000, limit // 2 - 50)
    events = [(support.Event(), support.Event()) for _ in range(5)]
    children = [support.Child(many_pairs, each, *pair) for pair in events]
    try:
        for ready, _ in events:
            ready.wait()
        listed = sockets()
        table = {info.inode: info for info in listed}
        assert len(table) == len(listed)
        paired = [info for info in table.values() if info.peer_inode in table]
        assert sum(table[info.peer_inode].peer_inode == info.inode for info in paired) >= 5 * 2 * each
    finally:
        for _, done in events:
            done.set()
        for child in children:
            child.join()
        for pair in events:
            for event in pair:
                event.close()


# --- What can be asked about, and what cannot ---------------------------------------------------


@needs_it
def test_what_has_a_descriptor(stream):
    """A number, any object with fileno(), and an OwnedFd are asked about alike; they stay open."""
    one, two = stream
    expected = info_of(one)
    assert info_of(one.fileno()) == expected
    with OwnedFd(os.dup(one.fileno())) as owned:
        assert info_of(owned) == expected
        assert peer_of(owned) == info_of(two)
    with socket.socket(fileno=os.dup(one.fileno())) as sock:
        assert info_of(sock) == expected
        assert peer_of(sock) == peer_of(one.fileno()) == info_of(two)
    with UnixStream.borrow(one) as borrowed:
        assert info_of(borrowed) == expected


@needs_it
@pytest.mark.parametrize("function", [info_of, peer_of])
def test_closed(function, stream):
    """A closed socket is OSError (EBADF), whatever stands for it."""
    one, two = stream
    sock = socket.socket(socket.AF_UNIX)
    sock.close()
    one.close()
    for closed in (one, sock, -1, 2**40, -(2**70)):
        with support.raises_errno(errno.EBADF):
            function(closed)
    assert peer_of(two) is None


@needs_it
@pytest.mark.parametrize("function", [info_of, peer_of])
def test_what_is_no_unix_socket(function, number):
    """Another file, another address family, and what has no descriptor are told apart."""
    with support.raises_errno(errno.ENOTSOCK):
        function(number)
    with socket.socket(socket.AF_INET) as sock, pytest.raises(ValueError, match="of another address family than AF_U"):
        function(sock)
    for wrong in (None, "x", 1.5, True, object()):
        with pytest.raises(TypeError, match=r"an int or an object with fileno\(\) is needed, not "):
            function(wrong)


def in_another_namespace(here: Any, folder: str) -> None:
    number, stream_path, datagram_path = inode(here), os.path.join(folder, "s"), os.path.join(folder, "d")
    with UnixListener.bind(stream_path) as listener, UnixDatagram.bind(datagram_path) as receiver:
        assert enter_namespace() == 0
        client, (one, two) = UnixStream.connect(stream_path), UnixStream.pair()
        accepted = listener.accept()[0]
        # The kernel makes an accepted socket in the network namespace of its client.
        table = by_inode()
        assert table.keys() >= {inode(client), inode(accepted), inode(one), inode(two)}
        assert not table.keys() & {number, inode(listener), inode(receiver)}
        assert (peer_of(one), peer_of(client)) == (info_of(two), info_of(accepted))
        for function in (info_of, peer_of):
            with pytest.raises(FileNotFoundError, match=f"the socket of inode {number} belongs to another network nam"):
                function(here)
        sender = UnixDatagram.connect(datagram_path)
        text = f"the peer of inode {inode(sender)}, inode {inode(receiver)}, belongs to another network namespace"
        with pytest.raises(FileNotFoundError, match=text):
            peer_of(sender)


@needs_it
@as_root_of_a_namespace
def test_other_network_namespaces(stream, short_dir):
    """Sockets of another network namespace are not listed, and asking about one says why there is no answer."""
    support.run_child(in_another_namespace, stream[0], short_dir)


def without_descriptors() -> None:
    import resource

    one, _two = UnixStream.pair()
    last = os.dup(0)
    os.close(last)
    resource.setrlimit(resource.RLIMIT_NOFILE, (last, last))
    for ask in (sockets, lambda: info_of(one), lambda: peer_of(one)):
        with support.raises_errno(errno.EMFILE):
            ask()


@needs_it
def test_without_descriptors():
    """Where no descriptor can be opened, asking says so."""
    support.run_child(without_descriptors)


# --- The module ---------------------------------------------------------------------------------


@support.lacks("diagnostics")
def test_absent(stream):
    """Where the feature is absent, every function says so."""
    for ask in (sockets, lambda: info_of(stream[0]), lambda: peer_of(stream[0])):
        with pytest.raises(FeatureUnavailable) as caught:
            ask()
        assert (caught.value.feature, caught.value.reason) == ("diagnostics", "not built")
    assert not lib.UDS_HAS_DIAGNOSTICS


def test_info_is_a_value():
    """An info is a named tuple: frozen, hashable, and equal to the plain tuple."""
    fields = range(len(SocketInfo._fields))
    info = SocketInfo(*fields)
    assert info == tuple(fields)
    assert hash(info) == hash(tuple(fields))
    with pytest.raises(AttributeError):
        info.inode = 5
    assert not hasattr(info, "__dict__")
