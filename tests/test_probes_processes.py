"""Probes of pidfds: each finds out whether the kernel does what it says."""

from __future__ import annotations

import errno
import sys

import pytest
import support
from answers import Lib

from uds_cffi import lib, probes, probing, processprobes


def probe(name: str) -> str:
    return getattr(probes, name)()


def skip_without(name: str) -> None:
    if not support.supported(name):
        pytest.skip(f"{support.FEATURE_SKIP}{name} is absent")


PIDFD_CALLS = {
    "pidfd": "uds_handle_pidfd_open",
    "pidfd_info": "uds_handle_pidfd_open",
    "pidfd_identity": "uds_handle_pidfd_open",
    "peer_pidfd": "uds_handle_peer_pidfd",
}


@pytest.mark.parametrize("name", PIDFD_CALLS)
def test_call_that_the_kernel_does_not_know(name, monkeypatch):
    """A kernel without the call has not got the feature; a process that may open no more learns just that."""
    skip_without(name)
    monkeypatch.setattr(processprobes, "lib", Lib(**{PIDFD_CALLS[name]: -errno.ENOSYS}))
    assert probe(name) == "kernel"
    monkeypatch.setattr(processprobes, "lib", Lib(**{PIDFD_CALLS[name]: -errno.EMFILE}))
    with support.raises_errno(errno.EMFILE):
        probe(name)


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("pidfd", {"uds_pidfd_check": -errno.EINVAL}),
        ("pidfd", {"uds_handle_pidfd_info": -errno.ENOTTY, "uds_handle_pidfd_pid": 1}),
        ("pidfd", {"uds_handle_pidfd_signal": -errno.EPERM}),
        ("pidfd_info", {"uds_handle_pidfd_info": -errno.ENOTTY}),
        ("pidfd_info", {"uds_handle_pidfd_info": 0}),
        ("pidfd_identity", {"uds_handle_pidfd_same": -errno.EOPNOTSUPP}),
        ("pidfd_identity", {"uds_handle_pidfd_same": 0}),
        ("peer_pidfd", {"uds_handle_peer_pidfd": 0}),
        ("peer_pidfd", {"uds_handle_pidfd_info": -errno.ENOTTY, "uds_handle_pidfd_pid": -errno.ENOENT}),
        ("pass_pidfd", {"uds_pidfd_check": -errno.EINVAL}),
    ],
)
def test_process_is_looked_at(name, answers, monkeypatch):
    """What is not this process does not count."""
    skip_without(name)
    monkeypatch.setattr(processprobes, "lib", Lib(**answers))
    assert probe(name) == "kernel"


@support.needs("pidfd")
def test_process_without_proc_or_ioctl(monkeypatch):
    """The pid is asked of the ioctl or, where that is missing, of /proc: one of them is enough."""
    for missing in ("uds_handle_pidfd_info", "uds_handle_pidfd_pid"):
        if support.supported("pidfd_info") or missing == "uds_handle_pidfd_pid":
            monkeypatch.setattr(processprobes, "lib", Lib(**{missing: -errno.ENOTTY}))
            assert probe("pidfd") == ""


@support.needs("pass_pidfd")
@pytest.mark.parametrize("code", [errno.EINVAL, errno.EMFILE])
def test_message_without_its_pidfd(code, monkeypatch):
    """The kernel may say with the message why it carries no pidfd; where none is free, nothing has been found out."""
    item = (lib.SOL_SOCKET, lib.SCM_PIDFD, (-code).to_bytes(4, sys.byteorder, signed=True))
    monkeypatch.setattr(probing.Pair, "receive", lambda pair: [(lib.SOL_SOCKET, lib.SCM_RIGHTS, b""), item])
    if code == errno.EMFILE:
        with support.raises_errno(code):
            probe("pass_pidfd")
    else:
        assert probe("pass_pidfd") == "kernel"
