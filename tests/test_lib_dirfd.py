"""Files by a directory's descriptor, as `lib` has them.

Rule: a symbolic link is never followed; what this build does not have is -ENOSYS.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from typing import Any

import pytest
import support
from handles import new_handle

from uds_cffi import ffi, lib

built = pytest.mark.skipif(not lib.UDS_HAS_BINDAT, reason=f"{support.FEATURE_SKIP}bindat is absent")
not_built = pytest.mark.skipif(bool(lib.UDS_HAS_BINDAT), reason=f"{support.FEATURE_SKIP}bindat is present")


@pytest.fixture
def folder(short_dir: str) -> Iterator[int]:
    """Open a folder."""
    number = os.open(short_dir, os.O_RDONLY | os.O_DIRECTORY)
    yield number
    os.close(number)


@pytest.fixture
def sockets() -> Iterator[list[Any]]:
    """Make two sockets."""
    handles = [new_handle(), new_handle()]
    for handle in handles:
        assert lib.uds_handle_socket(handle, lib.SOCK_DGRAM, 1) == 0
    yield handles
    for handle in handles:
        lib.uds_handle_close(handle)


def test_openat(folder: int, short_dir: str) -> None:
    """A file is opened from a folder or from the working directory, close-on-exec, into an empty handle."""
    for directory, name in ((folder, b"new"), (-1, os.fsencode(f"{short_dir}/new"))):
        handle = new_handle()
        assert lib.uds_handle_openat(handle, directory, name, os.O_RDWR | os.O_CREAT, 0o600) == 0
        assert lib.uds_fcntl(lib.uds_handle_fileno(handle), lib.F_GETFD, 0) == lib.FD_CLOEXEC
        assert lib.uds_handle_openat(handle, directory, name, os.O_RDONLY, 0) == -errno.EBUSY
        lib.uds_handle_close(handle)
    assert stat.S_IMODE(os.stat(f"{short_dir}/new").st_mode) == 0o600
    assert lib.uds_handle_openat(new_handle(), folder, b"none", os.O_RDONLY, 0) == -errno.ENOENT


def test_path_alone_needs_no_permission_to_read(folder: int, short_dir: str) -> None:
    """UDS_O_PATH opens a folder."""
    handle = new_handle()
    assert lib.uds_handle_openat(handle, folder, b".", lib.UDS_O_PATH | os.O_DIRECTORY, 0) == 0
    assert os.path.sameopenfile(lib.uds_handle_fileno(handle), folder)
    lib.uds_handle_close(handle)


@pytest.mark.parametrize(
    "call",
    [lambda *where: lib.uds_fchmodat(*where), lambda *where: lib.uds_chmod_by_descriptor(*where)],
    ids=["call", "descriptor"],
)
def test_fchmodat(call: Any, folder: int, short_dir: str) -> None:
    """Permissions are set as they are asked for; a symbolic link is an error, and what it leads to stays."""
    path = f"{short_dir}/file"
    with open(path, "w"):
        pass
    os.symlink("file", f"{short_dir}/link")
    assert call(folder, b"file", 0o640) == 0
    assert call(folder, b"link", 0o777) < 0
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
    assert call(-1, os.fsencode(path), 0o600) == 0
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert call(folder, b"none", 0o600) == -errno.ENOENT


def test_fchownat(folder: int, short_dir: str) -> None:
    """A file is given to whom it is asked for, what is -1 stays, and of a symbolic link the link itself is given."""
    path = f"{short_dir}/file"
    with open(path, "w"):
        pass
    os.symlink("file", f"{short_dir}/link")
    own, same = (os.geteuid(), os.getegid()), 2**32 - 1
    assert lib.uds_fchownat(folder, b"file", same, own[1]) == 0
    assert lib.uds_fchownat(-1, os.fsencode(path), own[0], same) == 0
    assert lib.uds_fchownat(folder, b"none", *own) == -errno.ENOENT
    if own[0] == 0:
        assert lib.uds_fchownat(folder, b"link", 1, 2) == 0
        assert lib.uds_fchownat(folder, b"file", same, 2) == 0
    else:
        assert lib.uds_fchownat(folder, b"file", 0, same) == -errno.EPERM
    status = os.stat(path)
    assert (status.st_uid, status.st_gid) == (own[0], own[1] if own[0] else 2)


def test_flock(short_dir: str) -> None:
    """One open file has the lock, until it is closed."""
    path = os.fsencode(f"{short_dir}/lock")
    one, two = new_handle(), new_handle()
    for handle in (one, two):
        assert lib.uds_handle_openat(handle, -1, path, os.O_RDONLY | os.O_CREAT, 0o600) == 0
    assert lib.uds_handle_flock(one) == 0
    assert lib.uds_handle_flock(two) == -errno.EAGAIN
    lib.uds_handle_close(one)
    assert lib.uds_handle_flock(two) == 0
    lib.uds_handle_close(two)


def test_funlock(short_dir: str) -> None:
    """The lock is given up for all copies of the descriptor."""
    path = os.fsencode(f"{short_dir}/lock")
    one, copy, other = new_handle(), new_handle(), new_handle()
    for handle in (one, other):
        assert lib.uds_handle_openat(handle, -1, path, os.O_RDWR | os.O_CREAT, 0o600) == 0
    assert lib.uds_handle_dup(one, copy) == 0
    assert lib.uds_handle_flock(one) == 0
    assert lib.uds_handle_flock(other) == -errno.EAGAIN
    assert lib.uds_handle_funlock(one) == 0
    assert lib.uds_handle_flock(other) == 0
    for handle in (one, copy, other):
        lib.uds_handle_close(handle)


def test_status(folder: int, short_dir: str) -> None:
    """A file is described by name, without following a link, and by descriptor."""
    with open(f"{short_dir}/file", "w") as file:
        file.write("123")
    os.chmod(f"{short_dir}/file", 0o640)
    os.link(f"{short_dir}/file", f"{short_dir}/again")
    os.symlink("file", f"{short_dir}/link")
    found, own, handle = ffi.new("struct uds_status *"), ffi.new("struct uds_status *"), new_handle()
    for name in ("file", "link"):
        for directory, path in ((folder, name), (-1, f"{short_dir}/{name}")):
            assert lib.uds_fstatat(directory, os.fsencode(path), found) == 0
            there = os.lstat(f"{short_dir}/{name}")
            expected = (there.st_ino, there.st_nlink, there.st_size, there.st_mode, there.st_uid)
            assert (found.inode, found.links, found.size, found.mode, found.owner) == expected
    assert lib.uds_handle_openat(handle, folder, b"again", os.O_RDONLY, 0) == 0
    assert lib.uds_fstatat(folder, b"file", found) == lib.uds_handle_fstat(handle, own) == 0
    assert bytes(ffi.buffer(found)) == bytes(ffi.buffer(own))
    assert lib.uds_fstatat(folder, b"none", found) == -errno.ENOENT
    assert lib.uds_fstatat(folder, b"file/none", found) == -errno.ENOTDIR
    lib.uds_handle_close(handle)


def test_names_are_made_and_removed(folder: int, short_dir: str) -> None:
    """Files and folders get names and lose them, from a folder and from the working directory."""
    for directory, base in ((folder, b""), (-1, os.fsencode(f"{short_dir}/"))):
        assert lib.uds_mkdirat(directory, base + b"sub", 0o700) == 0
        assert stat.S_IMODE(os.lstat(f"{short_dir}/sub").st_mode) == 0o700
        assert lib.uds_mkdirat(directory, base + b"sub", 0o700) == -errno.EEXIST
        with open(f"{short_dir}/file", "w"):
            pass
        assert lib.uds_linkat(directory, base + b"file", folder, b"sub/again") == 0
        assert lib.uds_linkat(directory, base + b"file", folder, b"sub/again") == -errno.EEXIST
        assert lib.uds_rmdirat(directory, base + b"sub") == -errno.ENOTEMPTY
        assert lib.uds_renameat(folder, b"sub/again", directory, base + b"renamed") == 0
        assert sorted(os.listdir(short_dir)) == ["file", "renamed", "sub"]
        assert lib.uds_renameat(directory, base + b"none", folder, b"renamed") == -errno.ENOENT
        assert lib.uds_unlinkat(directory, base + b"sub") in (-errno.EISDIR, -errno.EPERM)
        assert lib.uds_rmdirat(directory, base + b"file") == -errno.ENOTDIR
        assert lib.uds_rmdirat(directory, base + b"sub") == 0
        assert lib.uds_unlinkat(directory, base + b"file") == lib.uds_unlinkat(directory, base + b"renamed") == 0
        assert os.listdir(short_dir) == []


def test_link_does_not_follow(folder: int, short_dir: str) -> None:
    """The second name of a symbolic link is the link's."""
    os.symlink("nowhere", f"{short_dir}/link")
    assert lib.uds_linkat(folder, b"link", folder, b"again") == 0
    assert os.readlink(f"{short_dir}/again") == "nowhere"


