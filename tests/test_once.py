"""What is loaded at its first use: kept from then on, and never imported again.

Rule: PyPy takes a lock for every import, also of what is loaded; a handler that raises in there leaves it locked, and
the next import waits for ever.
"""

from __future__ import annotations

import builtins
import grp
import os
import pwd
import sys
from typing import Any, Callable

import pytest
import support

from uds_cffi import (
    FramedStream,
    OwnedFd,
    PidFd,
    SocketAncillary,
    UnixDatagram,
    UnixListener,
    UnixSocketAddr,
    UnixStream,
    features,
    lib,
    publish,
)
from uds_cffi.diagnostics import info_of, peer_of, sockets
from uds_cffi.once import once
from uds_cffi.options import describe_options
from uds_cffi.receiver import Receiver


class Things:
    """What the calls below work on."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.listener = UnixListener.bind(path, unlink_on_close=True)
        self.left, self.right = UnixStream.pair()
        self.one, self.two = UnixDatagram.pair()

    def close(self) -> None:
        for thing in (self.listener, self.left, self.right, self.one, self.two):
            thing.close()


def bound(**how: Any) -> Callable[[Things], None]:
    """Bind to a path beside the listener's, as asked."""

    def call(things: Things) -> None:
        with UnixListener.bind(f"{things.path}.new", **{"unlink_on_close": True, **how}) as listener:
            assert str(listener.published_path) == f"{things.path}.new"

    return call


def replaces_stale(things: Things) -> None:
    UnixListener.bind(f"{things.path}.new").close()
    bound(replace_stale=True)(things)


def from_a_directory(things: Things) -> None:
    directory, name = os.path.split(things.path)
    with OwnedFd(os.open(directory, os.O_RDONLY)) as folder:
        UnixStream.connect(name, dir_fd=folder).close()
        UnixListener.bind(f"{name}.new", dir_fd=folder, long_path=True, unlink_on_close=True).close()


def publishes(things: Things) -> None:
    with UnixListener.bind(f"{things.path}.new", unlink_on_close=True) as listener:
        publish(listener, f"{things.path}.public")
        assert listener.published_path is not None


def passes_a_pidfd(things: Things) -> None:
    things.two.options.pass_pidfd = True
    with SocketAncillary(64) as ancillary:
        things.one.send(b"x")
        things.two.recv_ancillary(10, ancillary).messages[0].fd.close()


def sets_an_option(things: Things) -> None:
    things.left.options.send_buffer = 20000
    assert "send_buffer" in repr(things.left.options)


def duplicate(things: Things) -> OwnedFd:
    return OwnedFd(os.dup(things.left.fileno()))


def as_a_file(things: Things) -> None:
    read, write = os.pipe()
    OwnedFd(read).open("rb").close()
    OwnedFd(write).open("wb").close()
    # Text would be the standard library's, which imports as it likes.
    things.left.makefile("rwb").close()


def passes_descriptors(things: Things) -> None:
    things.left.send_fds(b"x", [0, 1])
    things.right.recv_fds(10, 2)[1].close()
    with FramedStream(things.left.try_clone()) as one, FramedStream(things.right.try_clone(), max_fds=2) as two:
        one.send_message(b"x", [0])
        two.recv_message().fds.close()


CALLS: dict[str, Any] = {
    "bind": bound(),
    "bind with mode": bound(mode=0o600),
    "bind with takeover": bound(takeover=True),
    "bind with replace_stale": replaces_stale,
    "bind with owner": lambda things: bound(owner=pwd.getpwuid(os.geteuid()).pw_name)(things),
    "bind with group": lambda things: bound(group=grp.getgrgid(os.getegid()).gr_name)(things),
    "dir_fd": pytest.param(from_a_directory, marks=support.needs("bindat")),
    "publish": publishes,
    "published_path": lambda things: (things.listener.published_path, things.left.published_path),
    "path": lambda things: things.listener.local_addr().path.name,
    "uri": lambda things: UnixSocketAddr.from_uri(UnixSocketAddr("/a b").to_uri()),
    "bound_file": pytest.param(
        lambda things: (things.listener.bound_file().close(), things.listener.is_still_bound()),
        marks=support.needs("bound_file"),
    ),
    "peer_credentials": pytest.param(
        lambda things: things.left.peer_credentials(), marks=support.needs("peer_credentials")
    ),
    "peer_groups": pytest.param(lambda things: things.left.peer_groups(), marks=support.needs("peer_groups")),
    "peer_pidfd": pytest.param(lambda things: things.left.peer_pidfd().close(), marks=support.needs("peer_pidfd")),
    "pidfd": pytest.param(lambda things: PidFd.from_pid(os.getpid()).close(), marks=support.needs("pidfd")),
    "pass_pidfd": pytest.param(passes_a_pidfd, marks=support.needs("pass_pidfd")),
    "options": sets_an_option,
    "describe_options": lambda things: describe_options(),
    "diagnostics": pytest.param(
        lambda things: (info_of(things.left), peer_of(things.left), sockets()), marks=support.needs("diagnostics")
    ),
    "features": lambda things: features(),
    "more control messages than C lists": lambda things: Receiver(0).items(lib.UDS_MOST_ITEMS, 0),
    "files": as_a_file,
    "descriptors": passes_descriptors,
    "to_stdlib": lambda things: things.left.try_clone().to_stdlib().close(),
    "to_stdlib_socket": lambda things: duplicate(things).to_stdlib_socket().close(),
    "as_stream": lambda things: duplicate(things).as_stream().close(),
}


import_module = builtins.__import__


def refuse(name: str, importer: Any = None, *arguments: Any) -> Any:
    """Refuse an import, unless pathlib makes it for a path.

    Later releases of CPython 3.13 import ntpath there each time, which takes no lock. On PyPy it would take one.
    """
    module = (importer or {}).get("__name__", "")
    if sys.implementation.name == "cpython" and module.partition(".")[0] == "pathlib":
        return import_module(name, importer, *arguments)
    raise AssertionError(f"{name} is imported")


def cases() -> list[Any]:
    """Make a parameter of each call, with the name that it has."""
    ready = ((name, call if hasattr(call, "marks") else pytest.param(call)) for name, call in CALLS.items())
    return [pytest.param(*call.values, id=name, marks=call.marks) for name, call in ready]


@pytest.mark.parametrize("call", cases())
def test_nothing_is_imported_twice(call, socket_path, monkeypatch):
    """What is loaded is not imported again."""
    things = Things(socket_path)
    try:
        call(things)
        with monkeypatch.context() as patch:
            patch.setattr(builtins, "__import__", refuse)
            call(things)
    finally:
        things.close()


def test_import_that_is_interrupted_is_repeated():
    """What could not be loaded is loaded at the next use, and once."""
    answers = [KeyboardInterrupt(), "module"]

    @once
    def load():
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    with pytest.raises(KeyboardInterrupt):
        load()
    assert [load(), load()] == ["module", "module"]
    assert answers == []
