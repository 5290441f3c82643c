"""SocketAncillary as it is filled.

Rules, those of Rust's std: len() counts padded space; an add that does not fit returns False and changes nothing; every
add and clear() reset `truncated`.
"""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest
import support

from uds_cffi import (
    Credentials,
    FeatureUnavailable,
    OwnedFd,
    ScmCredentials,
    SocketAncillary,
    UnknownControlMessage,
    ffi,
    lib,
)

# A level that no kernel knows, and so ignores when it is sent.
LEVEL = 12345


def space(fds: int) -> int:
    """Count what so many descriptors take, as C does."""
    return int(lib.CMSG_SPACE(fds * ffi.sizeof("int")))


def ints(*numbers: int) -> bytes:
    return bytes(ffi.buffer(ffi.new("int[]", list(numbers))))


# --- Room ---------------------------------------------------------------------------------------


def test_new_one_is_empty_and_true() -> None:
    """A new buffer has its capacity and nothing in it; it counts as true all the same."""
    ancillary = SocketAncillary(128)
    assert ancillary.capacity == 128
    assert len(ancillary) == 0
    assert ancillary.is_empty is True
    assert ancillary.truncated is False
    assert ancillary.messages() == ()
    assert bool(ancillary) is True
    assert repr(ancillary) == "<SocketAncillary 0 of 128 bytes>"


@pytest.mark.parametrize(
    ("capacity", "expected"),
    [
        (-1, ValueError),
        (2**20 + 1, ValueError),
        (True, TypeError),
        (None, TypeError),
        ("1", TypeError),
        (1.0, TypeError),
    ],
)
def test_bad_capacity(capacity: Any, expected: type[Exception]) -> None:
    """A capacity is an int of bytes, within 0 to what a kernel takes."""
    with pytest.raises(expected, match="capacity"):
        SocketAncillary(capacity)


@pytest.mark.parametrize("capacity", [0, 2**20])
def test_extreme_capacities(capacity: int) -> None:
    """Both ends of the range can be made."""
    assert SocketAncillary(capacity).capacity == capacity


def test_sizes_of_64_bit_linux(number: int) -> None:
    """On 64-bit Linux the sizes are those that Rust's documentation shows: 16, 24, 24, 32, 32, and 32."""
    if ffi.sizeof("struct cmsghdr") != 16:
        assert space(1) == lib.CMSG_SPACE(ffi.sizeof("int"))
        return
    for count, expected in enumerate([16, 24, 24, 32, 32]):
        ancillary = SocketAncillary(128)
        assert ancillary.add_fds([number] * count)
        assert len(ancillary) == expected
    assert SocketAncillary.with_room_for(credentials=True).capacity == 32


@pytest.mark.parametrize("fds", [0, 1, 2, 253])
@pytest.mark.parametrize("credentials", [False, True])
def test_with_room_for(fds: int, credentials: bool) -> None:
    """with_room_for() has exactly the room that the named kinds take, padding included."""
    ancillary = SocketAncillary.with_room_for(fds=fds, credentials=credentials)
    ucred = lib.CMSG_SPACE(ffi.sizeof("struct ucred"))
    assert ancillary.capacity == (space(fds) if fds else 0) + (ucred if credentials else 0)


def test_with_room_for_is_enough(number: int) -> None:
    """What was asked for fits, and nothing else does."""
    ancillary = SocketAncillary.with_room_for(fds=253)
    assert ancillary.add_fds([number] * 253)
    assert len(ancillary) == ancillary.capacity
    assert not ancillary.add(LEVEL, 1, b"")


@pytest.mark.parametrize(
    ("fds", "expected"), [(-1, ValueError), (254, ValueError), (True, TypeError), (None, TypeError)]
)
def test_with_room_for_bad_counts(fds: Any, expected: type[Exception]) -> None:
    """Descriptors are counted by an int within 0 to 253."""
    with pytest.raises(expected):
        SocketAncillary.with_room_for(fds=fds)


