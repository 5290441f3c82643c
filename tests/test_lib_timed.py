"""Calls that need a timeout of the kernel's own: the first keeps what it was, the last restores it."""

from __future__ import annotations

import errno
import os
import threading

import pytest
import support

from uds_cffi import ffi, lib

NAME = lib.SO_RCVTIMEO


def timeout_of(handle):
    value = ffi.new("int64_t *")
    assert lib.uds_handle_get_timeout(handle, NAME, value) == 0
    return value[0]


@pytest.fixture
def handle():
    """Make a socket whose timeout is two seconds."""
    made = ffi.new("struct uds_handle *")
    assert lib.uds_handle_socket(made, lib.SOCK_STREAM, 0) == 0
    assert lib.uds_handle_set_timeout(made, NAME, 2_000_000) == 0
    yield made
    lib.uds_handle_close(made)


@pytest.fixture
def timed():
    """Make what counts the calls."""
    return ffi.new("struct uds_timed *")


def enter(timed, handle):
    """Count a call in, which then sets a timeout of its own."""
    counted = ffi.new("int *")
    assert lib.uds_timed_enter(timed, handle, NAME, counted) == 0
    assert counted[0] > 0
    assert lib.uds_handle_set_timeout(handle, NAME, 7_000_000) == 0
    return counted


def test_last_call_restores_the_timeout(timed, handle):
    """However many calls there are, the timeout is restored by the last, once."""
    first, second = enter(timed, handle), enter(timed, handle)
    assert lib.uds_timed_calls(timed) == 2
    assert lib.uds_timed_leave(timed, handle, NAME, first) == 0
    assert lib.uds_timed_leave(timed, handle, NAME, first) == 0
    assert lib.uds_timed_calls(timed) == 1
    assert timeout_of(handle) == 7_000_000
    assert lib.uds_timed_leave(timed, handle, NAME, second) == 0
    assert lib.uds_timed_calls(timed) == 0
    assert timeout_of(handle) == 2_000_000


def test_closed_socket_is_not_counted(timed, handle):
    """A call that cannot learn the timeout is not counted; one that cannot restore it says so, and is counted out."""
    counted = enter(timed, handle)
    lib.uds_handle_close(handle)
    assert lib.uds_timed_leave(timed, handle, NAME, counted) == -errno.EBADF
    assert lib.uds_timed_calls(timed) == 0
    assert lib.uds_timed_enter(timed, handle, NAME, counted) == -errno.EBADF
    assert counted[0] == lib.uds_timed_calls(timed) == 0
    assert lib.uds_timed_leave(timed, handle, NAME, counted) == 0


def test_threads_count_exactly(timed, handle):
    """No call is lost when many threads come and go at the same time."""
    barrier = threading.Barrier(4)

    def come_and_go():
        barrier.wait()
        for _ in range(500):
            lib.uds_timed_leave(timed, handle, NAME, enter(timed, handle))

    with support.in_thread(come_and_go), support.in_thread(come_and_go), support.in_thread(come_and_go):
        come_and_go()
    assert lib.uds_timed_calls(timed) == 0
    assert timeout_of(handle) == 2_000_000


def test_child_begins_without_the_calls_of_its_parent(timed, handle):
    """In the child of a fork the count is 0, and its first call restores what the parent's calls have changed."""
    counted = enter(timed, handle)
    child = support.fork()
    if child == 0:
        problems = 0 if lib.uds_timed_calls(timed) == 0 else 1
        mine = enter(timed, handle)
        problems += 0 if lib.uds_timed_calls(timed) == 1 else 2
        lib.uds_timed_leave(timed, handle, NAME, mine)
        problems += 0 if timeout_of(handle) == 2_000_000 else 4
        # The parent's call is not this process's, also when its frame goes on here.
        lib.uds_timed_leave(timed, handle, NAME, counted)
        problems += 0 if lib.uds_timed_calls(timed) == 0 else 8
        os._exit(problems)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert lib.uds_timed_calls(timed) == 1
    assert lib.uds_timed_leave(timed, handle, NAME, counted) == 0
    assert timeout_of(handle) == 2_000_000


@pytest.mark.many_processes
def test_lock_of_a_thread_that_does_not_exist_here(timed, handle):
    """A fork while other threads are counting leaves the child with a count that it can use."""
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            lib.uds_timed_leave(timed, handle, NAME, enter(timed, handle))

    with support.in_thread(come_and_go), support.in_thread(come_and_go):
        for _ in range(30):
            child = support.fork()
            if child == 0:
                lib.uds_timed_leave(timed, handle, NAME, enter(timed, handle))
                os._exit(0 if timeout_of(handle) in (2_000_000, 7_000_000) else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stop.set()
    assert lib.uds_timed_calls(timed) == 0
