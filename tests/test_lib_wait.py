"""Waiting through handles.

Rule: what poll(2) says is returned, or -errno; a wait is never shorter than it was told.
"""

from __future__ import annotations

import errno
import os
import time

import pytest
from handles import connected_handles, new_handle

from uds_cffi import lib


@pytest.fixture
def pair():
    """Make two connected sockets, nonblocking."""
    with connected_handles(nonblocking=True) as ends:
        yield ends


def test_wait(pair):
    """The events that are there, or 0 when the time is over, which may be no time at all."""
    one, two = pair
    assert lib.uds_handle_wait(two, lib.POLLOUT, -1) == lib.POLLOUT
    assert lib.uds_handle_wait(two, lib.POLLIN, 0) == 0
    begin = time.monotonic()
    assert lib.uds_handle_wait(two, lib.POLLIN, 20_000_000) == 0
    assert 0.02 <= time.monotonic() - begin < 1.0
    lib.uds_handle_send(one, b"x", 1, 0)
    assert lib.uds_handle_wait(two, lib.POLLIN | lib.POLLOUT, -1) == lib.POLLIN | lib.POLLOUT
    lib.uds_handle_close(one)
    seen = lib.uds_handle_wait(two, lib.POLLIN, -1)
    assert seen & lib.POLLIN
    assert seen & lib.POLLHUP
    if lib.UDS_HAS_POLLRDHUP:
        assert seen & lib.POLLRDHUP


def test_wait_of_less_than_a_millisecond_is_a_wait(pair):
    """A fraction of a millisecond is no reason to return before its time."""
    _, two = pair
    begin = time.monotonic()
    for _ in range(10):
        assert lib.uds_handle_wait(two, lib.POLLIN, 500_000) == 0
    assert time.monotonic() - begin >= 0.005


def test_wait_on_a_number_that_somebody_closed():
    """POLLNVAL is -EBADF."""
    handle = new_handle()
    number = os.dup(0)
    assert lib.uds_handle_adopt(handle, number, 0) == 0
    os.close(number)
    assert lib.uds_handle_wait(handle, lib.POLLIN, -1) == -errno.EBADF
    assert lib.uds_handle_close(handle) == -errno.EBADF