def test_kinds_are_named_by_keyword() -> None:
    """with_room_for() takes keywords alone."""
    with pytest.raises(TypeError):
        SocketAncillary.with_room_for(1)  # type: ignore[misc]


# --- Adding -------------------------------------------------------------------------------------


def test_several_adds_append(number: int) -> None:
    """Each add makes a message of its own, behind the earlier ones."""
    ancillary = SocketAncillary(256)
    assert ancillary.add_fds([number])
    assert ancillary.add(LEVEL, 7, b"abc")
    assert ancillary.add_fds([number, number])
    assert len(ancillary) == space(1) + lib.CMSG_SPACE(3) + space(2)
    assert not ancillary.is_empty
    assert ancillary.messages() == (
        UnknownControlMessage(lib.SOL_SOCKET, lib.SCM_RIGHTS, ints(number)),
        UnknownControlMessage(LEVEL, 7, b"abc"),
        UnknownControlMessage(lib.SOL_SOCKET, lib.SCM_RIGHTS, ints(number, number)),
    )


def test_add_that_does_not_fit_changes_nothing(number: int) -> None:
    """A failed add is False, and length and content are as before; something smaller still fits."""
    ancillary = SocketAncillary(space(2) + space(0))
    assert ancillary.add_fds([number, number]) is True
    before = ancillary.messages()
    assert ancillary.add_fds([number]) is False
    assert ancillary.add(LEVEL, 1, b"x") is False
    assert len(ancillary) == space(2)
    assert ancillary.messages() == before
    assert ancillary.add_fds([]) is True
    assert len(ancillary) == ancillary.capacity


def test_nothing_fits_into_no_room(number: int) -> None:
    """Without capacity every add is False."""
    ancillary = SocketAncillary(0)
    assert ancillary.add_fds([]) is False
    assert ancillary.add_fds([number]) is False
    assert ancillary.add(LEVEL, 1, b"") is False
    assert ancillary.is_empty


def test_clear_makes_room_again(number: int) -> None:
    """After clear() the buffer is empty, and takes as much as when it was new."""
    ancillary = SocketAncillary.with_room_for(fds=253)
    assert ancillary.add_fds([number] * 253)
    ancillary.clear()
    assert ancillary.is_empty
    assert ancillary.messages() == ()
    assert ancillary.add_fds([number] * 253)


def test_more_descriptors_than_one_message_carries(number: int) -> None:
    """More than 253 in one ancillary is a ValueError, in one add or in several; False only means "does not fit"."""
    ancillary = SocketAncillary(4096)
    with pytest.raises(ValueError, match="254 descriptors"):
        ancillary.add_fds([number] * 254)
    assert ancillary.add_fds([number] * 250)
    with pytest.raises(ValueError, match="4 descriptors beside 250"):
        ancillary.add_fds([number] * 4)
    assert len(ancillary) == space(250)
    assert ancillary.add_fds([number] * 3)


def test_failed_add_does_not_count(number: int) -> None:
    """Descriptors that did not fit are not counted among the 253."""
    ancillary = SocketAncillary(space(150))
    assert ancillary.add_fds([number] * 10)
    for _ in range(3):
        assert not ancillary.add_fds([number] * 150)
    assert ancillary.add_fds([number] * 100)


@pytest.mark.parametrize("bad", [[True], ["3"], [None], [1.5], 3, None, b"3", "3"])
def test_adding_what_is_no_descriptor(bad: Any) -> None:
    """What is no iterable of descriptors is a TypeError, and nothing was added."""
    ancillary = SocketAncillary(128)
    with pytest.raises(TypeError):
        ancillary.add_fds(bad)
    assert ancillary.is_empty


def test_adding_closed_descriptors(number: int) -> None:
    """A closed owner is EBADF, a negative number a ValueError, and nothing was added."""
    ancillary = SocketAncillary(128)
    owner = OwnedFd(os.dup(number))
    owner.close()
    with pytest.raises(OSError, match=rf"\[Errno {errno.EBADF}\]"):
        ancillary.add_fds([number, owner])
    with pytest.raises(ValueError, match="descriptor 0 is -1"):
        ancillary.add_fds([-1])
    assert ancillary.is_empty


