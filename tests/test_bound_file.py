"""Whose file it is: the socket file of a bound socket, and whether its path still leads there.

Rule: where the kernel does not tell, what is certain without it is said all the same, and nothing else.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import Any

import pytest
import support

import uds_cffi
from uds_cffi import (
    FeatureUnavailable,
    OwnedFd,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketListener,
    UnixStream,
    bound,
)

# <bits/fcntl-linux.h>; not in `os` of every interpreter.
O_PATH = 0o10000000
NOBODY = 65534

needs_file = support.needs("bound_file")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
bindable = pytest.mark.parametrize(
    "kind", [UnixListener, UnixDatagram, pytest.param(UnixSeqpacketListener, marks=support.needs("seqpacket"))]
)


def replace(path: str) -> None:
    """Put another socket's file into a path."""
    os.unlink(path)
    UnixDatagram.bind(path).close()


# --- The file -----------------------------------------------------------------------------------


@needs_file
@bindable
def test_file_of_a_bound_socket(kind: Any, socket_path: str) -> None:
    """The file is the one at the path: an O_PATH descriptor of a socket file, owned and close-on-exec."""
    with kind.bind(socket_path) as sock, sock.bound_file() as file:
        assert type(file) is OwnedFd
        status = os.fstat(file.fileno())
        assert stat.S_ISSOCK(status.st_mode)
        assert os.path.samestat(status, os.stat(socket_path))
        assert not os.get_inheritable(file.fileno())
        assert fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & O_PATH


@needs_file
def test_file_is_found_wherever_it_is(socket_path: str) -> None:
    """A file that was renamed, and one that was unlinked, is the same file; one can connect through the former."""
    with UnixListener.bind(socket_path) as listener:
        inode = os.stat(socket_path).st_ino
        os.rename(socket_path, socket_path + "2")
        with listener.bound_file() as file:
            assert os.fstat(file.fileno()).st_ino == inode
            with UnixStream.connect(f"/proc/self/fd/{file.fileno()}"):
                listener.accept(timeout=support.PATIENCE)[0].close()
        os.unlink(socket_path + "2")
        with listener.bound_file() as file:
            assert os.fstat(file.fileno()).st_ino == inode
            assert os.fstat(file.fileno()).st_nlink == 0


@needs_file
def test_file_of_connections(socket_path: str) -> None:
    """An accepted connection has its listener's file, a client that has bound itself its own, another none."""
    with UnixListener.bind(socket_path) as listener:
        with UnixStream.connect(socket_path, bind=socket_path + "2") as client:
            conn, _ = listener.accept(timeout=support.PATIENCE)
            with conn, conn.bound_file() as theirs, client.bound_file() as mine:
                assert os.path.samestat(os.fstat(theirs.fileno()), os.stat(socket_path))
                assert os.path.samestat(os.fstat(mine.fileno()), os.stat(socket_path + "2"))
        with UnixStream.connect(socket_path) as client:
            assert client.bound_file() is None


@needs_file
def test_no_file() -> None:
    """A socket that is bound to no path has no file: None."""
    left, right = UnixStream.pair()
    with left, right, UnixDatagram.unbound() as unbound:
        assert left.bound_file() is None
        assert unbound.bound_file() is None
    if support.supported("abstract_addresses"):
        with UnixListener.bind("") as listener:
            assert listener.bound_file() is None


# --- Whether the path leads there ---------------------------------------------------------------


@needs_file
@bindable
def test_path_that_still_leads_there(kind: Any, socket_path: str) -> None:
    """A socket whose file is at its path is still bound, also through a symbolic link and for its clones."""
    with kind.bind(socket_path) as sock, sock.try_clone() as clone:
        assert sock.is_still_bound() is True
        assert clone.is_still_bound() is True
        os.rename(socket_path, socket_path + "2")
        os.symlink(socket_path + "2", socket_path)
        assert sock.is_still_bound() is True


@needs_file
@bindable
def test_another_socket_is_there(kind: Any, socket_path: str) -> None:
    """When another socket's file is at the path, and when the old one is back, that is seen."""
    with kind.bind(socket_path) as sock:
        os.rename(socket_path, socket_path + "2")
        UnixDatagram.bind(socket_path).close()
        assert sock.is_still_bound() is False
        os.rename(socket_path + "2", socket_path)
        assert sock.is_still_bound() is True
        replace(socket_path)
        assert sock.is_still_bound() is False


@needs_file
def test_connection_answers_for_its_listener(socket_path: str) -> None:
    """An accepted connection tells whether its listener's path still leads to that listener's file."""
    with UnixListener.bind(socket_path) as listener, UnixStream.connect(socket_path):
        conn, _ = listener.accept(timeout=support.PATIENCE)
        with conn:
            assert conn.is_still_bound() is True
            replace(socket_path)
            assert conn.is_still_bound() is False


