"""PidFd: one process for ever, and what the kernel knows of it.

Rule: the kernel's word is compared with what the process says of itself; kernels that say less are played by replacing
the call.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import Process

from uds_cffi import FeatureUnavailable, OwnedFd, PidFd, PidFdInfo, UnixStream, ffi, lib, pidfd

needs_pidfd = support.needs("pidfd")
needs_info = support.needs("pidfd_info")


@pytest.fixture
def mine() -> Iterator[PidFd]:
    """Own a pidfd of this process."""
    with PidFd.from_pid(os.getpid()) as owner:
        yield owner


# --- Making one ---------------------------------------------------------------------------------


@needs_pidfd
def test_from_pid() -> None:
    """A pidfd is an OwnedFd, close-on-exec, of the process that was asked for."""
    with PidFd.from_pid(os.getpid()) as me:
        assert isinstance(me, OwnedFd)
        assert me.kind() == "pidfd"
        assert not os.get_inheritable(me.fileno())
        assert me.pid() == os.getpid()
        assert repr(me) == f"<PidFd {me.fileno()} pid={os.getpid()}>"
    assert repr(me) == "<PidFd closed>"


@pytest.mark.parametrize("pid", [None, "1", 1.0, True])
def test_pid_is_an_int(pid: Any) -> None:
    """A pid of another type is refused before the kernel is asked."""
    with pytest.raises(TypeError, match="a pid is an int, not"):
        PidFd.from_pid(pid)


@pytest.mark.parametrize("pid", [0, -1, 2**31])
def test_pid_is_positive(pid: int) -> None:
    """What cannot be a pid is refused before the kernel is asked."""
    with pytest.raises(ValueError, match="within 1 to 2147483647, not"):
        PidFd.from_pid(pid)


@needs_pidfd
def test_nobody_has_the_pid() -> None:
    """A pid of nobody is ProcessLookupError."""
    with pytest.raises(ProcessLookupError):
        PidFd.from_pid(2**31 - 1)


@needs_pidfd
def test_old_kernel_cannot_open_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without the system call lacks the feature."""
    monkeypatch.setattr(pidfd, "pidfd_open", lambda into, pid: -errno.ENOSYS)
    with pytest.raises(FeatureUnavailable) as caught:
        PidFd.from_pid(os.getpid())
    assert (caught.value.feature, caught.value.reason) == ("pidfd", "kernel")


@support.lacks("pidfd")
def test_pidfds_are_not_built(number: int) -> None:
    """Without pidfds none is made, and a descriptor is left where it is."""
    with OwnedFd(os.dup(number)) as owner:
        for make in (lambda: PidFd.from_pid(1), lambda: PidFd(number), owner.as_pidfd):
            with pytest.raises(FeatureUnavailable) as caught:
                make()
            assert (caught.value.feature, caught.value.reason) == ("pidfd", "not built")
        assert not owner.closed
    assert support.is_open(number)


@needs_pidfd
def test_taking_over(mine: PidFd, number: int) -> None:
    """A number that is a pidfd is taken over; any other is refused and stays the caller's."""
    with PidFd(mine.dup().detach()) as owner:
        assert owner.pid() == os.getpid()
    with pytest.raises(ValueError, match=f"descriptor {number} is no pidfd"):
        PidFd(number)
    assert support.is_open(number)
    with support.raises_errno(errno.EBADF):
        PidFd(owner.fileno())
    with support.raises_errno(errno.EBADF):
        PidFd(1_000_000)
    with pytest.raises(TypeError, match="a descriptor is an int"):
        PidFd("3")  # type: ignore[arg-type]


@needs_pidfd
def test_received_as_any_descriptor(mine: PidFd, number: int) -> None:
    """A pidfd that somebody passed becomes a PidFd; what is none keeps its owner."""
    left, right = UnixStream.pair()
    with left, right:
        left.send_fds(b"x", [mine, number])
        _, fds = right.recv_fds(1, 2)
        with fds:
            passed, other = fds
            with passed.as_pidfd() as owner, other:
                assert type(owner) is PidFd
                assert owner.pid() == os.getpid()
                assert passed.closed
                with pytest.raises(ValueError, match="is no pidfd"):
                    other.as_pidfd()
                assert not other.closed
            with support.raises_errno(errno.EBADF):
                passed.as_pidfd()


@needs_pidfd
def test_dup(mine: PidFd) -> None:
    """A duplicate is a PidFd of the same process."""
    with mine.dup() as copy:
        assert type(copy) is PidFd
        assert copy.fileno() != mine.fileno()
        assert copy.same_process_as(mine)


# --- The pid ------------------------------------------------------------------------------------