def test_read_beginning(short_dir: str) -> None:
    """As much of a file is read as there is room for; what cannot be read is an error, and nothing stays open."""
    path = os.fsencode(f"{short_dir}/file")
    with open(path, "wb") as file:
        file.write(b"12345")
    data = ffi.new("char[]", 8)
    assert lib.uds_read_beginning(path, data, 3) == 3
    assert ffi.buffer(data)[:] == b"123\0\0\0\0\0"
    assert lib.uds_read_beginning(path, data, 8) == 5
    assert lib.uds_read_beginning(path + b"none", data, 8) == -errno.ENOENT
    assert lib.uds_read_beginning(os.fsencode(short_dir), data, 8) == -errno.EISDIR


@built
def test_bindat_and_connectat(folder: int, short_dir: str, sockets: list[Any]) -> None:
    """A name in a folder is bound to, in use then, and connected to."""
    one, two = sockets
    address = support.address_of("s")
    assert lib.uds_handle_connectat(two, folder, *address) == -errno.ENOENT
    assert lib.uds_handle_bindat(one, folder, *address) == 0
    assert stat.S_ISSOCK(os.stat(f"{short_dir}/s").st_mode)
    assert lib.uds_handle_bindat(two, folder, *address) == -errno.EADDRINUSE
    assert lib.uds_handle_connectat(two, folder, *address) == 0
    assert lib.uds_handle_send(two, b"x", 1, 0) == 1
    assert lib.uds_handle_unread_bytes(one) == 1


