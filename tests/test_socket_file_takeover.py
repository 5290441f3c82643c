"""Putting a socket in the place of another, with no moment in between.

Rule: who connects reaches the old socket or the new one.
"""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path
from typing import Any

import pytest
import support
from socketfiles import LISTENERS, TYPES, answers, inode_of, mode_of

from uds_cffi import UnixDatagram, UnixListener, lib, publish, publishing, socketfile

TAKEOVERS = 100
CLIENTS = 4
CONNECTIONS = 10_000


@pytest.fixture(params=TYPES)
def types(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Name a type that is bound, and the type that connects to it."""
    return request.param


def test_successor_takes_the_name(types: tuple[Any, Any], socket_path: str) -> None:
    """The new socket has the name, and the old one what came before; nothing else is left in the folder."""
    with types[0].bind(socket_path, unlink_on_close=True) as old:
        before = types[1].connect(socket_path)
        with types[0].bind(socket_path, takeover=True, unlink_on_close=True, mode=0o600) as new:
            after = types[1].connect(socket_path)
            assert os.listdir(os.path.dirname(socket_path)) == ["s"]
            assert mode_of(socket_path) == 0o600
            for sock, client, data in ((old, before, b"old"), (new, after, b"new")):
                client.send(data)
                if types[0] is UnixDatagram:
                    assert sock.recv(9).data == data
                else:
                    with sock.accept()[0] as conn:
                        received = conn.recv(9)
                        assert getattr(received, "data", received) == data
                client.close()
            # The old one's file has gone already, and so the new one's stays.
            old.close()
            answers(types[1], socket_path)
    assert os.listdir(os.path.dirname(socket_path)) == []


def test_names(types: tuple[Any, Any], socket_path: str) -> None:
    """The kernel's name is where it was made, and the published one where it is."""
    with types[0].bind(socket_path, takeover=True, unlink_on_close=True) as sock:
        assert sock.published_path == Path(socket_path)
        assert str(sock.local_addr()) == os.path.join(os.path.dirname(socket_path), ".s.new", "s")
    with support.raises_errno(errno.EBADF):
        _ = sock.published_path
    with types[0].bind(socket_path) as sock:
        assert sock.published_path == sock.local_addr().path == Path(socket_path)


def test_publish(types: tuple[Any, Any], short_dir: str) -> None:
    """A bound socket gets another name, in the place of nothing and of another socket."""
    path = os.path.join(short_dir, "public")
    for keywords in ({}, {"unlink_on_close": True}, {"mode": 0o600}):
        with types[0].bind(os.path.join(short_dir, "private"), **keywords) as sock:
            inode = inode_of(os.path.join(short_dir, "private"))
            address = sock.local_addr()
            publish(sock, path)
            assert os.listdir(short_dir) == ["public"]
            assert inode_of(path) == inode
            assert sock.published_path == Path(path)
            assert sock.local_addr() == address
            answers(types[1], path)
        assert os.path.exists(path) is ("unlink_on_close" not in keywords)


def test_publish_again(short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published name changes as often as one likes, also from another working directory."""
    monkeypatch.chdir(short_dir)
    with UnixListener.bind("a", unlink_on_close=True) as listener:
        for name in ("b", "c", "b"):
            publish(listener, name)
            assert os.listdir(short_dir) == [name]
        monkeypatch.chdir("/")
        publish(listener, os.path.join(short_dir, "d"))
        assert os.listdir(short_dir) == ["d"]
    assert os.listdir(short_dir) == []


@support.needs("bindat")
def test_publish_from_a_folder_to_a_folder(short_dir: str) -> None:
    """Both names may be relative to a folder, which may be closed afterwards."""
    os.mkdir(f"{short_dir}/one")
    os.mkdir(f"{short_dir}/two")
    one, two = (os.open(f"{short_dir}/{name}", os.O_RDONLY) for name in ("one", "two"))
    # As long as an address has room for, where that is the limit of a name in a folder too.
    name = "t" * (200 if lib.UDS_HAS_LONG_NAMES else lib.UDS_MAX_NAME_LEN)
    with UnixListener.bind("s", dir_fd=one, unlink_on_close=True) as listener:
        os.close(one)
        publish(listener, name, dir_fd=two, long_path=True)
        os.close(two)
        assert os.listdir(f"{short_dir}/one") == []
        assert os.listdir(f"{short_dir}/two") == [name]
        assert listener.published_path == Path(name)
    assert os.listdir(f"{short_dir}/two") == []


def test_what_is_no_socket_is_not_replaced(short_dir: str) -> None:
    """A regular file stays, and so does the socket's own name."""
    path = os.path.join(short_dir, "file")
    with open(path, "w"):
        pass
    with UnixListener.bind(os.path.join(short_dir, "s"), unlink_on_close=True) as listener:
        with support.raises_errno(errno.EADDRINUSE) as caught:
            publish(listener, path)
        assert caught.value.filename == path
        assert listener.published_path == Path(short_dir, "s")
        assert sorted(os.listdir(short_dir)) == ["file", "s"]
    assert os.listdir(short_dir) == ["file"]


def test_what_cannot_be_published(short_dir: str, stream: Any) -> None:
    """Nothing but a socket of this library with a file that is still its own."""
    path = os.path.join(short_dir, "public")
    with pytest.raises(TypeError, match="a socket of this library is needed, not int"):
        publish(3, path)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bound to no path: its address is 'unnamed'"):
        publish(stream[0], path)
    for keywords in ({}, {"unlink_on_close": True}):
        with UnixListener.bind(os.path.join(short_dir, "s"), **keywords) as listener:
            os.unlink(os.path.join(short_dir, "s"))
            with pytest.raises(FileNotFoundError) as caught:
                publish(listener, path)
            assert caught.value.filename == os.path.join(short_dir, "s")
    with UnixListener.bind(os.path.join(short_dir, "s"), unlink_on_close=True) as listener:
        os.unlink(os.path.join(short_dir, "s"))
        with UnixListener.bind(os.path.join(short_dir, "s")), pytest.raises(FileNotFoundError):
            publish(listener, path)
    assert os.listdir(short_dir) == ["s"]


def test_other_file_system(short_dir: str) -> None:
    """A name on another file system cannot be given, and nothing changes."""
    if os.stat("/dev/shm").st_dev == os.stat(short_dir).st_dev:
        pytest.skip("there is no second file system")
    path = f"/dev/shm/uds-{os.getpid()}"
    with UnixListener.bind(os.path.join(short_dir, "s"), unlink_on_close=True) as listener:
        with support.raises_errno(errno.EXDEV):
            publish(listener, path)
        assert listener.published_path == Path(short_dir, "s")
        assert not os.path.exists(path)
    assert os.listdir(short_dir) == []


class Interrupted(Exception):
    """What a handler raises."""


@pytest.mark.parametrize("renamed", [False, True])
def test_interrupted_publish_knows_where_its_file_is(
    renamed: bool, short_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a handler raises before or after the file has its new name, closing removes it."""

    def interrupted(source: Any, place: Any) -> None:
        if renamed:
            socketfile.replace(source, place)
        raise Interrupted

    monkeypatch.setattr(publishing, "replace", interrupted)
    with UnixListener.bind(os.path.join(short_dir, "s"), unlink_on_close=True) as listener:
        with pytest.raises(Interrupted):
            publish(listener, os.path.join(short_dir, "public"))
        assert os.listdir(short_dir) == (["public"] if renamed else ["s"])
    assert os.listdir(short_dir) == []


def call_again_and_again(client: Any, path: str, enough: support.Event) -> None:
    """Ask as often as that, and as long as there are takeovers."""
    for count in itertools.count(1):
        if count > CONNECTIONS // CLIENTS and support.readable(enough, 0):
            break
        with client.connect(path) as conn:
            conn.send(b"?")
            received = conn.recv(1)
            assert getattr(received, "data", received) == b"!"


def serve(kind: Any, path: str, ready: support.Event, over: support.Event, end: support.Event) -> None:
    """Take over, answer everybody, and stop once there is a successor and nobody waits any more."""
    with kind.bind(path, takeover=True) as listener:
        ready.set()
        while not support.readable(end, 0):
            listener.set_timeout(0.05)
            try:
                conn = listener.accept()[0]
            except TimeoutError:
                if support.readable(over, 0):
                    break
                continue
            with conn:
                received = conn.recv(1)
                if getattr(received, "data", received) == b"?":
                    conn.send(b"!")


@pytest.mark.many_processes
@pytest.mark.parametrize("types", LISTENERS)
def test_clients_never_see_a_gap(types: tuple[Any, Any], socket_path: str) -> None:
    """While a hundred servers take over from each other, ten thousand connections are all made and all answered.

    A client that is answered has been accepted; none is refused, and none finds no file.
    """
    enough, end = support.Event(), support.Event()
    clients, servers, events = [], [], []
    for number in range(TAKEOVERS + 1):
        ready, over = support.Event(), support.Event()
        servers.append(support.Child(serve, types[0], socket_path, ready, over, end))
        ready.wait()
        if number == 0:
            clients = [support.Child(call_again_and_again, types[1], socket_path, enough) for _ in range(CLIENTS)]
        elif number > 1:
            # The one before has been without its name for a whole takeover: nobody is on the way to it.
            events[number - 2][1].set()
            servers[number - 2].join()
        events.append((ready, over))
    enough.set()
    for client in clients:
        client.join(4 * support.PATIENCE)
    end.set()
    for server in servers:
        server.join()
    for event in (enough, end, *(one for pair in events for one in pair)):
        event.close()
