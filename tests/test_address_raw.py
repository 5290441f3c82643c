"""Addresses in memory: struct sockaddr_un as it is given to the kernel and as it is read back.

Rule: the length counts, and nothing outside of the memory is read.
"""

from __future__ import annotations

import os
import socket

import pytest
import support
from address_samples import addresses, samples
from hypothesis import given, settings
from hypothesis import strategies as st

from uds_cffi import AddressError, UnixDatagram, UnixSocketAddr, ffi, lib

MAX_PATH = UnixSocketAddr.max_path_len()
OFFSET = ffi.offsetof("struct sockaddr_un", "sun_path")

modest = settings(deadline=None, max_examples=40)


@modest
@given(address=addresses)
def test_raw_round_trip(address):
    """``as_raw`` gives a struct and its length, and ``from_raw`` reads them back."""
    sockaddr, length = address.as_raw()
    assert ffi.typeof(sockaddr) is ffi.typeof("struct sockaddr_un *")
    assert sockaddr.sun_family == lib.AF_UNIX
    assert length <= ffi.sizeof("struct sockaddr_un")
    assert UnixSocketAddr.from_raw(sockaddr, length) == address
    assert address.as_raw()[0] != sockaddr


def test_raw_is_what_the_kernel_takes(short_dir):
    """The struct and its length bind a socket by the low-level call, under the same name."""
    for address in samples(short_dir):
        with UnixDatagram.unbound() as sock:
            assert lib.uds_bind(sock.fileno(), *address.as_raw()) == 0
            assert sock.local_addr() == address


def test_raw_is_a_copy(socket_path):
    """Whoever writes into the struct of ``as_raw`` does not change the address."""
    address = UnixSocketAddr(socket_path)
    ffi.memmove(address.as_raw()[0].sun_path, b"\xff\xff", 2)
    with UnixDatagram.bind(address) as sock:
        ffi.memmove(address.as_raw()[0].sun_path, b"\xff\xff", 2)
        assert sock.local_addr() == address
        assert UnixSocketAddr.from_raw(*address.as_raw()) == UnixSocketAddr(socket_path)


def raw(family: int, sun_path: bytes) -> tuple[object, int]:
    memory = ffi.new("unsigned char[]", 256)
    ffi.cast("struct sockaddr_un *", memory).sun_family = family
    ffi.memmove(memory + OFFSET, sun_path, len(sun_path))
    return memory, OFFSET + len(sun_path)


@pytest.mark.parametrize("padding", [b"", b"\0", b"\0" * 30, b"\0junk"], ids=repr)
def test_padded_paths(padding):
    """A path ends at its first NUL, with as many behind it as the system writes."""
    assert UnixSocketAddr.from_raw(*raw(lib.AF_UNIX, b"/x" + padding)) == UnixSocketAddr("/x")


def test_raw_path_beyond_the_struct():
    """A name that a system reports is read whole, also when it is longer than what can be bound here."""
    address = UnixSocketAddr.from_raw(*raw(lib.AF_UNIX, b"/" * 150))
    assert address.name == b"/" * 150
    with pytest.raises(AddressError, match="is 150 bytes long; the limit is 108"):
        address.as_raw()


def test_length_beyond_the_struct(short_dir):
    """A length that is larger than a plain sockaddr_un, as the kernel reports it, reads nothing outside of it."""
    name = os.path.join(short_dir, "x" * 200)[:MAX_PATH]
    sockaddr, length = ffi.new("struct sockaddr_un *"), ffi.new("socklen_t *", ffi.sizeof("struct sockaddr_un"))
    with UnixDatagram.bind(name) as sock:
        assert lib.uds_getsockname(sock.fileno(), sockaddr, length) == 0
    assert length[0] == ffi.sizeof("struct sockaddr_un") + 1
    assert UnixSocketAddr.from_raw(sockaddr, length[0]) == UnixSocketAddr(name)
    # What lies behind the struct would be seen in an array of two.
    two = ffi.new("struct sockaddr_un[2]")
    two[0] = sockaddr[0]
    two[1].sun_family = lib.AF_UNIX
    ffi.memmove(two[1].sun_path, b"secret", 6)
    assert UnixSocketAddr.from_raw(ffi.addressof(two, 0), 2 * ffi.sizeof(two[0])) == UnixSocketAddr(name)


@pytest.mark.parametrize("length", [0, 1, OFFSET])
def test_short_lengths_are_unnamed(length):
    """A length that leaves nothing of sun_path is the unnamed address, also without any memory."""
    assert UnixSocketAddr.from_raw(ffi.NULL, length).is_unnamed
    assert UnixSocketAddr.from_raw(raw(lib.AF_UNIX, b"/x")[0], length).is_unnamed


def test_null_is_refused():
    """No name is read from no memory."""
    support.python(
        "-c",
        "import uds_cffi\n"
        "try: uds_cffi.UnixSocketAddr.from_raw(uds_cffi.ffi.NULL, 5)\n"
        "except uds_cffi.AddressError: pass\n"
        "else: raise SystemExit('not refused')",
    )


def test_other_families_are_refused():
    """An address of another family is no Unix address, and the error names the family."""
    family = int(socket.AF_INET)
    with pytest.raises(AddressError, match=rf"address family {family} is not AF_UNIX \({lib.AF_UNIX}\)"):
        UnixSocketAddr.from_raw(*raw(family, b"/x"))


@pytest.mark.parametrize("arguments", [("/x", 5), (None, 5), (b"\1\0/x", 4), (ffi.NULL, "5")], ids=repr)
def test_raw_is_memory(arguments):
    """``from_raw`` takes a pointer and an int, and nothing else."""
    with pytest.raises(TypeError):
        UnixSocketAddr.from_raw(*arguments)


@modest
@given(sun_path=st.binary(min_size=1, max_size=200))
def test_arbitrary_memory(sun_path):
    """Whatever a system reports is read as a path up to its NUL, or as a name in all its bytes."""
    address = UnixSocketAddr.from_raw(*raw(lib.AF_UNIX, sun_path))
    if sun_path[0]:
        assert (address.kind, address.name) == ("path", sun_path.partition(b"\0")[0])
    elif UnixSocketAddr.has_abstract_addresses():
        assert (address.kind, address.name) == ("abstract", sun_path[1:])
    else:
        # Some systems report the name of a peer without one as zeros.
        assert address.is_unnamed


def test_negative_length():
    """A length below zero is refused before anything is read."""
    with pytest.raises(AddressError, match="cannot have -1 bytes"):
        UnixSocketAddr.from_raw(raw(lib.AF_UNIX, b"/x")[0], -1)