@built
def test_file_itself(short_dir: str, sockets: list[Any]) -> None:
    """With the unnamed address the descriptor is not a folder's but the file's own, where /proc leads to that."""
    one, two = sockets
    path = f"{short_dir}/{'long' * 20}"
    assert lib.uds_handle_bind(one, *support.address_of(path)) == 0
    file = new_handle()
    assert lib.uds_handle_openat(file, -1, os.fsencode(path), lib.UDS_O_PATH, 0) == 0
    address, _ = support.address_of("")
    number = lib.uds_handle_fileno(file)
    # Where the system has a call of its own for names in a folder, they may be as long as a path, and no longer.
    expected = -errno.ENAMETOOLONG if lib.UDS_MAX_NAME_LEN == lib.UDS_MAX_PATH_LEN else 0
    assert lib.uds_handle_connectat(two, number, address, lib.UDS_SUN_PATH_OFFSET) == expected
    lib.uds_handle_close(file)


@built
def test_longest_name(folder: int, short_dir: str, sockets: list[Any]) -> None:
    """A name of UDS_MAX_NAME_LEN bytes always fits; one that does not is refused before the kernel."""
    longest = "n" * lib.UDS_MAX_NAME_LEN
    assert lib.uds_handle_bindat(sockets[0], folder, *support.address_of(longest)) == 0
    assert os.listdir(short_dir) == [longest]
    too_long = support.address_of("n" * lib.UDS_MAX_PATH_LEN)
    assert lib.uds_handle_bindat(sockets[1], folder, *too_long) == -errno.ENAMETOOLONG
    assert lib.uds_handle_connectat(sockets[1], folder, *too_long) == -errno.ENAMETOOLONG


