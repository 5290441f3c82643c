"""Pidfds with messages: options.pass_pidfd and ScmPidfd.

Rule: the pidfd has an owner when the receive returns, and is closed unless somebody reads it.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest
import support
from interrupting import interrupt_everywhere

from uds_cffi import (
    MSG_PEEK,
    Credentials,
    PidFd,
    ScmCredentials,
    ScmPidfd,
    ScmRights,
    SocketAncillary,
    UnixDatagram,
    UnixListener,
    UnixSeqpacketListener,
    UnixStream,
    lib,
    register_decoder,
    unregister_decoder,
)

needs_pidfd = support.needs("pass_pidfd")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can speak for others")


@pytest.fixture
def ancillary() -> Iterator[SocketAncillary]:
    """Have room for every kind."""
    with SocketAncillary.with_room_for(fds=253, credentials=True, pidfd=True) as made:
        yield made


@pytest.fixture
def asking(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    """Make a pair of each type whose second socket asks for pidfds."""
    pair[1].options.pass_pidfd = True
    pair[1].set_read_timeout(support.PATIENCE)
    return pair


def open_count() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- What arrives -------------------------------------------------------------------------------


@needs_pidfd
def test_sender_of_a_message(asking: tuple[Any, Any], ancillary: SocketAncillary) -> None:
    """A message brings its sender's process, close-on-exec, and so does each one after it."""
    one, two = asking
    for _ in range(3):
        one.send(b"x")
        (message,) = two.recv_ancillary(10, ancillary).messages
        assert type(message) is ScmPidfd
        assert message.error is None
        with message.fd as sender:
            assert type(sender) is PidFd
            assert sender.pid() == os.getpid()
            assert not os.get_inheritable(sender.fileno())
            assert repr(message) == f"ScmPidfd(fd={sender!r}, error=None)"


@needs_pidfd
def test_beside_everything_else(asking: tuple[Any, Any], ancillary: SocketAncillary, files: list[int]) -> None:
    """Credentials, descriptors and the pidfd of one message all arrive, each as its own."""
    one, two = asking
    two.options.pass_credentials = True
    one.send_fds(b"x", files)
    with two.recv_ancillary(10, ancillary) as received:
        assert not received.ancillary_truncated
        kinds = {type(message): message for message in received.messages}
        assert kinds.keys() == {ScmCredentials, ScmRights, ScmPidfd}
        assert kinds[ScmCredentials].pid == kinds[ScmPidfd].fd.pid() == os.getpid()
        assert len(kinds[ScmRights].fds) == 2
        assert all(map(os.path.sameopenfile, kinds[ScmRights].fds.numbers(), files))
    kinds[ScmPidfd].fd.close()


@needs_pidfd
def test_as_many_descriptors_as_there_can_be(asking: tuple[Any, Any], ancillary: SocketAncillary) -> None:
    """Beside 253 descriptors the pidfd still has its place."""
    one, two = asking
    one.send_fds(b"x", [0] * 253)
    with two.recv_ancillary(10, ancillary) as received:
        rights, sender = received.messages
        assert (len(rights.fds), received.ancillary_truncated) == (253, False)
        assert not sender.fd.closed
        sender.fd.close()


def say(path: str, kind: Any, go: support.Event) -> None:
    with kind._connection.connect(path) as client:
        client.send(b"first")
        go.wait()


@needs_pidfd
@pytest.mark.parametrize("kind", [UnixListener, pytest.param(UnixSeqpacketListener, marks=support.needs("seqpacket"))])
def test_listener_hands_the_option_on(kind: Any, socket_path: str, ancillary: SocketAncillary) -> None:
    """Set on a listener it holds for the first byte of a client that sends at once, before it is accepted."""
    with kind.bind(socket_path, options={"pass_pidfd": True}) as listener, support.Event() as go:
        assert listener.options.pass_pidfd is True
        with support.Child(say, socket_path, kind, go) as child:
            conn, _ = listener.accept(timeout=support.PATIENCE)
            with conn:
                conn.set_read_timeout(support.PATIENCE)
                (message,) = conn.recv_ancillary(10, ancillary).messages
                with message.fd as sender:
                    assert sender.pid() == child.pid
                    go.set()
                    assert sender.wait(support.PATIENCE)


def send_and_go(sock: Any) -> None:
    sock.send(b"last words")


@needs_pidfd
def test_sender_that_was_reaped(asking: tuple[Any, Any], ancillary: SocketAncillary) -> None:
    """Of a sender that was reaped there is a pidfd without a pid, or, before Linux 6.16, ProcessLookupError."""
    one, two = asking
    support.run_child(send_and_go, one)
    (message,) = two.recv_ancillary(10, ancillary).messages
    if message.error is None:
        with message.fd as sender:
            assert (sender.pid(), sender.is_alive()) == (None, False)
    else:
        assert type(message.error) is ProcessLookupError
        assert message.fd is None


def live(go: support.Event) -> None:
    go.wait()


@needs_pidfd
@as_root
def test_privileged_sender_may_name_another(asking: tuple[Any, Any], ancillary: SocketAncillary) -> None:
    """The pidfd follows the pid that a privileged sender claims: it is no proof of that one."""
    one, two = asking
    with support.Event() as go, support.Child(live, go) as child:
        outgoing = SocketAncillary.with_room_for(credentials=True)
        outgoing.add_creds(Credentials(pid=child.pid))
        one.send_ancillary([b"x"], outgoing)
        sender = two.recv_ancillary(10, ancillary).messages[-1]
        with sender.fd as claimed:
            assert claimed.pid() == child.pid
        go.set()


