"""The watchers are watched: the census finds what is left, and the helpers report what fails."""

from __future__ import annotations

import gc
import os
import signal
import threading

import blocked
import census
import pytest
import support

import uds_cffi


def test_descriptor_left_open_is_found():
    """A descriptor that was opened and not closed is named with its file."""
    before = census.take()
    fd = os.open("/dev/null", os.O_RDONLY)
    found = census.differences(before)
    os.close(fd)

    assert found == [f"descriptor {fd} was left: /dev/null"]


def test_foreign_descriptor_that_was_closed_is_found():
    """A descriptor that was closed by someone who did not open it is named."""
    fd = os.open("/dev/null", os.O_RDONLY)
    before = census.take()
    os.close(fd)

    assert census.differences(before) == [f"descriptor {fd} is gone: /dev/null"]


def test_number_that_changed_hands_is_found():
    """The same number for another file is a difference."""
    fd = os.open("/dev/null", os.O_RDONLY)
    before = census.take()
    os.close(fd)
    other = os.open("/dev/zero", os.O_RDONLY)
    found = census.differences(before)
    os.close(other)

    assert other == fd
    assert found == [f"descriptor {fd} was /dev/null and is now /dev/zero"]


def test_garbage_is_not_a_leak():
    """What the next collection closes is not reported."""

    class Owner:
        def __init__(self):
            self.fd = os.open("/dev/null", os.O_RDONLY)
            self.itself = self

        def __del__(self):
            os.close(self.fd)

    gc.collect()
    before = census.take()
    Owner()

    assert census.differences(before) == []


def test_thread_left_running_is_found():
    """A thread that outlives its test is named."""
    before = census.take()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="left behind")
    thread.start()
    found = census.differences(before)
    stop.set()
    thread.join()

    assert found == [f"thread {thread.ident} was left: left behind"]


@pytest.mark.parametrize("has_ended", [False, True])
def test_child_left_behind_is_found(has_ended):
    """A child that nobody waited for is named, whether it still runs or not."""
    before = census.take()
    with support.Event() as stop, support.Event() as ended:
        previous = signal.signal(signal.SIGCHLD, lambda *_: ended.set())
        pid = os.fork()
        if pid == 0:
            if not has_ended:
                stop.wait()
            os._exit(0)
        if has_ended:
            # The signal comes when the child can be waited for.
            ended.wait()
        signal.signal(signal.SIGCHLD, previous)
        found = [line for line in census.differences(before) if line.startswith("child")]
        stop.set()
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        # PyPy counts by reaping.
        assert not hasattr(os, "waitid")

    assert len(found) == 1
    assert found[0].startswith(f"child {pid} was left: ")


def test_child_runs_and_ends():
    """A child does its work in another process and leaves nothing."""
    with support.Event() as ran:
        support.run_child(ran.set)
        ran.wait(0)


def test_failure_in_a_child_is_the_parents():
    """An exception in a child is raised in the parent, with the child's traceback."""

    def fail():
        raise ValueError("only here")

    with pytest.raises(AssertionError, match=r"(?s)exited with 1.*in fail.*only here"):
        support.run_child(fail)


def test_child_that_is_killed_is_reported():
    """A child that dies without a word is reported with its signal."""
    with pytest.raises(AssertionError, match="killed by SIGTERM"):
        support.run_child(lambda: os.kill(os.getpid(), signal.SIGTERM))


def test_child_that_hangs_is_killed():
    """A child that does not end in time is killed and reported."""
    with support.Event() as never:
        child = support.Child(never.wait)
        with pytest.raises(AssertionError, match="did not end within"):
            child.join(0.01)


def test_child_is_killed_when_the_parent_fails():
    """An exception in the parent ends the child at once and is not replaced."""
    with support.Event() as never, pytest.raises(ZeroDivisionError), support.Child(never.wait):
        raise ZeroDivisionError


def test_result_of_a_thread():
    """What a thread returns is there after the block, and what it raises is raised."""
    with support.in_thread(lambda: 1) as outcome:
        pass

    assert outcome == [1]

    def fail():
        raise ValueError("in the thread")

    with pytest.raises(ValueError, match="in the thread"), support.in_thread(fail):
        pass


def test_failure_of_a_thread_ends_a_wait_for_it():
    """What can no longer come true is not waited for, and why it cannot is what is raised."""

    def fail():
        raise ValueError("in the thread")

    with pytest.raises(ValueError, match="in the thread") as caught, support.in_thread(fail):
        support.until(lambda: False)

    assert "nothing is left" in str(caught.value.__context__)


def test_end_of_a_child_ends_a_wait_for_it():
    """The same with a child, while a thread that still runs may yet make it come true."""
    with pytest.raises(AssertionError, match="nothing is left"), support.Child(int):
        support.until(lambda: False)

    with support.Event() as go_on, support.in_thread(go_on.wait) as outcome, support.Child(int):
        with pytest.raises(AssertionError, match="still not so after"):
            support.until(lambda: False, patience=0.05)
        assert not outcome
        go_on.set()
        outcome.wait()
        assert outcome == [None]


def test_running_calls_are_those_that_sleep():
    """A thread counts as waiting in a call when it sleeps there, and not while it sleeps elsewhere."""
    one, two = uds_cffi.UnixStream.pair()
    with one, two, support.Event() as go_on:
        assert blocked.running(one) == 0

        def wait_and_receive():
            go_on.wait()
            return one.recv(1)

        with support.in_thread(wait_and_receive) as outcome:
            assert blocked.running(one) == 0
            go_on.set()
            support.until(lambda: blocked.running(one) == 1)
            two.send(b"x")
            outcome.wait()
            assert blocked.running(one) == 0
    assert outcome == [b"x"]
