"""Diagnostics when the kernel answers otherwise: it refuses, changes its mind, or has more to say than fits.

Rule: where the real kernel can be brought to it, the test does that; elsewhere a kernel is played from the point where
its bytes arrive, so that everything behind that is the real code.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import pytest
import support
from interrupting import interrupt_everywhere
from netlink import (
    CHANGED,
    CLOSE,
    ICONS,
    LISTEN,
    MULTI,
    PEER,
    RQLEN,
    SOCK_DIAG,
    Kernel,
    as_root_of_a_namespace,
    attribute,
    done,
    enter_namespace,
    entry,
    message,
    numbers,
    refusal,
)

from uds_cffi import FeatureUnavailable, UnixListener, UnixSocketAddr, UnixStream, probes, sockdiag
from uds_cffi.diagnostics import info_of, peer_of, sockets

pytestmark = support.needs("diagnostics")

LISTENERS = 1 << LISTEN
ALL = 0xFFFFFFFF


@pytest.fixture
def kernel(monkeypatch):
    """Return a function that puts a kernel with these answers into the place of the real one."""

    def play(*answers: Any, opened: int = 0) -> Kernel:
        played = Kernel(*answers, opened=opened)
        monkeypatch.setattr(sockdiag, "lib", played)
        return played

    return play


def sock(inode: int, *attributes: bytes, **keywords: Any) -> bytes:
    return message(SOCK_DIAG, entry(inode, *attributes, **keywords))


def listener(inode: int, pending: int, *attributes: bytes, **keywords: Any) -> bytes:
    return sock(inode, attribute(RQLEN, numbers(pending, 128)), *attributes, state=LISTEN, **keywords)


# --- No such thing ------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT])
def test_kernel_without_sock_diag(kernel, code, stream):
    """A kernel without netlink, or without sock_diag, lacks the feature."""
    kernel(opened=-code)
    for ask in (sockets, lambda: info_of(stream[0]), lambda: peer_of(stream[0])):
        with pytest.raises(FeatureUnavailable) as caught:
            ask()
        assert (caught.value.feature, caught.value.reason, caught.value.errno) == ("diagnostics", "kernel", code)
    assert probes.diagnostics() == "kernel"


def test_kernel_without_unix_diag(kernel, stream):
    """A kernel that has sock_diag and no CONFIG_UNIX_DIAG says ENOENT, and lacks the feature."""
    for ask in (sockets, lambda: info_of(stream[0]), lambda: peer_of(stream[0])):
        kernel([refusal(errno.ENOENT)], [refusal(errno.ENOENT)])
        with pytest.raises(FeatureUnavailable) as caught:
            ask()
        assert (caught.value.reason, caught.value.errno) == ("kernel", errno.ENOENT)
    kernel([refusal(errno.ENOENT)], [refusal(errno.ENOENT)])
    assert probes.diagnostics() == "kernel"


def test_security_policy(kernel, stream):
    """What a security policy forbids is PermissionError."""
    kernel(opened=-errno.EACCES)
    with pytest.raises(PermissionError):
        sockets()
    assert probes.diagnostics() == "kernel"


def test_probe_without_descriptors(kernel):
    """The probe of a process that may open no more descriptors has found out nothing, and says so."""
    kernel(opened=-errno.EMFILE)
    with support.raises_errno(errno.EMFILE):
        probes.diagnostics()


@pytest.mark.parametrize("answer", [[done()], [sock(1, attribute(PEER, numbers(2))), done()]])
def test_probe_that_does_not_find_its_sockets(kernel, answer):
    """A kernel that knows sockets, and not these, has not got the feature."""
    kernel(answer, answer)
    assert probes.diagnostics() == "kernel"


# --- Answers that are unfinished ----------------------------------------------------------------


def test_a_list_that_changed_is_asked_for_again(kernel):
    """A list that changed while it was made is thrown away, and asked for in a new conversation."""
    changed = [sock(1) + message(SOCK_DIAG, entry(2), MULTI | CHANGED) + done()]
    played = kernel(changed, changed, [sock(3), done()])
    assert [info.inode for info in sockets()] == [3]
    assert (played.conversations, played.answers) == (3, [])


@pytest.mark.parametrize("part", [-errno.ENOBUFS, done(-errno.ENOBUFS), message(3, b"", MULTI | CHANGED)])
def test_a_list_that_is_never_finished(kernel, part):
    """What stays unfinished eight times is an error that says so."""
    played = kernel(*[[sock(1), part] for _ in range(8)])
    with pytest.raises(OSError, match="8 times in a row") as caught:
        sockets()
    assert type(caught.value) is OSError
    assert caught.value.errno == (errno.ENOBUFS if part != message(3, b"", MULTI | CHANGED) else errno.EBUSY)
    assert played.conversations == 8


def test_interrupted_calls_are_repeated(kernel, monkeypatch):
    """A call that a signal interrupted is repeated, when its handler has run."""
    played = kernel([-errno.EINTR, sock(1), -errno.EINTR, done()])
    real, interrupted = played.uds_diag_ask, [1]

    def ask(*arguments: Any) -> int:
        return -errno.EINTR if interrupted and interrupted.pop() else real(*arguments)

    monkeypatch.setattr(played, "uds_diag_ask", ask)
    assert [info.inode for info in sockets()] == [1]
    assert played.conversations == 1


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([sock(1), -errno.EAGAIN], errno.EBADMSG),
        ([sock(1)[:-1]], errno.EBADMSG),
        ([-errno.EMSGSIZE], errno.EMSGSIZE),
        ([done(-errno.ENOMEM)], errno.ENOMEM),
        ([refusal(errno.EINVAL)], errno.EINVAL),
    ],
)
def test_answers_that_are_errors(kernel, parts, code):
    """An answer without an end, one that cannot be read, and an error of the kernel are raised."""
    kernel(parts)
    with support.raises_errno(code):
        sockets()


def test_parts(kernel):
    """Sockets come in parts, more of them than are read at once, and all are listed."""
    many = [b"".join(sock(part * 700 + i) for i in range(1, 701)) for part in range(3)]
    kernel([*many, done()])
    assert [info.inode for info in sockets()] == list(range(1, 2101))


def test_a_socket_that_is_met_twice(kernel):
    """A socket that moves in the kernel's table while that is listed is listed once, as it was seen last."""
    kernel([sock(1), sock(2), sock(1, state=CLOSE), done()])
    assert [(info.inode, info.state) for info in sockets()] == [(1, "unconnected"), (2, "established")]


