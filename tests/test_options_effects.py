"""What options do: each is proven by messages that arrive, or do not."""

from __future__ import annotations

import errno
import os
import time

import pytest
import support

from uds_cffi import (
    Packet,
    ScmCredentials,
    SocketAncillary,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixStream,
)

kinds = pytest.mark.parametrize("kind", support.TYPES)
packets = pytest.mark.parametrize("kind", support.PACKET_TYPES)
connected = pytest.mark.parametrize(
    ("listening", "connection"),
    [
        (UnixListener, UnixStream),
        pytest.param(UnixSeqpacketListener, UnixSeqpacketConn, marks=support.needs("seqpacket")),
    ],
)

# The kernel counts its own timeouts in ticks, of a hundredth of a second at most, and the first one has begun already.
KERNELS_TIMEOUT, TICK = 0.04, 0.01


def messages(sock: UnixStream | UnixDatagram) -> tuple[object, ...]:
    with sock.recv_ancillary(100, SocketAncillary.with_room_for(fds=1, credentials=True)) as received:
        assert received.nbytes == 1
        return received.messages


def data(result: bytes | Packet) -> bytes:
    return result if isinstance(result, bytes) else result.data


# --- pass_credentials ---------------------------------------------------------------------------


@support.needs("credentials")
@kinds
def test_pass_credentials(kind):
    """Messages carry credentials while the option is on, and none while it is off."""
    own = ScmCredentials(os.getpid(), os.getuid(), os.getgid())
    left, right = kind.pair()
    with left, right:
        left.send(b"x")
        assert messages(right) == ()
        right.options.pass_credentials = True
        left.send(b"x")
        assert messages(right) == (own,)
        right.options.pass_credentials = False
        left.send(b"x")
        assert messages(right) == ()


def connect_and_send(path: str, connection: type) -> None:
    with connection.connect(path) as conn:
        conn.send(b"x")


@support.needs("credentials")
@connected
def test_pass_credentials_of_a_listener(listening, connection, socket_path):
    """Set before listening, it holds for a client that connects, sends at once, and is gone before it is accepted."""
    with listening.bind(socket_path, options={"pass_credentials": True}) as listener:
        child = support.Child(connect_and_send, socket_path, connection)
        child.join()
        conn, _ = listener.accept(timeout=support.PATIENCE)
        with conn:
            assert conn.options.pass_credentials is True
            assert messages(conn) == (ScmCredentials(child.pid, os.getuid(), os.getgid()),)


@support.needs("credentials")
@support.needs("abstract_addresses")
def test_pass_credentials_gives_a_name(socket_path):
    """A client without a name that asks for credentials is given an abstract one when it connects."""
    wanted = {"pass_credentials": True}
    with UnixListener.bind(socket_path) as listener, UnixStream.connect(socket_path, options=wanted) as client:
        assert len(client.local_addr().abstract_name) == 5
        conn, peer = listener.accept(timeout=support.PATIENCE)
        conn.close()
        assert peer == client.local_addr()


# --- pass_rights --------------------------------------------------------------------------------


@support.needs("pass_rights")
@kinds
def test_pass_rights_off(kind):
    """While it is off the sender of descriptors is refused, nothing is queued, and plain data passes."""
    left, right = kind.pair()
    with left, right:
        right.options.pass_rights = False
        with pytest.raises(PermissionError):
            left.send_fds(b"x", [0])
        assert right.try_recv(1) is None
        left.send(b"y")
        assert data(right.recv(1)) == b"y"
        right.options.pass_rights = True
        left.send_fds(b"x", [0])
        received = right.recv_fds(1, 1)
        with received[-1] as fds:
            assert len(fds) == 1


@support.needs("pass_rights")
@connected
def test_pass_rights_of_a_listener(listening, connection, socket_path):
    """Set before listening, it holds for a client that connects and sends at once."""
    listener = listening.bind(socket_path, options={"pass_rights": False})
    with listener, connection.connect(socket_path) as client:
        with pytest.raises(PermissionError):
            client.send_fds(b"x", [0])
        client.send(b"y")
        conn, _ = listener.accept(timeout=support.PATIENCE)
        with conn:
            assert conn.options.pass_rights is False
            assert data(conn.recv(2)) == b"y"
            # The client's own end takes descriptors.
            conn.send_fds(b"z", [0])
            with client.recv_fds(1, 1)[-1] as fds:
                assert len(fds) == 1


@support.needs("pass_rights")
def test_pass_rights_of_an_address(socket_path):
    """A datagram receiver refuses descriptors of everybody who sends to its address."""
    with UnixDatagram.bind(socket_path, options={"pass_rights": False}) as receiver, UnixDatagram.unbound() as sender:
        with pytest.raises(PermissionError) as caught:
            sender.send_fds_to(b"x", [0], socket_path)
        assert caught.value.filename == socket_path
        assert receiver.try_recv(1) is None


# --- peek_offset --------------------------------------------------------------------------------


@support.needs("peek_offset")
def test_peek_offset_of_a_stream():
    """Each peek begins where the last one ended, a receive moves it back, and -1 switches it off."""
    left, right = UnixStream.pair(options={"peek_offset": 0})
    with left, right:
        left.send(b"abcdef")
        assert [right.peek(2), right.peek(2)] == [b"ab", b"cd"]
        assert right.options.peek_offset == 4
        assert right.recv(3) == b"abc"
        assert right.options.peek_offset == 1
        assert right.peek(1) == b"e"
        right.options.peek_offset = -1
        assert right.options.peek_offset == -1
        assert [right.peek(2), right.peek(2)] == [b"de", b"de"]


