"""Replacing a stale socket file.

Rule: only a socket file that nobody uses goes; everything else stays as it is, and the error says what it is.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from typing import Any

import pytest
import support
from socketfiles import NOBODY, TYPES, answers, as_root, inode_of

from uds_cffi import UnixDatagram, UnixListener, UnixSeqpacketListener, UnixStream, stale


@pytest.fixture(params=TYPES)
def types(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Name a type that is bound, and the type that connects to it."""
    return request.param


def refused(kind: Any, path: str, **keywords: Any) -> str:
    """Fail to bind, without a change; returns what the error says behind the kernel's words."""
    folder = os.path.dirname(path)
    before = {name: inode_of(os.path.join(folder, name)) for name in os.listdir(folder)}
    with support.raises_errno(errno.EADDRINUSE) as caught:
        kind.bind(path, replace_stale=True, **keywords)
    assert caught.value.filename == path
    assert {name: inode_of(os.path.join(folder, name)) for name in os.listdir(folder)} == before
    words, colon, reason = caught.value.strerror.partition(": ")
    assert (words, colon) == (os.strerror(errno.EADDRINUSE), ": ")
    return reason


def test_stale_file_is_replaced(types: tuple[Any, Any], socket_path: str) -> None:
    """The file of a socket that was closed is replaced, and nothing else is left in the folder."""
    types[0].bind(socket_path).close()
    with support.raises_errno(errno.EADDRINUSE):
        types[0].bind(socket_path)
    with types[0].bind(socket_path, replace_stale=True):
        answers(types[1], socket_path)
        assert os.listdir(os.path.dirname(socket_path)) == ["s"]


def test_without_a_file_it_is_as_ever(types: tuple[Any, Any], socket_path: str) -> None:
    """Where there is nothing, nothing is replaced."""
    with types[0].bind(socket_path, replace_stale=True):
        answers(types[1], socket_path)
        assert os.listdir(os.path.dirname(socket_path)) == ["s"]


def test_file_of_another_type_is_replaced(types: tuple[Any, Any], socket_path: str) -> None:
    """A stale file has no type."""
    for other in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, other) as sock:
            sock.bind(socket_path)
        with types[0].bind(socket_path, replace_stale=True, unlink_on_close=True):
            answers(types[1], socket_path)


def test_file_of_a_killed_process_is_replaced(types: tuple[Any, Any], socket_path: str) -> None:
    """A server that was killed does not keep its successor from starting."""

    def serve(ready: support.Event) -> None:
        with types[0].bind(socket_path, unlink_on_close=True):
            ready.set()
            support.Event().wait()

    with support.Event() as ready:
        child = support.Child(serve, ready)
        ready.wait()
        child.kill()
    assert os.path.exists(socket_path)
    with types[0].bind(socket_path, replace_stale=True):
        answers(types[1], socket_path)


@pytest.mark.parametrize("kind", [UnixListener, UnixDatagram])
def test_live_listener_stays(kind: Any, socket_path: str) -> None:
    """Who listens is named, and goes on to serve."""
    with UnixListener.bind(socket_path) as listener:
        reason = refused(kind, socket_path)
        # The question is a connection that has ended when it is accepted.
        listener.accept()[0].close()
        with UnixStream.connect(socket_path) as client, listener.accept()[0] as conn:
            client.send(b"x")
            assert conn.recv(1) == b"x"
    if support.supported("peer_credentials"):
        with open("/proc/self/comm") as file:
            assert reason == f"process {os.getpid()} ({file.read().strip()}) listens there"
    else:
        assert reason == "a process listens there"


@support.needs("peer_credentials")
def test_name_of_the_process_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose name cannot be read is named by its number; one with strange characters does not spoil a line."""
    command = "import ctypes,sys; ctypes.CDLL(None).prctl(15, b'a\\nb\\xff'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        assert stale._command(process.pid) == r"a\nb\ufffd"
        process.stdin.close()
    assert stale._command(process.pid) == ""


@pytest.mark.skipif(not support.supported("seqpacket"), reason=f"{support.FEATURE_SKIP}seqpacket is absent")
def test_live_sequenced_packets_stay(socket_path: str) -> None:
    """A listener of another type is found too."""
    with UnixSeqpacketListener.bind(socket_path):
        assert f"process {os.getpid()} (" in refused(UnixListener, socket_path)


def test_live_datagram_socket_stays(socket_path: str) -> None:
    """A datagram socket that receives there is found, also when it hears one peer only."""
    with UnixDatagram.bind(socket_path) as sock:
        assert refused(UnixDatagram, socket_path) == "a process receives there"
        with UnixDatagram.bind(socket_path + "2") as peer:
            sock.connect_to(socket_path + "2")
            assert refused(UnixDatagram, socket_path) == "a process receives there, from its peer alone"
            peer.send_to(b"x", socket_path)
        assert sock.recv(9) == (b"x", False)


def test_full_backlog_is_alive(socket_path: str) -> None:
    """A listener that accepts nobody is alive, and is not waited for."""
    with UnixListener.bind(socket_path, backlog=0), UnixStream.connect(socket_path):
        assert refused(UnixListener, socket_path) == "a process listens there, and its backlog is full"


@support.needs("diagnostics")
def test_socket_that_will_listen_is_alive(socket_path: str) -> None:
    """Between bind(2) and listen(2) connecting is refused, and yet the file is somebody's."""
    with socket.socket(socket.AF_UNIX) as starting:
        starting.bind(socket_path)
        assert refused(UnixListener, socket_path) == "a socket is bound to it that does not listen yet"
        starting.listen()
        assert "listens there" in refused(UnixListener, socket_path)