def test_what_a_kernel_does_not_say(kernel):
    """What is absent from an answer is None; numbers that are unknown are shown as such."""
    kernel([sock(1, kind=9, state=3) + sock(2, state=LISTEN), done()])
    one, two = sockets()
    assert (one.type, one.state, one.unread_bytes, one.uid, one.file, one.peer_inode) == ("9", "3", *[None] * 4)
    assert (two.pending, two.backlog, two.client_inodes) == (None, None, None)


# --- One socket ---------------------------------------------------------------------------------


def test_peer_that_ends_meanwhile(kernel, stream):
    """A peer that is closed between the questions is none."""
    kernel(
        [message(SOCK_DIAG, entry(1, attribute(PEER, numbers(2))), 0)],
        [refusal(errno.ENOENT)],
        [done()],
        [message(SOCK_DIAG, entry(1, attribute(PEER, numbers(0))), 0)],
    )
    assert peer_of(stream[0]) is None


def test_peer_that_is_not_listed(kernel, stream):
    """A peer that stays, and that this network namespace does not have, is ENOENT."""
    own = [message(SOCK_DIAG, entry(1, attribute(PEER, numbers(2))), 0)]
    kernel(own, [refusal(errno.ENOENT)], [done()], list(own))
    with pytest.raises(FileNotFoundError, match="inode 2, belongs to another network namespace"):
        peer_of(stream[0])


def test_an_empty_answer_is_no_socket(kernel, stream):
    """An answer about one socket that names none is the same as ENOENT."""
    kernel([done()], [done()])
    with pytest.raises(FileNotFoundError):
        info_of(stream[0])


# --- Listeners with many clients ----------------------------------------------------------------


def test_clients_are_asked_for_behind_the_list(kernel):
    """Only where somebody waits are clients asked for, of listeners alone."""
    clients = attribute(ICONS, numbers(7, 0, 8))
    played = kernel(
        [listener(1, 0) + listener(2, 3) + sock(3), done()],
        [listener(1, 0, attribute(ICONS, b"")) + listener(2, 3, clients) + listener(9, 1), done()],
    )
    assert [(info.inode, info.client_inodes) for info in sockets()] == [(1, ()), (2, (7, 8)), (3, None)]
    assert played.questions == [(0, ALL, False), (0, LISTENERS, True)]