@support.needs("peek_offset")
@packets
def test_peek_offset_of_packets(kind):
    """Peeks walk through the packets."""
    left, right = kind.pair()
    with left, right:
        left.send(b"abc")
        left.send(b"def")
        right.options.peek_offset = 0
        assert [right.peek(2).data, right.peek(2).data, right.peek(9).data] == [b"ab", b"c", b"def"]
        assert right.recv(9) == (b"abc", False)


# --- Buffers ------------------------------------------------------------------------------------


@packets
def test_send_buffer_is_the_limit_of_a_packet(kind):
    """A packet may be 32 bytes shorter than the buffer that is read, and not one byte longer."""
    left, right = kind.pair(options={"send_buffer": 20000})
    with left, right:
        most = left.options.send_buffer - 32
        with pytest.raises(OSError, match=rf"\[Errno {errno.EMSGSIZE}\]"):
            left.send(bytes(most + 1))
        assert left.send(bytes(most)) == most
        assert len(right.recv(50000).data) == most


def queued(sock: UnixStream) -> int:
    total = 0
    while True:
        sent = sock.try_send(bytes(4096))
        if sent is None:
            return total
        total += sent


def test_send_buffer_is_the_limit_of_a_queue():
    """A larger buffer lets more bytes wait at the peer; the receiver's buffer changes nothing."""
    amounts = []
    for wanted in ({"send_buffer": 20000}, {"send_buffer": 20000, "receive_buffer": 100000}, {"send_buffer": 100000}):
        left, right = UnixStream.pair(options=wanted)
        with left, right:
            amounts.append(queued(left))
    assert amounts[0] == amounts[1]
    assert amounts[2] > 3 * amounts[0]


@support.needs("send_buffer_force")
def test_send_buffer_force():
    """It goes beyond what send_buffer can be; who has not the privilege gets PermissionError."""
    left, right = UnixStream.pair()
    with left, right:
        left.options.send_buffer = 2**30 - 1
        limit = left.options.send_buffer
        try:
            left.options.send_buffer_force = limit
        except PermissionError:
            assert left.options.send_buffer == limit
            assert left.options.send_buffer_force is None
            return
        assert left.options.send_buffer == 2 * limit
        assert left.options.send_buffer_force == limit


# --- What a receive waits for -------------------------------------------------------------------


def test_receive_low_water():
    """A receive waits until so many bytes are there; one that ends before, by the kernel's timeout, brings fewer."""
    left, right = UnixStream.pair(options={"receive_low_water": 4, "receive_timeout": KERNELS_TIMEOUT})
    with left, right:
        left.send(b"abc")
        begin = time.monotonic()
        assert right.recv(10) == b"abc"
        assert time.monotonic() - begin >= KERNELS_TIMEOUT - TICK
        right.options.receive_timeout = None
        left.send(b"abcd")
        assert right.recv(10) == b"abcd"
        left.send(b"e")
        # One that may not wait takes what is there, and so does one with a timeout of its own.
        assert right.try_recv(10) == b"e"
        right.set_read_timeout(support.PATIENCE)
        left.send(b"f")
        assert right.recv(10) == b"f"


# --- Cookies ------------------------------------------------------------------------------------


@support.needs("cookie")
def test_cookie():
    """Each socket has a number, which clones share and no other socket has."""
    left, right = UnixStream.pair()
    with left, right, left.try_clone() as clone:
        assert left.options.cookie == clone.options.cookie != right.options.cookie
        assert 0 < left.options.cookie < 2**64


def compare_namespaces(other: int) -> None:
    import ctypes

    # unshare(2): a new network namespace for this child.
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):
        assert ctypes.get_errno() == errno.EPERM
        return
    left, right = UnixStream.pair()
    with left, right:
        assert left.options.namespace_cookie not in (0, other)


@support.needs("namespace_cookie")
def test_namespace_cookie():
    """The sockets of a network namespace have one number, those of another another."""
    left, right = UnixStream.pair()
    with left, right:
        assert left.options.namespace_cookie == right.options.namespace_cookie > 0
        support.run_child(compare_namespaces, left.options.namespace_cookie)


# --- Timeouts -----------------------------------------------------------------------------------


@kinds
def test_receive_timeout(kind):
    """The kernel's own timeout ends a receive with TimeoutError, and clones share it."""
    left, right = kind.pair(options={"receive_timeout": KERNELS_TIMEOUT})
    with left, right, right.try_clone() as clone:
        for sock in (right, clone):
            begin = time.monotonic()
            with pytest.raises(TimeoutError):
                sock.recv(1)
            assert time.monotonic() - begin >= KERNELS_TIMEOUT - TICK
            assert sock.read_timeout() is None
        left.send(b"x")
        assert data(right.recv(1)) == b"x"


def fill(sock: UnixStream | UnixDatagram) -> None:
    while True:
        sock.send(bytes(4096))


@kinds
def test_send_timeout(kind):
    """The kernel's own timeout ends a send that finds the queue full with TimeoutError."""
    left, right = kind.pair(options={"send_timeout": KERNELS_TIMEOUT})
    with left, right:
        while left.try_send(bytes(4096)) is not None:
            pass
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            fill(left)
        assert KERNELS_TIMEOUT - TICK <= time.monotonic() - begin < support.PATIENCE
        right.recv(4096)
        assert left.write_timeout() is None
