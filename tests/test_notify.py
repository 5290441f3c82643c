"""Messages to the service manager, and what never becomes one."""

from __future__ import annotations

import errno
import os
import socket

import pytest
import support
from interrupting import interrupt_everywhere
from notified import Manager, myself

import uds_cffi
from uds_cffi import OwnedFd, UnixDatagram, UnixListener, UnixSocketAddr, listen_fds, notify

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can speak for others")
NOBODY = 65534


pytestmark = pytest.mark.usefixtures("no_manager")


def write_for_ever(stream):
    while True:
        stream.send(b"not yet")


def sender_of(message):
    return None if message.sender is None else (message.sender.pid, message.sender.uid, message.sender.gid)


# --- What arrives -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "data"),
    [
        ("READY=1", b"READY=1"),
        ("READY=1\nSTATUS=\u00fcber 90 %\n", "READY=1\nSTATUS=\u00fcber 90 %\n".encode()),
        (b"STATUS=\xff\n\nWATCHDOG=1", b"STATUS=\xff\n\nWATCHDOG=1"),
        ({"READY": 1, "STATUS": "a=b", "X_RAW": b"\xff", "EMPTY": ""}, b"READY=1\nSTATUS=a=b\nX_RAW=\xff\nEMPTY="),
        ({"READY": True, "MAINPID": 4711}, b"READY=1\nMAINPID=4711"),
        ("STATUS=" + "x" * 4089, b"STATUS=" + b"x" * 4089),
    ],
)
def test_state(manager, state, data):
    """The assignments arrive as they are, one in each line, from this process; nothing else does."""
    assert notify(state) is True

    message = manager.receive()
    assert message.data == data
    assert sender_of(message) == myself()
    assert len(message.fds) == 0
    assert manager.is_empty()


@support.needs("abstract_addresses")
@pytest.mark.parametrize("name", ["", " with spaces", "@@"])
def test_abstract_address(short_dir, monkeypatch, name):
    """A NOTIFY_SOCKET that begins with @ is an abstract name."""
    manager = Manager(f"@{short_dir}{name}", monkeypatch)
    try:
        assert notify("READY=1")
        assert manager.receive().data == b"READY=1"
    finally:
        manager.close()


def test_without_manager(monkeypatch):
    """Without NOTIFY_SOCKET, or with an empty one, nothing is sent, and it is said so."""
    assert notify("READY=1") is False
    assert notify("READY=1", barrier=True, timeout=1) is False
    monkeypatch.setenv("NOTIFY_SOCKET", "")
    assert notify({"READY": 1}, fds=[0]) is False


@pytest.mark.parametrize("make", [list, iter, tuple])
def test_descriptors(manager, files, make):
    """Descriptors go with the message, and stay the caller's."""
    assert notify({"FDSTORE": 1, "FDNAME": "two files"}, fds=make(files))

    message = manager.receive()
    with message.fds as fds:
        assert message.data == b"FDSTORE=1\nFDNAME=two files"
        assert [os.path.sameopenfile(*both) for both in zip(files, fds.numbers())] == [True, True]
    assert all(support.is_open(number) for number in files)


def test_as_many_descriptors_as_there_can_be(manager, number):
    """All 253 descriptors go; one more is refused before the kernel sees it."""
    with OwnedFd(os.dup(number)) as owned:
        assert notify("FDSTORE=1", fds=[owned] * 253)
        with manager.receive().fds as fds:
            assert len(fds) == 253
        with pytest.raises(ValueError, match="254 descriptors are more than the 253"):
            notify("FDSTORE=1", fds=[owned] * 254)
    with support.raises_errno(errno.EBADF):
        notify("FDSTORE=1", fds=[owned])
    assert manager.is_empty()


def test_descriptors_that_come_back(manager, passed, socket_path, number):
    """What was stored is what listen_fds() gives to the next start of the service."""
    with UnixListener.bind(socket_path + "l") as listener:
        assert notify("FDSTORE=1\nFDNAME=listener", fds=[listener])
        assert notify("FDSTORE=1\nFDNAME=state", fds=[number])
    first, second = manager.receive(), manager.receive()
    with first.fds as one, second.fds as two:
        passed(*one.numbers(), *two.numbers(), names="listener:state")
    with listen_fds(others=True) as fds:
        assert fds.find("listener", kind=UnixListener, addr=socket_path + "l").accept is not None
        assert os.path.sameopenfile(fds.find("state", kind=OwnedFd).fileno(), number)


# --- Who it is from -----------------------------------------------------------------------------


@support.needs("credentials")
def test_own_pid(manager):
    """This process may name itself."""
    assert notify("READY=1", pid=os.getpid(), barrier=False)
    assert sender_of(manager.receive()) == myself()


