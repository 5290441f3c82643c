"""Removing a socket file when its socket is closed.

Rule: the file goes with the socket that made it, in the process that made it, and no other file ever does.
"""

from __future__ import annotations

import os
import threading
import warnings
from typing import Any

import pytest
import support
from socketfiles import LISTENERS, NOBODY, TYPES, answers, as_root

from uds_cffi import OwnedFd, UnixDatagram, UnixListener, UnixStream, calls, publish, socketfile


@pytest.fixture(params=TYPES)
def types(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Name a type that is bound, and the type that connects to it."""
    return request.param


def test_close_removes_the_file(types: tuple[Any, Any], socket_path: str) -> None:
    """The file is there while the socket is open, and gone afterwards, lock and all."""
    with types[0].bind(socket_path, unlink_on_close=True) as sock:
        assert os.listdir(os.path.dirname(socket_path)) == ["s"]
        answers(types[1], socket_path)
    assert os.listdir(os.path.dirname(socket_path)) == []
    sock.close()


def test_without_asking_it_stays(types: tuple[Any, Any], socket_path: str) -> None:
    """A file stays unless asked otherwise, also when something else was asked for."""
    for keywords in ({}, {"mode": 0o600}, {"replace_stale": True}, {"takeover": True}):
        types[0].bind(socket_path, **keywords).close()
        assert os.path.exists(socket_path)
        os.unlink(socket_path)


def test_working_directory_may_change(types: tuple[Any, Any], short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of a relative path is found from anywhere, and one of the same name elsewhere stays."""
    os.mkdir(f"{short_dir}/other")
    monkeypatch.chdir(short_dir)
    sock = types[0].bind("s", unlink_on_close=True)
    monkeypatch.chdir("other")
    types[0].bind("s").close()
    sock.close()
    assert os.listdir(short_dir) == ["other"]
    assert os.listdir(f"{short_dir}/other") == ["s"]


def test_absolute_path_needs_no_working_directory(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the working directory is gone, an absolute path is bound and removed as ever."""
    folder = os.path.join(os.path.dirname(socket_path), "gone")
    os.mkdir(folder)
    monkeypatch.chdir(folder)
    os.rmdir(folder)
    with UnixListener.bind(socket_path, mode=0o600, unlink_on_close=True):
        answers(UnixStream, socket_path)
    assert not os.path.exists(socket_path)


def test_file_that_is_not_ours_any_more_stays(types: tuple[Any, Any], socket_path: str) -> None:
    """A successor's socket, a regular file or nothing at the path is left as it is."""
    with types[0].bind(socket_path, unlink_on_close=True):
        os.unlink(socket_path)
        successor = types[0].bind(socket_path)
    answers(types[1], socket_path)
    successor.close()
    os.unlink(socket_path)
    with types[0].bind(socket_path, unlink_on_close=True):
        os.unlink(socket_path)
        with open(socket_path, "w"):
            pass
    os.unlink(socket_path)
    with types[0].bind(socket_path, unlink_on_close=True):
        os.unlink(socket_path)
    assert os.listdir(os.path.dirname(socket_path)) == []


def test_folder_that_is_gone(short_dir: str) -> None:
    """Where the folder went, nothing is to be removed."""
    os.mkdir(f"{short_dir}/f")
    with UnixListener.bind(f"{short_dir}/f/s", unlink_on_close=True):
        os.rename(f"{short_dir}/f", f"{short_dir}/g")
    assert os.listdir(f"{short_dir}/g") == ["s"]


def test_child_leaves_the_file(types: tuple[Any, Any], socket_path: str) -> None:
    """In a forked child neither close() nor the end of the interpreter removes the parent's file."""

    def end(sock: Any) -> None:
        sock.close()
        socketfile._remove_all()
        assert os.path.exists(socket_path)

    with types[0].bind(socket_path, unlink_on_close=True) as sock:
        support.run_child(end, sock)
        support.run_child(socketfile._remove_all)
        answers(types[1], socket_path)
    assert not os.path.exists(socket_path)


def test_clones_leave_the_file(types: tuple[Any, Any], socket_path: str) -> None:
    """Only the socket that made the file removes it; a clone knows its name."""
    with types[0].bind(socket_path, unlink_on_close=True, mode=0o600) as sock:
        with sock.try_clone() as clone:
            assert str(clone.published_path) == socket_path
        answers(types[1], socket_path)
        with types[0].borrow(sock):
            pass
        answers(types[1], socket_path)


@support.needs("bindat")
def test_clones_find_the_file(short_dir: str) -> None:
    """A clone gives the file another name wherever it is, also where a descriptor of its own leads there."""
    os.mkdir(f"{short_dir}/sub")
    with OwnedFd(os.open(f"{short_dir}/sub", os.O_RDONLY)) as folder:
        sock = UnixListener.bind("s", dir_fd=folder, mode=0o600)
    with sock, sock.try_clone() as clone:
        publish(clone, f"{short_dir}/public")
        assert (os.listdir(f"{short_dir}/sub"), sorted(os.listdir(short_dir))) == ([], ["public", "sub"])


@support.needs("bindat")
def test_borrowed_sockets_leave_the_file(short_dir: str) -> None:
    """A file is removed by who closes its socket, which no borrower does, and its knowledge ends with the loan."""
    folder = os.open(short_dir, os.O_RDONLY)
    with UnixDatagram.unbound() as sock:
        with UnixDatagram.borrow(sock) as borrowed:
            with pytest.raises(ValueError, match="a borrowed socket is closed by its owner"):
                borrowed.bind_to("s", dir_fd=folder, unlink_on_close=True)
            assert os.listdir(short_dir) == []
            borrowed.bind_to("s", dir_fd=folder, mode=0o600)
            publish(borrowed, "t", dir_fd=folder)
            assert str(borrowed.published_path) == "t"
        answers(UnixDatagram, f"{short_dir}/t")
    os.close(folder)


@pytest.mark.parametrize("give", [lambda sock: os.close(sock.detach()), lambda sock: sock.to_stdlib().close()])
def test_who_takes_the_descriptor_takes_the_file(types: tuple[Any, Any], socket_path: str, give: Any) -> None:
    """After detach() and to_stdlib() the file is the new owner's."""
    sock = types[0].bind(socket_path, unlink_on_close=True)
    give(sock)
    sock.close()
    socketfile._remove_all()
    assert os.path.exists(socket_path)


def test_duty_can_be_given_up(types: tuple[Any, Any], socket_path: str) -> None:
    """Who leaves its file to a successor sets unlink_on_close to False; True is what bind() alone can set."""
    with types[0].bind(socket_path, unlink_on_close=True) as sock:
        sock.unlink_on_close = True
        assert sock.unlink_on_close is True
        with sock.try_clone() as clone:
            assert clone.unlink_on_close is False
        sock.unlink_on_close = False
        assert sock.unlink_on_close is False
        with pytest.raises(ValueError, match=r"set to True by bind\(\) alone"):
            sock.unlink_on_close = True
    assert os.path.exists(socket_path)
    os.unlink(socket_path)
    with types[0].bind(socket_path) as sock:
        sock.unlink_on_close = False
        with pytest.raises(ValueError, match=r"set to True by bind\(\) alone"):
            sock.unlink_on_close = True


@pytest.mark.parametrize("types", LISTENERS)
def test_adopted_sockets_leave_the_file(types: tuple[Any, Any], socket_path: str) -> None:
    """What others have bound is not ours to remove."""
    number = types[0].bind(socket_path, unlink_on_close=True).detach()
    with OwnedFd(number) as owned, types[0].from_fd(owned.detach()) as listener:
        assert str(listener.published_path) == socket_path
    assert os.path.exists(socket_path)


def test_garbage_collector_removes_the_file(types: tuple[Any, Any], socket_path: str) -> None:
    """A socket that was forgotten warns, and its file goes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        types[0].bind(socket_path, unlink_on_close=True)
        support.collect()
    assert [warning.category for warning in caught] == [ResourceWarning]
    assert not os.path.exists(socket_path)


SCRIPT = """
import os, signal, sys
from uds_cffi import {kind}
os.chdir({folder!r})
sock = {kind}.bind("s", unlink_on_close=True)
relative = {kind}.bind("t", unlink_on_close=True)
os.unlink("t")
os.mkdir("t")
os.chdir("/")
{end}
"""


@pytest.mark.parametrize(
    ("end", "left"),
    [
        ("", ["t"]),
        ("sys.exit(0)", ["t"]),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); os.kill(os.getpid(), signal.SIGTERM)", ["t"]),
        ("pid = os.fork()\nif pid:\n    os.waitpid(pid, 0)\n    os._exit(0)", ["s", "t"]),
        ("os._exit(0)", ["s", "t"]),
    ],
    ids=["end", "exit", "signal", "child", "_exit"],
)
def test_end_of_the_interpreter(types: tuple[Any, Any], short_dir: str, end: str, left: list[str]) -> None:
    """The file is gone when the interpreter has ended in its own time, and only in the process that made it."""
    support.python("-W", "ignore", "-c", SCRIPT.format(kind=types[0].__name__, folder=short_dir, end=end))
    assert sorted(os.listdir(short_dir)) == left


def may_not_remove(folder: str, forbid: support.Event, forbidden: support.Event) -> None:
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    listener = UnixListener.bind(f"{folder}/s", unlink_on_close=True)
    number = listener.fileno()
    forbid.set()
    forbidden.wait()
    with pytest.raises(PermissionError) as caught:
        listener.close()
    assert caught.value.filename == f"{folder}/s"
    # The error does not keep the socket open, and is not raised again.
    assert listener.closed
    assert not support.is_open(number)
    listener.close()


@as_root
def test_file_that_cannot_be_removed(short_dir: str) -> None:
    """That the file stays is said by close(), which closes nevertheless."""
    os.chmod(short_dir, 0o777)
    forbid, forbidden = support.Event(), support.Event()
    with forbid, forbidden, support.Child(may_not_remove, short_dir, forbid, forbidden):
        forbid.wait()
        os.chmod(short_dir, 0o755)
        forbidden.set()
    assert os.listdir(short_dir) == ["s"]


def test_successor_and_predecessor_meet(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A successor that comes between the look and the removal waits for the lock, or is seen."""
    mine = socketfile.SocketFile._is_mine
    listener = UnixListener.bind(socket_path, unlink_on_close=True)
    successors = []

    def look(self: Any, place: Any) -> bool:
        seen = mine(self, place)
        if not successors:
            successors.append(UnixListener.bind(socket_path, takeover=True))
        return seen

    monkeypatch.setattr(socketfile.SocketFile, "_is_mine", look)
    listener.close()
    answers(UnixStream, socket_path)
    successors[0].close()


def test_successor_that_comes_while_binding(types: tuple[Any, Any], socket_path: str, monkeypatch: Any) -> None:
    """A successor waits until a socket knows which file is its own, which is never the successor's."""
    identity_of, attempts, successors = socketfile.identity_of, [], []
    flock = calls.flock

    def counted(handle: Any) -> int:
        attempts.append(1)
        return flock(handle)

    def meanwhile(place: Any) -> Any:
        if threading.current_thread() is threading.main_thread() and not successors:
            successors.append(support.in_thread(lambda: types[0].bind(socket_path, takeover=True)))
            outcomes.append(successors[0].__enter__())
            support.until(lambda: len(attempts) > 3 or bool(outcomes[0]))
        return identity_of(place)

    outcomes: list[Any] = []
    monkeypatch.setattr(calls, "flock", counted)
    monkeypatch.setattr(socketfile, "identity_of", meanwhile)
    first = types[0].bind(socket_path, unlink_on_close=True)
    successors[0].__exit__(None, None, None)
    first.close()
    answers(types[1], socket_path)
    outcomes[0][0].close()


def test_abandoned_file_is_removed_before_the_number(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the file is compared the socket is open, so that no other file has its inode."""
    numbers = []
    remove = socketfile.SocketFile.remove

    def removing(self: Any) -> None:
        numbers.append(support.is_open(number))
        remove(self)

    monkeypatch.setattr(socketfile.SocketFile, "remove", removing)
    listener = UnixListener.bind(socket_path, unlink_on_close=True)
    number = listener.fileno()
    listener.close()
    assert numbers == [True]
    assert not os.path.exists(socket_path)