def test_add_of_any_kind_takes_any_bytes() -> None:
    """add() takes bytes-like data, also of wider items; the bytes are copied."""
    ancillary = SocketAncillary(256)
    data = bytearray(b"abcd")
    assert ancillary.add(LEVEL, 1, data)
    assert ancillary.add(LEVEL, 2, memoryview(data).cast("I"))
    data[:] = b"zzzz"
    assert [message.data for message in ancillary.messages()] == [b"abcd", b"abcd"]


@pytest.mark.parametrize(
    ("level", "type_", "data"), [("1", 1, b""), (1, None, b""), (1, 1, "text"), (1, 1, 5), (1, 1, None)]
)
def test_add_of_wrong_types(level: Any, type_: Any, data: Any) -> None:
    """A level and a type are ints, and data is bytes."""
    ancillary = SocketAncillary(128)
    with pytest.raises(TypeError):
        ancillary.add(level, type_, data)
    assert ancillary.is_empty


@pytest.mark.parametrize(("level", "type_"), [(2**31, 1), (1, -(2**31) - 1)])
def test_add_of_numbers_that_are_no_c_int(level: int, type_: int) -> None:
    """A level and a type fit into a C int."""
    with pytest.raises(ValueError, match="does not fit into a C int"):
        SocketAncillary(128).add(level, type_, b"")


def test_descriptors_as_bytes_are_descriptors(pair: tuple[Any, Any], number: int) -> None:
    """SCM_RIGHTS given to add() counts among the 253, and is sent as such; what is no whole int is refused."""
    one, two = pair
    ancillary = SocketAncillary(4096)
    assert ancillary.add(lib.SOL_SOCKET, lib.SCM_RIGHTS, ints(number, number))
    with pytest.raises(ValueError, match="9 bytes are no whole number"):
        ancillary.add(lib.SOL_SOCKET, lib.SCM_RIGHTS, ints(number, number) + b"\0")
    assert ancillary.add(lib.SOL_SOCKET, lib.SCM_RIGHTS, b"")
    assert len(ancillary) == space(2) + space(0)
    with pytest.raises(ValueError, match="252 descriptors beside 2"):
        ancillary.add(lib.SOL_SOCKET, lib.SCM_RIGHTS, ints(number) * 252)
    one.send_ancillary([b"x"], ancillary)
    result = two.recv_fds(1, 10)
    with result[-1] as fds:
        assert len(fds) == 2


# --- Credentials --------------------------------------------------------------------------------


@support.needs("credentials")
def test_adding_credentials() -> None:
    """Credentials take the padded room of a struct ucred, and are shown as what they are."""
    ancillary = SocketAncillary.with_room_for(credentials=True)
    assert ancillary.add_creds(Credentials(1, 2, 3)) is True
    assert len(ancillary) == ancillary.capacity
    assert ancillary.messages() == (ScmCredentials(1, 2, 3),)
    assert ancillary.add_creds(Credentials()) is False
    assert ancillary.messages() == (ScmCredentials(1, 2, 3),)


@support.lacks("credentials")
def test_adding_credentials_where_they_are_absent() -> None:
    """A build without credentials per message says so, and adds nothing."""
    ancillary = SocketAncillary(128)
    with pytest.raises(FeatureUnavailable) as caught:
        ancillary.add_creds(Credentials())
    assert (caught.value.feature, caught.value.reason) == ("credentials", "not built")
    assert ancillary.is_empty


@pytest.mark.parametrize("bad", [None, (1, 2, 3), 7, ScmCredentials(1, 2, 3)])
def test_adding_what_is_no_credentials(bad: Any) -> None:
    """Only a Credentials is one; the received kind is another type."""
    with pytest.raises(TypeError, match="a Credentials is needed"):
        SocketAncillary(128).add_creds(bad)
