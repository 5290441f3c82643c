"""Pidfds, the peer's, and the file of a bound socket, as `lib` has them.

Rule: a descriptor is born in a handle that is known to be empty, or not at all; what this build does not have is
-ENOSYS.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import support
from handles import connected_handles, new_handle
from hypothesis import given, settings
from hypothesis import strategies as st

from uds_cffi import ffi, lib

built = pytest.mark.skipif(not lib.UDS_HAS_PIDFD, reason=f"{support.FEATURE_SKIP}pidfd is absent")
not_built = pytest.mark.skipif(bool(lib.UDS_HAS_PIDFD), reason=f"{support.FEATURE_SKIP}pidfd is present")


def flags_of(handle: Any) -> int:
    return lib.uds_fcntl(lib.uds_handle_fileno(handle), lib.F_GETFD, 0)


@pytest.fixture
def mine() -> Iterator[Any]:
    """Hold a pidfd of this process."""
    handle = new_handle()
    assert lib.uds_handle_pidfd_open(handle, os.getpid()) == 0
    yield handle
    lib.uds_handle_close(handle)


@pytest.fixture
def pair() -> Iterator[tuple[Any, Any]]:
    """Two connected stream sockets in handles."""
    with connected_handles() as ends:
        yield ends


# --- Pidfds -------------------------------------------------------------------------------------


@built
def test_open(mine: Any) -> None:
    """A pidfd is close-on-exec from birth, and its pid is the one that was asked for."""
    assert flags_of(mine) == lib.FD_CLOEXEC
    assert lib.uds_pidfd_check(lib.uds_handle_fileno(mine)) == 0
    assert lib.uds_handle_pidfd_pid(mine) == os.getpid()


@built
@pytest.mark.parametrize(("pid", "code"), [(0, errno.EINVAL), (-1, errno.EINVAL), (2**31 - 1, errno.ESRCH)])
def test_open_of_nobody(pid: int, code: int) -> None:
    """A pid that is no process's opens nothing."""
    handle = new_handle()
    assert lib.uds_handle_pidfd_open(handle, pid) == -code
    assert lib.uds_handle_fileno(handle) == -1


@built
def test_open_into_a_handle_in_use(mine: Any) -> None:
    """What cannot be stored is closed, and the handle keeps what it has."""
    number = lib.uds_handle_fileno(mine)
    assert lib.uds_handle_pidfd_open(mine, os.getpid()) == -errno.EBUSY
    assert lib.uds_handle_fileno(mine) == number


@built
def test_check_of_what_is_no_pidfd(number: int) -> None:
    """Another descriptor is -EINVAL, and a number that is not open -EBADF."""
    read, write = os.pipe()
    os.close(write)
    assert lib.uds_pidfd_check(read) == lib.uds_pidfd_check(number) == -errno.EINVAL
    os.close(read)
    assert lib.uds_pidfd_check(read) == -errno.EBADF


@built
def test_info(mine: Any) -> None:
    """What is asked for and more is filled in, and the mask says what; a descriptor of something else is refused."""
    if not support.supported("pidfd_info"):
        pytest.skip(f"{support.FEATURE_SKIP}pidfd_info is absent")
    info = ffi.new("struct uds_pidfd_info *")
    info.ppid = 12345
    assert lib.uds_handle_pidfd_info(mine, info) == 0
    assert info.mask & lib.UDS_PIDFD_INFO_PID
    assert (info.pid, info.tgid, info.ppid, info.euid) == (os.getpid(), os.getpid(), os.getppid(), os.geteuid())
    other = new_handle()
    read, write = os.pipe()
    os.close(write)
    assert lib.uds_handle_adopt(other, read, 0) == 0
    assert lib.uds_handle_pidfd_info(other, info) in (-errno.ENOTTY, -errno.EINVAL)
    assert (info.mask, info.pid) == (0, 0)
    assert lib.uds_handle_pidfd_pid(other) == -errno.EINVAL
    assert lib.uds_handle_close(other) == 0


