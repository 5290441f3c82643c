"""runtime_address(): the directory that the system has made for a socket file, or a clear error."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import ordinary
import pytest
from ordinary import OTHER, USER, VARIABLES, as_user, make, mode_of, needs_root, refused

from uds_cffi import AddressError, UnixListener, UnixSocketAddr, UnixStream, runtime, runtime_address

top, home = ordinary.top, ordinary.home


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """What the tests are run with says nothing."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


# --- Which directory ----------------------------------------------------------------------------


def test_user_has_xdg_runtime_dir(home):
    """An ordinary user's sockets are in XDG_RUNTIME_DIR, and a server and a client can meet there."""

    def child():
        address = runtime_address("bus")
        assert address == UnixSocketAddr.from_path(home + "/bus")
        with UnixListener.bind(address) as listener, UnixStream.connect(runtime_address("bus")):
            listener.accept()[0].close()

    as_user(child, XDG_RUNTIME_DIR=home)


@needs_root
def test_root_has_run(monkeypatch, home):
    """Root's sockets are in /run, also when the environment of an ordinary user has come along."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", home)

    assert runtime_address("bus") == UnixSocketAddr.from_path("/run/bus")


@needs_root
def test_root_has_var_run_where_there_is_no_run(monkeypatch, top):
    """Where a system has no /run, root's sockets are in /var/run; where it has neither, the error names both."""
    monkeypatch.setattr(runtime, "_SYSTEM", (top + "/run", top + "/var"))
    with pytest.raises(FileNotFoundError, match=f"no {top}/run and no {top}/var"):
        runtime_address("bus")
    os.mkdir(top + "/var")

    assert runtime_address("bus").name == os.fsencode(top + "/var/bus")


@pytest.mark.parametrize(
    ("name", "listed", "found"),
    [
        ("bus", "app", "app/bus"),
        ("app/bus", "app", "app/bus"),
        ("app/sub/bus", "app", "app/sub/bus"),
        ("other/bus", "app", "app/other/bus"),
        ("bus", "deep/app", "deep/app/bus"),
        ("app/bus", "deep/app", "deep/app/bus"),
        ("deep/app/bus", "deep/app", "deep/app/bus"),
        ("app/bus", "app:other", "app/bus"),
        ("other/bus", "app:other", "other/bus"),
        ("app/deep/bus", "app:app/deep", "app/deep/bus"),
        ("app/app/bus", "app", "app/app/bus"),
    ],
)
def test_service_has_its_own_directory(top, name, listed, found):
    """Below the directory that systemd made, a name that begins with its name means what it means without systemd."""
    for path in ("app", "deep", "deep/app", "other", "app/deep"):
        make(f"{top}/{path}", 0o755)
    directories = ":".join(f"{top}/{path}" for path in listed.split(":"))

    def child():
        assert runtime_address(name).name == os.fsencode(f"{top}/{found}")

    as_user(child, RUNTIME_DIRECTORY=directories, XDG_RUNTIME_DIR="/nowhere")


@pytest.mark.parametrize(("name", "listed"), [("bus", "a:b"), ("c/bus", "a:b"), ("x/bus", "a/x:b/x")])
def test_service_with_several_directories_says_which(top, name, listed):
    """A name that fits none or several of a service's directories is an error that names them all."""
    directories = ":".join(f"{top}/{path}" for path in listed.split(":"))
    wanted = f"{name!r} does not say where: RUNTIME_DIRECTORY has 2 directories, {directories.replace(':', ', ')}"

    refused(AddressError, wanted, name, RUNTIME_DIRECTORY=directories)


def test_empty_variables_count_as_not_set(home):
    """An empty RUNTIME_DIRECTORY is none, and so is one of colons."""

    def child():
        assert runtime_address("bus").name == os.fsencode(home + "/bus")

    as_user(child, RUNTIME_DIRECTORY="", XDG_RUNTIME_DIR=home)
    as_user(child, RUNTIME_DIRECTORY="::", XDG_RUNTIME_DIR=home)


# --- Refusals of the directory ------------------------------------------------------------------


def test_user_without_a_directory_is_told(home):
    """Without XDG_RUNTIME_DIR there is no address, and no fallback; the error names variable and user."""
    refused(FileNotFoundError, f"no runtime directory for user {USER}: XDG_RUNTIME_DIR is not set")
    refused(FileNotFoundError, f"no runtime directory for user {USER}: XDG_RUNTIME_DIR is not set", XDG_RUNTIME_DIR="")


@pytest.mark.parametrize("variable", VARIABLES)
def test_relative_directory_counts_for_nothing(variable):
    """A relative path in the environment is refused, and not looked for in the current directory."""
    refused(FileNotFoundError, f"{variable} is 'run', not an absolute path", **{variable: "run"})


