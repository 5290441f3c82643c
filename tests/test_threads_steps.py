"""What another thread does between two steps of a call.

Rule: a whole other call happens at each step in turn, so that nothing is left to chance.  On free-threaded CPython it
may happen there at any time; under a global lock, or as a signal handler, it seldom does.
"""

from __future__ import annotations

import itertools

import pytest
from blocked import KINDS, MARKS
from interrupting import is_overtaken

from uds_cffi import MSG_DONTWAIT

EACH_KIND = pytest.mark.parametrize("kind", [pytest.param(kind, marks=MARKS[kind]) for kind in KINDS])


@EACH_KIND
@pytest.mark.parametrize("direction", ["read", "write"])
@pytest.mark.parametrize(("first", "second"), [(5.0, None), (None, 5.0), (5.0, 7.0)])
def test_timeouts_that_two_threads_set(kind, direction, first, second):
    """A timeout never holds for attempts that block, and none for those that do not: one of the two is set, wholly."""
    for step in itertools.count(1):
        one, two = KINDS[kind].pair()
        with one, two:
            set_timeout = getattr(two, f"set_{direction}_timeout")
            overtaken = is_overtaken(lambda: set_timeout(first), step, lambda: set_timeout(second))  # noqa: B023
            timeout = getattr(two, f"{direction}_timeout")()
            flags = two._recv_flags if direction == "read" else two._send_flags

            assert timeout in (first, second)
            assert bool(flags & MSG_DONTWAIT) == (timeout is not None)
        if not overtaken:
            break
    assert step > 10
