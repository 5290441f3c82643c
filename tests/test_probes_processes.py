"""Probes of pidfds and of the file of a socket: each finds out whether the kernel does what it says."""

from __future__ import annotations

import errno
import os
import sys

import pytest
import support
from answers import Lib

from uds_cffi import calls, lib, probes, probing, processprobes


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
    "bound_file": "uds_handle_bound_file",
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
        ("bound_file", {"uds_handle_bound_file": -errno.ENOENT}),
    ],
)
def test_process_and_file_are_looked_at(name, answers, monkeypatch):
    """What is not this process, or not the file at the path, does not count."""
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


@support.needs("bound_file")
def test_bound_file_needs_a_privilege(monkeypatch):
    """Without the privilege the reason is neither the build nor the kernel."""
    monkeypatch.setattr(processprobes, "lib", Lib(uds_handle_bound_file=-errno.EPERM))
    assert probe("bound_file") == "not permitted"


@support.needs("bound_file")
def test_bound_file_without_a_socket(monkeypatch):
    """A socket that cannot be made has no file."""
    monkeypatch.setattr(calls, "open_socket", lambda handle, kind, nonblocking: -errno.ENOBUFS)
    assert probe("bound_file") == "kernel"


@support.needs("bound_file")
def test_bound_file_where_none_can_be_made(monkeypatch, short_dir):
    """Without a folder for a file, or with too long a name, the answer for a socket without a file counts."""
    folder = os.path.join(short_dir, "long" * 30)
    monkeypatch.setenv("TMPDIR", folder)
    monkeypatch.setattr(processprobes, "FOLDERS", ())
    assert probe("bound_file") == ""
    os.mkdir(folder)
    assert probe("bound_file") == ""
    monkeypatch.setattr(processprobes, "lib", Lib(uds_handle_bound_file=-errno.ENOTTY))
    assert probe("bound_file") == "kernel"
    assert os.listdir(folder) == []


@support.needs("bound_file")
@pytest.mark.parametrize("variable", ["nowhere", "", None])
def test_bound_file_in_the_first_folder_that_takes_one(variable, monkeypatch, short_dir):
    """A folder for temporary files that is not there, or not named, leaves the others; no file stays in any."""
    made = []
    monkeypatch.chdir(short_dir)
    monkeypatch.setattr(processprobes, "FOLDERS", (os.path.join(short_dir, "missing"), "."))
    if variable is None:
        monkeypatch.delenv("TMPDIR", raising=False)
    else:
        monkeypatch.setenv("TMPDIR", variable)

    class Watching(Lib):
        def uds_handle_bind_briefly(self, handle, path, inode):
            made.append((os.path.dirname(path), lib.uds_handle_bind_briefly(handle, path, inode)))
            return made[-1][1]

    monkeypatch.setattr(processprobes, "lib", Watching())
    assert probe("bound_file") == ""
    assert made[-1] == (b".", 0)
    assert (b"nowhere", -errno.ENOENT) in made or variable != "nowhere"
    assert os.listdir(short_dir) == []
