"""Probes of socket files: each makes one, and finds out whether the kernel does what it says."""

from __future__ import annotations

import errno
import os
import tempfile

import pytest
import support
from answers import Lib

from uds_cffi import calls, fileprobes, places, probes

NAMES = ["bindat", "file_mode"]


def probe(name: str) -> str:
    return getattr(probes, name)()


@pytest.fixture(params=[pytest.param(name, marks=support.needs(name)) for name in NAMES])
def name(request: pytest.FixtureRequest) -> str:
    """Name a probe."""
    return request.param


def test_nothing_is_left(name: str, short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe works in a folder of its own, which is gone afterwards, whatever the umask is."""
    monkeypatch.setattr(tempfile, "tempdir", short_dir)
    mask = os.umask(0)
    try:
        for value in (0, 0o077):
            os.umask(value)
            assert probe(name) == ""
    finally:
        os.umask(mask)
    assert os.listdir(short_dir) == []


def test_without_a_folder(name: str, short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no file can be made nothing can be found out."""
    monkeypatch.setattr(tempfile, "tempdir", os.path.join(short_dir, "none"))
    assert probe(name) == "not permitted"


def test_without_a_socket(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that makes no socket has nothing; a process that may open no more learns just that."""
    monkeypatch.setattr(calls, "open_socket", lambda handle, kind, nonblocking: -errno.ENOBUFS)
    assert probe(name) == "kernel"
    monkeypatch.setattr(calls, "open_socket", lambda handle, kind, nonblocking: -errno.EMFILE)
    with support.raises_errno(errno.EMFILE):
        probe(name)


@support.needs("bindat")
@pytest.mark.parametrize(
    "answers",
    [
        {"uds_handle_bindat": -errno.ENOSYS},
        {"uds_handle_bindat": -errno.EINVAL},
        {"uds_handle_bindat": 0},
        {"uds_handle_connectat": -errno.ECONNREFUSED},
        {"uds_handle_connectat": -errno.ENOSYS},
    ],
)
def test_file_is_looked_for(answers: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that says yes and makes no file, or is missing, does not count."""
    monkeypatch.setattr(places, "lib", Lib(**answers))
    assert probe("bindat") == "kernel"


@support.needs("file_mode")
def test_mode_is_looked_at(short_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that takes the mode and does not apply it has not got the feature, nor has one that cannot bind."""
    monkeypatch.setattr(os, "fchmod", lambda number, mode: None)
    assert probe("file_mode") == "kernel"
    monkeypatch.setattr(places, "lib", Lib(uds_handle_bind=-errno.EACCES))
    assert probe("file_mode") == "kernel"
    folder = os.path.join(short_dir, "long" * 30)
    os.mkdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", folder)
    assert probe("file_mode") == "not permitted"
    assert os.listdir(folder) == []


def test_probes_are_found_with_the_others() -> None:
    """Each is a row of the table under its name."""
    assert [getattr(probes, name) is getattr(fileprobes, name) for name in NAMES] == [True, True]
