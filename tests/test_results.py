"""Results: named tuples that equal plain ones, and everything that one receive brought."""

from __future__ import annotations

import os
import pickle

import pytest

from uds_cffi import (
    OwnedFds,
    Packet,
    PacketFds,
    PacketFdsFrom,
    PacketFrom,
    PacketInto,
    PacketIntoFrom,
    Received,
    ScmRights,
    SocketAncillary,
    UnixDatagram,
    UnixSocketAddr,
    UnixStream,
)

FIELDS = {
    Packet: ("data", "truncated"),
    PacketInto: ("nbytes", "truncated"),
    PacketFrom: ("data", "truncated", "addr"),
    PacketIntoFrom: ("nbytes", "truncated", "addr"),
    PacketFds: ("data", "truncated", "fds"),
    PacketFdsFrom: ("data", "truncated", "fds", "addr"),
}


@pytest.mark.parametrize(("kind", "fields"), FIELDS.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_named_tuples_equal_plain_ones(kind, fields):
    """A result equals the tuple of its fields, hashes like it, unpacks, and has names."""
    plain = tuple(range(len(fields)))
    for made in (kind(*plain), kind(**dict(zip(fields, plain))), tuple.__new__(kind, plain)):
        assert made == plain
        assert plain == made
        assert hash(made) == hash(plain)
        assert tuple(getattr(made, name) for name in fields) == plain
        assert made._fields == fields
        assert repr(made) == f"{kind.__name__}({', '.join(f'{n}={v}' for n, v in zip(fields, plain))})"
        assert pickle.loads(pickle.dumps(made)) == made
        assert not hasattr(made, "__dict__")
        with pytest.raises(AttributeError):
            setattr(made, fields[0], None)


def test_receives_return_them(socket_path):
    """What a datagram receive returns compares with and unpacks into plain values."""
    address = UnixSocketAddr(socket_path)
    with UnixDatagram.bind(address) as sock, UnixDatagram.unbound() as other:

        def sent(data: bytes) -> UnixDatagram:
            other.send_to(data, address)
            return sock

        none = UnixSocketAddr.unnamed()
        results = [
            (sent(b"abc").recv(2), Packet, (b"ab", True)),
            (sent(b"abc").recv_into(bytearray(3)), PacketInto, (3, False)),
            (sent(b"abc").recv_from(9), PacketFrom, (b"abc", False, none)),
            (sent(b"abc").recv_vectored_from([bytearray(1), bytearray(1)]), PacketIntoFrom, (2, True, none)),
        ]
        for result, kind, plain in results:
            assert type(result) is kind
            assert result == plain

        data, truncated, fds = sent(b"abc").recv_fds(9, 1)
        assert (data, truncated, len(fds)) == (b"abc", False, 0)
        result = sent(b"abc").recv_fds_from(1, 1)
        assert type(result) is PacketFdsFrom
        assert (result.data, result.truncated, type(result.fds), result.addr) == (b"a", True, OwnedFds, none)


# --- Received -----------------------------------------------------------------------------------


def received_with_descriptor() -> tuple[Received, int]:
    """Return a result with the write end of a pipe in it, and the read end."""
    left, right = UnixStream.pair()
    read, write = os.pipe()
    with left, right:
        right.send_fds(b"data", [write])
        os.close(write)
        return left.recv_ancillary(100, SocketAncillary.with_room_for(fds=1)), read


def test_received_says_everything():
    """A receive with ancillary data reports its bytes, size, flags, sender and control messages."""
    received, read = received_with_descriptor()
    with received:
        assert (received.nbytes, received.data, received.full_size, received.flags) == (4, b"data", 4, 0)
        assert received.truncated is False
        assert received.ancillary_truncated is False
        assert received.addr == UnixSocketAddr.unnamed()
        (message,) = received.messages
        assert type(message) is ScmRights
        assert received.messages[0] is message
        assert len(message.fds) == 1
    os.close(read)


def test_received_repr_shows_the_fields():
    """The repr shows each field, and reading it takes nothing out."""
    received, read = received_with_descriptor()
    assert repr(received) == (
        "Received(nbytes=4, data=b'data', truncated=False, full_size=4, flags=0, "
        "addr=UnixSocketAddr(Unnamed), ancillary_truncated=False)"
    )
    received.close()
    assert os.read(read, 1) == b""
    os.close(read)


def test_received_closes_what_was_read():
    """Leaving the block closes every descriptor, whether the messages were read or not."""
    received, read = received_with_descriptor()
    with received as same:
        assert same is received
        assert len(received.messages) == 1
    assert os.read(read, 1) == b""
    os.close(read)


def test_received_leaves_what_was_taken():
    """A descriptor that was taken out of the message stays open."""
    received, read = received_with_descriptor()
    with received:
        taken = received.messages[0].fds[0]
    os.write(taken.fileno(), b"x")
    assert os.read(read, 1) == b"x"
    taken.close()
    received.close()
    os.close(read)


def test_received_into_buffers_has_no_data():
    """With the caller's buffers the bytes are in them, and ``data`` is None."""
    left, right = UnixStream.pair()
    with left, right:
        right.send(b"abc")
        buffers = [bytearray(2), bytearray(2)]
        with left.recv_ancillary(buffers, SocketAncillary(0)) as received:
            assert received.data is None
            assert received.nbytes == 3
            assert received.messages == ()
        assert buffers == [bytearray(b"ab"), bytearray(b"c\0")]
