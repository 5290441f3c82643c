"""Paths that are longer than an address, and paths from a folder.

Rule: nothing works round a limit unless asked to; asked to, any path of the file system is reached.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import support
from socketfiles import LISTENERS, TYPES, answers, mode_of

from uds_cffi import (
    AddressError,
    FeatureUnavailable,
    OwnedFd,
    UnixDatagram,
    UnixListener,
    UnixSocketAddr,
    UnixStream,
    address,
    ffi,
    lib,
    places,
)

LIMIT = UnixSocketAddr.max_path_len()


@pytest.fixture(params=TYPES)
def types(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Name a type that is bound, and the type that connects to it."""
    return request.param


@pytest.fixture
def folder(short_dir: str) -> Iterator[int]:
    """Open the folder."""
    number = os.open(short_dir, os.O_RDONLY)
    yield number
    os.close(number)


def path_of(short_dir: str, length: int, leaf: int) -> str:
    """Make the folders of a path of this length, whose last part has so many bytes; returns the path."""
    folders = short_dir
    left = length - len(short_dir) - leaf - 1
    while left > 0:
        part = min(left, 200)
        # None may be left over that is too short for a name.
        part -= 1 if left - part == 1 else 0
        folders += "/" + "d" * (part - 1)
        left -= part
    os.makedirs(folders, exist_ok=True)
    path = f"{folders}/{'n' * leaf}"
    assert len(path) == length
    return path


LENGTHS = [(LIMIT - 1, 9), (LIMIT, 9), (LIMIT + 1, 9), (300, 9), (300, 90), (300, 120), (255 + 20, 255), (2000, 9)]


@support.needs("bindat")
@pytest.mark.parametrize(("length", "leaf"), LENGTHS)
def test_any_length(types: tuple[Any, Any], short_dir: str, length: int, leaf: int) -> None:
    """A socket is bound, connected to and removed at a path of any length; the kernel has another name for it."""
    path = path_of(short_dir, length, leaf)
    folder = os.path.dirname(path)
    with types[0].bind(path, long_path=True, unlink_on_close=True, mode=0o640) as sock:
        assert os.listdir(folder) == [os.path.basename(path)]
        assert mode_of(path) == 0o640
        assert sock.published_path == Path(path)
        assert len(sock.local_addr().name) <= LIMIT
        assert (sock.local_addr().path == Path(path)) is (length <= LIMIT)
        answers(types[1], path, long_path=True)
        with support.raises_errno(errno.EADDRINUSE) as caught:
            types[0].bind(path, long_path=True)
        assert caught.value.filename == path
        with types[0].bind(path, long_path=True, takeover=True, unlink_on_close=True):
            assert os.listdir(folder) == [os.path.basename(path)]
            answers(types[1], path, long_path=True)
    assert os.listdir(folder) == []


@support.needs("bindat")
@pytest.mark.parametrize(("length", "leaf"), LENGTHS[2:])
def test_stale_file_at_a_long_path(types: tuple[Any, Any], short_dir: str, length: int, leaf: int) -> None:
    """It is replaced like any other."""
    path = path_of(short_dir, length, leaf)
    types[0].bind(path, long_path=True).close()
    with types[0].bind(path, long_path=True, replace_stale=True):
        answers(types[1], path, long_path=True)
        assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


@pytest.mark.parametrize("call", [UnixListener.bind, UnixDatagram.bind, UnixStream.connect])
def test_error_names_the_way_out(call: Any) -> None:
    """A path that is too long is refused with its length, the limit, and what reaches it, where something does."""
    path = "/" + "x" * LIMIT
    way = ".*long_path=True" if support.supported("bindat") else "$"
    with pytest.raises(AddressError, match=rf"is {LIMIT + 1} bytes long; the limit is {LIMIT}{way}"):
        call(path)


@support.needs("bindat")
@pytest.mark.parametrize("form", [str, os.fsencode, Path])
def test_forms(short_dir: str, form: Any) -> None:
    """Paths may be str, bytes or os.PathLike, also with bytes that are no text."""
    os.mkdir(f"{short_dir}/{'d' * 150}")
    path = form(os.fsdecode(os.fsencode(f"{short_dir}/{'d' * 150}/") + b"\xff"))
    with UnixListener.bind(path, long_path=True, unlink_on_close=True) as listener:
        assert os.listdir(os.fsencode(f"{short_dir}/{'d' * 150}")) == [b"\xff"]
        assert os.fspath(listener.published_path) == os.fsdecode(path)
        answers(UnixStream, path, long_path=True)