def test_a_list_of_clients_that_ends_early(kernel):
    """Listeners that the second list has not got are asked about by themselves; the kernel cannot name too many."""
    named = attribute(ICONS, numbers(11))
    single = {"state": LISTEN, "cookie": 4444}
    played = kernel(
        [*(listener(inode, 5) for inode in (1, 2, 3, 4, 5)), done()],
        # The second one has more than a part of a list, the others only stand behind it.
        [listener(1, 5, named), done()],
        [refusal(errno.EMSGSIZE)],
        [message(SOCK_DIAG, entry(2, attribute(RQLEN, numbers(6, 9)), state=LISTEN), 0)],
        [listener(1, 5, named), done()],
        [message(SOCK_DIAG, entry(3, named, attribute(RQLEN, numbers(1, 9)), state=LISTEN), 0)],
        # Another socket has got the inode of the fourth, and the fifth is closed.
        [message(SOCK_DIAG, entry(4, **single), 0)],
        [refusal(errno.ENOENT)],
        [done()],
    )
    seen = {info.inode: (info.pending, info.client_inodes) for info in sockets()}
    assert seen == {1: (5, (11,)), 2: (6, None), 3: (1, (11,)), 4: (5, None), 5: (5, None)}
    assert played.questions[2:] == [
        (2, ALL, True),
        (2, ALL, False),
        (0, LISTENERS, True),
        (3, ALL, True),
        (4, ALL, True),
        (5, ALL, True),
        (0, 0, False),
    ]


def test_a_listener_that_ends_while_its_clients_are_asked_for(kernel, stream):
    """A socket that is closed between the questions is not there."""
    kernel([refusal(errno.EMSGSIZE)], [refusal(errno.ENOENT)], [done()])
    with pytest.raises(FileNotFoundError):
        info_of(stream[0])


def test_error_while_clients_are_asked_for(kernel):
    """Any other error about the clients is an error of the list."""
    kernel([listener(1, 5), done()], [done()], [refusal(errno.ENOMEM)])
    with support.raises_errno(errno.ENOMEM):
        sockets()


def fill(address: Any, count: int) -> None:
    """Connect and close, so that the backlog has connections, and no descriptors are needed for them."""
    for _ in range(count):
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            client.connect(address.to_stdlib())


def backlog() -> int:
    with open("/proc/sys/net/core/somaxconn", encoding="ascii") as file:
        return int(file.read())


@pytest.mark.skipif(backlog() < 4096, reason="the longest backlog is too short here")
def test_clients_that_fill_more_than_a_first_part():
    """More clients than fit into the first part of a list, or into the answer about one socket, are all named."""
    address = UnixSocketAddr.from_abstract(f"uds-test-{os.getpid()}")
    with UnixListener.bind(address, backlog=4096) as sock:
        with UnixStream.connect(address) as first:
            fill(address, 4090)
            with UnixStream.connect(address) as last:
                expected = tuple(os.fstat(client.fileno()).st_ino for client in (first, last))
                for info in (info_of(sock), {i.inode: i for i in sockets()}[info_of(sock).inode]):
                    assert (info.pending, info.backlog, info.client_inodes) == (4092, 4096, expected)
        assert peer_of(sock) is None


def with_a_backlog_beyond_all_parts() -> None:
    assert enter_namespace() == 0
    # A limit of its own, in a network namespace of its own.
    with open("/proc/sys/net/core/somaxconn", "w", encoding="ascii") as file:
        file.write("20000")
    listeners = [UnixListener.bind(UnixSocketAddr.from_abstract(f"l{i}"), backlog=20000) for i in range(8)]
    fill(listeners[3].local_addr(), 9000)
    waiting = {listener.local_addr(): UnixStream.connect(listener.local_addr()) for listener in listeners}
    table = {info.address: info for info in sockets(["listening"])}
    assert len(table) == 8
    for i, listener in enumerate(listeners):
        address = listener.local_addr()
        client = os.fstat(waiting[address].fileno()).st_ino
        info = info_of(listener)
        assert (info.pending, info.client_inodes) == ((9001, None) if i == 3 else (1, (client,)))
        assert table[address] == info
    assert len(sockets()) == 16


@as_root_of_a_namespace
def test_clients_beyond_all_parts():
    """A listener with more clients than the kernel can name hides no other socket, and its own clients are unknown."""
    support.run_child(with_a_backlog_beyond_all_parts)


# --- Signals ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("finalizers_may_speak")
@pytest.mark.parametrize("ask", [peer_of, lambda _: sockets(["listening"]), lambda _: probes.diagnostics()])
def test_interrupts(stream, socket_path, ask):
    """A handler that raises at any step of a question leaves no descriptor behind, and what it raised comes out."""
    # Somebody waits, so that clients are asked for too.
    with UnixListener.bind(socket_path), UnixStream.connect(socket_path):
        expected = {peer_of(stream[0]), info_of(stream[1])}

        def check() -> None:
            assert {peer_of(stream[0]), info_of(stream[1])} == expected

        interrupt_everywhere(lambda: ask(stream[0]), lambda: None, check)
