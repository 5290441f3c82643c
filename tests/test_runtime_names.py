"""What runtime_address() takes as a name, and the directories that it makes for one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ordinary
import pytest
import support
from hypothesis import HealthCheck, given, settings, strategies
from ordinary import OTHER, USER, as_user, make, mode_of, needs_root, ordinary_user, refused

from uds_cffi import AddressError, UnixSocketAddr, runtime, runtime_address

top, home = ordinary.top, ordinary.home

# --- Names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [b"bus", Path("bus"), "@bus", "\N{SNOWMAN}", b"\xff"])
def test_name_may_be_anything_that_a_file_name_is(home, name):
    """A name is str, bytes or a path, and its bytes are those of the file."""
    wanted = home.encode() + b"/" + os.fsencode(name)

    def child():
        assert runtime_address(name).name == wanted

    as_user(child, XDG_RUNTIME_DIR=home)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "cannot be empty"),
        (b"", "cannot be empty"),
        ("a\0b", "has a NUL at byte 1 of 3"),
        ("/run/bus", "'/run/bus' names no file there"),
        ("..", "relative to the runtime directory"),
        ("../bus", "without empty parts, '.' and '..'"),
        ("app/../../bus", "'app/../../bus' names no file there"),
        ("./bus", "names no file there"),
        (".", "names no file there"),
        ("app/", "names no file there"),
        ("app//bus", "names no file there"),
        (b"../bus", "b'../bus' names no file there"),
        (7, "not int"),
        (None, "not NoneType"),
        ("\ud800", "characters that a file name cannot have"),
    ],
)
def test_bad_name_is_refused(home, name, text):
    """A name that leads elsewhere, or nowhere, is an AddressError that says so."""
    refused(AddressError, text, name, XDG_RUNTIME_DIR=home)


@given(name=strategies.text("ab./\0@\u2603", max_size=12) | strategies.binary(max_size=8))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_name_leads_out_of_the_directory(top, name):
    """Whatever the name, the address is that of a file below the directory, spelled as it was given; or an error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RUNTIME_DIRECTORY", raising=False)
        # Whoever runs the tests: this is root's directory, or else the user's.
        patch.setattr(runtime, "_SYSTEM", (top,))
        patch.setenv("XDG_RUNTIME_DIR", top)
        os.chmod(top, 0o700)
        try:
            address = runtime_address(name)
        except AddressError:
            return
    path = os.fsdecode(address.name)
    assert path == f"{top}/{os.fsdecode(name)}" == os.path.normpath(path)
    assert os.path.isdir(os.path.dirname(path))


def test_too_long_is_refused_before_anything_is_made(home):
    """The limit is that of the whole path; nothing was made for a path that is too long."""
    room = UnixSocketAddr.max_path_len() - len(home) - len("/app/")
    longest = "app/" + "x" * room

    refused(
        AddressError, f"bytes long; the limit is {UnixSocketAddr.max_path_len()}", longest + "x", XDG_RUNTIME_DIR=home
    )
    assert os.listdir(home) == []
    as_user(lambda: runtime_address(longest), XDG_RUNTIME_DIR=home)
    assert os.listdir(home) == ["app"]


# --- Directories in the name --------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o022, 0, 0o777])
def test_directories_are_made_private(home, mask):
    """Directories in front of the name are made with mode 0700, whatever the umask, and used again."""

    def child():
        os.umask(mask)
        for _ in range(2):
            runtime_address("app/deep/bus")

    as_user(child, XDG_RUNTIME_DIR=home)
    assert [mode_of(home + path) for path in ("/app", "/app/deep")] == [0o700, 0o700]
    assert os.listdir(home + "/app/deep") == []


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o711])
def test_existing_directory_of_the_user_is_used(home, mode):
    """A directory that others may search or read is left as it is: that is whom its owner wants to reach it."""
    make(home + "/app", mode)
    as_user(lambda: runtime_address("app/bus"), XDG_RUNTIME_DIR=home)

    assert mode_of(home + "/app") == mode


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_existing_directory_that_others_write_to_is_refused(home, mode):
    """Whoever could write to it could put another socket there."""
    path = make(home + "/app", mode)

    refused(PermissionError, f"others than user {USER} can write to: '{path}'", "app/bus", XDG_RUNTIME_DIR=home)


@needs_root
def test_existing_directory_of_another_user_is_refused(home):
    """A directory in the name that somebody else owns is refused, and nothing is made in it."""
    path = make(home + "/app", 0o777, OTHER)

    refused(PermissionError, f"a directory of user {OTHER}, and not", "app/deep/bus", XDG_RUNTIME_DIR=home)
    assert os.listdir(path) == []


@pytest.mark.parametrize("target", ["elsewhere", "missing"])
def test_link_in_the_name_is_refused(home, target):
    """A symbolic link in the name is not followed: whoever needs one names where it leads."""
    make(home + "/elsewhere")
    os.symlink(target, home + "/app")

    refused(NotADirectoryError, f"'{home}/app'", "app/bus", XDG_RUNTIME_DIR=home)
    assert sorted(os.listdir(home)) == ["app", "elsewhere"]


def test_file_in_the_name_is_refused(home):
    """A file where the name says that there is a directory stays what it is."""
    Path(home, "app").write_text("mine")

    refused(NotADirectoryError, f"'{home}/app'", "app/bus", XDG_RUNTIME_DIR=home)
    assert Path(home, "app").read_text() == "mine"


def test_file_itself_is_not_looked_at(home):
    """Whatever is at the path is for bind() or connect() to meet."""
    Path(home, "bus").write_text("mine")

    as_user(lambda: runtime_address("bus"), XDG_RUNTIME_DIR=home)
    assert Path(home, "bus").read_text() == "mine"


def test_two_starters_make_the_same_directories(home):
    """Of processes that start at the same moment each gets the address."""

    def child(go: Any) -> None:
        go.wait()
        with ordinary_user(XDG_RUNTIME_DIR=home):
            for number in range(50):
                runtime_address(f"app{number}/deep/bus")

    with support.Event() as go, support.Child(child, go), support.Child(child, go):
        go.set()
    assert len(os.listdir(home)) == 50
