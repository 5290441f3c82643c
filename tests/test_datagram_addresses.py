"""Datagrams to and from addresses.

Rule: a packet that cannot go is reported with the address that it was for, and a received one says who sent it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any, Callable

import pytest
import support

from uds_cffi import (
    MSG_DONTWAIT,
    MSG_PEEK,
    AddressError,
    AncillaryTruncated,
    OwnedFd,
    PacketFdsFrom,
    PacketFrom,
    PacketIntoFrom,
    SocketAncillary,
    UnixDatagram,
    UnixListener,
    UnixSocketAddr,
    lib,
)

UNNAMED = UnixSocketAddr.unnamed()
IOV_MAX = lib.IOV_MAX


@pytest.fixture
def server(socket_path: str) -> Iterator[UnixDatagram]:
    """Receive at an address."""
    with UnixDatagram.bind(socket_path) as sock:
        yield sock


@pytest.fixture
def client(short_dir: str) -> Iterator[UnixDatagram]:
    """Send from an address."""
    with UnixDatagram.bind(os.path.join(short_dir, "c")) as sock:
        yield sock


def ancillary_of(*numbers: int) -> SocketAncillary:
    ancillary = SocketAncillary(64)
    assert ancillary.add_fds(numbers)
    return ancillary


# Each way to send one packet b"data" to an address.
Send = Callable[..., int]
SENDS: dict[str, Send] = {
    "send_to": lambda sock, *rest: sock.send_to(b"data", *rest),
    "send_vectored_to": lambda sock, *rest: sock.send_vectored_to([b"da", b"", bytearray(b"ta")], *rest),
    "send_fds_to": lambda sock, *rest: sock.send_fds_to(b"data", [], *rest),
    "send_ancillary_to": lambda sock, *rest: sock.send_ancillary_to([b"data"], ancillary_of(), *rest),
}


@pytest.fixture(params=SENDS)
def send(request: pytest.FixtureRequest) -> Send:
    """Send in each way."""
    return SENDS[request.param]


# Each way to receive, with a room, as (data, truncated, address).
Receive = Callable[[UnixDatagram, int], "tuple[bytes, bool, UnixSocketAddr]"]


def recv_from(sock: UnixDatagram, size: int, flags: int = 0) -> Any:
    packet = sock.recv_from(size, flags)
    assert type(packet) is PacketFrom
    assert packet == (packet.data, packet.truncated, packet.addr)
    return packet


def recv_vectored_from(sock: UnixDatagram, size: int, flags: int = 0) -> Any:
    buffer = bytearray(size)
    view = memoryview(buffer)
    packet = sock.recv_vectored_from([view[: size // 2], view[size // 2 :]], flags)
    assert type(packet) is PacketIntoFrom
    assert packet == (packet.nbytes, packet.truncated, packet.addr)
    return bytes(buffer[: packet.nbytes]), packet.truncated, packet.addr


def recv_fds_from(sock: UnixDatagram, size: int, flags: int = 0) -> Any:
    packet = sock.recv_fds_from(size, 0, flags)
    assert type(packet) is PacketFdsFrom
    assert packet == (packet.data, packet.truncated, packet.fds, packet.addr)
    return packet.data, packet.truncated, packet.addr


def recv_ancillary(sock: UnixDatagram, size: int, flags: int = 0) -> Any:
    received = sock.recv_ancillary(size, SocketAncillary(64), flags)
    return received.data, received.truncated, received.addr


RECEIVES = [recv_from, recv_vectored_from, recv_fds_from, recv_ancillary]
receive = pytest.mark.parametrize("receive", RECEIVES)


# --- Sending to an address ----------------------------------------------------------------------


def test_packet_goes_to_its_address(send: Send, client: UnixDatagram, server: UnixDatagram, socket_path: str) -> None:
    """Each way to send takes each form of an address, and returns how many bytes went."""
    for address in (socket_path, os.fsencode(socket_path), UnixSocketAddr(socket_path), server.local_addr()):
        assert send(client, address) == 4
        assert server.recv_from(100) == (b"data", False, client.local_addr())


def test_connected_socket_can_send_elsewhere(send: Send, client: UnixDatagram, server: UnixDatagram) -> None:
    """A socket that is connected to one peer sends to another as well, and stays connected."""
    one, two = UnixDatagram.pair()
    with one, two:
        assert send(one, server.local_addr()) == 4
        one.send(b"x")
        assert server.recv(100) == (b"data", False)
        assert two.recv(100) == (b"x", False)


def test_sending_to_oneself(send: Send, client: UnixDatagram) -> None:
    """A bound socket can send to its own address."""
    assert send(client, client.local_addr()) == 4
    assert client.recv_from(100) == (b"data", False, client.local_addr())


@support.needs("abstract_addresses")
def test_packet_to_an_abstract_address(send: Send, client: UnixDatagram) -> None:
    """Abstract names are addresses too."""
    with UnixDatagram.bind("") as server:
        assert send(client, server.local_addr()) == 4
        assert server.recv(100) == (b"data", False)


@pytest.mark.parametrize("unnamed", ["", b"", UNNAMED])
def test_unnamed_target_is_refused(send: Send, client: UnixDatagram, unnamed: Any) -> None:
    """The unnamed address receives nothing: AddressError, also on a connected socket, whose peer gets nothing."""
    one, two = UnixDatagram.pair()
    with one, two:
        for sock in (client, one):
            with pytest.raises(AddressError, match="unnamed"):
                send(sock, unnamed)
        assert two.try_recv(1) is None


@pytest.mark.parametrize("bad", [None, 5, "x" * 200, "a\0b"])
def test_what_is_no_address_is_refused(send: Send, client: UnixDatagram, bad: Any) -> None:
    """A value that cannot be an address is an AddressError."""
    with pytest.raises(AddressError):
        send(client, bad)


def test_missing_target(send: Send, client: UnixDatagram, short_dir: str) -> None:
    """No such file is FileNotFoundError with the address."""
    path = os.path.join(short_dir, "missing")
    with pytest.raises(FileNotFoundError) as caught:
        send(client, path)
    assert caught.value.filename == path


def test_closed_target(send: Send, client: UnixDatagram, server: UnixDatagram, socket_path: str) -> None:
    """A file that nobody holds is ConnectionRefusedError with the address."""
    server.close()
    with pytest.raises(ConnectionRefusedError) as caught:
        send(client, socket_path)
    assert caught.value.filename == socket_path


def test_target_that_has_another_peer(send: Send, client: UnixDatagram, server: UnixDatagram, short_dir: str) -> None:
    """A receiver that is connected to somebody else is PermissionError with the address."""
    with UnixDatagram.connect(server.local_addr(), bind=os.path.join(short_dir, "t")) as target:
        address = target.local_addr()
        with pytest.raises(PermissionError) as caught:
            send(client, address)
        assert caught.value.filename == str(address)
        assert target.try_recv(1) is None
        assert send(server, address) == 4


def test_target_of_another_type(send: Send, client: UnixDatagram, socket_path: str) -> None:
    """A stream listener takes no packets: EPROTOTYPE with the address."""
    with UnixListener.bind(socket_path):
        with pytest.raises(OSError, match=rf"\[Errno {errno.EPROTOTYPE}\]") as caught:
            send(client, socket_path)
        assert caught.value.filename == socket_path


def test_full_target(send: Send, client: UnixDatagram, server: UnixDatagram, socket_path: str) -> None:
    """A full receiver is BlockingIOError or, after the timeout, TimeoutError, with the address, and nothing went."""
    sent: list[int] = []

    def fill() -> None:
        while True:
            sent.append(send(client, socket_path, MSG_DONTWAIT))

    with pytest.raises(BlockingIOError) as caught:
        fill()
    assert caught.value.filename == socket_path
    client.set_write_timeout(0.02)
    with pytest.raises(TimeoutError) as caught_late:
        send(client, socket_path)
    assert caught_late.value.filename == socket_path
    assert sent
    assert [server.recv(10) for _ in sent] == [(b"data", False)] * len(sent)
    assert server.try_recv(1) is None


@pytest.mark.parametrize("timeout", [None, 20])
def test_sender_waits_for_room(
    send: Send, client: UnixDatagram, server: UnixDatagram, socket_path: str, timeout: float | None
) -> None:
    """A sender waits until the receiver has read something, though poll(2) cannot tell it when."""
    client.set_write_timeout(timeout)
    total = 20
    with support.in_thread(lambda: [send(client, socket_path) for _ in range(total)]) as sent:
        assert [server.recv(10) for _ in range(total)] == [(b"data", False)] * total
    assert sent == [[4] * total]


def test_flags_that_a_send_does_not_take(send: Send, client: UnixDatagram, server: UnixDatagram) -> None:
    """A flag that is not for a send is refused, and nothing was sent."""
    for flags in (MSG_PEEK, lib.MSG_OOB, 1 << 29):
        with pytest.raises(ValueError, match="not for this call"):
            send(client, server.local_addr(), flags)
    assert server.try_recv(1) is None


def test_more_buffers_than_a_packet_can_have(client: UnixDatagram, server: UnixDatagram) -> None:
    """More than IOV_MAX buffers are a ValueError before the kernel is asked; IOV_MAX of them are one packet."""
    target = server.local_addr()
    for send in (
        lambda buffers: client.send_vectored_to(buffers, target),
        lambda buffers: client.send_ancillary_to(buffers, ancillary_of(), target),
    ):
        with pytest.raises(ValueError, match=f"{IOV_MAX + 1} buffers"):
            send([b"x"] * (IOV_MAX + 1))
        assert server.try_recv(1) is None
        assert send([b"x"] * IOV_MAX) == IOV_MAX
        assert server.recv(9999) == (b"x" * IOV_MAX, False)


@pytest.mark.parametrize("data", ["text", 5, None])
def test_bad_data(client: UnixDatagram, server: UnixDatagram, data: Any) -> None:
    """What is not bytes-like is a TypeError, and nothing was sent."""
    target = server.local_addr()
    for call in (
        lambda: client.send_to(data, target),
        lambda: client.send_fds_to(data, [], target),
        lambda: client.send_vectored_to([data], target),
        lambda: client.send_vectored_to(data, target),
    ):
        with pytest.raises(TypeError):
            call()
    assert server.try_recv(1) is None


# --- Receiving with an address ------------------------------------------------------------------


@receive
def test_sender_without_a_name(receive: Receive, server: UnixDatagram) -> None:
    """A sender that has no name is the unnamed address, also after one that had a name."""
    with UnixDatagram.unbound() as stranger:
        server.send_to(b"named", server.local_addr())
        stranger.send_to(b"unnamed", server.local_addr())
        assert receive(server, 100) == (b"named", False, server.local_addr())
        assert receive(server, 100) == (b"unnamed", False, UNNAMED)


@receive
def test_packet_that_does_not_fit(receive: Receive, client: UnixDatagram, server: UnixDatagram) -> None:
    """A packet that was cut says so, and its sender is known."""
    for room in (0, 1, 3):
        client.send_to(b"data", server.local_addr())
        assert receive(server, room) == (b"data"[:room], True, client.local_addr())
    client.send_to(b"", server.local_addr())
    assert receive(server, 0) == (b"", False, client.local_addr())


@receive
def test_peeking_with_an_address(receive: Any, client: UnixDatagram, server: UnixDatagram) -> None:
    """MSG_PEEK leaves the packet, and its sender."""
    client.send_to(b"data", server.local_addr())
    assert receive(server, 2, MSG_PEEK) == (b"da", True, client.local_addr())
    assert receive(server, 9) == (b"data", False, client.local_addr())


def test_peek_from(client: UnixDatagram, server: UnixDatagram) -> None:
    """peek_from() shows the same packet each time, with its sender."""
    client.send_to(b"data", server.local_addr())
    packet = server.peek_from(1)
    assert type(packet) is PacketFrom
    assert packet == (b"d", True, client.local_addr())
    assert server.peek_from(100) == (b"data", False, client.local_addr())
    assert server.recv(100) == (b"data", False)
    with pytest.raises(BlockingIOError):
        server.peek_from(1, MSG_DONTWAIT)


@receive
@pytest.mark.parametrize("flags", [lib.MSG_OOB, lib.MSG_WAITALL, 1 << 29])
def test_flags_that_a_receive_does_not_take(receive: Any, server: UnixDatagram, flags: int) -> None:
    """Flags that would eat or hide something are refused."""
    with pytest.raises(ValueError, match="not for this call"):
        receive(server, 1, flags)


@receive
@pytest.mark.parametrize("size", [1, 70_000])
def test_nothing_there_yet(receive: Any, server: UnixDatagram, size: int) -> None:
    """MSG_DONTWAIT is BlockingIOError, and a timeout TimeoutError."""
    with pytest.raises(BlockingIOError):
        receive(server, size, MSG_DONTWAIT)
    server.set_read_timeout(0.01)
    with pytest.raises(TimeoutError):
        receive(server, size)


@support.needs("abstract_addresses")
def test_longest_and_oddest_names(server: UnixDatagram) -> None:
    """Abstract names with NULs in them arrive exactly, the longest one too."""
    for name in (b"\0", b"a\0b\0", b"x" * UnixSocketAddr.max_abstract_len()):
        address = UnixSocketAddr.from_abstract(name + b"")
        with UnixDatagram.bind(address) as sender:
            sender.send_to(b"x", server.local_addr())
            assert server.recv_from(1).addr == address


# --- Descriptors with an address ----------------------------------------------------------------


def test_descriptors_go_to_an_address(client: UnixDatagram, server: UnixDatagram, number: int) -> None:
    """send_fds_to() and send_ancillary_to() pass descriptors, and recv_fds_from() says who sent them."""
    target = server.local_addr()
    with OwnedFd(os.dup(number)) as owner:
        assert client.send_fds_to(b"data", [number, owner], target) == 4
    assert client.send_ancillary_to([b"da", b"ta"], ancillary_of(number, number), target) == 4
    for _ in range(2):
        data, truncated, fds, addr = server.recv_fds_from(100, 2)
        with fds:
            assert (data, truncated, addr) == (b"data", False, client.local_addr())
            assert all(os.path.sameopenfile(arrived, number) for arrived in fds.numbers())
            assert len(fds) == 2


def test_surplus_with_an_address(client: UnixDatagram, server: UnixDatagram, number: int) -> None:
    """recv_fds_from() closes the surplus and reports it."""
    client.send_fds_to(b"data", [number] * 3, server.local_addr())
    with pytest.raises(AncillaryTruncated) as caught:
        server.recv_fds_from(100, 1)
    with caught.value.fds as fds:
        assert (caught.value.data, caught.value.lost, len(fds)) == (b"data", 2, 1)


def test_too_many_descriptors_for_an_address(client: UnixDatagram, server: UnixDatagram, number: int) -> None:
    """254 descriptors are refused before the kernel, one that is not open by it, with the address."""
    with pytest.raises(ValueError, match="254 descriptors"):
        client.send_fds_to(b"x", [number] * 254, server.local_addr())
    with pytest.raises(OSError, match=rf"\[Errno {errno.EBADF}\]") as caught:
        client.send_fds_to(b"x", [1_000_000], server.local_addr())
    assert caught.value.filename == str(server.local_addr())
    assert server.try_recv(1) is None


def test_no_ancillary_to_an_address(client: UnixDatagram, server: UnixDatagram) -> None:
    """Only a SocketAncillary is one."""
    with pytest.raises(TypeError, match="SocketAncillary"):
        client.send_ancillary_to([b"x"], None, server.local_addr())  # type: ignore[arg-type]
    assert server.try_recv(1) is None
