"""Sockets from a service manager: what is wrong with them or with the variables, and exceptions at each step.

Rule: after an error all is as it was, but nothing is inheritable.
"""

from __future__ import annotations

import errno
import os
import socket

import pytest
import support
from activating import FIRST, classes, own_identity
from interrupting import INTERRUPTIONS, interrupt_everywhere

from uds_cffi import OwnedFd, UnixDatagram, UnixListener, activation, listen_fds

SEQPACKET = support.needs("seqpacket")


def check_untouched(passed, numbers, clear):
    """After an error all is as it was, but nothing is inheritable; and what is right works."""
    variables = {name: os.environ[name] for name in ("LISTEN_PID", "LISTEN_FDS")}
    assert variables == {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(numbers))}
    assert not any(os.get_inheritable(number) for number in numbers)
    passed.say(LISTEN_FDS=1, LISTEN_FDNAMES=None)
    with listen_fds(clear=clear) as fds:
        assert [sock.fileno() for _, sock in fds] == numbers[:1]


def test_no_unix_socket(passed, listener, short_dir):
    """What is no Unix socket is an error that says number, name and what it is, and changes nothing."""
    read, write = os.pipe()
    folder = os.open(short_dir, os.O_RDONLY)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inet:
        try:
            for thing, what in (
                (inet, f"socket of address family {socket.AF_INET:d}"),
                (read, "pipe"),
                (folder, "directory"),
            ):
                numbers = passed(listener, thing, listener, names="a:b:c")
                with pytest.raises(
                    ValueError, match=rf"^descriptor {FIRST + 1} \('b'\) .* no Unix socket, but: {what};"
                ):
                    listen_fds(clear=True)
                check_untouched(passed, numbers, False)
                passed.again()
        finally:
            for number in (read, write, folder):
                os.close(number)


def test_others(passed, listener, files):
    """On request, what is no Unix socket is given as an OwnedFd."""
    numbers = passed(listener, files[0], names="a:state")

    with listen_fds(others=True) as fds:
        assert classes(fds) == [("a", UnixListener), ("state", OwnedFd)]
        assert [sock.fileno() for _, sock in fds] == numbers
        assert fds.find("state", kind=OwnedFd).kind() == "file"
        assert fds.find_all(addr="/x") == []
        with pytest.raises(LookupError, match=r"'state' \(OwnedFd\)$"):
            fds.find("b")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, pytest.param(socket.SOCK_SEQPACKET, marks=SEQPACKET)])
def test_neither_listening_nor_connected(passed, listener, kind, socket_path):
    """A socket of connections that is only bound is of no use, and refused."""
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.bind(socket_path + "b")
        numbers = passed(listener, sock)
        with pytest.raises(
            ValueError, match=rf"descriptor {FIRST + 1} \('unknown'\) .* neither listens nor is connected"
        ):
            listen_fds()
        check_untouched(passed, numbers, True)


def test_peer_that_cannot_be_asked_for(passed, stream, monkeypatch):
    """Another answer of the kernel's is an OSError, and no verdict about the socket."""
    passed(stream[0])
    monkeypatch.setattr(activation.naming, "peer_name_or_code", lambda handle: -errno.ENOBUFS)

    with support.raises_errno(errno.ENOBUFS):
        listen_fds()


def test_descriptor_that_is_not_open(passed, listener):
    """Fewer open descriptors than were announced is EBADF with the number."""
    numbers = passed(listener)
    for count in ("2", str(2**31 - 1 - FIRST)):
        passed.say(LISTEN_FDS=count)
        with pytest.raises(OSError, match=f"descriptor {FIRST + 1} is not open, but .* {count} were passed") as bad:
            listen_fds()
        assert bad.value.errno == errno.EBADF
    passed.say(LISTEN_FDS=1)
    check_untouched(passed, numbers, True)


@pytest.mark.parametrize("name", ["LISTEN_PID", "LISTEN_FDS", "LISTEN_PIDFDID"])
@pytest.mark.parametrize(
    "value", ["", "x", "-1", "+1", " 1", "1 ", "1_0", "0x1", "1.0", "\u0661", "9" * 20, "9" * 5000]
)
def test_malformed_number(passed, listener, name, value):
    """A number is decimal digits in range; anything else is an error with the variable's name."""
    numbers = passed(listener)
    before = os.environ.get(name)
    passed.say(**{name: value})
    with pytest.raises(ValueError, match=f"^{name} is "):
        listen_fds(clear=True)

    assert os.environ[name] == value
    assert os.get_inheritable(numbers[0])
    passed.say(**{name: before})
    with listen_fds() as fds:
        assert len(fds) == 1


@pytest.mark.parametrize("names", ["", "a", "a:b:c", "a:b:"])
def test_wrong_number_of_names(passed, listener, datagram, names):
    """As many names as descriptors, or none at all."""
    numbers = passed(listener, datagram)
    passed.say(LISTEN_FDNAMES=names)
    with pytest.raises(ValueError, match=r"^LISTEN_FDNAMES is .*, but LISTEN_FDS is 2$"):
        listen_fds()
    assert os.get_inheritable(numbers[0])
    passed.say(LISTEN_FDNAMES=":")
    with listen_fds() as fds:
        assert [name for name, _ in fds] == ["", ""]


# --- Signals ------------------------------------------------------------------------------------


@pytest.mark.raises_anywhere
@pytest.mark.parametrize("clear", [False, True])
@pytest.mark.usefixtures("finalizers_may_speak")
def test_interrupted_at_each_step(passed, listener, datagram, clear):
    """After an exception at any step all is as before: a second call gets what the first would have got.

    When it had returned already, and nobody got the result, the sockets are garbage, which closes them.
    """
    result = []
    lost = []
    identity = own_identity() if support.supported("pidfd_identity") else None

    def prepare():
        for _, sock in result.pop() if result else ():
            sock.close()
        passed.again()
        passed(listener, datagram, names="a:b")
        passed.say(LISTEN_PIDFDID=identity)

    def call():
        result.append(listen_fds(["a", "b"], clear=clear))

    def check():
        if not result and FIRST in activation._taken:
            support.collect()
            assert not support.is_open(FIRST)
            assert not support.is_open(FIRST + 1)
            assert clear == ("LISTEN_FDS" not in os.environ)
            lost.append("at the last steps")
            return
        if not result:
            assert os.environ["LISTEN_FDS"] == "2"
            call()
        assert classes(result[0]) == [("a", UnixListener), ("b", UnixDatagram)]
        assert [sock.fileno() for _, sock in result[0]] == [FIRST, FIRST + 1]
        with result.pop():
            pass

    interrupt_everywhere(call, prepare, check)
    # To leave the `try` and to return are two or three steps.
    assert len(lost) <= 3 * len(INTERRUPTIONS)
