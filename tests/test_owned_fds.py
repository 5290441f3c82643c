"""OwnedFds: the set that owns what a receive brought.

Rule: each descriptor has one owner at every moment: the set, then the OwnedFd that was taken from it.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import support

from uds_cffi import OwnedFd, OwnedFds, UnixStream, lib
from uds_cffi import fds as fds_module


@pytest.fixture
def originals(short_dir: str) -> Iterator[list[int]]:
    """Open four different files."""
    numbers = [os.open(os.path.join(short_dir, name), os.O_RDWR | os.O_CREAT) for name in "abcd"]
    yield numbers
    for number in numbers:
        os.close(number)


@pytest.fixture
def fds(originals: list[int]) -> Iterator[OwnedFds]:
    """Receive these four."""
    with pass_on(originals) as received:
        yield received


def pass_on(numbers: list[int] | OwnedFds) -> OwnedFds:
    one, two = UnixStream.pair()
    with one, two:
        one.send_fds(b"x", numbers)
        return two.recv_fds(1, 253)[1]


def test_new_set_is_empty() -> None:
    """A set that no receive has filled is empty, and everything works on it."""
    fds = OwnedFds()
    assert len(fds) == 0
    assert list(fds) == []
    assert fds.numbers() == []
    assert fds.detach() == []
    assert fds[:] == []
    assert repr(fds) == "<OwnedFds []>"
    fds.close()
    with pytest.raises(IndexError, match="descriptor 0 of 0"):
        fds[0]


def test_order_is_the_senders(fds: OwnedFds, originals: list[int]) -> None:
    """The set has all descriptors, in the order in which they were sent."""
    assert len(fds) == 4
    for number, original in zip(fds.numbers(), originals):
        assert number != original
        assert os.path.sameopenfile(number, original)


def test_index_gives_an_owner(fds: OwnedFds) -> None:
    """Indexing gives an OwnedFd with the number that the set had, and still shows."""
    numbers = fds.numbers()
    with fds[1] as owner:
        assert type(owner) is OwnedFd
        assert owner.fileno() == numbers[1]
        assert fds.numbers() == numbers
        assert not is_inheritable(owner)


def is_inheritable(owner: OwnedFd) -> bool:
    return os.get_inheritable(owner.fileno())


def test_same_index_gives_the_same_owner(fds: OwnedFds) -> None:
    """The same index gives the same object, also counted from the end, by slices and by iterating."""
    with fds[2] as owner:
        assert fds[2] is owner
        assert fds[-2] is owner
        assert fds[2:3][0] is owner
        taken = list(fds)
        assert taken[2] is owner
        assert [fds[place] for place in range(4)] == taken
        for other in taken:
            other.close()


def test_taken_owner_survives_the_set(fds: OwnedFds) -> None:
    """close() closes what was not taken, and nothing else."""
    numbers = fds.numbers()
    with fds[1] as owner:
        fds.close()
        assert [support.is_open(number) for number in numbers] == [False, True, False, False]
        assert fds[1] is owner
        assert fds.numbers() == [-1, numbers[1], -1, -1]
        assert len(fds) == 4
    assert not support.is_open(numbers[1])
    assert fds.numbers() == [-1] * 4


def test_closing_twice_changes_nothing(fds: OwnedFds) -> None:
    """A second close() leaves alone what got the numbers since."""
    numbers = fds.numbers()
    fds.close()
    for number in numbers:
        os.dup2(0, number)
    try:
        fds.close()
        assert all(support.is_open(number) for number in numbers)
    finally:
        for number in numbers:
            os.close(number)


def test_numbers_that_do_not_follow_each_other_are_closed(originals: list[int]) -> None:
    """Numbers with gaps between them are closed too, and the ones in the gaps are not."""
    one, two = UnixStream.pair()
    with one, two:
        others = [os.dup(0) for _ in range(6)]
        os.close(others.pop(3))
        os.close(others.pop(0))
        one.send_fds(b"x", originals)
        with two.recv_fds(1, 4)[1] as fds:
            numbers = fds.numbers()
            assert sorted(numbers) != list(range(min(numbers), min(numbers) + 4))
        assert not any(support.is_open(number) for number in numbers)
        for number in others:
            os.close(number)


def test_what_was_closed_cannot_be_taken(fds: OwnedFds) -> None:
    """Indexing what the set has closed is EBADF, each time."""
    fds.close()
    for _ in range(2):
        with pytest.raises(OSError, match=rf"\[Errno {errno.EBADF}\]"):
            fds[0]


@pytest.mark.parametrize("index", [4, -5, 253, -254, 2**70])
def test_index_out_of_range(fds: OwnedFds, index: int) -> None:
    """An index that the set does not have is an IndexError, and takes nothing."""
    with pytest.raises(IndexError, match=rf"descriptor {index} of 4"):
        fds[index]


@pytest.mark.parametrize("index", ["0", None, 1.0])
def test_index_of_another_type(fds: OwnedFds, index: object) -> None:
    """An index is an int or a slice."""
    with pytest.raises(TypeError):
        fds[index]  # type: ignore[call-overload]


def test_slice_takes_those_in_it(fds: OwnedFds) -> None:
    """A slice is a list of owners, with a step and from the end too; the others stay with the set."""
    numbers = fds.numbers()
    taken = fds[::-2]
    assert [owner.fileno() for owner in taken] == [numbers[3], numbers[1]]
    fds.close()
    assert [support.is_open(number) for number in numbers] == [False, True, False, True]
    for owner in taken:
        owner.close()
    assert fds[9:] == []


def test_iterating_takes_one_after_the_other(fds: OwnedFds) -> None:
    """An iteration that stops early leaves the rest with the set."""
    numbers = fds.numbers()
    with next(iter(fds)) as first:
        assert first.fileno() == numbers[0]
        fds.close()
        assert [support.is_open(number) for number in numbers] == [True, False, False, False]


def test_detach_gives_all_numbers_away(fds: OwnedFds) -> None:
    """After detach() the numbers are open and the caller's, and the set is left with nothing to close."""
    numbers = fds.numbers()
    assert fds.detach() == numbers
    fds.close()
    assert fds.detach() == []
    assert fds.numbers() == [-1] * 4
    for number in numbers:
        assert not os.get_inheritable(number)
        os.close(number)


