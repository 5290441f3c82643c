"""The real systemd-notify and libsystemd, as the sender beside ours, and as the sender to a receiver of ours."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess

import pytest
import support
import systemd
from notified import CREDENTIALS, Manager

from uds_cffi import notify

pytestmark = pytest.mark.usefixtures("no_manager")


class Sender:
    """A running systemd-notify."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [systemd.program("systemd-notify"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pid = self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def join(self) -> None:
        printed, _ = self._process.communicate(timeout=support.PATIENCE)
        assert (self._process.returncode, printed) == (0, "")

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, kind: object, *exc_info: object) -> None:
        if kind is not None:
            self._process.kill()
            self._process.communicate()


def names(address: str, short_dir: str) -> str:
    return f"@uds_cffi-test-{os.getpid()}-{os.path.basename(short_dir)}" if address == "abstract" else f"{short_dir}/n"


@pytest.fixture(params=["path", pytest.param("abstract", marks=support.needs("abstract_addresses"))])
def anywhere(request, short_dir, monkeypatch):
    """Run a service manager at a path, or at an abstract address."""
    manager = Manager(names(request.param, short_dir), monkeypatch)
    yield manager
    manager.close()


# --- Our receiver -------------------------------------------------------------------------------


def test_systemd_notify(anywhere):
    """Our receiver gets what systemd-notify says, and lets it end by closing what came with the barrier."""
    with Sender("--ready", "--status=over 90 %", "X_OWN=a=b") as sender:
        message = anywhere.receive()
        assert message.data == b"READY=1\nSTATUS=over 90 %\nX_OWN=a=b"
        assert len(message.fds) == 0
        # It speaks for its parent when it may, and for itself otherwise.
        if CREDENTIALS:
            assert message.sender.pid == (os.getpid() if os.geteuid() == 0 else sender.pid)
        barrier = anywhere.receive()
        with barrier.fds as fds:
            assert (barrier.data, len(fds)) == (b"BARRIER=1", 1)
            assert fds.numbers()[0] >= 0
            assert sender.is_running()
        sender.join()
    assert anywhere.is_empty()


def test_systemd_notify_without_barrier(anywhere):
    """With --no-block it waits for nobody, and sends one message."""
    with Sender("--no-block", "--pid=self", "--ready") as sender:
        message = anywhere.receive()
        sender.join()

    assert message.data == b"READY=1\nMAINPID=%d" % sender.pid
    assert anywhere.is_empty()


# --- Their sender beside ours -------------------------------------------------------------------


def send_as_libsystemd(lib, state, fds, pid, barrier):
    numbers = (ctypes.c_int * len(fds))(*fds)
    sent = lib.sd_pid_notify_with_fds(pid or 0, 0, state, numbers, len(fds)) if state else 1
    if barrier and sent > 0:
        lib.sd_notify_barrier.argtypes = [ctypes.c_int, ctypes.c_uint64]
        sent = lib.sd_notify_barrier(0, 2**64 - 1)
    return sent > 0


def send_as_we(state, fds, pid, barrier):
    return notify(state, fds=fds, pid=pid, barrier=barrier)


@pytest.fixture
def senders():
    """Make both senders; libsystemd is loaded here, because the thread that sends cannot skip a test."""
    return (functools.partial(send_as_libsystemd, systemd.library()), send_as_we)


def received(manager, barrier):
    """Return all that a receiver can see of the messages of one call."""
    seen = []
    while not seen or (barrier and seen[-1][0] != b"BARRIER=1"):
        message = manager.receive()
        with message.fds as fds:
            # What each is a copy of; what a barrier closes is the sender's own choice.
            files = [os.readlink(f"/proc/self/fd/{number}") for number in fds.numbers()]
        seen.append((message.data, message.sender, len(files) if message.data == b"BARRIER=1" else files))
    return seen


@pytest.mark.parametrize(
    ("state", "barrier"),
    [
        (b"READY=1", False),
        (b"READY=1\nSTATUS=\xc3\xbcber 90 %\n", True),
        (b"STOPPING=1\n\nERRNO=2", True),
        (b"FDSTORE=1\nFDNAME=two", False),
        (b"FDSTORE=1\nFDNAME=two", True),
        (b"", True),
    ],
)
def test_same_as_libsystemd(senders, anywhere, files, state, barrier):
    """What a service manager receives from us is what it receives from libsystemd."""
    fds = files if b"FDSTORE" in state else []
    seen = []
    for send in senders:
        with support.in_thread(send, state, fds, None, barrier) as outcome:
            seen.append(received(anywhere, barrier))
        assert outcome == [True]

    assert seen[0] == seen[1]
    assert anywhere.is_empty()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can speak for others")
@support.needs("credentials")
def test_same_pid_as_libsystemd(senders, anywhere, files):
    """A message for another process is the same too."""
    seen = []
    for send in senders:
        assert send(b"FDSTORE=1", files, os.getppid(), False)
        seen.append(received(anywhere, False))

    assert seen[0] == seen[1]
    assert seen[0][0][1].pid == os.getppid()


def test_same_as_libsystemd_without_manager(senders):
    """Without a service manager both say that nothing was sent."""
    assert [send(b"READY=1", [], None, True) for send in senders] == [False, False]
