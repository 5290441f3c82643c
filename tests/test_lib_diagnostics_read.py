"""``lib``: reading what the kernel answers about Unix sockets.

Rule: whatever bytes come in, nothing outside of them is named, and what is malformed is -EBADMSG.
"""

from __future__ import annotations

import errno
import os
import random

import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st
from netlink import (
    AF_UNIX,
    CHANGED,
    DONE,
    ERROR,
    FIELDS,
    ICONS,
    LISTEN,
    MEMINFO,
    MULTI,
    NAME,
    OVERRUN,
    PEER,
    RQLEN,
    SHUTDOWN,
    SOCK_DIAG,
    UID,
    VFS,
    attribute,
    done,
    entry,
    message,
    numbers,
    read,
    refusal,
)

needs_it = support.needs("diagnostics")

NOTHING = dict.fromkeys(FIELDS, 0)


@needs_it
def test_all_attributes():
    """Each attribute is read into its fields; name and clients are places in the data."""
    data = message(
        SOCK_DIAG,
        entry(
            7,
            attribute(NAME, b"/run/x\0"),
            attribute(VFS, numbers(99, 254 << 20 | 3)),
            attribute(PEER, numbers(8)),
            attribute(ICONS, numbers(4, 5, 6)),
            attribute(RQLEN, numbers(10, 20)),
            attribute(MEMINFO, bytes(36)),
            attribute(SHUTDOWN, b"\3"),
            attribute(UID, numbers(1000)),
            attribute(200, b"newer"),
            kind=5,
            state=LISTEN,
            cookie=2**63 + 5,
        ),
    )
    results, diag = read(data + done())
    (found,), last = results
    assert last == 0
    assert diag.ended
    assert not diag.changed
    assert data[found["name"] :][: found["name_size"]] == b"/run/x\0"
    assert data[found["clients"] :][: 4 * found["client_count"]] == numbers(4, 5, 6)
    expected = {
        "inode": 7,
        "type": 5,
        "state": LISTEN,
        "cookie": 2**63 + 5,
        "file": 99,
        "device": os.makedev(254, 3),
        "peer": 8,
        "receive_queue": 10,
        "send_queue": 20,
        "shutdown": 3,
        "uid": 1000,
        "present": 15,
    }
    assert {name: found[name] for name in expected} == expected


@needs_it
def test_nothing_but_the_head():
    """A socket without any attribute is one without anything."""
    results, _ = read(message(SOCK_DIAG, entry(7)) + done())
    assert results == [[{**NOTHING, "inode": 7, "cookie": 1007, "type": 1, "state": 1}], 0]


@needs_it
@pytest.mark.parametrize("most", [1, 2, 3, 5, 8])
def test_as_many_as_there_is_room_for(most):
    """More sockets than there is room for come with the next call, and none is lost."""
    data = b"".join(message(SOCK_DIAG, entry(i, attribute(NAME, b"a" * i))) for i in range(1, 6)) + done()
    results, diag = read(data, most)
    assert [found["inode"] for part in results[:-1] for found in part] == [1, 2, 3, 4, 5]
    assert max(map(len, results[:-1])) == min(most, 5)
    assert results[-1] == 0
    assert diag.ended


@needs_it
def test_a_single_answer_has_no_end_message():
    """A message that is not one of several ends the answer itself."""
    results, diag = read(message(SOCK_DIAG, entry(7), flags=0) + message(SOCK_DIAG, entry(8)))
    assert [found["inode"] for found in results[0]] == [7]
    assert diag.ended


@needs_it
def test_other_messages_are_passed_over():
    """What belongs to another question, and kinds of messages that mean nothing here, are not read."""
    data = message(SOCK_DIAG, entry(1), sequence=2) + done(-5, sequence=9) + message(1, b"") + message(99, b"xyz")
    results, diag = read(data + message(SOCK_DIAG, entry(3)))
    assert [found["inode"] for found in results[0]] == [3]
    assert not diag.ended


@needs_it
def test_a_list_that_changed():
    """A message that says that the list changed is remembered, whichever it is."""
    for data in (message(SOCK_DIAG, entry(1), MULTI | CHANGED) + done(), done(flags=MULTI | CHANGED)):
        _, diag = read(data)
        assert diag.ended
        assert diag.changed


@needs_it
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (refusal(errno.ENOENT), errno.ENOENT),
        (refusal(errno.EINVAL) + message(SOCK_DIAG, entry(1)), errno.EINVAL),
        (done(-errno.ENOMEM), errno.ENOMEM),
        (message(OVERRUN, b""), errno.ENOBUFS),
    ],
)
def test_errors_of_the_kernel(data, code):
    """An error that the kernel reports, by itself or at the end of a list, is the result."""
    assert read(data)[0] == [-code]


