"""Addresses and the kernel: what is bound, connected and reported, byte for byte.

Rule: a name is what the kernel says it is, in all its bytes.  The low-level calls and the standard library's sockets
are the second opinion.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
from collections.abc import Iterator

import pytest
import support
from address_samples import abstract_names, own_name, samples
from hypothesis import given, settings

from uds_cffi import (
    AddressError,
    FeatureUnavailable,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketConn,
    UnixSeqpacketListener,
    UnixSocketAddr,
    UnixStream,
    ffi,
    lib,
)

HAS_ABSTRACT = UnixSocketAddr.has_abstract_addresses()
MAX_PATH = UnixSocketAddr.max_path_len()
OFFSET = ffi.offsetof("struct sockaddr_un", "sun_path")

modest = settings(deadline=None, max_examples=25)


def kernel_says(fd: int, room: int = 256) -> tuple[int, bytes]:
    """Return what getsockname(2) reports: the length, and the bytes of sun_path in it."""
    memory = ffi.new("unsigned char[]", room)
    length = ffi.new("socklen_t *", room)
    assert lib.uds_getsockname(fd, ffi.cast("struct sockaddr_un *", memory), length) == 0
    return length[0], bytes(ffi.buffer(memory, min(length[0], room)))[OFFSET:]


def meet(address: UnixSocketAddr, kind: str) -> tuple[UnixSocketAddr, UnixSocketAddr]:
    """Bind a receiver to the address, let a client reach it, and return the name as both ends see it."""
    if kind == "datagram":
        with UnixDatagram.bind(address) as receiver, UnixDatagram.connect(address) as client:
            client.send(b"x")
            assert receiver.recv_from(9) == (b"x", False, UnixSocketAddr.unnamed())
            return receiver.local_addr(), client.peer_addr()
    listening, connection = {
        "stream": (UnixListener, UnixStream),
        "seqpacket": (UnixSeqpacketListener, UnixSeqpacketConn),
    }[kind]
    with listening.bind(address) as listener, connection.connect(address) as client:
        conn, peer = listener.accept(timeout=5)
        with conn:
            assert peer.is_unnamed
            assert conn.local_addr() == address
            return listener.local_addr(), client.peer_addr()


kinds = pytest.mark.parametrize(
    "kind", ["stream", "datagram", pytest.param("seqpacket", marks=support.needs("seqpacket"))]
)


# --- Paths --------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("length", [MAX_PATH, MAX_PATH - 1, MAX_PATH - 2])
def test_longest_paths(kind, length, short_dir):
    """A path that fills sun_path, without room for a NUL, is bound, connected to and reported like a shorter one."""
    name = os.fsencode(short_dir) + b"/"
    name += b"x" * (length - len(name))
    address = UnixSocketAddr(name)

    assert meet(address, kind) == (address, address)
    assert os.listdir(os.fsencode(short_dir)) == [name.rpartition(b"/")[2]]


def test_name_longer_than_the_struct(short_dir):
    """For the longest path the kernel reports more bytes than a sockaddr_un has, and nothing of the name is lost."""
    name = os.path.join(short_dir, "x" * 200)[:MAX_PATH]
    with UnixDatagram.bind(name) as sock:
        length, sun_path = kernel_says(sock.fileno())
        assert length > ffi.sizeof("struct sockaddr_un")
        assert sun_path == name.encode() + b"\0"
        assert sock.local_addr() == UnixSocketAddr(name)


def longest_path(folder: str) -> str:
    """Name a file in the folder whose path is as long as any that the kernel takes for an address."""
    # Some systems take as many bytes as the length of the address, a byte, can count.
    path = f"{folder}/".ljust(255 - OFFSET, "n")
    room = ffi.new("struct sockaddr_un[3]")
    length = lib.uds_sockaddr_fill_long(room, os.fsencode(path), len(path))
    with UnixDatagram.unbound() as sock:
        # The others have the limit of the struct, and so has the minimal build on each.
        if lib.UDS_MINIMAL_BUILD or lib.uds_bind(sock.fileno(), room, length) < 0:
            return path[:MAX_PATH]
    os.unlink(path)
    return path


def test_longest_path_that_the_kernel_takes(short_dir):
    """Who asks for long paths may use all bytes that the kernel takes, and who does not, those of the struct."""
    path = longest_path(short_dir)
    with UnixListener.bind(path, long_path=True) as listener, UnixStream.connect(path, long_path=True) as client:
        # A way round through a directory would be seen in the name.
        assert listener.local_addr().name == client.peer_addr().name == os.fsencode(path)
    for call in (UnixListener.bind, UnixStream.connect):
        with pytest.raises(AddressError, match=rf"is {MAX_PATH + 1} bytes long; the limit is {MAX_PATH}\b"):
            call(f"{short_dir}/".ljust(MAX_PATH + 1, "n"))


@support.lacks("bindat")
def test_path_that_no_kernel_takes(short_dir):
    """One byte more than the kernel takes needs a way round, and the error says which is missing."""
    path = longest_path(short_dir) + "n"
    for call in (UnixListener.bind, UnixStream.connect):
        with pytest.raises(FeatureUnavailable, match="bindat is not available"):
            call(path, long_path=True)
    assert os.listdir(short_dir) == []


@kinds
@pytest.mark.parametrize("name", [b"\xff\xfe", "é\n\\".encode(), b" ", b"@x", b"\x01\x7f"], ids=repr)
def test_odd_file_names(kind, name, short_dir):
    """A file name of any bytes comes back as it was."""
    address = UnixSocketAddr(os.path.join(os.fsencode(short_dir), name))
    assert meet(address, kind) == (address, address)
    assert os.listdir(os.fsencode(short_dir)) == [name]


def test_relative_paths_stay_relative(short_dir, monkeypatch):
    """The kernel keeps a relative path as it was given, and so does the address."""
    monkeypatch.chdir(short_dir)
    for name in ("s", "./t", "../" + os.path.basename(short_dir) + "/u"):
        address = UnixSocketAddr(name)
        assert address.is_relative_path
        assert meet(address, "stream") == (address, address)


def test_only_the_constructor_reads_the_at_sign(short_dir, monkeypatch):
    """Calls that take an address take "@x" for a path."""
    monkeypatch.chdir(short_dir)
    with UnixListener.bind("@x") as listener:
        assert os.listdir() == ["@x"]
        assert listener.local_addr() == UnixSocketAddr.from_path("@x")
        with UnixStream.connect("@x") as conn:
            assert conn.peer_addr().is_path


def test_renamed_file_keeps_its_first_name(socket_path):
    """What is reported is the name that was bound, also after the file was renamed."""
    with UnixListener.bind(socket_path) as listener:
        os.rename(socket_path, socket_path + "2")
        with UnixStream.connect(socket_path + "2") as client:
            assert client.peer_addr() == listener.local_addr() == UnixSocketAddr(socket_path)


def test_sender_with_a_name(short_dir):
    """A datagram comes with the exact name of its sender."""
    to = os.path.join(short_dir, "to")
    sender = UnixSocketAddr(os.path.join(os.fsencode(short_dir), b"\xff" * 150)[:MAX_PATH])
    with UnixDatagram.bind(to) as receiver, UnixDatagram.bind(sender) as client:
        client.send_to(b"x", to)
        assert receiver.recv_from(1).addr == sender
        receiver.send_to(b"y", sender)
        assert client.recv_from(1) == (b"y", False, UnixSocketAddr(to))


def test_client_with_a_name(short_dir):
    """A client that binds first is seen under that name, by accept and as the peer."""
    mine = UnixSocketAddr(os.path.join(short_dir, "c"))
    there = os.path.join(short_dir, "s")
    with UnixListener.bind(there) as listener, UnixStream.connect(there, bind=mine) as client:
        conn, peer = listener.accept(timeout=5)
        with conn:
            assert peer == conn.peer_addr() == client.local_addr() == mine


def test_pairs_have_no_names():
    """Both ends of a pair are unnamed, and so is a socket that was not bound."""
    left, right = UnixStream.pair()
    with left, right, UnixDatagram.unbound() as unbound:
        for address in (left.local_addr(), left.peer_addr(), unbound.local_addr()):
            assert address.is_unnamed
        assert kernel_says(left.fileno()) == (OFFSET, b"")


# --- Abstract names -----------------------------------------------------------------------------


@support.needs("abstract_addresses")
@kinds
@pytest.mark.parametrize("tail", [b"", b"\0", b"\0\0", b"a\0b", b"\0" * 80, b"\xff/@", b"x" * 107], ids=repr)
def test_abstract_names_are_exact(kind, tail):
    """A name with NULs in it or at its end, or of the greatest length, is bound and reported in all its bytes."""
    address = UnixSocketAddr.from_abstract((own_name() + tail)[: UnixSocketAddr.max_abstract_len()])
    assert meet(address, kind) == (address, address)


@support.needs("abstract_addresses")
@modest
@given(tail=abstract_names)
def test_any_abstract_name(tail):
    """Whatever bytes a name has, the kernel has the same ones."""
    address = UnixSocketAddr.from_abstract((own_name() + tail)[: UnixSocketAddr.max_abstract_len()])
    with UnixDatagram.bind(address) as sock:
        assert kernel_says(sock.fileno()) == (OFFSET + len(address.raw_bytes), address.raw_bytes)
        assert sock.local_addr() == address


@support.needs("abstract_addresses")
def test_names_that_differ_in_trailing_nuls_are_different():
    """The length of an abstract name counts: names that differ in their last NULs only are bound side by side."""
    name = own_name()
    with contextlib.ExitStack() as stack:
        addresses = [UnixSocketAddr.from_abstract(name + b"\0" * count) for count in range(3)]
        sockets = [stack.enter_context(UnixDatagram.bind(address)) for address in addresses]
        client = stack.enter_context(UnixDatagram.unbound())
        for index, address in enumerate(addresses):
            client.send_to(b"%d" % index, address)
        assert [sock.recv(9).data for sock in sockets] == [b"0", b"1", b"2"]


@support.needs("abstract_addresses")
def test_empty_abstract_name():
    """The empty abstract name is a name: it is not the unnamed address, and binding it is not autobind."""
    address = UnixSocketAddr.from_abstract(b"")
    seen = []

    def is_free() -> bool:
        # Another run of this test on the same machine has it for a moment.
        try:
            seen.append(meet(address, "datagram"))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True

    support.until(is_free)
    assert seen == [(address, address)]
    assert address != UnixSocketAddr.unnamed()


@support.needs("abstract_addresses")
@kinds
def test_autobind(kind):
    """Binding to the unnamed address gives an abstract name of five digits, under which the socket is reached."""
    bind = {"stream": UnixListener.bind, "datagram": UnixDatagram.bind, "seqpacket": UnixSeqpacketListener.bind}[kind]
    connect = {"stream": UnixStream, "datagram": UnixDatagram, "seqpacket": UnixSeqpacketConn}[kind].connect
    for unnamed in ("", b"", UnixSocketAddr.unnamed()):
        with bind(unnamed) as sock:
            address = sock.local_addr()
            assert re.fullmatch(rb"[0-9a-f]{5}", address.abstract_name)
            with connect(address) as client:
                assert client.peer_addr() == address


@support.needs("abstract_addresses")
def test_autobind_of_what_exists():
    """A client, or a socket that was made without a name, can be given one as well."""
    with UnixDatagram.bind("") as receiver, UnixDatagram.unbound() as sock:
        sock.bind_to("")
        assert len(sock.local_addr().abstract_name) == 5
        with UnixDatagram.connect(receiver.local_addr(), bind="") as client:
            client.send(b"x")
            assert receiver.recv_from(1).addr == client.local_addr()
            assert len(client.local_addr().abstract_name) == 5


# --- The standard library -----------------------------------------------------------------------


@contextlib.contextmanager
def stdlib_socket(name: object = None) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        if name is not None:
            sock.bind(name)
        yield sock


def test_standard_library_takes_it(short_dir):
    """``to_stdlib`` is what ``socket.socket`` takes and reports, and ``from_stdlib`` reads that."""
    for address in samples(short_dir):
        with stdlib_socket(address.to_stdlib()) as sock:
            assert sock.getsockname() == address.to_stdlib()
            assert UnixSocketAddr.from_stdlib(sock.getsockname()) == address
            with UnixDatagram.connect(address) as client:
                assert client.peer_addr() == address
                client.send(b"x")
            _, sender = sock.recvfrom(1)
            assert UnixSocketAddr.from_stdlib(sender).is_unnamed


def test_standard_library_reaches_it(short_dir):
    """What is bound here is sent to from there, and the sender's name is the same in both forms."""
    for index, address in enumerate(samples(short_dir)):
        sender = os.path.join(short_dir, f"from{index}")
        with UnixDatagram.bind(address) as receiver, stdlib_socket(sender) as sock:
            sock.sendto(b"x", address.to_stdlib())
            assert receiver.recv_from(1) == (b"x", False, UnixSocketAddr.from_stdlib(sock.getsockname()))


def test_standard_library_without_a_name():
    """A socket of the standard library without a name has the unnamed address."""
    with stdlib_socket() as sock:
        assert UnixSocketAddr.from_stdlib(sock.getsockname()) == UnixSocketAddr.unnamed()
    assert UnixSocketAddr.unnamed().to_stdlib() == ""


def test_standard_library_text_is_no_abstract_name():
    """A str of the standard library that begins with "@" is a path."""
    assert UnixSocketAddr.from_stdlib("@x") == UnixSocketAddr.from_path("@x")