@pytest.mark.parametrize("variable", VARIABLES)
def test_missing_directory_is_told(top, variable):
    """A directory that does not exist is not made."""
    wanted = f"{variable} names a directory that does not exist: '{top}/none/at/all'"

    refused(FileNotFoundError, wanted, **{variable: top + "/none/at/all"})
    assert not os.path.exists(top + "/none")


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o777, 0o1777, 0o500, 0o600])
def test_xdg_directory_of_another_mode_is_refused(top, mode):
    """XDG_RUNTIME_DIR has mode 0700, as its specification demands; /tmp's mode is one of those that are refused."""
    path = make(top + "/open", mode)

    refused(PermissionError, f"a directory of mode {mode:04o}, and not of mode 0700: '{path}'", XDG_RUNTIME_DIR=path)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o770])
def test_service_directory_that_others_write_to_is_refused(top, mode):
    """The default of systemd, 0755, will do for a service's directory, but nobody else may write to it."""
    path = make(top + "/open", mode)
    wanted = f"a directory of mode {mode:04o}, which others than user {USER} can write to: '{path}'"

    refused(PermissionError, wanted, RUNTIME_DIRECTORY=path)


def test_foreign_directory_is_refused():
    """A directory of root, as after su(1), is refused for an ordinary user, and the error names both."""
    for variable in VARIABLES:
        refused(
            PermissionError,
            f"{variable} leads to a directory of user 0, and not of user {USER}: '/usr'",
            **{variable: "/usr"},
        )


@needs_root
def test_roots_directory_of_another_user_is_refused(monkeypatch, top):
    """Root does not use an ordinary user's directory either, although it could."""
    monkeypatch.setattr(runtime, "_SYSTEM", (make(top + "/run", 0o755),))
    with pytest.raises(PermissionError, match=f"the system leads to a directory of user {USER}, and not of user 0"):
        runtime_address("bus")


def test_file_is_no_directory(top):
    """A file in the place of the directory, or on the way to it, is named."""
    Path(top, "file").touch()

    refused(NotADirectoryError, f"'{top}/file'", XDG_RUNTIME_DIR=top + "/file")
    refused(NotADirectoryError, f"'{top}/file/sub'", XDG_RUNTIME_DIR=top + "/file/sub")


def test_shared_directory_on_the_way_is_refused(top):
    """Where everybody can rename what is in a directory, a private one in it will not do; in a sticky one it will."""
    shared = make(top + "/shared", 0o777)
    mine = make(shared + "/mine")
    refused(PermissionError, f"everybody can rename what is in it (mode 0777): '{shared}'", XDG_RUNTIME_DIR=mine)
    refused(PermissionError, f"'{shared}'", XDG_RUNTIME_DIR=f"{shared}/mine/../../shared/mine")
    os.chmod(shared, 0o1777)

    as_user(lambda: runtime_address("bus"), XDG_RUNTIME_DIR=mine)
    as_user(lambda: runtime_address("bus"), XDG_RUNTIME_DIR=f"{shared}/./mine/../../shared/mine")


def test_link_of_the_user_is_followed(top, home):
    """A symbolic link that only the user or root can change will do, and the address keeps it."""
    os.symlink("home", top + "/link")
    os.symlink(top + "/./link", top + "/absolute")

    def child():
        assert runtime_address("app/bus").name == os.fsencode(top + "/absolute/app/bus")

    as_user(child, XDG_RUNTIME_DIR=top + "/absolute")
    assert mode_of(home + "/app") == 0o700


@needs_root
def test_link_of_another_user_is_refused(top, home):
    """A symbolic link that somebody else has put there is refused, wherever it leads."""
    for place in ("link", "link/home"):
        link = top + "/link"
        os.symlink(home if place == "link" else top, link)
        os.lchown(link, OTHER, OTHER)
        wanted = f"a symbolic link of user {OTHER}, who can make it lead elsewhere: '{link}'"
        refused(PermissionError, wanted, XDG_RUNTIME_DIR=f"{top}/{place}")
        os.unlink(link)


def test_link_into_a_shared_directory_is_refused(top):
    """It is not enough that the link itself is safe: what it leads through is looked at too."""
    shared = make(top + "/shared", 0o777)
    make(shared + "/mine")
    os.symlink(shared + "/mine", top + "/link")

    refused(PermissionError, f"'{shared}'", XDG_RUNTIME_DIR=top + "/link")


def test_circle_of_links_ends(top):
    """Links that lead nowhere but to each other are ELOOP."""
    os.symlink("two", top + "/one")
    os.symlink("one", top + "/two")

    refused(OSError, f"{os.strerror(errno.ELOOP)}: '{top}/one'", XDG_RUNTIME_DIR=top + "/one")