@needs_file
def test_relative_path(short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is looked up in the working directory of now, as connect(2) would."""
    monkeypatch.chdir(short_dir)
    with UnixListener.bind("s") as listener:
        assert listener.is_still_bound() is True
        os.mkdir("elsewhere")
        monkeypatch.chdir("elsewhere")
        assert listener.is_still_bound() is False


@needs_file
def test_file_that_goes_in_between(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is where the path leads once the descriptor holds the inode."""
    real = bound.bound_file

    def bound_file(handle: Any, into: Any) -> int:
        result = real(handle, into)
        os.unlink(socket_path)
        return result

    with UnixListener.bind(socket_path) as listener:
        monkeypatch.setattr(bound, "bound_file", bound_file)
        assert listener.is_still_bound() is False


# --- What is certain without the kernel's word --------------------------------------------------


@bindable
def test_path_that_leads_to_no_socket(kind: Any, short_dir: str) -> None:
    """That nothing is at the path, or something else than a socket, is seen in every build."""
    folder = os.path.join(short_dir, "d")
    path = os.path.join(folder, "s")
    os.mkdir(folder)
    with kind.bind(path) as sock:
        os.unlink(path)
        assert sock.is_still_bound() is False
        with open(path, "w", encoding="ascii"):
            pass
        assert sock.is_still_bound() is False
        os.unlink(path)
        os.rmdir(folder)
        assert sock.is_still_bound() is False
        with open(folder, "w", encoding="ascii"):
            pass
        assert sock.is_still_bound() is False


def test_path_that_was_never_there() -> None:
    """A socket that is bound to no path cannot be asked whether that still leads to it."""
    left, right = UnixStream.pair()
    with left, right, pytest.raises(ValueError, match="'unnamed' is bound to no path"):
        left.is_still_bound()


@support.needs("abstract_addresses")
def test_abstract_address_is_no_path() -> None:
    """An abstract address is no path either."""
    with UnixListener.bind("") as listener, pytest.raises(ValueError, match=r"'@.*' is bound to no path"):
        listener.is_still_bound()


def test_closed_socket(socket_path: str) -> None:
    """A closed socket is EBADF; where the feature is not built, its file is FeatureUnavailable as ever."""
    listener = UnixListener.bind(socket_path)
    listener.close()
    with support.raises_errno(errno.EBADF):
        listener.is_still_bound()
    declared = uds_cffi.features()["bound_file"].declared
    with support.raises_errno(errno.EBADF if declared else errno.ENOSYS):
        listener.bound_file()


def without_privilege(path: str) -> None:
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    row = uds_cffi.features()["bound_file"]
    assert (row.declared, row.supported, row.reason) == (True, False, "not permitted")
    with UnixListener.bind(path) as listener:
        for ask in (listener.bound_file, listener.is_still_bound):
            with pytest.raises(PermissionError, match="only with CAP_NET_ADMIN") as caught:
                ask()
            assert (caught.value.errno, caught.value.filename) == (errno.EPERM, path)
        os.unlink(path)
        assert listener.is_still_bound() is False
    with UnixDatagram.unbound() as sock:
        assert sock.bound_file() is None


@needs_file
@as_root
def test_without_privilege(short_dir: str) -> None:
    """Without CAP_NET_ADMIN the errors say what is missing, and what is certain without the kernel is still said."""
    os.chmod(short_dir, 0o777)
    support.run_child(without_privilege, os.path.join(short_dir, "s"))


def unsearchable(path: str, bound_already: support.Event, go: support.Event) -> None:
    os.setuid(NOBODY)
    with UnixListener.bind(path) as listener:
        bound_already.set()
        go.wait()
        with support.raises_errno(errno.EACCES):
            listener.is_still_bound()


@as_root
def test_path_that_may_not_be_searched(short_dir: str) -> None:
    """A path that this process may not look up is neither True nor False."""
    os.chmod(short_dir, 0o777)
    path = os.path.join(short_dir, "s")
    with support.Event() as ready, support.Event() as go, support.Child(unsearchable, path, ready, go):
        ready.wait()
        os.chmod(short_dir, 0o700)
        go.set()


@needs_file
def test_on_an_older_kernel(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without the ioctl lacks the feature, and a path without a socket is seen nevertheless."""
    monkeypatch.setattr(bound, "bound_file", lambda handle, into: -errno.ENOTTY)
    with UnixListener.bind(socket_path) as listener:
        for ask in (listener.bound_file, listener.is_still_bound):
            with pytest.raises(FeatureUnavailable) as caught:
                ask()
            assert (caught.value.feature, caught.value.reason) == ("bound_file", "kernel")
            assert caught.value.errno == errno.ENOTTY
        os.unlink(socket_path)
        assert listener.is_still_bound() is False


@needs_file
def test_kernel_demands_the_privilege(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel refuses for want of the privilege is PermissionError with the path."""
    monkeypatch.setattr(bound, "bound_file", lambda handle, into: -errno.EPERM)
    with UnixListener.bind(socket_path) as listener:
        for ask in (listener.bound_file, listener.is_still_bound):
            with pytest.raises(PermissionError, match="only with CAP_NET_ADMIN") as caught:
                ask()
            assert (caught.value.errno, caught.value.filename) == (errno.EPERM, socket_path)


@pytest.mark.parametrize("call", ["leads_to_socket", pytest.param("is_at", marks=needs_file)])
def test_path_that_cannot_be_looked_up(call: str, socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stat(2) says of the path, other than that nothing is there, is that error, with the path."""
    monkeypatch.setattr(bound, call, lambda *_: -errno.ELOOP)
    with UnixListener.bind(socket_path) as listener, support.raises_errno(errno.ELOOP) as caught:
        listener.is_still_bound()
    assert caught.value.filename == socket_path


@needs_file
def test_other_refusals(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the kernel says is that error, with the path."""
    monkeypatch.setattr(bound, "bound_file", lambda handle, into: -errno.EMFILE)
    with UnixListener.bind(socket_path) as listener, support.raises_errno(errno.EMFILE) as caught:
        listener.bound_file()
    assert caught.value.filename == socket_path


@pytest.mark.skipif(uds_cffi.features()["bound_file"].declared, reason=f"{support.FEATURE_SKIP}bound_file is declared")
def test_not_built(socket_path: str) -> None:
    """In a build without the ioctl, telling one socket file from another is FeatureUnavailable."""
    with UnixListener.bind(socket_path) as listener:
        for ask in (listener.bound_file, listener.is_still_bound):
            with pytest.raises(FeatureUnavailable) as caught:
                ask()
            assert (caught.value.feature, caught.value.reason) == ("bound_file", "not built")