def test_detach_leaves_what_was_taken(fds: OwnedFds) -> None:
    """detach() gives only what no OwnedFd owns."""
    numbers = fds.numbers()
    with fds[0]:
        rest = fds.detach()
        assert rest == numbers[1:]
    for number in rest:
        os.close(number)


def test_set_that_was_sent_on_is_as_before(fds: OwnedFds, originals: list[int]) -> None:
    """Passing the set to a send takes nothing from it: it shows, gives, closes and detaches what it did."""
    numbers = fds.numbers()
    pass_on(fds).close()
    assert fds.numbers() == numbers
    with fds[1] as taken:
        pass_on(fds).close()
        assert taken.fileno() == numbers[1]
        assert fds[1] is taken
        rest = fds.detach()
        assert rest == [numbers[0], *numbers[2:]]
    assert fds.numbers() == [-1] * 4
    for number in rest:
        os.close(number)


def test_set_that_was_sent_on_closes(fds: OwnedFds) -> None:
    """After a send close() closes all but what was taken, and then nothing is left to detach."""
    numbers = fds.numbers()
    pass_on(fds).close()
    with fds[1]:
        fds.close()
        assert [support.is_open(number) for number in numbers] == [False, True, False, False]
        assert fds.detach() == []
        with pytest.raises(OSError, match=rf"\[Errno {errno.EBADF}\]"):
            fds[0]


def test_with_closes(fds: OwnedFds) -> None:
    """A with block yields the set and closes what is left in it."""
    numbers = fds.numbers()
    with fds as inside:
        assert inside is fds
    assert not any(support.is_open(number) for number in numbers)


def test_with_closes_after_an_exception(fds: OwnedFds) -> None:
    """A with block that is left by an exception closes too, and lets the exception through."""
    numbers = fds.numbers()
    with pytest.raises(KeyError), fds:
        raise KeyError("inside")
    assert not any(support.is_open(number) for number in numbers)


def test_forgotten_set_warns_and_is_closed(originals: list[int]) -> None:
    """A set that is collected while it owns something says how much, and closes it."""
    numbers: list[int] = []

    def take_one_of_them() -> OwnedFd:
        fds = pass_on(originals)
        numbers.extend(fds.numbers())
        return fds[3]

    def forget_the_rest() -> OwnedFd:
        taken = take_one_of_them()
        support.collect()
        return taken

    with pytest.warns(ResourceWarning) as warned:
        taken = forget_the_rest()
    with taken:
        assert [str(warning.message) for warning in warned] == [
            f"3 unclosed descriptors of <OwnedFds [{numbers[0]}, {numbers[1]}, {numbers[2]}, -1]>"
        ]
        assert [support.is_open(number) for number in numbers] == [False, False, False, True]