@pytest.fixture(params=[None, -errno.ENOTTY, -errno.EINVAL], ids=["this kernel", "before 6.11", "6.11 and 6.12"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Play kernels that know no PIDFD_GET_INFO."""
    if request.param is not None:
        monkeypatch.setattr(pidfd, "pidfd_info", lambda handle, info: request.param)


@needs_pidfd
@pytest.mark.usefixtures("kernel")
def test_pid_until_the_process_is_reaped() -> None:
    """A process has its pid while it lives and as a zombie, and none once it was reaped, on every kernel."""
    with Process() as child:
        assert child.fd.pid() == child.pid
        child.end()
        assert child.fd.wait(support.PATIENCE)
        assert child.fd.pid() == child.pid
        child.reap()
        assert child.fd.pid() is None
        assert repr(child.fd) == f"<PidFd {child.fd.fileno()} pid=None>"


@needs_pidfd
@pytest.mark.parametrize("code", [errno.ESRCH, errno.EREMOTE])
def test_process_that_cannot_be_seen(code: int, mine: PidFd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without a pid here has none, and nothing is known of it."""
    monkeypatch.setattr(pidfd, "pidfd_info", lambda handle, info: -code)
    assert mine.pid() is None
    with pytest.raises(ProcessLookupError):
        mine.info()


@needs_pidfd
def test_pid_that_cannot_be_found_out(mine: PidFd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither the kernel nor /proc can be asked, pid() says why, and the repr says it too."""
    monkeypatch.setattr(pidfd, "pidfd_info", lambda handle, info: -errno.ENOTTY)
    monkeypatch.setattr(pidfd, "pidfd_pid", lambda handle: -errno.ENOENT)
    with support.raises_errno(errno.ENOENT):
        mine.pid()
    assert repr(mine).startswith(f"<PidFd {mine.fileno()} ([Errno {errno.ENOENT}]")


# --- What the kernel knows ----------------------------------------------------------------------


@needs_info
def test_info_of_this_process(mine: PidFd) -> None:
    """The ids are this process's, and it has not ended."""
    info = mine.info()
    assert type(info) is PidFdInfo
    assert (info.pid, info.tgid, info.ppid) == (os.getpid(), os.getpid(), os.getppid())
    assert (info.ruid, info.euid, info.suid) == os.getresuid()
    assert (info.rgid, info.egid, info.sgid) == os.getresgid()
    assert (info.fsuid, info.fsgid) == (os.geteuid(), os.getegid())
    assert info.cgroup_id is None or info.cgroup_id > 0
    assert (info.wait_status, info.exit_code) == (None, None)
    assert info == mine.info()


@needs_info
@pytest.mark.parametrize(("how", "expected"), [(3, 3), (0, 0), (None, -signal.SIGKILL)])
def test_info_after_the_end(how: int | None, expected: int) -> None:
    """How it ended is known once it was reaped, where the kernel tells, and nothing of who it was."""
    with Process(how or 0) as child:
        if how is None:
            child.fd.send_signal(signal.SIGKILL)
        else:
            child.end()
        assert child.fd.wait(support.PATIENCE)
        zombie = child.fd.info()
        assert (zombie.pid, zombie.ruid, zombie.wait_status) == (child.pid, os.getuid(), None)
        status = child.reap()
        try:
            info = child.fd.info()
        except ProcessLookupError:
            pytest.skip("this kernel tells nothing of a process that was reaped")
        assert (info.wait_status, info.exit_code) == (status, expected)
        assert (info.pid, info.tgid, info.ppid, info.ruid, info.fsgid) == (None,) * 5


@needs_info
@settings(deadline=None, max_examples=64)
@given(st.integers(min_value=0, max_value=63))
def test_masks_are_honoured(mask: int) -> None:
    """Only what the mask names is believed, whatever else is in the struct."""

    def fill(handle: Any, info: Any) -> int:
        for place, name in enumerate(pidfd_fields(), 1):
            setattr(info, name, place)
        info.mask = mask
        return 0

    with pytest.MonkeyPatch.context() as patch, PidFd.from_pid(os.getpid()) as mine:
        patch.setattr(pidfd, "pidfd_info", fill)
        told = [getattr(mine.info(), name) for name in PidFdInfo.__slots__]
    bits = [lib.UDS_PIDFD_INFO_PID] * 3 + [lib.UDS_PIDFD_INFO_CREDS] * 8
    bits += [lib.UDS_PIDFD_INFO_CGROUPID, lib.UDS_PIDFD_INFO_EXIT, lib.UDS_PIDFD_INFO_COREDUMP]
    assert told == [place if mask & bit else None for place, bit in enumerate(bits, 1)]


def pidfd_fields() -> list[str]:
    """Return the names of the struct's fields in the order of PidFdInfo."""
    names = [name for name, _ in ffi.typeof("struct uds_pidfd_info").fields if name not in ("mask", "cgroupid")]
    names.insert(names.index("exit_code"), "cgroupid")
    return names


@needs_info
@pytest.mark.parametrize("code", [errno.ENOTTY, errno.EINVAL])
def test_info_on_an_older_kernel(code: int, mine: PidFd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that does not know the question lacks the feature."""
    monkeypatch.setattr(pidfd, "pidfd_info", lambda handle, info: -code)
    with pytest.raises(FeatureUnavailable) as caught:
        mine.info()
    assert (caught.value.feature, caught.value.reason, caught.value.errno) == ("pidfd_info", "kernel", code)


def test_info_is_a_value() -> None:
    """What is not told is None, and the ways of ending are told apart."""
    assert PidFdInfo() == PidFdInfo(*[None] * 14)
    assert PidFdInfo(pid=1) != PidFdInfo(pid=2)
    for status in (0, 256, 9, 9 | 128):
        assert PidFdInfo(wait_status=status).exit_code == os.waitstatus_to_exitcode(status)
    with pytest.raises(AttributeError, match="is immutable"):
        PidFdInfo().pid = 1