@as_root
@support.needs("credentials")
def test_pid_of_another(manager, number):
    """With CAP_SYS_ADMIN a message is from whom its sender says, and so is the barrier."""
    parent = os.getppid()
    with support.in_thread(lambda: notify("FDSTORE=1", fds=[number], pid=parent, barrier=True)) as outcome:
        for data in (b"FDSTORE=1", b"BARRIER=1"):
            message = manager.receive()
            with message.fds:
                assert (message.data, sender_of(message)[0], len(message.fds)) == (data, parent, 1)
    assert outcome == [True]


@support.needs("credentials")
def test_pid_that_may_not_be_named(manager, short_dir, socket_path):
    """Without privileges another process's pid is PermissionError, and nothing is sent."""

    def in_child():
        if os.geteuid() == 0:
            os.chmod(short_dir, 0o755)
            os.chmod(socket_path, 0o777)
            os.setuid(NOBODY)
        with pytest.raises(PermissionError) as caught:
            notify("READY=1", pid=1)
        assert caught.value.filename == socket_path

    support.run_child(in_child)
    assert manager.is_empty()


@as_root
@support.needs("credentials")
def test_pid_of_nobody(manager):
    """A process that does not exist sends nothing."""
    with pytest.raises(ProcessLookupError):
        notify("READY=1", pid=2**22 + 1)
    assert manager.is_empty()


@support.lacks("credentials")
def test_pid_without_credentials(manager):
    """Where messages carry no credentials, a pid is FeatureUnavailable; without a manager it does not matter."""
    with pytest.raises(uds_cffi.FeatureUnavailable, match="credentials"):
        notify("READY=1", pid=os.getpid())
    assert manager.is_empty()


def test_pid_of_a_wrong_type():
    """A pid is a positive int."""
    with pytest.raises(TypeError, match="pid is an int"):
        notify("READY=1", pid="1")
    for pid in (-1, 2**31):
        with pytest.raises(ValueError, match=r"pid .* is not within"):
            notify("READY=1", pid=pid)
    with pytest.raises(ValueError, match="pid 0 is no process"):
        notify("READY=1", pid=0)


# --- The barrier --------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["READY=1", ""])
def test_barrier(manager, state):
    """It returns when the manager has closed what came last, whatever it wrote into that, and not before."""
    with support.in_thread(lambda: notify(state, barrier=True)) as outcome:
        if state:
            message = manager.receive()
            assert (message.data, len(message.fds)) == (b"READY=1", 0)
        message = manager.receive()
        with message.fds as fds:
            assert (message.data, len(fds)) == (b"BARRIER=1", 1)
            os.write(fds.numbers()[0], b"not yet")
            assert outcome == []
        outcome.wait()
    assert outcome == [True]
    assert manager.is_empty()


def test_barrier_of_a_manager_that_does_not_answer(manager):
    """The timeout is the total for message and barrier."""
    with pytest.raises(TimeoutError):
        notify("READY=1", barrier=True, timeout=0.05)

    assert manager.receive().data == b"READY=1"
    manager.receive().fds.close()


def test_manager_that_writes_for_ever(manager):
    """A manager that goes on writing does not prolong the timeout."""

    def wait():
        with pytest.raises(TimeoutError):
            notify(barrier=True, timeout=0.2)

    with support.in_thread(wait):
        message = manager.receive()
        # What has not been read when the other end is closed is a reset, if it comes in time.
        refused = pytest.raises((BrokenPipeError, ConnectionResetError))
        with message.fds as fds, fds[0].as_stream() as stream, refused:
            write_for_ever(stream)


def test_manager_that_ends(manager):
    """The barrier of a manager that ends is passed: nobody will read anything any more."""
    with support.in_thread(lambda: notify("READY=1", barrier=True)) as outcome:
        assert manager.receive().data == b"READY=1"
        support.until(lambda: manager.socket.unread_bytes() == len(b"BARRIER=1"))
        manager.close()
    assert outcome == [True]


@pytest.mark.parametrize("barrier", [False, True])
def test_manager_with_a_full_queue(manager, socket_path, barrier):
    """The timeout holds for the queue of the manager too."""
    with UnixDatagram.connect(socket_path) as other:
        while other.try_send(b"X_FULL=1") is not None:
            pass
    with pytest.raises(TimeoutError):
        notify("" if barrier else "READY=1", barrier=barrier, timeout=0.05)


# --- Signals ------------------------------------------------------------------------------------


@pytest.mark.raises_anywhere
@pytest.mark.usefixtures("finalizers_may_speak")
def test_interrupted_at_each_step(socket_path, monkeypatch, number):
    """After an exception at any step nothing is left, and the next call works."""
    monkeypatch.setenv("NOTIFY_SOCKET", socket_path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(socket_path)

    def be_the_manager():
        while sock.recv(100) != b"X_END=1":
            # Nobody takes the descriptors, and so the kernel closes them.
            pass

    def call():
        assert notify({"FDSTORE": 1}, fds=[number], barrier=True, timeout=support.PATIENCE)

    with sock, support.Child(be_the_manager):
        interrupt_everywhere(call, lambda: None, lambda: None)
        call()
        with UnixDatagram.connect(UnixSocketAddr(socket_path)) as last:
            last.send(b"X_END=1")