@built
def test_bad_folder(sockets: list[Any], number: int) -> None:
    """A number that is not open is -EBADF, and a file that is no folder -ENOTDIR."""
    closed = os.dup(number)
    os.close(closed)
    address = support.address_of("s")
    for call in (lib.uds_handle_bindat, lib.uds_handle_connectat):
        assert call(sockets[0], closed, *address) == -errno.EBADF
        assert call(sockets[0], number, *address) == -errno.ENOTDIR


@built
def test_bad_length(folder: int, sockets: list[Any]) -> None:
    """A length that no address can have is -EINVAL."""
    address, _ = support.address_of("s")
    for length in (0, 1, 111):
        assert lib.uds_handle_bindat(sockets[0], folder, address, length) == -errno.EINVAL


@built
def test_bindat_briefly(short_dir: str, sockets: list[Any]) -> None:
    """A socket is bound in a folder and another connected to it; the file is gone at once, also after a failure."""
    one, two = sockets
    folder = os.fsencode(short_dir)
    assert lib.uds_handle_bindat_briefly(one, two, folder + b"/none", b"s") == -errno.ENOENT
    assert lib.uds_handle_bindat_briefly(one, two, folder, b"n" * 200) == -errno.ENAMETOOLONG
    assert lib.uds_handle_bindat_briefly(one, two, folder, b".") == -errno.EADDRINUSE
    assert lib.uds_handle_bindat_briefly(one, new_handle(), folder, b"s") == -errno.EBADF
    assert os.listdir(short_dir) == []
    other = new_handle()
    assert lib.uds_handle_socket(other, lib.SOCK_DGRAM, 1) == 0
    assert lib.uds_handle_bindat_briefly(other, two, folder, b"s") == 0
    assert os.listdir(short_dir) == []
    assert lib.uds_handle_send(two, b"x", 1, 0) == 1
    lib.uds_handle_close(other)


def without_proc(short_dir: str) -> None:
    os.chroot(short_dir)
    folder = os.open("/", os.O_RDONLY)
    handle = new_handle()
    assert lib.uds_handle_socket(handle, lib.SOCK_DGRAM, 1) == 0
    for call in (lib.uds_handle_bindat, lib.uds_handle_connectat):
        assert call(handle, folder, *support.address_of("s")) == -errno.ENOSYS


@built
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the root")
def test_without_proc(short_dir: str) -> None:
    """Where /proc is missing the calls are missing, which is not taken for a missing file."""
    support.run_child(without_proc, short_dir)


@not_built
def test_not_built(folder: int, sockets: list[Any]) -> None:
    """Without the feature there is nothing to call, and no name fits."""
    address = support.address_of("s")
    assert lib.uds_handle_bindat(sockets[0], folder, *address) == -errno.ENOSYS
    assert lib.uds_handle_connectat(sockets[0], folder, *address) == -errno.ENOSYS
    assert lib.UDS_MAX_NAME_LEN == 0


def test_fill_long() -> None:
    """A path that not even the longest address has room for is refused by C."""
    room = ffi.new("struct sockaddr_un[3]")
    assert lib.uds_sockaddr_fill_long(room, b"x" * 253, 253) == lib.UDS_SUN_PATH_OFFSET + 253
    assert lib.uds_sockaddr_fill_long(room, b"x" * 254, 254) == 0