@support.needs("bindat")
@pytest.mark.parametrize("name", ["s", "sub/s", "./sub/../s", "sub/" + "n" * 200])
def test_from_a_folder(types: tuple[Any, Any], short_dir: str, folder: int, name: str) -> None:
    """A relative path begins at the folder, for bind() and for connect(), wherever the working directory is."""
    os.mkdir(f"{short_dir}/sub")
    how: dict[str, Any] = {"dir_fd": folder, "long_path": len(name) > 100}
    with types[0].bind(name, unlink_on_close=True, **how) as sock:
        assert os.path.exists(f"{short_dir}/{name}")
        assert sock.published_path == Path(name)
        answers(types[1], name, **how)
        with support.raises_errno(errno.EADDRINUSE):
            types[0].bind(name, **how)
        with types[0].bind(name, takeover=True, unlink_on_close=True, **how):
            answers(types[1], name, **how)
    assert not os.path.exists(f"{short_dir}/{name}")
    types[0].bind(name, **how).close()
    with types[0].bind(name, replace_stale=True, mode=0o600, **how):
        assert mode_of(f"{short_dir}/{name}") == 0o600


@support.needs("bindat")
def test_folder_is_kept_for_the_removal(short_dir: str) -> None:
    """The file is removed in its folder, which may have been closed and renamed since."""
    os.mkdir(f"{short_dir}/one")
    with OwnedFd(os.open(f"{short_dir}/one", os.O_RDONLY)) as folder:
        listener = UnixListener.bind("s", dir_fd=folder, unlink_on_close=True)
    os.rename(f"{short_dir}/one", f"{short_dir}/two")
    assert os.listdir(f"{short_dir}/two") == ["s"]
    listener.close()
    assert os.listdir(f"{short_dir}/two") == []


@support.needs("bindat")
def test_absolute_path_needs_no_folder(short_dir: str, socket_path: str) -> None:
    """As in openat(2), an absolute path begins at the root."""
    os.mkdir(f"{short_dir}/sub")
    folder = OwnedFd(os.open(f"{short_dir}/sub", os.O_RDONLY))
    with folder, UnixListener.bind(socket_path, dir_fd=folder, unlink_on_close=True) as listener:
        assert listener.local_addr().path == Path(socket_path)
        answers(UnixStream, socket_path, dir_fd=folder)


@support.needs("bindat")
def test_datagram_methods(short_dir: str, folder: int) -> None:
    """bind_to() and connect_to() take the same."""
    with UnixDatagram.unbound() as one, UnixDatagram.unbound() as two:
        one.bind_to("s", dir_fd=folder, mode=0o600, unlink_on_close=True)
        for name in ("s", "t"):
            for how in ({}, {"takeover": True}, {"replace_stale": True}):
                with support.raises_errno(errno.EINVAL) as caught:
                    one.bind_to(name, dir_fd=folder, **how)
                assert caught.value.filename == name
        assert os.listdir(short_dir) == ["s"]
        two.connect_to("s", dir_fd=folder)
        two.send(b"x")
        assert one.recv(1).data == b"x"
    assert os.listdir(short_dir) == []


@support.needs("bindat")
@pytest.mark.parametrize("types", LISTENERS)
def test_connect_with_all_arguments(types: tuple[Any, Any], folder: int) -> None:
    """The way to the path and the other arguments go together."""
    how: dict[str, Any] = {"timeout": 5, "options": {"send_buffer": 8192}, "nonblocking": True}
    with types[0].bind("s", dir_fd=folder) as listener, types[1].connect("s", dir_fd=folder, **how) as sock:
        assert sock.is_nonblocking()
        listener.accept()[0].close()


@support.needs("bindat")
def test_bad_folders(folder: int, number: int) -> None:
    """What is no folder is refused, by Python or by the kernel, and the error has the path."""
    closed = 10**6
    for dir_fd, kind, text in (
        ("x", TypeError, r"dir_fd: an int or an object with fileno\(\) is needed, not str"),
        (True, TypeError, "not bool"),
        (-1, ValueError, "dir_fd is an open descriptor, not -1"),
        (2**31, ValueError, "dir_fd is an open descriptor, not 2147483648"),
    ):
        for call in (UnixListener.bind, UnixStream.connect):
            with pytest.raises(kind, match=text):
                call("s", dir_fd=dir_fd)
    for dir_fd, code in ((closed, errno.EBADF), (number, errno.ENOTDIR)):
        for call in (UnixListener.bind, UnixStream.connect):
            for name in ("s", "sub/s"):
                with support.raises_errno(code) as caught:
                    call(name, dir_fd=dir_fd)
                assert caught.value.filename.endswith(name.split("/")[0])


