"""Socket files in places that others can write to, or that are broken.

Rule: nothing is followed or waited for that somebody has put in the place of a lock or a temporary name, nothing of
theirs is changed, and the error says what is in the way and where.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import support
from socketfiles import NOBODY, Umask, answers, as_root, mode_of

from uds_cffi import UnixDatagram, UnixListener, UnixStream, lib, locks, publish
from uds_cffi.locks import Lock
from uds_cffi.places import Place

LOCKED: list[dict[str, Any]] = [{"replace_stale": True}, {"takeover": True}]


def picture_of(folder: str) -> list[Any]:
    """Return all that is below a folder, with the content of files."""
    found = []
    for place, folders, files in os.walk(folder):
        for name in sorted((*folders, *files)):
            path = os.path.join(place, name)
            status = os.lstat(path)
            content = Path(path).read_bytes() if stat.S_ISREG(status.st_mode) else b""
            found.append((path, status.st_ino, status.st_mode, status.st_uid, content))
    return sorted(found)


def refuses(folder: str, code: int, name: str, text: str, **keywords: Any) -> None:
    """Fail to bind there; the error names that file, and nothing changes."""
    before = picture_of(folder)
    with support.raises_errno(code) as caught:
        UnixListener.bind(os.path.join(folder, "s"), **keywords)
    assert caught.value.filename == os.path.join(folder, name)
    assert text in caught.value.strerror
    assert picture_of(folder) == before


@pytest.mark.parametrize("keywords", LOCKED)
def test_something_else_is_the_lock(short_dir: str, keywords: dict[str, Any]) -> None:
    """A link, a folder, a pipe or a socket that has the lock's name is not followed, opened or removed."""
    lock = os.path.join(short_dir, ".s.lock")
    victim = os.path.join(short_dir, "victim")
    with open(victim, "w") as file:
        file.write("precious")
    plants: list[tuple[Callable[[], object], int, str]] = [
        (lambda: os.symlink("victim", lock), errno.ELOOP, "the lock file is a symbolic link"),
        (lambda: os.symlink("nothing", lock), errno.ELOOP, "the lock file is a symbolic link"),
        (lambda: os.mkdir(lock), errno.EISDIR, ""),
        (lambda: os.mkfifo(lock), errno.EEXIST, "the lock file is no regular file"),
        (lambda: UnixListener.bind(lock).close(), errno.ENXIO, ""),
    ]
    for plant, code, text in plants:
        plant()
        refuses(short_dir, code, ".s.lock", text, **keywords)
        (os.rmdir if stat.S_ISDIR(os.lstat(lock).st_mode) else os.unlink)(lock)


def test_lock_is_not_written_to(short_dir: str) -> None:
    """A regular file that has the lock's name is locked, and never written to, whatever is in it."""
    with open(os.path.join(short_dir, "other"), "w") as file:
        file.write("precious")
    os.link(os.path.join(short_dir, "other"), os.path.join(short_dir, ".s.lock"))
    UnixListener.bind(os.path.join(short_dir, "s"), replace_stale=True).close()
    with open(os.path.join(short_dir, "other")) as file:
        assert file.read() == "precious"


def test_something_else_is_the_private_folder(short_dir: str) -> None:
    """A link, a file, a folder for everybody or one with more in it is not used, cleared or removed."""
    name = os.path.join(short_dir, ".s.new")
    elsewhere = os.path.join(short_dir, "elsewhere")
    os.mkdir(elsewhere, 0o700)
    UnixListener.bind(os.path.join(elsewhere, "s")).close()
    text = "something else has the name of a temporary folder"

    def open_to_all() -> None:
        os.mkdir(name)
        os.chmod(name, 0o770)

    def full() -> None:
        os.mkdir(name, 0o700)
        with open(os.path.join(name, "other"), "w"):
            pass

    def no_socket() -> None:
        os.mkdir(name, 0o700)
        with open(os.path.join(name, "s"), "w"):
            pass

    plants: list[tuple[Callable[[], object], int, str]] = [
        (lambda: os.symlink("elsewhere", name), errno.EEXIST, text),
        (lambda: Path(name).touch(), errno.EEXIST, text),
        (open_to_all, errno.EEXIST, text),
        (full, errno.ENOTEMPTY, ""),
        (no_socket, errno.ENOTEMPTY, ""),
    ]
    for plant, code, reason in plants:
        plant()
        refuses(short_dir, code, ".s.new", reason, takeover=True)
        (shutil.rmtree if os.path.isdir(name) and not os.path.islink(name) else os.unlink)(name)


