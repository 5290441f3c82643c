"""Owners: one descriptor, one owner, and no number that is used after it is closed."""

from __future__ import annotations

import copy
import errno
import gc
import os
import pickle
import warnings
import weakref
from typing import Any

import pytest
import support
from blocked import running

from uds_cffi import OwnedFd, OwnedFds, UnixStream, calls
from uds_cffi.owner import Owner


def forget(make: Any, number: int) -> None:
    make(number)
    support.collect()


@pytest.fixture
def owned() -> Any:
    """Own the reading end of a pipe."""
    read, write = os.pipe()
    os.close(write)
    with OwnedFd(read) as owner:
        yield owner


def test_open_owner_tells_its_number(owned: OwnedFd) -> None:
    """An open owner has the number it was given, and is not closed."""
    assert support.is_open(owned.fileno())
    assert owned.closed is False


def test_close_closes_once(owned: OwnedFd) -> None:
    """After close() the number is gone, fileno() is -1, and a second close() touches nothing."""
    number = owned.fileno()
    owned.close()
    assert owned.closed is True
    assert owned.fileno() == -1
    assert not support.is_open(number)
    other = os.dup(0)
    try:
        assert other == number
        owned.close()
        assert support.is_open(other)
    finally:
        os.close(other)


def test_detach_gives_the_number_away(owned: OwnedFd) -> None:
    """After detach() the number is open and the caller's, and the owner is closed."""
    expected = owned.fileno()
    number = owned.detach()
    assert number == expected
    assert owned.closed
    owned.close()
    assert support.is_open(number)
    os.close(number)


def test_detach_of_a_closed_owner_is_refused(owned: OwnedFd) -> None:
    """A closed owner has nothing to give away: EBADF."""
    owned.close()
    with support.raises_errno(errno.EBADF):
        owned.detach()


def test_with_returns_the_owner_and_closes(owned: OwnedFd) -> None:
    """A with block yields the owner itself and closes it at its end."""
    with owned as inside:
        assert inside is owned
        assert not owned.closed
    assert owned.closed


def test_with_closes_after_an_exception(owned: OwnedFd) -> None:
    """A with block that is left by an exception closes too, and lets the exception through."""
    with pytest.raises(KeyError), owned:
        raise KeyError("inside")
    assert owned.closed


def test_forgotten_owner_warns_and_is_closed() -> None:
    """An owner that is collected while open says so with a ResourceWarning, and its descriptor is closed."""
    read, write = os.pipe()
    os.close(write)
    with pytest.warns(ResourceWarning, match=rf"^unclosed <OwnedFd {read}>$"):
        forget(OwnedFd, read)
    assert not support.is_open(read)


@pytest.mark.parametrize("end", ["close", "detach"])
def test_closed_owner_is_collected_in_silence(end: str) -> None:
    """An owner that was closed or detached does not warn, and closes nothing that came later."""
    read, write = os.pipe()
    os.close(write)
    owner = OwnedFd(read)
    getattr(owner, end)()
    if end == "close":
        assert os.dup(0) == read
    del owner
    support.collect()
    assert support.is_open(read)
    os.close(read)


def test_borrower_is_collected_in_silence() -> None:
    """What borrows a descriptor neither warns nor closes it when it is collected."""
    stream, peer = UnixStream.pair()
    with stream, peer:
        borrower = UnixStream.borrow(stream)
        assert borrower.fileno() == stream.fileno()
        del borrower
        support.collect()
        assert support.is_open(stream.fileno())


def test_owner_that_never_got_a_handle_can_be_collected() -> None:
    """An exception before an owner has its handle leaves an object that is collected without a complaint."""
    half_made = OwnedFd.__new__(OwnedFd)
    reference = weakref.ref(half_made)
    del half_made
    support.collect()
    assert reference() is None


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_owner_cannot_be_pickled(owned: OwnedFd, protocol: int) -> None:
    """A descriptor belongs to one process: pickling its owner is a TypeError."""
    with pytest.raises(TypeError, match="cannot pickle or copy OwnedFd"):
        pickle.dumps(owned, protocol)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_owner_cannot_be_copied(owned: OwnedFd, duplicate: Any) -> None:
    """Two objects cannot own one descriptor: copying is a TypeError, and dup() is what makes another."""
    with pytest.raises(TypeError, match="OwnedFd"):
        duplicate(owned)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_set_of_owned_descriptors_cannot_be_copied(duplicate: Any) -> None:
    """Two sets cannot own the same descriptors either."""
    one, two = UnixStream.pair()
    with one, two:
        one.send_fds(b"x", [one])
        _, fds = two.recv_fds(1, 1)
        with fds, pytest.raises(TypeError, match="OwnedFds"):
            duplicate(fds)
    assert isinstance(fds, OwnedFds)


def test_owner_can_be_referenced_weakly(owned: OwnedFd) -> None:
    """Owners have no __dict__, but weak references to them work."""
    assert weakref.ref(owned)() is owned
    assert not hasattr(owned, "__dict__")


def test_detach_is_refused_while_a_call_runs() -> None:
    """A number that another thread's call is using cannot be given away: EBUSY, and the owner keeps it."""
    one, two = UnixStream.pair()
    with one, two:
        with support.in_thread(one.recv, 1) as received:
            support.until(lambda: running(one) == 1)
            with support.raises_errno(errno.EBUSY):
                one.detach()
            assert not one.closed
            two.send(b"x")
        assert received == [b"x"]


def test_close_lets_a_running_call_finish_on_its_number() -> None:
    """A number that a call is using stays open until that call is done, though the owner is closed at once."""
    one, two = UnixStream.pair()
    with one, two:
        number = one.fileno()
        with support.in_thread(one.recv, 1) as received:
            support.until(lambda: running(one) == 1)
            one.close()
            assert one.closed
            assert support.is_open(number)
            with support.raises_errno(errno.EBADF):
                one.recv(1)
            two.send(b"x")
        assert received == [b"x"]
        assert not support.is_open(number)


def test_close_reports_what_the_kernel_says() -> None:
    """A number that was closed behind its owner's back is reported: EBADF from close(2)."""
    read, write = os.pipe()
    os.close(write)
    owner = OwnedFd(read)
    os.close(read)
    with support.raises_errno(errno.EBADF):
        owner.close()
    assert owner.closed


def test_empty_owner_owns_nothing() -> None:
    """An owner that a call was to fill, and did not, is closed and is collected in silence."""
    empty = Owner._empty()
    assert empty.closed
    assert empty.fileno() == -1
    empty.close()


@pytest.mark.parametrize("late", [False, True], ids=["owner first", "handle first"])
def test_memory_outlives_its_owner(late: bool) -> None:
    """In a garbage cycle an owner finds its handle as it was, whichever of them the collector finalizes first."""
    gc.collect()
    handle = calls.new_handle()
    owner = OwnedFd._empty()
    number = os.dup(0)
    if late:
        # The collector finalizes in about the order in which objects were made.
        owner._handle = handle
    del handle
    assert calls.adopt(owner._handle, number, 0) == 0
    cycle: list[Any] = [owner]
    cycle.append(cycle)
    del owner, cycle
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        support.collect()
    # The finalizer of one whose descriptor was gone would not say so.
    assert [str(number) in str(warning.message) for warning in caught] == [True]
    assert not support.is_open(number)