@built
def test_signal(mine: Any) -> None:
    """Signal 0 asks whether one could be sent; no signal has the number 9999."""
    assert lib.uds_handle_pidfd_signal(mine, 0) == 0
    assert lib.uds_handle_pidfd_signal(mine, 9999) == -errno.EINVAL
    assert max(signal.valid_signals()) <= lib.UDS_LAST_SIGNAL


@built
def test_after_reaping() -> None:
    """A process that was reaped has no pid and takes no signal."""
    handle = new_handle()
    with support.Event() as go, support.Child(go.wait) as child:
        assert lib.uds_handle_pidfd_open(handle, child.pid) == 0
        assert lib.uds_handle_pidfd_pid(handle) == child.pid
        go.set()
    assert lib.uds_handle_pidfd_pid(handle) == 0
    assert lib.uds_handle_pidfd_signal(handle, 0) == -errno.ESRCH
    assert lib.uds_handle_close(handle) == 0


@built
def test_same(mine: Any) -> None:
    """Two pidfds of one process are the same, those of two are not, and other files are not compared."""
    if not support.supported("pidfd_identity"):
        pytest.skip(f"{support.FEATURE_SKIP}pidfd_identity is absent")
    again, parent, pipe = new_handle(), new_handle(), new_handle()
    read, write = os.pipe()
    os.close(write)
    assert lib.uds_handle_adopt(pipe, read, 0) == 0
    assert lib.uds_handle_pidfd_open(again, os.getpid()) == lib.uds_handle_pidfd_open(parent, os.getppid()) == 0
    assert lib.uds_handle_pidfd_same(mine, mine) == lib.uds_handle_pidfd_same(mine, again) == 1
    assert lib.uds_handle_pidfd_same(mine, parent) == 0
    assert lib.uds_handle_pidfd_same(mine, pipe) == lib.uds_handle_pidfd_same(pipe, mine) == -errno.EOPNOTSUPP
    for handle in (again, parent, pipe):
        assert lib.uds_handle_close(handle) == 0
    assert lib.uds_handle_pidfd_same(mine, again) == lib.uds_handle_pidfd_same(again, mine) == -errno.EBADF
    assert lib.uds_handle_users(mine) == 0


@built
def test_closed_handle() -> None:
    """Every question about an empty handle is -EBADF."""
    handle = new_handle()
    info = ffi.new("struct uds_pidfd_info *")
    assert lib.uds_handle_pidfd_signal(handle, 0) == -errno.EBADF
    assert lib.uds_handle_pidfd_info(handle, info) == -errno.EBADF
    assert lib.uds_handle_pidfd_pid(handle) == -errno.EBADF


@not_built
def test_pidfds_are_not_built(number: int) -> None:
    """Without pidfds every call is -ENOSYS, and makes nothing."""
    handle, empty = new_handle(), new_handle()
    info = ffi.new("struct uds_pidfd_info *", {"mask": 31})
    assert lib.uds_handle_adopt(handle, number, 1) == 0
    assert lib.uds_handle_pidfd_open(empty, os.getpid()) == -errno.ENOSYS
    assert lib.uds_pidfd_check(number) == -errno.ENOSYS
    assert lib.uds_handle_pidfd_signal(handle, 0) == -errno.ENOSYS
    assert lib.uds_handle_pidfd_info(handle, info) == -errno.ENOSYS
    assert info.mask == 0
    assert lib.uds_handle_pidfd_pid(handle) == -errno.ENOSYS
    assert lib.uds_handle_pidfd_same(handle, handle) == -errno.ENOSYS
    assert lib.uds_handle_fileno(empty) == -1


# --- The peer's ---------------------------------------------------------------------------------