@needs_pidfd
def test_nobody_sent_the_end(ancillary: SocketAncillary) -> None:
    """The end of a stream has no sender, and neither has what was sent before anybody asked."""
    one, two = UnixStream.pair()
    with one, two:
        one.send(b"x")
        two.options.pass_pidfd = True
        assert two.recv_ancillary(10, ancillary).messages == ()
        one.close()
        received = two.recv_ancillary(10, ancillary)
        assert (received.nbytes, received.messages) == (0, ())


# --- Who owns it --------------------------------------------------------------------------------


@needs_pidfd
def test_each_look_makes_one(asking: tuple[Any, Any], ancillary: SocketAncillary) -> None:
    """A peek brings a pidfd each time, and what nobody read is closed by the next receive, clear() and close()."""
    one, two = asking
    one.send(b"x")
    before = open_count()
    for _ in range(5):
        two.recv_ancillary(10, ancillary, MSG_PEEK)
        assert open_count() == before + 1
    ancillary.clear()
    assert open_count() == before
    with two.recv_ancillary(10, ancillary) as received:
        assert open_count() == before + 1
    assert open_count() == before
    received.close()


@needs_pidfd
def test_what_was_read_stays(asking: tuple[Any, Any], ancillary: SocketAncillary) -> None:
    """A pidfd that was read belongs to who read it; looking at the message's text, or comparing it, is no reading."""
    one, two = asking
    one.send(b"x")
    one.send(b"y")
    with two.recv_ancillary(1, ancillary) as received:
        (message,) = received.messages
        repr(message), hash(message), message == message
        kept = message.fd
    ancillary.clear()
    received.close()
    assert kept.pid() == os.getpid()
    kept.close()
    with two.recv_ancillary(1, ancillary) as received:
        (message,) = received.messages
        assert "pid=" in repr(message)
    assert message.fd.closed


@needs_pidfd
@pytest.mark.parametrize(
    "receive",
    [
        lambda sock: sock.recv(10),
        lambda sock: sock.recv_into(bytearray(10)),
        lambda sock: sock.recv_vectored([bytearray(10)]),
        lambda sock: sock.peek(10),
        lambda sock: sock.recv_fds(10, 3)[-1].close(),
        lambda sock: sock.try_recv_fds(10, 3)[-1].close(),
        lambda sock: sock.recv_ancillary(10, SocketAncillary(0)),
    ],
)
def test_other_receives_leave_nothing(asking: tuple[Any, Any], ancillary: SocketAncillary, receive: Any) -> None:
    """A receive that does not report pidfds closes them, also with the memory of one that does."""
    one, two = asking
    for _ in range(3):
        one.send_fds(b"x", [0])
        one.send_fds(b"y", [0])
        two.recv_ancillary(1, ancillary).close()
        before = open_count()
        receive(two)
        assert open_count() == before
        with contextlib.suppress(BlockingIOError):
            while two.try_recv(10) is not None:
                pass


@needs_pidfd
def test_other_receives_of_packets_leave_nothing(ancillary: SocketAncillary) -> None:
    """So do those that datagrams have, and batches."""
    one, two = UnixDatagram.pair(options={"pass_pidfd": True})
    with one, two:
        receives = [
            lambda: two.recv_from(10),
            lambda: two.peek_from(10),
            lambda: two.recv_fds_from(10, 3).fds.close(),
            two.recv_packet,
            lambda: two.recv_batch(1, 10).close(),
        ]
        before = open_count()
        for receive in receives:
            one.send(b"x")
            one.send(b"y")
            two.recv_ancillary(10, ancillary).close()
            receive()
            assert open_count() == before
            while two.try_recv(10) is not None:
                pass


@needs_pidfd
def test_no_room(asking: tuple[Any, Any]) -> None:
    """A control buffer that is too small for it is reported, and leaves nothing open."""
    one, two = asking
    one.send(b"x")
    before = open_count()
    received = two.recv_ancillary(10, SocketAncillary(lib.CMSG_LEN(0)))
    assert (received.messages, received.ancillary_truncated) == ((), True)
    assert open_count() == before


class Stop(BaseException):
    """What no decoder may raise, and one does."""


@needs_pidfd
def test_decoder_that_stops_everything(ancillary: SocketAncillary) -> None:
    """When decoding ends in the midst of a message, its pidfd and its descriptors are closed at once."""

    def stop(data: bytes) -> object:
        raise Stop

    one, two = UnixDatagram.pair(options={"pass_pidfd": True, "pass_credentials": True})
    register_decoder(lib.SOL_SOCKET, lib.SCM_CREDENTIALS, stop)
    try:
        with one, two:
            one.send_fds(b"x", [0])
            before = open_count()
            with pytest.raises(Stop):
                two.recv_ancillary(10, ancillary)
            assert open_count() == before
    finally:
        unregister_decoder(lib.SOL_SOCKET, lib.SCM_CREDENTIALS)


@needs_pidfd
@pytest.mark.usefixtures("finalizers_may_speak")
def test_interrupted_at_every_step() -> None:
    """Wherever a handler raises, the pidfd of the message is not lost, and the next receive brings its own."""
    one, two = UnixDatagram.pair(options={"pass_pidfd": True})
    with one, two:

        def receive() -> None:
            with SocketAncillary(64) as ancillary:
                for message in two.recv_ancillary(10, ancillary).messages:
                    message.fd.close()

        def check() -> None:
            while two.try_recv(10) is not None:
                pass
            one.send(b"x")
            with SocketAncillary(64) as ancillary, two.recv_ancillary(10, ancillary).messages[0].fd as sender:
                assert sender.pid() == os.getpid()

        interrupt_everywhere(receive, lambda: one.send(b"x"), check)
    gc.collect()