@support.needs("bindat")
def test_names_that_cannot_be(folder: int, short_dir: str) -> None:
    """A name that is missing, too long or not a name is refused, and the error has the path."""
    with pytest.raises(AddressError, match=rf"in a directory the limit is {lib.UDS_MAX_NAME_LEN}; .*long_path"):
        UnixListener.bind("n" * (lib.UDS_MAX_NAME_LEN + 1), dir_fd=folder)
    for call in (UnixListener.bind, UnixStream.connect):
        for name in ("none/s", "s/", f"{short_dir}/{'none' * 50}/s", "sub/" + "n" * 256):
            os.makedirs(f"{short_dir}/sub", exist_ok=True)
            with pytest.raises(OSError, match=r"Errno (2|20|36)") as caught:
                call(name, dir_fd=folder, long_path=True)
            assert caught.value.errno in (errno.ENOENT, errno.ENAMETOOLONG)
        for bad in (b"x\0y", "x" * 200 + "\0"):
            with pytest.raises(AddressError, match="has a NUL at byte"):
                call(bad, dir_fd=folder, long_path=True)
        with pytest.raises(AddressError, match="is no path"):
            call("", dir_fd=folder) if call == UnixStream.connect else places.place_of("", folder)
        with pytest.raises(TypeError):
            call(3, dir_fd=folder)
    with pytest.raises(ConnectionRefusedError):
        UnixStream.connect("sub", dir_fd=folder)
    assert os.listdir(short_dir) == ["sub"]


@support.needs("bindat")
def test_name_that_nobody_could_connect_to(folder: int, short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file cannot be reached by its own descriptor (FreeBSD), its name must fit into an address."""
    monkeypatch.setattr(places, "_LONG_NAMES", False)
    for call in (UnixListener.bind, UnixStream.connect):
        with pytest.raises(AddressError, match=rf"in a directory the limit is {lib.UDS_MAX_NAME_LEN}$"):
            call("n" * (lib.UDS_MAX_NAME_LEN + 1), dir_fd=folder, long_path=True)
        with pytest.raises(AddressError, match=rf"in a directory the limit is {lib.UDS_MAX_NAME_LEN}$"):
            call(f"{short_dir}/{'n' * 200}", long_path=True)
    with UnixListener.bind("n" * lib.UDS_MAX_NAME_LEN, dir_fd=folder, long_path=True, unlink_on_close=True):
        UnixStream.connect("n" * lib.UDS_MAX_NAME_LEN, dir_fd=folder, long_path=True).close()
    assert os.listdir(short_dir) == []


@support.needs("bindat")
def test_kernel_without_it(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc the error says what is missing."""
    for name in ("uds_handle_bindat", "uds_handle_connectat"):
        from answers import Lib

        monkeypatch.setattr(places, "lib", Lib(**{name: -errno.ENOSYS}))
        with pytest.raises(FeatureUnavailable, match=r"bindat is not available \(kernel"):
            (UnixListener.bind if name == "uds_handle_bindat" else UnixStream.connect)("s", dir_fd=folder)


@support.lacks("bindat")
@pytest.mark.parametrize("call", [UnixListener.bind, UnixStream.connect, UnixDatagram.bind])
def test_not_built(call: Any, folder: int, short_dir: str) -> None:
    """Without the feature both ways are FeatureUnavailable, and a path that fits needs none."""
    with pytest.raises(FeatureUnavailable, match="bindat is not available"):
        call("s", dir_fd=folder)
    with pytest.raises(FeatureUnavailable, match="bindat is not available"):
        call(f"{short_dir}/{'n' * 200}", long_path=True)
    with UnixListener.bind(f"{short_dir}/s", long_path=True):
        answers(UnixStream, f"{short_dir}/s", long_path=True)


@support.lacks("bindat")
def test_no_room_for_a_temporary_name(short_dir: str) -> None:
    """Where a temporary name is needed and too long for an address, the error says so, and nothing is left."""
    path = path_of(short_dir, LIMIT, 64)
    with pytest.raises(AddressError, match="too long for an address, and needed until it gets its name"):
        UnixListener.bind(path, takeover=True)
    assert os.listdir(os.path.dirname(path)) == []


def test_address_with_a_long_path(monkeypatch: pytest.MonkeyPatch, short_dir: str) -> None:
    """Where the system takes a path that is longer than the struct, the address has all of it, and its length counts.

    Linux takes none, and says so.
    """
    path = path_of(short_dir, 253, 100)
    monkeypatch.setattr(address, "_LONG_PATH", 253)
    monkeypatch.setattr(places, "_LONGEST", 253)
    place = places.place_of(path, long_path=True)
    assert place.address is not None
    assert place.directory is None
    sockaddr, length = place.address.as_raw()
    assert length == lib.UDS_SUN_PATH_OFFSET + 253
    raw = bytes(ffi.buffer(sockaddr, length))
    assert raw[lib.UDS_SUN_PATH_OFFSET :] == os.fsencode(path)
    assert sockaddr[0].sun_family == lib.AF_UNIX
    if not lib.UDS_LONG_PATH_LEN:
        with support.raises_errno(errno.EINVAL) as caught:
            UnixListener.bind(path, long_path=True)
        assert caught.value.filename == path
    with pytest.raises(AddressError, match="is 253 bytes long"):
        places.place_of(path)