def test_forgotten_set_is_closed_although_the_warning_is_an_error(
    originals: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the warning is turned into does not keep the descriptors open."""
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda problem: reported.append(str(problem.exc_value)))
    numbers: list[int] = []

    def forget() -> None:
        numbers.extend(pass_on(originals).numbers())

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forget()
        support.collect()
    assert [text[:22] for text in reported] == ["4 unclosed descriptors"]
    assert not any(support.is_open(number) for number in numbers)


def test_set_that_owns_nothing_is_collected_in_silence(originals: list[int]) -> None:
    """A set that was emptied, or never filled, does not warn."""
    fds = pass_on(originals)
    for number in fds.detach():
        os.close(number)
    del fds
    OwnedFds()
    OwnedFds.__new__(OwnedFds)
    support.collect()


def test_repr_shows_the_numbers(fds: OwnedFds) -> None:
    """The repr shows the numbers, with -1 for what is gone."""
    fds[0].close()
    assert repr(fds) == f"<OwnedFds {fds.numbers()}>"
    assert repr(fds).startswith("<OwnedFds [-1, ")


# --- The C functions below, which check what they are given --------------------------------------


def test_slots_refuse_what_they_do_not_have(fds: OwnedFds) -> None:
    """The C functions answer EBADF for a slot outside those in use."""
    handle = fds[0]._handle
    for index in (-1, 4, 253):
        assert lib.uds_fds_number(fds._slots, fds._generation, index) == -errno.EBADF
        assert lib.uds_fds_take(fds._slots, fds._generation, index, handle) == -errno.EBADF
    fds[0].close()


def test_slot_keeps_what_a_full_handle_cannot_take(fds: OwnedFds) -> None:
    """Moving a descriptor into a handle that has one is EBUSY, and the slot keeps it."""
    with fds[0] as full:
        number = lib.uds_fds_number(fds._slots, fds._generation, 1)
        assert lib.uds_fds_take(fds._slots, fds._generation, 1, full._handle) == -errno.EBUSY
        assert lib.uds_fds_number(fds._slots, fds._generation, 1) == number


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (0, -1), (5, 0), (3, 2), (0, 2**31 - 1)])
def test_run_outside_the_slots_is_refused(fds: OwnedFds, first: int, count: int) -> None:
    """Moving a run that is not within the slots is EINVAL, and moves nothing."""
    into = OwnedFds._with_slots()
    assert lib.uds_fds_move(fds._slots, fds._generation, first, count, into._slots) == -errno.EINVAL
    assert into._slots.count == 0
    assert all(number >= 0 for number in fds.numbers())


def test_run_into_slots_in_use_is_refused(fds: OwnedFds, originals: list[int]) -> None:
    """Moving onto descriptors would lose them: EBUSY."""
    with pass_on(originals) as into:
        assert lib.uds_fds_move(fds._slots, fds._generation, 0, 2, into._slots) == -errno.EBUSY
        assert all(number >= 0 for number in fds.numbers() + into.numbers())


def test_slots_take_253_and_no_more() -> None:
    """The slots have room for what one message carries; a number that is none is refused."""
    read, write = os.pipe()
    os.close(write)
    with OwnedFds._with_slots() as fds:
        assert lib.uds_fds_adopt(fds._slots, -1) == -errno.EBADF
        assert fds._slots.count == 0
        assert lib.uds_fds_adopt(fds._slots, read) == 0
        for _ in range(252):
            assert lib.uds_fds_adopt(fds._slots, os.dup(read)) == 0
        assert lib.uds_fds_adopt(fds._slots, read) == -errno.ENOBUFS
        assert fds._slots.count == 253


def test_slots_of_a_closed_set_are_used_again(originals: list[int]) -> None:
    """The next message may use the memory of a closed set, which never reaches what is in it now."""
    first = pass_on(originals)
    memory = first._memory
    assert memory is not None
    first.close()
    assert fds_module._spare.count(memory) == 1
    assert memory.generation == first._generation + 1
    sets = [pass_on(originals) for _ in range(len(fds_module._spare))]
    try:
        assert any(each._memory is memory for each in sets)
        # As another thread would see it that had looked at the set before it was closed.
        first._memory = memory
        assert first.numbers() == [-1] * 4
        assert first.detach() == []
        with pytest.raises(OSError, match="Bad file descriptor"):
            first[0]
        first.close()
        assert all(support.is_open(number) for each in sets for number in each.numbers())
    finally:
        for each in sets:
            each.close()


def test_few_slots_are_kept() -> None:
    """However many sets were open at a time, the memory of a few is kept for the next ones."""
    sets = [OwnedFds._with_slots() for _ in range(fds_module._MOST_SPARE + 10)]
    for each in sets:
        each.close()
    assert len(fds_module._spare) == fds_module._MOST_SPARE


def test_slots_are_not_shared_with_a_child(originals: list[int]) -> None:
    """The child of a fork begins without spare slots."""
    pass_on(originals).close()
    assert fds_module._spare

    def child() -> None:
        assert not fds_module._spare

    support.run_child(child)
    assert fds_module._spare
