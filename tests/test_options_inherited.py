"""Options of listeners: what a client that connects and sends at once meets, before anybody accepts it.

Rule: each row of the table is here: connections inherit it, it is refused on a listener, or it is the listener's own.
"""

from __future__ import annotations

import os

import pytest
import support

from uds_cffi import (
    ScmCredentials,
    ScmPidfd,
    ScmSecurity,
    SocketAncillary,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixStream,
    lib,
    optionrows,
)

# The value that is given to the listener.
INHERITED = {"pass_credentials": True, "pass_pidfd": True, "pass_security": True, "pass_rights": False}
REFUSED = {"timestamps", "inq", "peek_offset", "oob_inline", "receive_low_water", "send_buffer_force"}
# What a listener may have for itself; a new connection begins with the kernel's own.
OWN = {"send_buffer": 30000, "receive_buffer": 30000, "receive_timeout": 1.5, "send_timeout": 1.5}
READ_ONLY = {"cookie", "namespace_cookie"}

connected = pytest.mark.parametrize(
    ("listening", "connection"),
    [
        (UnixListener, UnixStream),
        pytest.param(UnixSeqpacketListener, UnixSeqpacketConn, marks=support.needs("seqpacket")),
    ],
)


def is_built(name: str) -> bool:
    feature = optionrows.ROWS_BY_NAME[name].feature
    # A kernel without a security module takes the option too.
    return feature is None or support.supported(feature) or (name == "pass_security" and lib.UDS_HAS_PASS_SECURITY)


inherited = pytest.mark.parametrize("name", [name for name in INHERITED if is_built(name)] or [None])


def test_every_option_is_here():
    """Each row is inherited, refused, the listener's own, or cannot be set at all."""
    known = {*INHERITED, *REFUSED, *OWN, *READ_ONLY}
    assert set(optionrows.ROWS_BY_NAME) == known
    for name in REFUSED:
        assert "listener" not in optionrows.ROWS_BY_NAME[name].sockets


def connect_and_send(path: str, connection: type, refused: bool) -> None:
    """Be a client that connects, sends, and is gone."""
    with connection.connect(path) as conn:
        if refused:
            try:
                conn.send_fds(b"!", [0])
            except PermissionError:
                conn.send(b"x")
        else:
            conn.send(b"x")


@connected
@inherited
def test_inherited(name, listening, connection, socket_path):
    """Set before listening, it holds for a client that connects, sends at once, and is gone before it is accepted."""
    if name is None:
        assert not any(is_built(name) for name in INHERITED)
        return
    room = SocketAncillary.with_room_for(fds=1, credentials=True, pidfd=True, security=True)
    with listening.bind(socket_path, options={name: INHERITED[name]}) as listener, room:
        child = support.Child(connect_and_send, socket_path, connection, name == "pass_rights")
        child.join()
        conn, _ = listener.accept(timeout=support.PATIENCE)
        with conn:
            assert getattr(conn.options, name) == INHERITED[name]
            received = conn.recv_ancillary(10, room)
    if name == "pass_pidfd":
        (message,) = received.messages
        assert type(message) is ScmPidfd
        # Before Linux 6.16 there is none of a process that is gone.
        assert message.fd is not None or type(message.error) is ProcessLookupError
        received.close()
        if message.fd is not None:
            message.fd.close()
        return
    expected = {
        "pass_credentials": [ScmCredentials(child.pid, os.getuid(), os.getgid())],
        "pass_security": [],
        # The sender was refused, and sent again without descriptors.
        "pass_rights": [],
    }[name]
    assert received.data == b"x"
    assert [message for message in received.messages if type(message) is not ScmSecurity] == expected
    if name == "pass_security":
        # A stream brings labels beside credentials only.
        assert len(received.messages) == (support.supported("pass_security") and connection is not UnixStream)


@connected
@inherited
def test_value_when_the_client_connects(name, listening, connection, socket_path):
    """The connection has the value from when its client connected; a later one is for later clients.

    Before Linux 6.16, which also brought pass_rights, it has the value from when it was accepted.
    """
    if name is None:
        return
    value = INHERITED[name]
    first = value if support.supported("pass_rights") else not value
    with listening.bind(socket_path, options={name: value}) as listener, connection.connect(socket_path):
        setattr(listener.options, name, not value)
        with connection.connect(socket_path):
            for expected in (first, not value):
                conn, _ = listener.accept(timeout=support.PATIENCE)
                with conn:
                    assert getattr(conn.options, name) == expected


@connected
@pytest.mark.parametrize("name", OWN)
def test_own(name, listening, connection, socket_path):
    """The listener's buffers and timeouts are its own: a connection begins with those of any new socket."""
    with listening.bind(socket_path, options={name: OWN[name]}) as listener, connection.connect(socket_path) as client:
        client.send(b"x")
        conn, _ = listener.accept(timeout=support.PATIENCE)
        with conn:
            assert getattr(listener.options, name) == OWN[name] * (2 if name.endswith("_buffer") else 1)
            assert getattr(conn.options, name) == getattr(client.options, name)
            received = conn.recv(2)
            assert (received if connection is UnixStream else received.data) == b"x"
