"""The control-buffer parser on arbitrary bytes and arbitrary messages.

Rule: a walk trusts no length.  Whatever the bytes are, it ends, it moves forward, and nothing outside is read.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from uds_cffi import OwnedFds, ScmCredentials, ScmRights, SocketAncillary, UnknownControlMessage, ffi, lib
from uds_cffi.control import RIGHTS, decode, items

HEADER = lib.CMSG_LEN(0)
C_INTS = st.integers(-(2**31), 2**31 - 1)
LENGTHS = st.one_of(st.integers(0, 64), st.integers(0, 2**64 - 1), st.sampled_from([2**31, 2**32, 2**63, 2**64 - 1]))
quick = settings(deadline=None, max_examples=50)


def header_bytes(length: int, level: int, type_: int) -> bytes:
    """Lay out a header as C does, with a length that may be a lie."""
    header = ffi.new("struct cmsghdr *")
    length_type = ffi.typeof("struct cmsghdr").fields[0][1].type
    header.cmsg_len = ffi.cast(length_type, length)
    header.cmsg_level, header.cmsg_type = level, type_
    return bytes(ffi.buffer(header))


def hostile() -> Any:
    """Build buffers out of headers that lie, and rubbish."""
    header = st.builds(header_bytes, LENGTHS, C_INTS, C_INTS)
    return st.lists(st.one_of(header, st.binary(max_size=24)), max_size=8).map(b"".join)


BUFFERS = st.one_of(st.binary(max_size=200), hostile())


def exact(data: bytes) -> Any:
    """Put bytes into C memory that ends where they end."""
    memory = ffi.new("char[]", max(len(data), 1))
    ffi.memmove(memory, data, len(data))
    return memory


@quick
@given(BUFFERS, st.integers(0, 300))
def test_walk_stays_inside_and_moves_forward(data: bytes, begin: int) -> None:
    """Each item lies within the buffer, and the next one begins behind its header, until the end."""
    control = exact(data)
    item = ffi.new("struct uds_control_item *")
    item.next = begin
    position = begin
    while lib.uds_control_next(control, len(data), item):
        assert item.offset == position + HEADER
        assert item.offset + item.size <= len(data)
        assert position + HEADER <= item.next <= len(data)
        position = item.next
    # At the end there is no room for a header, or one that claims less than its own size.
    room = len(data) - position
    if room >= HEADER:
        header = ffi.new("struct cmsghdr *")
        ffi.memmove(header, data[position : position + ffi.sizeof("struct cmsghdr")], ffi.sizeof("struct cmsghdr"))
        assert header.cmsg_len < HEADER


@quick
@given(BUFFERS)
def test_items_are_slices_of_the_buffer(data: bytes) -> None:
    """items() returns pieces of what is there."""
    for _, _, piece in items(exact(data), len(data)):
        assert piece in data


@quick
@given(BUFFERS | st.integers(1, 40).map(lambda size: header_bytes(size, *RIGHTS) + bytes(40) + header_bytes(99, 1, 1)))
def test_copy_leaves_out_descriptors(data: bytes) -> None:
    """A copy reads as what it was made of, without the items of passed descriptors, and is no longer."""
    into = exact(bytes(len(data)))
    used = lib.uds_control_copy(exact(data), len(data), into)
    assert used <= len(data)
    assert items(into, used) == [item for item in items(exact(data), len(data)) if item[:2] != RIGHTS]


@quick
@given(BUFFERS, st.integers(-(2**63), 2**63 - 1))
def test_walk_from_anywhere_ends(data: bytes, begin: int) -> None:
    """A beginning outside of the buffer is its end."""
    item = ffi.new("struct uds_control_item *")
    item.next = begin % 2**64
    result = lib.uds_control_next(exact(data), len(data), item)
    assert result == 0 or begin + HEADER <= len(data)


@quick
@given(BUFFERS, st.booleans())
def test_decoding_arbitrary_bytes(data: bytes, invented: bool) -> None:
    """Whatever the bytes are, each item becomes a value."""
    for message in decode(items(exact(data), len(data)), None, invented):
        assert isinstance(message, (ScmRights, ScmCredentials, UnknownControlMessage))


MESSAGES = st.lists(st.tuples(C_INTS, C_INTS, st.binary(max_size=40)), max_size=6)


@quick
@given(MESSAGES, st.integers(0, 300))
def test_what_is_added_is_read_back(messages: list[tuple[int, int, bytes]], capacity: int) -> None:
    """Items that fit are read back as they were; one that does not fit changes nothing."""
    control = exact(bytes(capacity))
    length = 0
    kept = []
    for level, type_, data in messages:
        before = bytes(ffi.buffer(control, capacity))
        added = lib.uds_control_add(control, capacity, length, level, type_, data, len(data))
        if length + lib.CMSG_SPACE(len(data)) <= capacity:
            assert added == length + lib.CMSG_SPACE(len(data))
            length = added
            kept.append((level, type_, data))
        else:
            assert added == -errno.ENOBUFS
            assert bytes(ffi.buffer(control, capacity)) == before
    assert items(control, length) == kept


@quick
@given(st.integers(0, 64), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_adding_with_impossible_lengths(capacity: int, length: int, size: int) -> None:
    """Lengths that are not within the buffer, or would overflow, are refused before anything is copied."""
    control = exact(bytes(capacity))
    if length <= capacity and lib.CMSG_SPACE(min(size, 1000)) <= capacity - length:
        size = min(size + 1000, 2**64 - 1)
    assert lib.uds_control_add(control, capacity, length, 1, 1, ffi.NULL, size) == -errno.ENOBUFS


@quick
@given(MESSAGES, st.integers(0, 300))
def test_ancillary_follows_the_same_rules(messages: list[tuple[int, int, bytes]], capacity: int) -> None:
    """SocketAncillary.add() says whether it fits, counts padded bytes, and messages() shows what was added."""
    ancillary = SocketAncillary(capacity)
    kept = []
    for level, type_, data in messages:
        before = len(ancillary)
        fits = before + lib.CMSG_SPACE(len(data)) <= capacity
        assert ancillary.add(level, type_, data) is fits
        assert len(ancillary) == before + (lib.CMSG_SPACE(len(data)) if fits else 0)
        if fits:
            kept.append(UnknownControlMessage(level, type_, data))
    shown = [message for message in ancillary.messages() if isinstance(message, UnknownControlMessage)]
    assert shown == kept


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.one_of(st.integers(0, 4), st.binary(max_size=12)), max_size=5),
    st.floats(0, 1),
    st.integers(0, 6),
    st.booleans(),
)
def test_claiming_loses_and_doubles_nothing(parts: list[Any], cut: float, most: int, drop: bool) -> None:
    """Of descriptors in a buffer that ends anywhere, those that are whole are kept or closed, and no other."""
    read, write = os.pipe()
    os.close(write)
    control = ffi.new("char[]", 2048)
    length = 0
    numbers = []
    for part in parts:
        if isinstance(part, int):
            some = [os.dup(read) for _ in range(part)]
            numbers += some
            data = bytes(ffi.buffer(ffi.new("int[]", some)))
            length = lib.uds_control_add(control, 2048, length, *RIGHTS, data, len(data))
        else:
            length = lib.uds_control_add(control, 2048, length, 12345, 1, part, len(part))
        assert length > 0
    end = int(length * cut)
    whole = sum(len(data) // 4 for level, type_, data in items(control, end) if (level, type_) == RIGHTS)
    fds = OwnedFds._with_slots()
    closed = lib.uds_control_claim(control, end, ffi.NULL if drop else fds._slots, most)
    kept = 0 if drop else min(most, whole)
    fds._count = kept
    with fds:
        assert closed == whole - kept
        assert fds.numbers() == numbers[:kept]
        assert [os.path.exists(f"/dev/fd/{number}") for number in numbers] == [
            place < kept or place >= whole for place in range(len(numbers))
        ]
    for number in numbers[whole:]:
        os.close(number)
    os.close(read)
