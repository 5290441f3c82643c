"""Directories as an ordinary user meets them, for tests of where socket files belong.

Rule: an ordinary user looks. Where root runs the tests, that is a child which does without its privileges.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import Callable

import pytest
import support

from uds_cffi import runtime_address

ROOT = os.geteuid() == 0
# Where root runs the tests: nobody in particular, and somebody else.
USER = 54321 if ROOT else os.geteuid()
OTHER = 54322

needs_root = pytest.mark.skipif(not ROOT, reason="only root makes files of other users")

# What says where the directory is.
VARIABLES = ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR")


@pytest.fixture
def top(short_dir: str) -> str:
    """Make a directory that every user can search, and only its owner can write to."""
    os.chmod(short_dir, 0o755)
    return short_dir


@pytest.fixture
def home(top: str) -> str:
    """Make the private directory of an ordinary user."""
    return make(top + "/home")


def make(path: str, mode: int = 0o700, owner: int = USER) -> str:
    """Make a directory of an ordinary user."""
    os.mkdir(path)
    os.chmod(path, mode)
    if ROOT:
        os.chown(path, owner, owner)
    return path


@contextlib.contextmanager
def ordinary_user(**environment: str) -> Iterator[None]:
    """Be an ordinary user in the block, with nothing but this in the environment about directories; for children.

    Afterwards the child is what it was: coverage writes what it has measured where only root can.
    """
    for name in VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(environment)
    if ROOT:
        os.setgroups([])
        os.setegid(USER)
        os.seteuid(USER)
    try:
        yield
    finally:
        if ROOT:
            os.seteuid(0)


def as_user(function: Callable[..., object], **environment: str) -> None:
    """Run a function as an ordinary user, in a child."""

    def child() -> None:
        with ordinary_user(**environment):
            function()

    support.run_child(child)


def refused(kind: type[BaseException], text: str, name: str = "s", **environment: str) -> None:
    """Expect an error for an ordinary user, with this in its text."""

    def child() -> None:
        with pytest.raises(kind) as caught:
            runtime_address(name)
        assert text in str(caught.value)

    as_user(child, **environment)


def mode_of(path: str) -> int:
    """Return the mode of what is at a path, without the type."""
    return stat.S_IMODE(os.lstat(path).st_mode)
