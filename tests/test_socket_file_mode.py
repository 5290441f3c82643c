"""Permissions and owners of socket files.

Rule: they are what was asked for before anybody can connect, and never more on the way there.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
from typing import Any

import pytest
import support
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from socketfiles import LISTENERS, NOBODY, TYPES, Umask, answers, as_root, mode_of

import uds_cffi
from uds_cffi import UnixDatagram, UnixListener, calls, permissions, places, socketfile


@pytest.mark.parametrize("types", TYPES)
@given(mode=st.integers(0, 0o777), mask=st.integers(0, 0o777))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mode_is_exact(types: tuple[Any, Any], short_dir: str, mode: int, mask: int) -> None:
    """The file has the mode that was asked for, whatever the umask is."""
    path = os.path.join(short_dir, "s")
    with Umask(mask), types[0].bind(path, mode=mode):
        assert mode_of(path) == mode
        assert os.listdir(short_dir) == ["s"]
    os.unlink(path)


def bind_with_any_umask(folder: str) -> None:
    if os.geteuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    for mask in (0o777, 0o700, 0o277, 0):
        for kind in (UnixListener, UnixDatagram):
            for keywords in (
                {"mode": 0o640},
                {"mode": 0o640, "takeover": True},
                {"mode": 0o640, "replace_stale": True},
            ):
                with Umask(mask), kind.bind(f"{folder}/s", unlink_on_close=True, **keywords):
                    assert mode_of(f"{folder}/s") == 0o640
                assert os.listdir(folder) == []


def test_umask_that_takes_all(short_dir: str) -> None:
    """Also an ordinary user whose umask takes its own permissions gets a lock and a private folder that it can use."""
    os.chmod(short_dir, 0o777)
    support.run_child(bind_with_any_umask, short_dir)


@pytest.fixture(params=[False, True], ids=["kernel", "aside"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Bind as this kernel can, and as one that does not take the mode from the socket."""
    if request.param:
        monkeypatch.setattr(socketfile, "_applies", False)
    elif not support.supported("file_mode"):
        pytest.skip(f"{support.FEATURE_SKIP}file_mode is absent")
    return "aside" if request.param else "kernel"


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("changes", [{}, {"group": os.getegid()}], ids=["mode", "group"])
def test_mode_is_never_wider(
    way: str, types: tuple[Any, Any], socket_path: str, changes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each call that follows, the file can be reached by nobody who was not asked for."""
    seen = []

    def look(function: Any) -> Any:
        def looking(*arguments: Any, **keywords: Any) -> Any:
            if os.path.lexists(socket_path):
                seen.append(mode_of(socket_path))
            return function(*arguments, **keywords)

        return looking

    monkeypatch.setattr(permissions, "complete", look(permissions.complete))
    monkeypatch.setattr(calls, "listen", look(calls.listen))
    monkeypatch.setattr(places.Place, "chown", look(places.Place.chown))
    with Umask(0o022), types[0].bind(socket_path, mode=0o660, **changes):
        seen.append(mode_of(socket_path))
        answers(types[1], socket_path)
    assert seen[-1] == 0o660
    assert [mode for mode in seen if mode & ~0o660] == []
    # A listener is complete before it listens; what is made aside is complete before it has its name.
    assert seen.count(0o660) >= (2 if way == "kernel" and types[0] is not UnixDatagram else 1)


@pytest.mark.parametrize("types", LISTENERS)
def test_mode_is_complete_before_it_listens(
    types: tuple[Any, Any], socket_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The permissions that the umask took are there when the first client can connect."""
    listen, seen = calls.listen, []

    def listening(*arguments: Any) -> int:
        seen.extend(mode_of(socket_path) for _ in range(os.path.lexists(socket_path)))
        return listen(*arguments)

    monkeypatch.setattr(calls, "listen", listening)
    with Umask(0o077), types[0].bind(socket_path, mode=0o666):
        pass
    assert seen in ([0o666], [])
    assert seen or not support.supported("file_mode")


@as_root
@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("mode", [None, 0o600, 0o666])
@pytest.mark.parametrize("aside", [False, True])
def test_owner_and_group(
    types: tuple[Any, Any], socket_path: str, mode: int | None, aside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file belongs to whom it was given, by number or by name, with the mode that was asked for or the default."""
    if aside:
        monkeypatch.setattr(socketfile, "_applies", False)
    user, group = pwd.getpwuid(1), grp.getgrgid(2)
    for owner, members in ((user.pw_uid, group.gr_gid), (user.pw_name, group.gr_name)):
        with Umask(0o027), types[0].bind(socket_path, owner=owner, group=members, mode=mode):
            status = os.stat(socket_path)
            assert (status.st_uid, status.st_gid) == (1, 2)
            assert mode_of(socket_path) == (0o750 if mode is None else mode)
        os.unlink(socket_path)


def may_not_give_away(path: str) -> None:
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    for types in (UnixListener, UnixDatagram):
        for keywords in ({"mode": 0o600}, {}):
            with pytest.raises(PermissionError):
                types.bind(path, owner=1, **keywords)
            assert os.listdir(os.path.dirname(path)) == []


@as_root
def test_who_may_not_give_a_file_away_has_none(short_dir: str) -> None:
    """Where the owner cannot be changed the error comes out, and no file is left."""
    os.chmod(short_dir, 0o777)
    support.run_child(may_not_give_away, os.path.join(short_dir, "s"))


@pytest.mark.parametrize(
    ("keywords", "kind", "text"),
    [
        ({"mode": True}, TypeError, "mode is an int such as 0o600, not bool"),
        ({"mode": "600"}, TypeError, "mode is an int such as 0o600, not str"),
        ({"mode": -1}, ValueError, "mode is within 0 to 0o777, not -0o1"),
        ({"mode": 0o1777}, ValueError, "mode is within 0 to 0o777, not 0o1777"),
        ({"owner": True}, TypeError, r"owner is a number \(int\) or a name \(str\), not bool"),
        ({"group": b"x"}, TypeError, r"group is a number \(int\) or a name \(str\), not bytes"),
        ({"owner": -1}, ValueError, "owner is within 0 to 4294967294, not -1"),
        ({"group": 2**32 - 1}, ValueError, "group is within 0 to 4294967294, not 4294967295"),
        ({"owner": "no such user"}, LookupError, "there is no user 'no such user'"),
        ({"group": "no such group"}, LookupError, "there is no group 'no such group'"),
    ],
)
@pytest.mark.parametrize("kind_of_socket", [UnixListener, UnixDatagram])
def test_bad_values(kind_of_socket: Any, socket_path: str, keywords: Any, kind: Any, text: str) -> None:
    """What cannot be a mode, an owner or a group is refused before there is a file."""
    with pytest.raises(kind, match=text):
        kind_of_socket.bind(socket_path, **keywords)
    assert not os.path.exists(socket_path)


@support.needs("abstract_addresses")
@pytest.mark.parametrize("keywords", [{"mode": 0}, {"owner": 0}, {"group": 0}, {"takeover": True}, {"dir_fd": 0}])
@pytest.mark.parametrize("addr", ["", b"\0uds-mode", uds_cffi.UnixSocketAddr.unnamed()])
def test_what_is_no_path_has_none(addr: Any, keywords: Any) -> None:
    """An abstract name has no permissions, and to ask for some is an error and no false safety."""
    with pytest.raises(ValueError, match="is no path, so it has no mode, owner, group, takeover or dir_fd"):
        UnixListener.bind(addr, **keywords)


@support.needs("abstract_addresses")
def test_what_is_no_path_needs_no_care() -> None:
    """A name that leaves no file has none to replace or to remove, and those who bind to either may say so."""
    addr = uds_cffi.UnixSocketAddr.from_abstract(f"uds-{os.getpid()}")
    with UnixListener.bind(addr, replace_stale=True, unlink_on_close=True, long_path=True) as listener:
        assert listener.local_addr() == addr
        assert listener.published_path is None


@pytest.mark.parametrize("aside", [False, True])
def test_failed_listen_leaves_no_file(socket_path: str, aside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """When what follows bind(2) fails no file is left, and the error has the path."""
    monkeypatch.setattr(socketfile, "_applies", not aside)
    monkeypatch.setattr(calls, "listen", lambda handle, backlog: -errno.ENOBUFS)
    with support.raises_errno(errno.ENOBUFS) as caught:
        UnixListener.bind(socket_path, mode=0o600)
    assert caught.value.filename == socket_path
    assert os.listdir(os.path.dirname(socket_path)) == []


def test_kernel_is_asked_once(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the kernel applies the mode is found out by doing it, for the first mode that is asked for."""
    asked = []
    monkeypatch.setattr(socketfile, "_applies", None)
    monkeypatch.setattr(uds_cffi.probes, "file_mode", lambda: asked.append(1) or "kernel")
    for _ in range(2):
        with UnixListener.bind(socket_path, mode=0o600, unlink_on_close=True):
            assert mode_of(socket_path) == 0o600
    assert len(asked) == (1 if uds_cffi.lib.UDS_HAS_FILE_MODE else 0)
