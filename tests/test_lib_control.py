"""Control buffers as other systems need them: one item of descriptors, and room for all that a message brings.

Rule: what is made of a control buffer here is what the kernel of Linux makes of it, which this library's users see.
"""

from __future__ import annotations

import errno
import os
import struct

import pytest
import support

from uds_cffi import ffi, lib

INT = ffi.sizeof("int")
RIGHTS = (lib.SOL_SOCKET, lib.SCM_RIGHTS)


def control_of(*items):
    """Return a control buffer that holds these items, and its length."""
    control = ffi.new("char[]", sum(lib.CMSG_SPACE(len(data)) for _, _, data in items) or 1)
    length = 0
    for level, kind, data in items:
        length = lib.uds_control_add(control, len(control), length, level, kind, data, len(data))
        assert length > 0
    return control, length


def items_of(control, length):
    """Return level, type and data of each item."""
    item, found = ffi.new("struct uds_control_item *"), []
    while lib.uds_control_next(control, length, item):
        found.append((item.level, item.type, bytes(ffi.buffer(control + item.offset, item.size))))
    return found


def numbers(*values):
    return struct.pack(f"{len(values)}i", *values)


def united(control, length, capacity=4096):
    into = ffi.new("char[]", capacity)
    used = lib.uds_control_unite(control, length, into, capacity)
    return used if used <= 0 else items_of(into, used)


def test_several_items_of_descriptors_become_one():
    """All descriptors of a message go in one item, the first, in their order; other items follow."""
    other, last = (lib.SOL_SOCKET, 77, b"abc"), (3, 4, b"")
    given = control_of((*RIGHTS, numbers(1, 2)), other, (*RIGHTS, b""), (*RIGHTS, numbers(3)), last)
    assert united(*given) == [(*RIGHTS, numbers(1, 2, 3)), other, last]


@pytest.mark.parametrize("items", [[], [(*RIGHTS, numbers(1, 2))], [(3, 4, b"x"), (*RIGHTS, numbers(1))]])
def test_one_item_of_descriptors_is_left_alone(items):
    """Up to one item of descriptors is sent as it was built."""
    assert united(*control_of(*items)) == 0


def test_what_cannot_be_united_is_refused():
    """Too many descriptors, half a number, a broken item, and too little room are errors."""
    half = control_of((*RIGHTS, numbers(*range(lib.UDS_SCM_MAX_FD))), (*RIGHTS, numbers(1)))
    assert united(*half) == -errno.EINVAL
    assert united(*control_of((*RIGHTS, numbers(1)), (*RIGHTS, b"12345"))) == -errno.EINVAL
    control, length = control_of((*RIGHTS, numbers(1)), (*RIGHTS, numbers(2)), (3, 4, b"x"))
    last = ffi.cast("struct cmsghdr *", control + 2 * lib.CMSG_SPACE(INT))
    last.cmsg_len = 1
    assert united(control, length) == -errno.EINVAL
    two = control_of((*RIGHTS, numbers(1)), (*RIGHTS, numbers(2)))
    assert united(*two, capacity=lib.CMSG_SPACE(2 * INT) - 1) == -errno.ENOBUFS


def fitted(given, capacity):
    """Fit items into a buffer of that size: what is in it, and whether something was cut."""
    into, cut = ffi.new("char[]", max(capacity, 1)), ffi.new("int *")
    used = lib.uds_control_fit(*given, into, capacity, cut)
    assert used <= capacity
    return items_of(into, used), bool(cut[0])


def test_items_that_fit_are_copied():
    """With enough room the copy is the same and nothing is cut."""
    items = [(*RIGHTS, numbers(-1, -1)), (3, 4, b"abcde"), (3, 5, b"")]
    given = control_of(*items)
    assert fitted(given, given[1]) == (items, False)
    assert fitted(control_of(), 0) == ([], False)


def test_descriptors_that_do_not_fit_are_closed():
    """As many descriptors as fit are left open, the others are closed, and the cut is told."""
    opened = [os.dup(0) for _ in range(3)]
    found, cut = fitted(control_of((*RIGHTS, numbers(*opened))), lib.CMSG_LEN(2 * INT) + INT - 1)
    assert (found, cut) == ([(*RIGHTS, numbers(*opened[:2]))], True)
    assert [support.is_open(number) for number in opened] == [True, True, False]
    for number in opened[:2]:
        os.close(number)


@pytest.mark.parametrize("kind", [lib.SCM_RIGHTS, lib.SCM_PIDFD])
@pytest.mark.parametrize("room", [0, 1, lib.CMSG_LEN(0) - 1, lib.CMSG_LEN(0), lib.CMSG_LEN(0) + INT - 1])
def test_no_room_for_a_descriptor(kind, room):
    """Without room for one descriptor there is no item, and it is closed."""
    number = os.dup(0)
    assert fitted(control_of((lib.SOL_SOCKET, kind, numbers(number))), room) == ([], True)
    assert not support.is_open(number)


def test_other_items_are_cut():
    """Of another item as many bytes are kept as fit, as the kernel does, and a header that does not fit is left out."""
    given = control_of((3, 4, b"abcdefgh"), (3, 5, b"x"))
    assert fitted(given, lib.CMSG_LEN(5)) == ([(3, 4, b"abcde")], True)
    assert fitted(given, lib.CMSG_SPACE(8) + lib.CMSG_LEN(0) - 1) == ([(3, 4, b"abcdefgh")], True)


@pytest.mark.parametrize("room", [0, 1, lib.CMSG_LEN(0) - 1])
def test_no_room_for_a_header(room):
    """An item without data is left out too where its header does not fit, and nothing is written behind the room."""
    into, cut = ffi.new("char[]", b"x" * lib.CMSG_SPACE(0)), ffi.new("int *")
    assert lib.uds_control_fit(*control_of((3, 5, b"")), into, room, cut) == 0
    assert (ffi.string(into), cut[0]) == (b"x" * lib.CMSG_SPACE(0), 1)