@support.needs("peer_pidfd")
def test_peer_pidfd(pair: tuple[Any, Any]) -> None:
    """Each call makes a descriptor, close-on-exec; into a handle in use it makes none."""
    one, two = new_handle(), new_handle()
    assert lib.uds_handle_peer_pidfd(pair[0], one) == lib.uds_handle_peer_pidfd(pair[0], two) == 0
    assert lib.uds_handle_fileno(one) != lib.uds_handle_fileno(two)
    assert flags_of(one) == lib.FD_CLOEXEC
    assert lib.uds_handle_pidfd_pid(one) == os.getpid()
    assert lib.uds_handle_peer_pidfd(pair[0], one) == -errno.EBUSY
    for handle in (one, two):
        assert lib.uds_handle_close(handle) == 0
    assert lib.uds_handle_peer_pidfd(one, two) == -errno.EBADF


@support.needs("peer_pidfd")
def test_peer_pidfd_of_nobody() -> None:
    """A socket without a peer has none."""
    alone, into = new_handle(), new_handle()
    assert lib.uds_handle_socket(alone, lib.SOCK_STREAM, 0) == 0
    assert lib.uds_handle_peer_pidfd(alone, into) in (-errno.ENODATA, -errno.ESRCH)
    assert lib.uds_handle_fileno(into) == -1
    assert lib.uds_handle_close(alone) == 0


@pytest.mark.skipif(bool(lib.UDS_HAS_PEER_PIDFD), reason=f"{support.FEATURE_SKIP}peer_pidfd is present")
def test_peer_pidfd_is_not_built(pair: tuple[Any, Any]) -> None:
    """Without the option the call is -ENOSYS, and makes nothing."""
    into = new_handle()
    assert lib.uds_handle_peer_pidfd(pair[0], into) == -errno.ENOSYS
    assert lib.uds_handle_fileno(into) == -1


# --- With a message -----------------------------------------------------------------------------


def control_of(kinds: list[int], numbers: list[int]) -> tuple[Any, int]:
    """Build a control buffer with an item of one number for each kind."""
    memory, length = ffi.new("char[]", 1024), 0
    for kind, number in zip(kinds, numbers):
        data = number.to_bytes(4, sys.byteorder, signed=True)
        length = lib.uds_control_add(memory, 1024, length, lib.SOL_SOCKET, kind, data, 4)
    return memory, length


def content_of(memory: Any, length: int) -> list[int]:
    item, found = ffi.new("struct uds_control_item *"), []
    while lib.uds_control_next(memory, length, item):
        found.append(ffi.cast("int *", memory + item.offset)[0])
    return found


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from([lib.SCM_RIGHTS, lib.SCM_PIDFD]), st.sampled_from([0, -24, -1])), max_size=8),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
)
def test_claim_all(items: list[tuple[int, int]], most: int, wanted: bool, in_use: bool) -> None:
    """The first pidfd goes into an empty handle, descriptors into slots, the rest is closed, and errors stay."""
    kinds = [kind for kind, _ in items]
    # 0 stands for a descriptor of its own.
    numbers = [os.dup(0) if number == 0 else number for _, number in items]
    handle, fds = new_handle(), ffi.new("struct uds_fds *")
    if in_use:
        assert lib.uds_handle_adopt(handle, os.dup(0), 0) == 0
    before = lib.uds_handle_fileno(handle)
    memory, length = control_of(kinds, numbers)
    rights = [number for kind, number in zip(kinds, numbers) if kind == lib.SCM_RIGHTS and number >= 0]
    pidfds = [number for kind, number in zip(kinds, numbers) if kind != lib.SCM_RIGHTS and number >= 0]
    kept = pidfds[:1] if wanted and not in_use else []

    closed = lib.uds_control_claim_all(memory, length, fds, most, handle if wanted else ffi.NULL)

    assert closed == len(rights) - fds.count
    assert [lib.uds_fds_number(fds, 0, place) for place in range(fds.count)] == rights[:most]
    assert lib.uds_handle_fileno(handle) == (kept[0] if kept else before)
    expected = [number if number < 0 else 0 if number in kept else -1 for number in numbers]
    assert content_of(memory, length) == expected
    assert [support.is_open(number) for number in rights + pidfds] == [
        number in rights[:most] + kept for number in rights + pidfds
    ]
    lib.uds_fds_close(fds, 0)
    lib.uds_handle_close(handle)


