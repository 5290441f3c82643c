"""Each operation of the benchmarks works: every way of it receives what was sent, and leaves nothing behind."""

from __future__ import annotations

import errno
import sys

import benchmarking  # noqa: F401 - it makes the next imports possible.
import pytest

from benchmarks import cases, floor
from benchmarks.cases import footprint, scaling
from benchmarks.limits import allow_descriptors
from benchmarks.measure import Settings, measure
from benchmarks.operation import BARE, CONTROL, FLOOR, OPERATIONS, OURS, STDLIB

# As little as possible: two slices of one round for every way.
TINY = Settings(repeats=2, slice_seconds=1e-9, warm_seconds=0.0, warm_rounds=1, longest_warm=0.0)

# Fewer descriptors than some operations want.
FEW = 4000

assert cases.__all__


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_operation_works(operation, monkeypatch):
    """Every way of the operation returns what is expected, and has a figure for each repeat."""
    reason = operation.missing()
    if reason is not None:
        pytest.skip(reason)
    # Thousands of sockets take seconds, and are not different from hundreds.
    fewer = operation.name == "10000 connections" or operation.unit == "B"
    if fewer:
        for module in (scaling, footprint):
            monkeypatch.setattr(
                module, "allow_descriptors", lambda stack, wanted: allow_descriptors(stack, min(wanted, FEW))
            )
    measured = measure(operation, TINY)

    assert OURS in measured.figures
    assert set(measured.figures) <= {OURS, STDLIB, FLOOR, BARE, CONTROL}
    assert all(len(values) == 2 and min(values) > 0 for values in measured.figures.values())
    assert any("RLIMIT_NOFILE" in note for note in measured.notes) == fewer


def test_floor_reports_errors():
    """A floor that fails says which error it met."""
    made = floor.load()

    with pytest.raises(OSError, match=r"\[Errno 9\]"):
        floor.check(made.lib.floor_send_recv(-1, -1, b"x", 1, made.ffi.new("char[]", 1), 1, 0, 1))


def test_floor_that_does_not_compile_shows_why(tmp_path, monkeypatch):
    """What the compiler said is in the error, and no folder is left."""
    monkeypatch.setattr(floor, "HERE", tmp_path)
    (tmp_path / "floor_build.py").write_text("raise SystemExit('the compiler is on strike')", encoding="utf-8")

    with pytest.raises(floor.FloorError, match="the compiler is on strike"):
        floor._compile(tmp_path / "cache" / "name", "name")
    assert list((tmp_path / "cache").iterdir()) == []


def test_floor_is_kept_where_nobody_else_writes(tmp_path, monkeypatch):
    """The compiled floor lies in the virtual environment, or else in the user's folder for caches."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert tmp_path in floor.cache_folder().parents

    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert floor.cache_folder().parent == tmp_path / "xdg"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert floor.cache_folder().parent == tmp_path / ".cache"


def test_floor_is_compiled_without_a_folder_to_keep_it(tmp_path, monkeypatch):
    """Where no folder can be written to, the floor is compiled for this run alone."""
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    monkeypatch.setattr(floor, "cache_folder", lambda: tmp_path / "file" / "cache")

    assert floor.load.__wrapped__().lib.floor_nothing(-1, floor.load().ffi.NULL, 0, 1) == -errno.EBADF


def test_floor_of_another_source_has_another_name(monkeypatch):
    """A changed source is compiled anew."""
    before = floor.key()
    monkeypatch.setattr(floor, "_source", lambda name: "changed")

    assert floor.key() != before
