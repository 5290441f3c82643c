"""ScmPidfd where the message carries no pidfd, or what is none, or more than one.

Rule: what the kernel gives instead of a pidfd is an error, and never a descriptor; nothing that came stays open.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st

from uds_cffi import (
    FeatureUnavailable,
    PidFd,
    SocketAncillary,
    UnixDatagram,
    UnknownControlMessage,
    control,
    ffi,
    lib,
)
from uds_cffi.calls import new_handle

needs_pidfd = support.needs("pass_pidfd")


def without_descriptors() -> None:
    import resource

    one, two = UnixDatagram.pair(options={"pass_pidfd": True})
    ancillary = SocketAncillary.with_room_for(fds=1, pidfd=True)
    one.send(b"x")
    resource.setrlimit(resource.RLIMIT_NOFILE, (two.fileno() + 1, two.fileno() + 1))
    received = two.recv_ancillary(10, ancillary)
    (message,) = received.messages
    assert (received.data, message.fd, message.error.errno) == (b"x", None, errno.EMFILE)
    assert received.ancillary_truncated is False
    one.close()
    two.close()


@needs_pidfd
def test_no_descriptor_is_free() -> None:
    """Where no descriptor is free the message says so, and the bytes arrive."""
    support.run_child(without_descriptors)


def buffer_of(*numbers: int) -> tuple[Any, int]:
    """Build a control buffer with a pidfd message for each number."""
    memory, length = ffi.new("char[]", 512), 0
    for number in numbers:
        data = number.to_bytes(4, sys.byteorder, signed=True)
        length = lib.uds_control_add(memory, 512, length, lib.SOL_SOCKET, lib.SCM_PIDFD, data, 4)
    return memory, length


def claim_and_decode(memory: Any, length: int) -> tuple[Any, ...]:
    """Do what a receive does."""
    handle = new_handle()
    assert lib.uds_control_claim_all(memory, length, ffi.NULL, 0, handle) == 0
    return control.decode(control.items(memory, length), None, False, handle)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from([errno.EMFILE, errno.ENFILE, errno.ESRCH, errno.EINVAL, errno.ENOMEM]) | st.integers(2, 4095))
def test_error_instead_of_a_pidfd(code: int) -> None:
    """A negative number is the kernel's error; of a sender that was reaped it is ProcessLookupError on any kernel."""
    (message,) = claim_and_decode(*buffer_of(-code))
    assert message.fd is None
    assert message.error.errno == (errno.ESRCH if code == errno.EINVAL else code)
    if code in (errno.EINVAL, errno.ESRCH):
        assert type(message.error) is ProcessLookupError
    assert repr(message) == f"ScmPidfd(fd=None, error={message.error!r})"


@needs_pidfd
def test_only_one_is_kept() -> None:
    """Of several in one message, which no kernel sends, the first is kept, and the others are closed."""
    with PidFd.from_pid(os.getpid()) as me:
        numbers = [me.dup().detach() for _ in range(3)]
    first, *others = claim_and_decode(*buffer_of(*numbers))
    assert [support.is_open(number) for number in numbers] == [True, False, False]
    assert others == [UnknownControlMessage(lib.SOL_SOCKET, lib.SCM_PIDFD, b"\xff" * 4)] * 2
    with first.fd as sender:
        assert sender.fileno() == numbers[0]


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 3, b"\xff" * 4, b"\0" * 4, b"\xfe" + b"\xff" * 7])
def test_what_is_no_pidfd(data: bytes) -> None:
    """What is malformed, or stands for a pidfd that is not there, is unknown, and not an error of the receive."""
    found = [(lib.SOL_SOCKET, lib.SCM_PIDFD, data)]
    assert control.decode(found, None, False, new_handle()) == (UnknownControlMessage(*found[0]),)


def test_nobody_wants_it(number: int) -> None:
    """Without a place for it the pidfd is closed, and -1 takes its place."""
    copy = os.dup(number)
    memory, length = buffer_of(copy)
    assert lib.uds_control_claim(memory, length, ffi.NULL, 0) == 0
    assert not support.is_open(copy)
    assert control.items(memory, length)[0][2] == b"\xff" * 4


def test_absent(pair: tuple[Any, Any]) -> None:
    """Where the feature is absent, asking for it is FeatureUnavailable."""
    if support.supported("pass_pidfd"):
        pytest.skip(f"{support.FEATURE_SKIP}pass_pidfd is present")
    with pytest.raises(FeatureUnavailable) as caught:
        pair[0].options.pass_pidfd = True
    assert caught.value.feature == "pass_pidfd"