def test_connections_that_outlive_their_listener_keep_no_file(socket_path: str) -> None:
    """An accepted connection has its listener's file, open or ended, and uses it no more."""
    with UnixListener.bind(socket_path) as listener:
        one, two = UnixStream.connect(socket_path), UnixStream.connect(socket_path)
        conns = [listener.accept()[0], listener.accept()[0]]
    two.close()
    with UnixListener.bind(socket_path, replace_stale=True):
        answers(UnixStream, socket_path)
    for sock in (one, *conns):
        sock.close()


@support.needs("diagnostics")
@pytest.mark.parametrize("code", [errno.ENOENT, errno.EPROTONOSUPPORT, errno.EACCES])
def test_kernel_that_lists_no_sockets(code: int, socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sock_diag is missing or forbidden, the refused connection is the proof."""
    UnixListener.bind(socket_path).close()
    monkeypatch.setattr(stale.sockdiag.Conversation, "open", lambda self: -code if code != errno.ENOENT else 0)
    monkeypatch.setattr(stale.sockdiag.Conversation, "ask", lambda self, *arguments, **keywords: -code)
    with UnixListener.bind(socket_path, replace_stale=True):
        answers(UnixStream, socket_path)


@pytest.mark.parametrize("keywords", [{"replace_stale": True}, {"takeover": True}])
def test_what_is_no_socket_stays(types: tuple[Any, Any], short_dir: str, keywords: dict[str, bool]) -> None:
    """Regular files, folders, links and pipes stay, and the error says what they are."""
    path = os.path.join(short_dir, "s")

    def make_file() -> None:
        with open(path, "w") as file:
            file.write("precious")

    types[0].bind(path + "0").close()
    makers = {
        "a regular file is there": make_file,
        "a directory is there": lambda: os.mkdir(path),
        "a symbolic link is there": lambda: os.symlink("s0", path),
        "another kind of file is there": lambda: os.mkfifo(path),
    }
    for reason, make in makers.items():
        make()
        before = os.lstat(path)
        with support.raises_errno(errno.EADDRINUSE) as caught:
            types[0].bind(path, **keywords)
        assert (caught.value.filename, caught.value.strerror.partition(": ")[2]) == (path, reason)
        assert os.lstat(path)[:8] == before[:8]
        assert sorted(os.listdir(short_dir)) == ["s", "s0"]
        (os.rmdir if os.path.isdir(path) and not os.path.islink(path) else os.unlink)(path)


def test_file_that_changes_meanwhile_stays(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that takes the stale one's place while that is looked at is somebody's, and one that goes is gone."""
    has_socket, later = stale._has_socket, socket_path + "2"

    def replaced(status: Any) -> bool:
        # The new one is made while the old one is there, so that it has another inode.
        UnixListener.bind(later).close()
        os.rename(later, socket_path)
        return has_socket(status)

    UnixListener.bind(socket_path).close()
    monkeypatch.setattr(stale, "_has_socket", replaced)
    with support.raises_errno(errno.EADDRINUSE) as caught:
        UnixListener.bind(socket_path, replace_stale=True)
    assert "another file took its place just now" in str(caught.value)
    assert os.path.exists(socket_path)
    monkeypatch.setattr(stale, "_has_socket", lambda status: os.unlink(socket_path))
    with UnixListener.bind(socket_path, replace_stale=True):
        answers(UnixStream, socket_path)


def may_not_connect(path: str) -> None:
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    assert "may not connect to it" in refused(UnixListener, path)


@as_root
def test_file_that_may_not_be_connected_to_stays(short_dir: str) -> None:
    """Without permission to connect there is no proof."""
    os.chmod(short_dir, 0o777)
    path = os.path.join(short_dir, "s")
    UnixListener.bind(path, mode=0o600).close()
    support.run_child(may_not_connect, path)


def test_of_two_starters_one_wins(socket_path: str) -> None:
    """Of servers that start at the same moment exactly one replaces the stale file; the others find it alive."""
    read, write = os.pipe()

    def start(go: support.Event, end: support.Event) -> None:
        go.wait()
        try:
            with UnixListener.bind(socket_path, replace_stale=True):
                os.write(write, b"1")
                end.wait()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            os.write(write, b"0")

    UnixListener.bind(socket_path).close()
    with support.Event() as go, support.Event() as end:
        children = [support.Child(start, go, end) for _ in range(8)]
        go.set()
        seen = b""
        while len(seen) < len(children):
            seen += os.read(read, 8)
        end.set()
        for child in children:
            child.join()
    os.close(read)
    os.close(write)
    assert sorted(seen) == sorted(b"00000001")
