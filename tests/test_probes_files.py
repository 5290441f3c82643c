"""Probes of socket files: each makes one, and finds out whether the kernel does what it says."""

from __future__ import annotations

import errno
import os

import pytest
import support
from answers import Lib

from uds_cffi import calls, fileprobes, lib, probes

NAMES = ["bindat", "file_mode", "bound_file"]


def probe(name: str) -> str:
    return getattr(probes, name)()


@pytest.fixture(params=[pytest.param(name, marks=support.needs(name)) for name in NAMES])
def name(request):
    """Name a probe."""
    return request.param


def test_without_a_socket(name, monkeypatch):
    """A kernel that makes no socket has nothing; a process that may open no more learns just that."""
    monkeypatch.setattr(calls, "open_socket", lambda handle, kind, nonblocking: -errno.ENOBUFS)
    assert probe(name) == "kernel"
    monkeypatch.setattr(calls, "open_socket", lambda handle, kind, nonblocking: -errno.EMFILE)
    with support.raises_errno(errno.EMFILE):
        probe(name)


@pytest.mark.parametrize("mask", [0, 0o077])
def test_nothing_is_left(name, mask, short_dir, monkeypatch):
    """The file is gone afterwards, and the umask makes no difference."""
    monkeypatch.setenv("TMPDIR", short_dir)
    before = os.umask(mask)
    try:
        assert probe(name) == ""
    finally:
        os.umask(before)
    assert os.listdir(short_dir) == []


@support.needs("bindat")
def test_bindat_where_no_file_can_be_made(monkeypatch, short_dir):
    """Without a folder for a file nothing can be found out; one that takes it is enough."""
    folder = os.path.join(short_dir, "none")
    monkeypatch.setenv("TMPDIR", folder)
    monkeypatch.setattr(fileprobes, "FOLDERS", ())
    assert probe("bindat") == "not permitted"
    monkeypatch.setattr(fileprobes, "FOLDERS", (short_dir,))
    assert probe("bindat") == ""
    monkeypatch.delenv("TMPDIR")
    assert probe("bindat") == ""
    assert os.listdir(short_dir) == []


@support.needs("bindat")
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL, errno.ECONNREFUSED])
def test_bindat_that_fails(code, monkeypatch):
    """What a folder alone does not explain is the kernel's; a process that may open no more learns just that."""
    monkeypatch.setattr(fileprobes, "lib", Lib(uds_handle_bindat_briefly=-code))
    assert probe("bindat") == "kernel"
    monkeypatch.setattr(fileprobes, "lib", Lib(uds_handle_bindat_briefly=-errno.EMFILE))
    with support.raises_errno(errno.EMFILE):
        probe("bindat")


@support.needs("file_mode")
def test_mode_is_looked_at(monkeypatch):
    """A kernel that takes the mode and does not apply it has not got the feature; without a file nobody knows."""
    monkeypatch.setattr(os, "fchmod", lambda number, mode: None)
    assert probe("file_mode") == "kernel"
    monkeypatch.setattr(fileprobes, "lib", Lib(uds_handle_bind_briefly=-errno.EACCES))
    assert probe("file_mode") == "not permitted"


@support.needs("bound_file")
def test_bound_file_that_the_kernel_does_not_know(monkeypatch):
    """A kernel without the call, or that names no file, has not got it; a process that may open no more learns that."""
    for code in (errno.ENOSYS, errno.ENOENT):
        monkeypatch.setattr(fileprobes, "lib", Lib(uds_handle_bound_file=-code))
        assert probe("bound_file") == "kernel"
    monkeypatch.setattr(fileprobes, "lib", Lib(uds_handle_bound_file=-errno.EMFILE))
    with support.raises_errno(errno.EMFILE):
        probe("bound_file")


@support.needs("bound_file")
def test_bound_file_needs_a_privilege(monkeypatch):
    """Without the privilege the reason is neither the build nor the kernel."""
    monkeypatch.setattr(fileprobes, "lib", Lib(uds_handle_bound_file=-errno.EPERM))
    assert probe("bound_file") == "not permitted"


@support.needs("bound_file")
def test_bound_file_where_none_can_be_made(monkeypatch, short_dir):
    """Without a folder for a file, or with too long a name, the answer for a socket without a file counts."""
    folder = os.path.join(short_dir, "long" * 30)
    monkeypatch.setenv("TMPDIR", folder)
    monkeypatch.setattr(fileprobes, "FOLDERS", ())
    assert probe("bound_file") == ""
    os.mkdir(folder)
    assert probe("bound_file") == ""
    monkeypatch.setattr(fileprobes, "lib", Lib(uds_handle_bound_file=-errno.ENOTTY))
    assert probe("bound_file") == "kernel"
    assert os.listdir(folder) == []


@support.needs("bound_file")
@pytest.mark.parametrize("variable", ["nowhere", "", None])
def test_bound_file_in_the_first_folder_that_takes_one(variable, monkeypatch, short_dir):
    """A folder for temporary files that is not there, or not named, leaves the others; no file stays in any."""
    made = []
    monkeypatch.chdir(short_dir)
    monkeypatch.setattr(fileprobes, "FOLDERS", (os.path.join(short_dir, "missing"), "."))
    if variable is None:
        monkeypatch.delenv("TMPDIR", raising=False)
    else:
        monkeypatch.setenv("TMPDIR", variable)

    class Watching(Lib):
        def uds_handle_bind_briefly(self, handle, path, inode):
            made.append((os.path.dirname(path), lib.uds_handle_bind_briefly(handle, path, inode)))
            return made[-1][1]

    monkeypatch.setattr(fileprobes, "lib", Watching())
    assert probe("bound_file") == ""
    assert made[-1] == (b".", 0)
    assert (b"nowhere", -errno.ENOENT) in made or variable != "nowhere"
    assert os.listdir(short_dir) == []
