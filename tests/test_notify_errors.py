"""What never becomes a message to the service manager, and what the kernel refuses."""

from __future__ import annotations

import errno
import os

import pytest
import support

from uds_cffi import AddressError, UnixListener, notify

pytestmark = pytest.mark.usefixtures("no_manager")


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("", "the state is empty"),
        ({}, "the state is empty"),
        ("\n", "the state is empty"),
        ("READY", "b'READY' in the state is no assignment"),
        ("READY=1\n=1", "b'=1' in the state is no assignment"),
        ("STATUS=a\0b", "a NUL at byte 8"),
        ({"STATUS": "a\0b"}, "a NUL at byte 8"),
        ({"STATUS": "a\nREADY=1"}, "the value of STATUS has more than one line"),
        ({"STATUS": b"a\n"}, "the value of STATUS has more than one line"),
        ({"": "a"}, "'' is no name"),
        ({"A=B": "a"}, "'A=B' is no name"),
        ({"A\nB": "a"}, "'A.nB' is no name"),
        ("STATUS=" + "x" * 4090, "4097 bytes long; a service manager reads at most 4096"),
        ("STATUS=\udc80", "surrogates not allowed"),
        ("FDSTORE=1", "FDSTORE=1 without descriptors"),
        ("FDNAME=a:b", "FDNAME is b'a:b', but"),
        ("FDNAME=", "FDNAME is b'', but"),
        ("FDNAME=\u00fc", "FDNAME is .*, but"),
        ({"FDNAME": "a\tb"}, "FDNAME is .*, but"),
        ("FDNAME=" + "x" * 256, "FDNAME is 256 bytes long; the limit is 255"),
        ("BARRIER=1", "BARRIER=1 goes alone, with one descriptor"),
    ],
)
def test_state_that_a_manager_would_ignore(manager, state, text):
    """What a service manager would ignore is refused, with and without a manager."""
    with pytest.raises(ValueError, match=text):
        notify(state)
    assert manager.is_empty()
    os.environ.pop("NOTIFY_SOCKET")
    with pytest.raises(ValueError, match=text):
        notify(state)


@pytest.mark.parametrize(
    ("state", "count", "barrier"),
    [("READY=1\nBARRIER=1", 1, False), ("BARRIER=1", 2, False), ("BARRIER=1", 1, True), ("", 1, True), ("", 1, False)],
)
def test_descriptors_that_a_manager_would_close(manager, number, state, count, barrier):
    """A barrier goes with one descriptor and nothing else, and descriptors go with a state."""
    with pytest.raises(ValueError, match=r"BARRIER=1 goes alone|descriptors go with a state"):
        notify(state, fds=[number] * count, barrier=barrier, timeout=1)
    assert manager.is_empty()


def test_barrier_by_hand(manager, stream):
    """A caller can send a barrier itself, and wait for it in its own way."""
    mine, theirs = stream
    assert notify("BARRIER=1", fds=[theirs])
    theirs.close()
    assert mine.try_recv(1) is None
    with manager.receive().fds:
        pass
    assert mine.recv(1) == b""


@pytest.mark.parametrize(
    ("state", "keywords", "text"),
    [
        (None, {}, "a state is str, bytes or a mapping, not NoneType"),
        (["READY=1"], {}, "a state is str, bytes or a mapping, not list"),
        (1, {}, "not int"),
        ({1: "a"}, {}, "a name is a str, not int: 1"),
        ({b"A": "a"}, {}, "a name is a str, not bytes"),
        ({"A": None}, {}, "the value of A is str, bytes or int, not NoneType"),
        ({"A": 1.0}, {}, "the value of A is str, bytes or int, not float"),
        ("FDSTORE=1", {"fds": 0}, "an iterable of descriptors is needed, not int"),
        ("FDSTORE=1", {"fds": ["a"]}, "descriptor 0 is str"),
        ("READY=1", {"timeout": "1"}, "a timeout is a number"),
    ],
)
def test_arguments_of_a_wrong_type(state, keywords, text):
    """Arguments of other types are TypeError, also without a manager."""
    with pytest.raises(TypeError, match=text):
        notify(state, **keywords)


def test_timeout_out_of_range():
    """A timeout is positive."""
    with pytest.raises(ValueError, match="a timeout is positive"):
        notify("READY=1", timeout=0)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("vsock:2:1234", "'vsock:2:1234', the address of a virtual machine's host"),
        ("vsock-stream:2:1234", "the address of a virtual machine's host"),
        ("run/notify", "'run/notify', which is neither an absolute path nor '@'"),
        ("@", "'@', which is neither"),
        ("/" + "x" * 200, "201 bytes long; the limit is"),
    ],
)
def test_address_that_is_none(monkeypatch, address, text):
    """A NOTIFY_SOCKET that names no Unix socket is an error that shows it."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with pytest.raises(AddressError, match=text):
        notify("READY=1")


def test_manager_that_is_gone(manager, socket_path):
    """A manager that is not there any more is the kernel's error, with the address."""
    manager.close()
    with pytest.raises(ConnectionRefusedError) as refused:
        notify("READY=1")
    assert refused.value.filename == socket_path
    os.unlink(socket_path)
    with pytest.raises(FileNotFoundError) as missing:
        notify("READY=1", barrier=True, timeout=1)
    assert missing.value.filename == socket_path


def test_address_of_another_type(socket_path, monkeypatch):
    """A listener is no service manager."""
    monkeypatch.setenv("NOTIFY_SOCKET", socket_path)
    with UnixListener.bind(socket_path), support.raises_errno(errno.EPROTOTYPE):
        notify("READY=1")
