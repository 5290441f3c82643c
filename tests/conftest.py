"""Fixtures and reports for the whole run: the census around every test, and short paths."""

from __future__ import annotations

import collections
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

try:
    import uds_cffi
except ImportError as error:
    # The usual cause: `python -m pytest` puts the current folder, with the sources, on sys.path.
    raise pytest.UsageError(
        f"the installed uds_cffi cannot be imported ({error}); "
        "install the package and run `pytest`, not `python -m pytest`"
    ) from error

import census
import support
from activating import datagram, listener, passed  # noqa: F401 - fixtures, for those that ask for them.
from interrupting import finalizers_may_speak  # noqa: F401 - a fixture, for those that ask for it.
from notified import manager, no_manager  # noqa: F401 - fixtures, for those that ask for them.


def pytest_report_header() -> str:
    """Say which library the run is about."""
    minimal = bool(uds_cffi.lib.UDS_MINIMAL_BUILD)
    path = getattr(uds_cffi._lib, "__file__", "unknown")
    return f"uds_cffi {uds_cffi.__version__}, lib {path}, minimal={minimal}"


def pytest_sessionstart() -> None:
    """Let the interpreter open what it keeps, before the first test is watched."""
    census.warm_up()


def pytest_collection_finish() -> None:
    """Spare the many collections of the tests what lives as long as the run: the modules, and thousands of items."""
    gc.collect()
    # PyPy has no such thing.
    getattr(gc, "freeze", gc.collect)()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Fail a test that leaves a descriptor, a thread or a child behind, or closes a foreign one."""
    before = census.take()
    yield
    differences = census.differences(before)
    if differences:
        pytest.fail(
            "the test did not leave things as they were:\n" + "\n".join(differences),
            pytrace=False,
        )


@pytest.fixture
def short_dir() -> Iterator[str]:
    """Make a temporary folder with a short path.

    The name of a socket has about 100 bytes, and pytest's tmp_path may be longer than that.
    """
    path = tempfile.mkdtemp(prefix="u", dir="/tmp")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def socket_path(short_dir: str) -> str:
    """Name a socket file that does not exist yet."""
    return os.path.join(short_dir, "s")


@pytest.fixture(params=support.TYPES)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """Make a pair of each type."""
    one, two = request.param.pair()
    with one, two:
        yield one, two


@pytest.fixture(params=support.PACKET_TYPES)
def packet_pair(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """Make a pair of each type that has packets; a receive that should not wait times out."""
    one, two = request.param.pair()
    with one, two:
        two.set_read_timeout(support.PATIENCE)
        yield one, two


@pytest.fixture
def stream() -> Iterator[tuple[uds_cffi.UnixStream, uds_cffi.UnixStream]]:
    """Make a pair of streams."""
    one, two = uds_cffi.UnixStream.pair()
    with one, two:
        yield one, two


@pytest.fixture
def datagrams() -> Iterator[tuple[uds_cffi.UnixDatagram, uds_cffi.UnixDatagram]]:
    """Make a pair of datagram sockets."""
    one, two = uds_cffi.UnixDatagram.pair()
    with one, two:
        yield one, two


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Let threads take turns after each microsecond."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def number() -> Iterator[int]:
    """Open a file, and yield the number of its descriptor."""
    with tempfile.TemporaryFile() as file:
        yield file.fileno()


@pytest.fixture
def files() -> Iterator[list[int]]:
    """Open two different files, and yield the numbers of their descriptors."""
    with tempfile.TemporaryFile() as one, tempfile.TemporaryFile() as two:
        yield [one.fileno(), two.fileno()]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with the list of features that this run could not test, and why."""
    skipped: collections.Counter[str] = collections.Counter()
    for report in terminalreporter.stats.get("skipped", ()):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        reason = reason.partition("Skipped: ")[2] or reason
        if reason.startswith(support.FEATURE_SKIP):
            skipped[reason[len(support.FEATURE_SKIP) :]] += 1
    if skipped:
        terminalreporter.section("features")
        for reason, count in sorted(skipped.items()):
            terminalreporter.write_line(f"{reason}: {count} skipped")