def test_claim_of_an_item_of_two() -> None:
    """An item of two numbers, which no kernel sends, is no pidfd: both are closed, and none is in the handle."""
    handle, memory = new_handle(), ffi.new("char[]", 64)
    numbers = [os.dup(0), os.dup(0)]
    data = ffi.new("int[]", numbers)
    length = lib.uds_control_add(memory, 64, 0, lib.SOL_SOCKET, lib.SCM_PIDFD, data, ffi.sizeof(data))
    assert lib.uds_control_claim_all(memory, length, ffi.NULL, 0, handle) == 0
    assert lib.uds_handle_fileno(handle) == -1
    assert not any(map(support.is_open, numbers))
    assert content_of(memory, length) == [-1]


@support.needs("pass_pidfd")
@pytest.mark.parametrize("wanted", [True, False])
def test_receive_with_a_pidfd(pair: tuple[Any, Any], wanted: bool) -> None:
    """A receive puts the sender's pidfd into the receiver's handle, or closes it, also with uds_receive_fds()."""
    on, memory, control = ffi.new("int *", 1), ffi.new("char[]", 8), ffi.new("char[]", 256)
    assert lib.uds_handle_setsockopt(pair[1], lib.SOL_SOCKET, lib.SO_PASSPIDFD, on, 4) == 0
    handle = new_handle()
    receiver = ffi.new("struct uds_receiver *", {"handle": pair[1], "data": memory, "size": 8})
    receiver.control, receiver.control_size = control, 256
    receiver.pidfd = handle if wanted else ffi.NULL
    before = os.listdir("/proc/self/fd")
    for receive in (lib.uds_receive_packed, lib.uds_receive_message, lib.uds_receive_fds):
        assert lib.uds_handle_send(pair[0], b"x", 1, 0) == receive(receiver) == 1
        assert content_of(control, receiver.control_length) == [0 if wanted else -1]
        if wanted:
            assert lib.uds_handle_pidfd_pid(handle) == os.getpid()
            assert flags_of(handle) == lib.FD_CLOEXEC
        assert lib.uds_handle_close(handle) == 0
    assert os.listdir("/proc/self/fd") == before


# --- The file of a bound socket -----------------------------------------------------------------


@support.needs("bound_file")
def test_bound_file(socket_path: str) -> None:
    """The file is the one at the path; into a handle in use it is not opened, and without a path there is none."""
    bound, into = new_handle(), new_handle()
    assert lib.uds_handle_socket(bound, lib.SOCK_DGRAM, 0) == 0
    assert lib.uds_handle_bound_file(bound, into) == -errno.ENOENT
    assert lib.uds_handle_bind(bound, *support.address_of(socket_path)) == 0
    assert lib.uds_handle_bound_file(bound, into) == 0
    assert flags_of(into) == lib.FD_CLOEXEC
    assert os.path.samestat(os.fstat(lib.uds_handle_fileno(into)), os.stat(socket_path))
    assert lib.uds_handle_bound_file(bound, into) == -errno.EBUSY
    for handle in (bound, into):
        assert lib.uds_handle_close(handle) == 0
    assert lib.uds_handle_bound_file(bound, into) == -errno.EBADF


@pytest.mark.skipif(bool(lib.UDS_HAS_BOUND_FILE), reason=f"{support.FEATURE_SKIP}bound_file is present")
def test_bound_file_is_not_built(pair: tuple[Any, Any]) -> None:
    """Without the ioctl the call is -ENOSYS, and makes nothing."""
    into = new_handle()
    assert lib.uds_handle_bound_file(pair[0], into) == -errno.ENOSYS
    assert lib.uds_handle_fileno(into) == -1