@needs_it
def test_an_end_without_an_error():
    """An acknowledgement, and an end without a number in it, are the end and no error."""
    for data in (refusal(0), message(DONE, b"")):
        results, diag = read(data)
        assert results == [0]
        assert diag.ended


MALFORMED = {
    "part of a header": b"\x10\0\0\0\x14\0",
    "length 0": message(SOCK_DIAG, entry(1), length=0),
    "shorter than a header": message(SOCK_DIAG, entry(1), length=15),
    "longer than the data": message(SOCK_DIAG, entry(1), length=33),
    "huge": message(SOCK_DIAG, entry(1), length=0xFFFFFFFF),
    "no socket": message(SOCK_DIAG, b""),
    "part of a socket": message(SOCK_DIAG, entry(1)[:15]),
    "another family": message(SOCK_DIAG, entry(1, family=2)),
    "attribute of length 0": message(SOCK_DIAG, entry(1, attribute(NAME, b"abcd", 0))),
    "attribute of length 3": message(SOCK_DIAG, entry(1, attribute(NAME, b"abcd", 3))),
    "attribute longer than the message": message(SOCK_DIAG, entry(1, attribute(NAME, b"abcd", 9))),
    "part of an attribute": message(SOCK_DIAG, entry(1, b"\x08\0")),
    "short file": message(SOCK_DIAG, entry(1, attribute(VFS, bytes(7)))),
    "short peer": message(SOCK_DIAG, entry(1, attribute(PEER, bytes(3)))),
    "short queues": message(SOCK_DIAG, entry(1, attribute(RQLEN, bytes(7)))),
    "short shutdown": message(SOCK_DIAG, entry(1, attribute(SHUTDOWN, b""))),
    "short user": message(SOCK_DIAG, entry(1, attribute(UID, bytes(2)))),
    "error without a number": message(ERROR, b"\xff"),
    "error that is none": refusal(-5),
    "error out of range": refusal(4096),
}


@needs_it
@pytest.mark.parametrize("data", MALFORMED.values(), ids=list(MALFORMED))
def test_malformed(data):
    """Lengths that lie, and what is too short for what it should be, are -EBADMSG."""
    assert read(data)[0] == [-errno.EBADMSG]


@needs_it
def test_larger_attributes_are_those_of_a_newer_kernel():
    """An attribute may be longer than what is known of it."""
    grown = [attribute(kind, numbers(1, 2, 3, 4)) for kind in (VFS, PEER, RQLEN, SHUTDOWN, UID)]
    (found,), last = read(message(SOCK_DIAG, entry(1, *grown)))[0]
    assert (found["file"], found["peer"], found["send_queue"], found["uid"], last) == (1, 1, 2, 1, 0)


def check_places(data: bytes, results: list, diag: object) -> None:
    assert diag.place <= diag.size == len(data)
    assert isinstance(results[-1], int)
    assert -4095 <= results[-1] <= 0
    for part in results[:-1]:
        for found in part:
            assert found["name"] + found["name_size"] <= len(data)
            assert found["clients"] + 4 * found["client_count"] <= len(data)


@needs_it
@given(st.binary(max_size=120), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_any_bytes(data, most):
    """Whatever the bytes, reading ends, and names no place outside of them."""
    check_places(data, *read(data, most))


attributes = st.builds(
    attribute, st.integers(0, 9), st.binary(max_size=24), st.one_of(st.none(), st.none(), st.integers(0, 70))
)
messages = st.builds(
    message,
    st.sampled_from([SOCK_DIAG, SOCK_DIAG, SOCK_DIAG, DONE, ERROR, 1]),
    st.builds(
        lambda inode, found, family: entry(inode, *found, family=family),
        st.integers(0, 2**32 - 1),
        st.lists(attributes, max_size=4),
        st.sampled_from([AF_UNIX, AF_UNIX, AF_UNIX, 2]),
    ),
    st.sampled_from([0, MULTI, MULTI, MULTI | CHANGED]),
    st.sampled_from([1, 1, 1, 2]),
    st.one_of(st.none(), st.none(), st.none(), st.integers(0, 300)),
)


@needs_it
@given(st.lists(messages, max_size=5), st.integers(0, 40), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_damaged_messages(parts, cut, most):
    """Messages with lying lengths, cut anywhere: reading ends, and names no place outside of them."""
    data = b"".join(parts)
    data = data[: len(data) - cut]
    check_places(data, *read(data, most))


@needs_it
def test_flipped_bits():
    """A real answer with any byte changed: reading ends, and names no place outside of it."""
    good = message(SOCK_DIAG, entry(7, attribute(NAME, b"/x\0"), attribute(ICONS, numbers(1, 2)))) + done()
    rng = random.Random(7)
    for place in range(len(good)):
        data = bytearray(good)
        data[place] = rng.choice([0, 255, data[place] ^ 1, data[place] ^ 128])
        check_places(bytes(data), *read(bytes(data)))
