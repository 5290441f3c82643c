"""Slots for received descriptors, and the control buffer that they come out of.

Rule: memory of zeros has no slot in use; a number is in one place at a time; a walk over a control buffer trusts no
length in it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys

import pytest
import support
from handles import new_handle
from hypothesis import example, given, settings
from hypothesis import strategies as st

from uds_cffi import ffi, lib

INT = ffi.sizeof("int")
MOST = lib.UDS_SCM_MAX_FD


def new_fds():
    return ffi.new("struct uds_fds *")


@contextlib.contextmanager
def slots(count):
    """Yield slots with that many open descriptors, and their numbers; close what is left."""
    fds = new_fds()
    numbers = [os.dup(0) for _ in range(count)]
    for number in numbers:
        assert lib.uds_fds_adopt(fds, number) == 0
    try:
        yield fds, numbers
    finally:
        lib.uds_fds_close(fds, 0)


# --- Slots --------------------------------------------------------------------------------------


def test_empty_slots():
    """Memory of zeros owns nothing, and says so."""
    fds = new_fds()
    assert fds.count == 0
    assert lib.uds_fds_number(fds, 0, 0) == -errno.EBADF
    assert lib.uds_fds_number(fds, 0, -1) == -errno.EBADF
    assert lib.uds_fds_take(fds, 0, 0, new_handle()) == -errno.EBADF
    assert lib.uds_fds_detach(fds, 0, ffi.new("int[]", 1)) == 0
    assert lib.uds_fds_move(fds, 0, 0, 0, new_fds()) == 0
    assert lib.uds_fds_close(fds, 0) == 0


def test_adopt():
    """Slots take numbers until all are in use, and refuse what is no number."""
    fds = new_fds()
    assert lib.uds_fds_adopt(fds, -1) == -errno.EBADF
    for number in range(MOST):
        # Not open, and never closed below.
        assert lib.uds_fds_adopt(fds, 10**6 + number) == 0
    assert lib.uds_fds_adopt(fds, 0) == -errno.ENOBUFS
    numbers = ffi.new("int[]", MOST)
    assert lib.uds_fds_detach(fds, 0, numbers) == MOST
    assert ffi.unpack(numbers, MOST) == [10**6 + number for number in range(MOST)]


def test_number_and_take():
    """A descriptor is taken out once, into an empty handle, and keeps its number."""
    with slots(3) as (fds, numbers):
        handle, other = new_handle(), new_handle()
        assert [lib.uds_fds_number(fds, 0, place) for place in range(4)] == [*numbers, -errno.EBADF]
        assert lib.uds_fds_take(fds, 0, 1, handle) == 0
        assert lib.uds_handle_fileno(handle) == numbers[1]
        assert lib.uds_fds_number(fds, 0, 1) == -errno.EBADF
        assert lib.uds_fds_take(fds, 0, 1, other) == -errno.EBADF
        assert lib.uds_fds_take(fds, 0, 3, other) == -errno.EBADF
        assert lib.uds_fds_take(fds, 0, -1, other) == -errno.EBADF
        assert lib.uds_fds_take(fds, 0, 0, handle) == -errno.EBUSY
        assert lib.uds_fds_number(fds, 0, 0) == numbers[0]
        assert lib.uds_fds_close(fds, 0) == 2
        assert [support.is_open(number) for number in numbers] == [False, True, False]
        assert lib.uds_handle_close(handle) == 0


def test_number_on_its_way():
    """Nobody else finds a number that another thread is moving, and waiting for it has an end."""
    with slots(2) as (fds, numbers):
        # As the other thread leaves the slot for a few instructions, and a fork in between for ever.
        second = ffi.cast("uint32_t *", fds) + 2 + 2 * 1
        low = second + (0 if sys.byteorder == "little" else 1)
        assert low[0] == numbers[1] + 1
        low[0] = 0xFFFFFFFF
        assert lib.uds_fds_number(fds, 0, 1) == lib.uds_fds_take(fds, 0, 1, new_handle()) == -errno.EBADF
        assert lib.uds_fds_close(fds, 0) == 1
        assert [support.is_open(number) for number in numbers] == [False, True]
    os.close(numbers[1])


@pytest.mark.parametrize(("first", "count"), [(0, 4), (1, 2), (3, 1), (4, 0), (0, 0)])
def test_move(first, count):
    """A run of slots moves into empty ones, and the others stay."""
    with slots(4) as (fds, numbers):
        into = new_fds()
        assert lib.uds_fds_move(fds, 0, first, count, into) == 0
        assert into.count == count
        assert [lib.uds_fds_number(into, 0, place) for place in range(count)] == numbers[first : first + count]
        if count:
            assert lib.uds_fds_move(fds, 0, 0, 1, into) == -errno.EBUSY
        assert lib.uds_fds_close(into, 0) == count
        assert lib.uds_fds_close(fds, 0) == 4 - count


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (0, -1), (0, 5), (4, 1), (5, 0), (1, 2**31 - 1)])
def test_move_of_what_is_not_there(first, count):
    """A run that is not within the slots in use changes nothing."""
    with slots(4) as (fds, numbers):
        into = new_fds()
        assert lib.uds_fds_move(fds, 0, first, count, into) == -errno.EINVAL
        assert into.count == 0
        assert [lib.uds_fds_number(fds, 0, place) for place in range(4)] == numbers


def test_detach():
    """What is left goes to the caller, in order, and is not closed."""
    with slots(3) as (fds, numbers):
        handle = new_handle()
        lib.uds_fds_take(fds, 0, 0, handle)
        lib.uds_handle_close(handle)
        room = ffi.new("int[]", 3)
        assert lib.uds_fds_detach(fds, 0, room) == 2
        assert ffi.unpack(room, 2) == numbers[1:]
        assert lib.uds_fds_close(fds, 0) == 0
        for number in numbers[1:]:
            assert support.is_open(number)
            os.close(number)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.booleans(), min_size=1, max_size=12))
@example([True, False, True, True, False])
def test_close_closes_all_that_is_left_and_nothing_else(taken):
    """Runs of following numbers are closed in one call, and what lies between them is not touched."""
    with slots(len(taken)) as (fds, numbers):
        handles = []
        for place, out in enumerate(taken):
            if out:
                handles.append(new_handle())
                assert lib.uds_fds_take(fds, 0, place, handles[-1]) == 0
        assert lib.uds_fds_close(fds, 0) == taken.count(False)
        assert [support.is_open(number) for number in numbers] == taken
        for handle in handles:
            assert lib.uds_handle_close(handle) == 0


def test_closed_slots_belong_to_another_message():
    """After a close the slots have another generation: what means the earlier one finds nothing, and one may reuse."""
    with slots(2) as (fds, _):
        assert lib.uds_fds_close(fds, 0) == 2
        assert lib.uds_fds_close(fds, 0) == -errno.EBADF
        assert fds.count == 0
        number = os.dup(0)
        assert lib.uds_fds_adopt(fds, number) == 0
        handle = new_handle()
        assert lib.uds_fds_number(fds, 0, 0) == lib.uds_fds_take(fds, 0, 0, handle) == -errno.EBADF
        assert lib.uds_fds_move(fds, 0, 0, 1, new_fds()) == -errno.EINVAL
        assert lib.uds_fds_detach(fds, 0, ffi.new("int[]", 1)) == 0
        assert lib.uds_fds_close(fds, 0) == -errno.EBADF
        assert lib.uds_fds_number(fds, 1, 0) == number
        assert lib.uds_fds_close(fds, 1) == 1
        assert not support.is_open(number)


def test_generation_begins_anew():
    """The generation is 32 bits wide; behind the last one comes the first."""
    fds = new_fds()
    ffi.cast("unsigned int *", fds)[0] = 2**32 - 1
    number = os.dup(0)
    assert lib.uds_fds_adopt(fds, number) == 0
    assert lib.uds_fds_close(fds, 2**32 - 1) == 1
    assert lib.uds_fds_close(fds, 0) == 0


def test_memory_that_is_freed():
    """Freeing slots or a handle closes what is left in it."""
    numbers = [os.dup(0), os.dup(0)]
    fds = ffi.cast("struct uds_fds *", lib.uds_allocate(ffi.sizeof("struct uds_fds")))
    assert lib.uds_fds_adopt(fds, numbers[0]) == 0
    lib.uds_fds_free(fds)
    handle = ffi.cast("struct uds_handle *", lib.uds_allocate(ffi.sizeof("struct uds_handle")))
    assert lib.uds_handle_adopt(handle, numbers[1], 0) == 0
    lib.uds_handle_free(handle)
    assert not any(support.is_open(number) for number in numbers)


def test_memory_is_aligned():
    """Memory has room for numbers that need 8 bytes at a multiple of 8, is zeros, and can be given back."""
    memory = lib.uds_allocate(24)
    assert int(ffi.cast("uintptr_t", memory)) % 8 == 0
    assert bytes(ffi.buffer(memory, 24)) == bytes(24)
    lib.uds_free(memory)


def test_memory_that_is_not_there():
    """More memory than there can be is NULL."""
    assert lib.uds_allocate(2 ** (8 * ffi.sizeof("size_t")) - 1) == ffi.NULL


def test_close_range_is_a_constant():
    """Whether close_range(2) was there to be used is known, and absent in the minimal build."""
    assert lib.UDS_HAS_CLOSE_RANGE in (0, 1)
    assert not (lib.UDS_MINIMAL_BUILD and lib.UDS_HAS_CLOSE_RANGE)


# --- The control buffer -------------------------------------------------------------------------


def items(control, length):
    found = []
    item = ffi.new("struct uds_control_item *")
    while lib.uds_control_next(control, length, item):
        assert item.offset + item.size <= length
        found.append((item.level, item.type, bytes(ffi.buffer(control + item.offset, item.size))))
    return found


def test_empty_control_buffer():
    """There is no first item in nothing."""
    assert items(ffi.new("char[]", 1), 0) == []
    assert lib.uds_control_next(ffi.new("char[]", 64), 64, ffi.new("struct uds_control_item *")) == 0
    assert lib.uds_control_claim(ffi.NULL, 0, ffi.NULL, 0) == 0


def test_copy_of_a_control_buffer_that_was_cut():
    """Items are copied as they are, also a cut one at the end, and those of passed descriptors are not."""
    control, length = ffi.new("char[]", 256), 0
    for kind, data in (
        (lib.SCM_RIGHTS, b"\xff" * 12),
        (77, b"first"),
        (lib.SCM_RIGHTS, b"\xff" * 4),
        (78, b""),
        (79, b"last one"),
    ):
        length = lib.uds_control_add(control, 256, length, lib.SOL_SOCKET, kind, data, len(data))
    into = ffi.new("char[]", 256)
    for cut in range(length + 1):
        used = lib.uds_control_copy(control, cut, into)
        assert items(into, used) == [item for item in items(control, cut) if item[1] != lib.SCM_RIGHTS]
    assert items(into, used) == [
        (lib.SOL_SOCKET, 77, b"first"),
        (lib.SOL_SOCKET, 78, b""),
        (lib.SOL_SOCKET, 79, b"last one"),
    ]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1), st.binary(max_size=40)),
        max_size=6,
    )
)
def test_what_is_added_is_found(added):
    """Items come back as they were added, in order, and take the space that CMSG_SPACE says."""
    capacity = sum(lib.CMSG_SPACE(len(data)) for _, _, data in added)
    control = ffi.new("char[]", max(capacity, 1))
    length = 0
    for level, kind, data in added:
        longer = lib.uds_control_add(control, capacity, length, level, kind, data, len(data))
        assert longer == length + lib.CMSG_SPACE(len(data))
        length = longer
    assert length == capacity
    assert items(control, length) == added


def test_add_what_does_not_fit():
    """An item that does not fit changes nothing."""
    capacity = lib.CMSG_SPACE(4)
    control = ffi.new("char[]", capacity)
    assert lib.uds_control_add(control, capacity - 1, 0, 1, 2, b"data", 4) == -errno.ENOBUFS
    assert lib.uds_control_add(control, capacity, capacity + 1, 1, 2, b"data", 4) == -errno.ENOBUFS
    assert lib.uds_control_add(control, capacity, 0, 1, 2, b"data", 2**31) == -errno.ENOBUFS
    assert bytes(ffi.buffer(control)) == bytes(capacity)
    assert lib.uds_control_add(control, capacity, 0, 1, 2, b"data", 4) == capacity
    before = bytes(ffi.buffer(control))
    assert lib.uds_control_add(control, capacity, capacity, 1, 2, b"", 0) == -errno.ENOBUFS
    assert bytes(ffi.buffer(control)) == before


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=120))
def test_walk_trusts_no_length(data):
    """Arbitrary bytes end the walk sooner or later, and no item reaches beyond them."""
    control = ffi.new("char[]", max(len(data), 1))
    ffi.memmove(control, data, len(data))
    found = items(control, len(data))
    assert len(found) * lib.CMSG_LEN(0) <= len(data)


@pytest.mark.parametrize("claimed", [0, 1, lib.CMSG_LEN(0) - 1])
def test_header_that_is_shorter_than_a_header(claimed):
    """A length that cannot be ends the walk."""
    control = ffi.new("char[]", 64)
    header = ffi.cast("struct cmsghdr *", control)
    header.cmsg_len = claimed
    assert items(control, 64) == []


def test_header_that_claims_too_much():
    """A length beyond the buffer is cut at its end."""
    control = ffi.new("char[]", 64)
    header = ffi.cast("struct cmsghdr *", control)
    header.cmsg_len = 2**31 - 1
    header.cmsg_level, header.cmsg_type = 7, 8
    assert items(control, 40) == [(7, 8, bytes(40 - lib.CMSG_LEN(0)))]


def rights(numbers, extra=b""):
    data = bytes(ffi.buffer(ffi.new("int[]", numbers))) + extra if numbers else extra
    capacity = lib.CMSG_SPACE(len(data))
    control = ffi.new("char[]", capacity)
    assert lib.uds_control_add(control, capacity, 0, lib.SOL_SOCKET, lib.SCM_RIGHTS, data, len(data)) == capacity
    return control, capacity


@pytest.mark.parametrize(("most", "kept"), [(5, 3), (3, 3), (2, 2), (0, 0)])
def test_claim(most, kept):
    """Descriptors move from the buffer into slots, at most so many; the others are closed and counted."""
    numbers = [os.dup(0) for _ in range(3)]
    control, length = rights(numbers)
    fds = new_fds()
    assert lib.uds_control_claim(control, length, fds, most) == 3 - kept
    assert fds.count == kept
    assert [support.is_open(number) for number in numbers] == [True] * kept + [False] * (3 - kept)
    # In the buffer no number is left that somebody could mistake for one of his own.
    assert items(control, length)[0][2] == b"\xff" * (3 * INT)
    assert lib.uds_control_claim(control, length, fds, MOST) == 0
    assert lib.uds_fds_close(fds, 0) == kept


def test_claim_without_slots():
    """Where nobody wants descriptors they are closed."""
    numbers = [os.dup(0) for _ in range(2)]
    control, length = rights(numbers)
    assert lib.uds_control_claim(control, length, ffi.NULL, MOST) == 2
    assert not any(support.is_open(number) for number in numbers)


def test_claim_ignores_half_a_number():
    """Bytes that are no whole number are left alone, and so is what is negative."""
    number = os.dup(0)
    control, length = rights([-1, number], b"\0\0")
    fds = new_fds()
    assert lib.uds_control_claim(control, length, fds, MOST) == 0
    assert lib.uds_fds_number(fds, 0, 0) == number
    assert fds.count == 1
    assert lib.uds_fds_close(fds, 0) == 1