def test_what_a_path_leads_to(short_dir: str) -> None:
    """A path leads to a socket file or to none, which is no error; what cannot be looked up is, and so is EBADF."""
    path, other = (os.path.join(short_dir, name).encode() for name in "so")
    handle, mine = new_handle(), new_handle()
    assert lib.uds_handle_is_at(handle, path) == -errno.EBADF
    assert lib.uds_handle_socket(mine, lib.SOCK_DGRAM, 0) == 0
    for missing in (path, path + b"/s", b""):
        assert (lib.uds_leads_to_socket(missing), lib.uds_handle_is_at(mine, missing)) == (0, 0)
    os.mkdir(other)
    assert (lib.uds_leads_to_socket(other), lib.uds_handle_is_at(mine, other)) == (0, 0)
    assert lib.uds_handle_bind(mine, *support.address_of(path.decode())) == 0
    assert (lib.uds_leads_to_socket(path), lib.uds_handle_is_at(mine, path)) == (1, 0)
    os.symlink(b"loop", os.path.join(other, b"loop"))
    assert lib.uds_leads_to_socket(os.path.join(other, b"loop")) == -errno.ELOOP
    assert lib.uds_handle_is_at(mine, os.path.join(other, b"loop")) == -errno.ELOOP
    if lib.UDS_HAS_BOUND_FILE and lib.uds_handle_bound_file(mine, handle) == 0:
        assert lib.uds_handle_is_at(handle, path) == 1
        os.rename(path, path + b"2")
        assert (lib.uds_handle_is_at(handle, path), lib.uds_handle_is_at(handle, path + b"2")) == (0, 1)
        assert lib.uds_handle_close(handle) == 0
    assert lib.uds_handle_close(mine) == 0


def test_bind_briefly(short_dir: str) -> None:
    """A socket is bound to a path whose file is gone at once; what bind(2) refuses leaves nothing behind either."""
    handle, found = new_handle(), ffi.new("uint64_t[2]")
    path = os.path.join(short_dir, "s").encode()
    assert lib.uds_handle_bind_briefly(handle, path, found) == -errno.EBADF
    assert lib.uds_handle_socket(handle, lib.SOCK_DGRAM, 0) == 0
    assert lib.uds_handle_bind_briefly(handle, path + b"x" * 108, found) == -errno.ENAMETOOLONG
    assert lib.uds_handle_bind_briefly(handle, path + b"/s", found) == -errno.ENOENT
    with open(path, "wb"):
        pass
    assert lib.uds_handle_bind_briefly(handle, path, found) == -errno.EADDRINUSE
    os.unlink(path)
    assert lib.uds_handle_bind_briefly(handle, path, found) == 0
    assert stat.S_ISSOCK(found[1])
    assert os.listdir(short_dir) == []
    name = ffi.new("struct uds_name *")
    assert lib.uds_handle_getsockname(handle, name) == 0
    assert path in bytes(ffi.buffer(name.bytes))
    file = new_handle()
    if lib.UDS_HAS_BOUND_FILE and lib.uds_handle_bound_file(handle, file) == 0:
        assert os.fstat(lib.uds_handle_fileno(file)).st_ino == found[0]
        assert lib.uds_handle_close(file) == 0
    assert lib.uds_handle_close(handle) == 0


def test_connect_briefly(short_dir: str) -> None:
    """A socket is connected to a listener whose file is gone at once; what is refused leaves nothing behind either."""
    listener, client = new_handle(), new_handle()
    path = os.path.join(short_dir, "s").encode()
    for handle in (listener, client):
        assert lib.uds_handle_socket(handle, lib.SOCK_STREAM, 0) == 0
    assert lib.uds_handle_connect_briefly(listener, client, path + b"x" * 108) == -errno.ENAMETOOLONG
    assert lib.uds_handle_connect_briefly(listener, client, path + b"/s") == -errno.ENOENT
    assert lib.uds_handle_connect_briefly(listener, client, path) == 0
    assert os.listdir(short_dir) == []
    assert lib.uds_handle_getpeername(client, ffi.new("struct uds_name *")) == 0
    assert lib.uds_handle_close(listener) == 0
    assert lib.uds_handle_socket(listener, lib.SOCK_STREAM, 0) == 0
    assert lib.uds_handle_connect_briefly(listener, client, path) == -errno.EISCONN
    assert os.listdir(short_dir) == []
    for handle in (listener, client):
        assert lib.uds_handle_close(handle) == 0