def test_held_lock_is_not_waited_for_for_ever(short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is not released is an error after a few seconds, and one that is always new ones too."""
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    with Lock(Place(os.path.join(short_dir, "s"))):
        for keywords in LOCKED:
            refuses(short_dir, errno.ETIMEDOUT, ".s.lock", "has been locked by another process for 0.05", **keywords)
        with UnixListener.bind(os.path.join(short_dir, "t")) as listener, support.raises_errno(errno.ETIMEDOUT):
            publish(listener, os.path.join(short_dir, "s"))
    assert os.listdir(short_dir) == ["t"]
    monkeypatch.setattr(locks.Lock, "_take", lambda self, deadline: False)
    with support.raises_errno(errno.ETIMEDOUT) as caught:
        UnixListener.bind(os.path.join(short_dir, "s"), takeover=True)
    assert "is made anew again and again" in caught.value.strerror


def test_lock_that_lost_its_name_is_taken_anew(short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waited for a lock whose file was removed or replaced meanwhile begins again with what has the name."""
    path = os.path.join(short_dir, "s")
    changes = iter([lambda: os.unlink(lock), lambda: (os.unlink(lock), Path(lock).touch())])
    lock = os.path.join(short_dir, ".s.lock")
    finish = locks.finish

    def locked(*arguments: Any, **keywords: Any) -> int:
        result = finish(*arguments, **keywords)
        next(changes, bool)()
        return result

    monkeypatch.setattr(locks, "finish", locked)
    with UnixListener.bind(path, replace_stale=True):
        answers(UnixStream, path)
    assert next(changes, None) is None
    assert os.listdir(short_dir) == ["s"]


def test_kernel_without_locks(short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file cannot be locked, nothing is replaced."""
    monkeypatch.setattr(locks.calls, "flock", lambda handle: -errno.ENOLCK)
    with support.raises_errno(errno.ENOLCK) as caught:
        UnixListener.bind(os.path.join(short_dir, "s"), replace_stale=True)
    assert caught.value.filename == os.path.join(short_dir, ".s.lock")


@pytest.mark.parametrize(("folder", "expected"), [(0o700, 0o600), (0o755, 0o600), (0o775, 0o644), (0o1777, 0o644)])
def test_lock_may_be_opened_by_who_may_make_files(short_dir: str, folder: int, expected: int) -> None:
    """Whatever the umask is: who shares a folder can lock the file of a process that has crashed, and nobody else."""
    os.chmod(short_dir, folder)
    for mask in (0o777, 0o077, 0o022, 0):
        with Umask(mask), Lock(Place(os.path.join(short_dir, "s"))):
            assert mode_of(os.path.join(short_dir, ".s.lock")) == expected


@as_root
def test_lock_in_the_folder_of_another_user(short_dir: str) -> None:
    """The owner of a folder can lock the file that another user has left there."""
    os.chown(short_dir, NOBODY, NOBODY)
    with Lock(Place(os.path.join(short_dir, "s"))):
        assert mode_of(os.path.join(short_dir, ".s.lock")) == 0o644


def test_lock_changes_no_other_file(short_dir: str) -> None:
    """A file that has another name or content keeps its permissions, whoever gave it the name of the lock."""
    os.chmod(short_dir, 0o777)
    lock, secret = os.path.join(short_dir, ".s.lock"), os.path.join(short_dir, "secret")
    for content, link in (("", os.link), ("precious", os.link), ("precious", os.rename)):
        with open(secret, "w") as file:
            file.write(content)
        os.chmod(secret, 0o600)
        link(secret, lock)
        with Lock(Place(os.path.join(short_dir, "s"))):
            assert mode_of(lock) == 0o600


def test_lock_is_open_for_writing(short_dir: str) -> None:
    """Network file systems lock no file for one alone that is open for reading only (flock(2))."""
    with Lock(Place(os.path.join(short_dir, "s"))) as lock:
        assert fcntl.fcntl(lock._file.fileno(), fcntl.F_GETFL) & (os.O_RDWR | os.O_WRONLY) == os.O_RDWR


def test_lock_that_is_not_needed(short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there can be no lock, who replaces nothing goes on without; a lock that is held is waited for."""
    path = os.path.join(short_dir, "s")
    for code in (errno.ENOLCK, errno.EOPNOTSUPP):
        with monkeypatch.context() as patch:
            patch.setattr(locks.calls, "flock", lambda handle, code=code: -code)
            UnixListener.bind(path, unlink_on_close=True).close()
    os.mkdir(os.path.join(short_dir, ".s.lock"))
    UnixListener.bind(path, unlink_on_close=True).close()
    assert os.listdir(short_dir) == [".s.lock"]
    os.rmdir(os.path.join(short_dir, ".s.lock"))
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    with Lock(Place(path)):
        refuses(short_dir, errno.ETIMEDOUT, ".s.lock", "has been locked by another process", unlink_on_close=True)


def test_lock_whose_file_stays_ends(short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file cannot be removed, a child that was forked meanwhile does not keep its lock."""
    path = os.path.join(short_dir, "s")
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(Place, "unlink", lambda self: -errno.EPERM)
        with Lock(Place(path)) as lock:
            copy = os.dup(lock._file.fileno())
    assert os.listdir(short_dir) == [".s.lock"]
    with Lock(Place(path)):
        pass
    os.close(copy)
    with monkeypatch.context() as patch:
        patch.setattr(Place, "unlink", lambda self: -errno.EIO)
        with support.raises_errno(errno.EIO) as caught, Lock(Place(path)):
            pass
    assert caught.value.filename == os.path.join(short_dir, ".s.lock")


class Interrupted(Exception):
    """What a handler raises."""


@pytest.mark.parametrize("step", ["__enter__", "__exit__"])
def test_lock_is_not_kept_by_an_exception(step: str, short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a handler raises as the lock has been taken or is to be given up, nobody waits for it afterwards."""
    path = os.path.join(short_dir, "s")
    function = getattr(Lock, step)

    def interrupted(self: Any, *arguments: Any) -> None:
        monkeypatch.setattr(Lock, step, function)
        if step == "__enter__":
            function(self)
        raise Interrupted

    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    listener = UnixListener.bind(os.path.join(short_dir, "t"), unlink_on_close=True)
    for call in (
        lambda: UnixListener.bind(path, unlink_on_close=True),
        lambda: publish(listener, path),
        lambda: listener.close(),
    ):
        monkeypatch.setattr(Lock, step, interrupted)
        with pytest.raises(Interrupted) as caught:
            call()
        # The traceback keeps all that the call had.
        with Lock(Place(path)):
            assert caught
    assert listener.closed


def test_lock_removes_its_own_file_alone(short_dir: str) -> None:
    """When something else has got the name of a lock that is held, it stays."""
    lock = os.path.join(short_dir, ".s.lock")
    with Lock(Place(os.path.join(short_dir, "s"))):
        os.unlink(lock)
        Path(lock).write_text("another's")
    assert Path(lock).read_text() == "another's"


def shared_by_users(folder: str) -> None:
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    path = os.path.join(folder, "s")
    for keywords in LOCKED:
        with UnixListener.bind(path, unlink_on_close=True, **keywords):
            answers(UnixStream, path)
    # The lock's file is another user's, and so are the stale file and the folder below: they cannot be removed.
    assert sorted(os.listdir(folder)) == [".s.lock", ".t.lock", ".t.new", "t"]
    with support.raises_errno(errno.EEXIST) as caught:
        UnixListener.bind(os.path.join(folder, "t"), takeover=True)
    assert caught.value.filename == os.path.join(folder, ".t.new")
    with pytest.raises(PermissionError):
        UnixListener.bind(os.path.join(folder, "t"), replace_stale=True)


@as_root
def test_sticky_folder(short_dir: str) -> None:
    """In a folder like /tmp a lock that another user has left blocks nobody, and what cannot be removed is an error."""
    os.chmod(short_dir, 0o1777)
    UnixListener.bind(os.path.join(short_dir, "t"), mode=0o666).close()
    for name in (".s.lock", ".t.lock"):
        with open(os.path.join(short_dir, name), "w"):
            pass
        os.chown(os.path.join(short_dir, name), 1, 1)
    os.mkdir(os.path.join(short_dir, ".t.new"), 0o700)
    support.run_child(shared_by_users, short_dir)


def without_permission(folder: str) -> None:
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    for keywords, name in (({"mode": 0o600}, "s"), (LOCKED[0], ".s.lock"), (LOCKED[1], ".s.lock")):
        with pytest.raises(PermissionError) as caught:
            UnixListener.bind(os.path.join(folder, "s"), **keywords)
        if keywords not in LOCKED and not lib.UDS_HAS_FILE_MODE:
            name = ".s.lock"
        assert caught.value.filename == os.path.join(folder, name)


@as_root
def test_folder_that_may_not_be_written_to(short_dir: str) -> None:
    """The error names the file that could not be made."""
    os.chmod(short_dir, 0o755)
    support.run_child(without_permission, short_dir)
    assert os.listdir(short_dir) == []


def test_folder_that_is_missing_or_none(short_dir: str) -> None:
    """The error names the path that was asked for."""
    with open(os.path.join(short_dir, "file"), "w"):
        pass
    for kind in (UnixListener, UnixDatagram):
        for keywords in ({"mode": 0o600}, {"unlink_on_close": True}, *LOCKED):
            for folder, error in (("none", FileNotFoundError), ("file", NotADirectoryError)):
                with pytest.raises(error) as caught:
                    kind.bind(os.path.join(short_dir, folder, "s"), **keywords)
                assert caught.value.filename == os.path.join(short_dir, folder, "s")


@pytest.fixture
def small_disk(short_dir: str) -> Iterator[str]:
    """Mount a file system with room for a few files."""
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=5", "tmpfs", short_dir], check=False)
    if made.returncode != 0:
        pytest.skip("this process may not mount a file system")
    yield short_dir
    subprocess.run(["umount", short_dir], check=True)


@as_root
@pytest.mark.parametrize("free", [0, 1, 2, 3])
@pytest.mark.parametrize("keywords", [{"mode": 0o600}, *LOCKED])
def test_full_disk(small_disk: str, free: int, keywords: dict[str, Any]) -> None:
    """What cannot be made for want of room is named, and what was made is removed; with room again it works."""
    # The root of the file system is the first.
    others = [os.path.join(small_disk, str(number)) for number in range(4 - free)]
    for other in others:
        with open(other, "w"):
            pass
    path = os.path.join(small_disk, "s")
    # The file itself, its lock, a private folder, and a second name for a while.
    needed = {"takeover": 3, "replace_stale": 2, "mode": 2 if lib.UDS_HAS_FILE_MODE else 4}[next(iter(keywords))]
    if free >= needed:
        # It is removed although there is no room for a lock.
        UnixListener.bind(path, unlink_on_close=True, **keywords).close()
    else:
        with support.raises_errno(errno.ENOSPC) as caught:
            UnixListener.bind(path, **keywords)
        assert str(caught.value.filename).startswith(small_disk)
    assert sorted(os.listdir(small_disk)) == [os.path.basename(other) for other in others]
    for other in others:
        os.unlink(other)
    with UnixListener.bind(path, **keywords):
        answers(UnixStream, path)
        assert os.listdir(small_disk) == ["s"]


@as_root
def test_read_only_file_system(small_disk: str) -> None:
    """EROFS comes out with the name, and closing a socket whose file cannot be removed says so and closes."""
    path = os.path.join(small_disk, "s")
    listener = UnixListener.bind(path, unlink_on_close=True)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for keywords, name in (({"mode": 0o600}, "t"), (LOCKED[0], ".t.lock"), (LOCKED[1], ".t.lock")):
        with support.raises_errno(errno.EROFS) as caught:
            UnixListener.bind(os.path.join(small_disk, "t"), **keywords)
        if keywords not in LOCKED and not lib.UDS_HAS_FILE_MODE:
            name = ".t.lock"
        assert caught.value.filename == os.path.join(small_disk, name)
    with support.raises_errno(errno.EROFS):
        listener.close()
    assert listener.closed
    assert os.listdir(small_disk) == ["s"]
