"""``python -m uds_cffi list``: what it prints, for people and for programs, and how it ends.

Rule: names are chosen by others.  None of them makes a line, a column, or a sequence of the terminal.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
from typing import Any

import pytest
import support
from inodes import inode

from uds_cffi import UnixDatagram, UnixListener, UnixSocketAddr, UnixStream, diagnostics, listing
from uds_cffi.__main__ import main
from uds_cffi.diagnostics import SocketInfo, info_of

needs_it = support.needs("diagnostics")
UNNAMED = UnixSocketAddr.unnamed()

# A stream that is connected; the tests replace what they are about.
PLAIN = SocketInfo(7, 70, "stream", "established", UNNAMED, None, None, None, None, 0, 0, False, False, 0, None)


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-Im", "uds_cffi", "list", *arguments]
    options = {"capture_output": True, "text": True, "check": False, "timeout": support.PATIENCE * 4, **options}
    return subprocess.run(command, **options)


@pytest.fixture
def listed(monkeypatch):
    """Return a function that makes these the sockets that there are."""

    def put(*infos: SocketInfo) -> None:
        monkeypatch.setattr(diagnostics, "sockets", lambda: list(infos))

    return put


# --- The table ----------------------------------------------------------------------------------


def test_table(listed, capsys):
    """A line for each socket, in the order of their inodes, each with its peer's address; columns line up."""
    listed(
        PLAIN._replace(inode=3000, peer_inode=20, uid=None),
        PLAIN._replace(inode=20, peer_inode=3000, address=UnixSocketAddr("/run/x"), unread_bytes=12, unsent_bytes=768),
        PLAIN._replace(
            inode=9,
            state="listening",
            address=UnixSocketAddr("/run/x"),
            pending=3,
            backlog=128,
            unread_bytes=None,
            unsent_bytes=None,
        ),
        PLAIN._replace(inode=10, type="datagram", state="unconnected", peer_inode=5, uid=1000),
    )
    assert main(["list"]) == 0
    assert capsys.readouterr().out == (
        "inode  type      state        unread  unsent   uid  peer  address  peer's address\n"
        "    9  stream    listening     3/128       -     0     -  /run/x   -\n"
        "   10  datagram  unconnected       0       0  1000     5  -        -\n"
        "   20  stream    established      12     768     0  3000  /run/x   -\n"
        " 3000  stream    established       0       0     -    20  -        /run/x\n"
    )


@needs_it
def test_real_sockets(socket_path):
    """The command shows a listener and a connection as they are."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(UnixListener.bind(socket_path, backlog=5))
        client = stack.enter_context(UnixStream.connect(socket_path))
        accepted = stack.enter_context(listener.accept()[0])
        client.send(b"hello")
        done = run(socket_path)
        unsent = str(info_of(client).unsent_bytes)
        one, two, three = (str(inode(sock)) for sock in (client, accepted, listener))
    user = str(os.geteuid())
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert (done.stderr, done.returncode, len(lines)) == ("", 0, 4)
    assert lines[three] == ["stream", "listening", "0/5", "-", user, "-", socket_path, "-"]
    assert lines[one] == ["stream", "established", "0", unsent, user, two, "-", socket_path]
    assert lines[two] == ["stream", "established", "5", "0", user, one, socket_path, "-"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"/run/x", "/run/x"),
        (b"relative", "./relative"),
        (b"@x", "./@x"),
        (b"-", "./-"),
        (b"./x", "./x"),
        (b"/line\nbreak", "/line\\x0abreak"),
        (b"/a b\\c\td", "/a\\x20b\\x5cc\\x09d"),
        (b"/\x1b[31m\x7f", "/\\x1b[31m\\x7f"),
        (b"/\xff\xe9", "/\\xff\\xe9"),
        ("/é€".encode(), "/é€"),
        ("/\u202e\u2028\u00a0\u0085".encode(), "/\\u202e\\u2028\\xa0\\x85"),
        ("/\U000e0001".encode(), "/\\U000e0001"),
    ],
)
def test_names_are_one_word(name, shown):
    """What is not printable, a blank or a backslash is escaped, so that no name can forge anything."""
    address = UnixSocketAddr._make("path", name)
    assert listing.escaped(address, "utf-8") == shown
    assert listing.escaped(address, "ascii") == shown.replace("é€", "\\xe9\\u20ac")
    assert len(shown.split()) == 1


@support.needs("abstract_addresses")
@pytest.mark.parametrize(
    ("name", "shown"), [(b"", "@"), (b"x", "@x"), (b"a\0b\n\0", "@a\\x00b\\x0a\\x00"), (b"\\x00", "@\\x5cx00")]
)
def test_abstract_names_are_one_word(name, shown):
    """An abstract name begins with "@", and its NULs are escaped."""
    assert listing.escaped(UnixSocketAddr.from_abstract(name), "utf-8") == shown


def test_unnamed_is_a_dash():
    """What has no name is a dash, which no name is."""
    assert listing.escaped(UNNAMED, "utf-8") == "-"


@needs_it
def test_a_name_forges_no_line():
    """A name made to look like other lines is within its own line, as one word."""
    address = UnixSocketAddr.from_abstract(f"{os.getpid()}\n99  stream  listening  \x1b[2J é".encode())
    with UnixDatagram.bind(address):
        done = run(f"@{os.getpid()}*")
    assert (done.stderr, done.returncode) == ("", 0)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert len(lines[1].split()) == 9
    assert f" @{os.getpid()}\\x0a99\\x20\\x20stream\\x20\\x20listening\\x20\\x20\\x1b[2J\\x20" in lines[1]


def test_output_of_another_encoding(listed, capsysbinary):
    """What the encoding of the output lacks is escaped, and no error."""
    listed(PLAIN._replace(address=UnixSocketAddr("/é")))
    sys.stdout.reconfigure(encoding="ascii")
    try:
        assert main(["list"]) == 0
    finally:
        sys.stdout.reconfigure(encoding="utf-8")
    assert b"/\\xe9" in capsysbinary.readouterr().out


# --- JSON ---------------------------------------------------------------------------------------


def test_json(listed, capsys):
    """The JSON has all fields, addresses as URIs, and the peer's address."""
    one = PLAIN._replace(inode=1, peer_inode=2, file=(5, 6))
    two = PLAIN._replace(inode=2, peer_inode=1, address=UnixSocketAddr._make("path", b"/a\n\xff"))
    three = PLAIN._replace(inode=3, peer_inode=9, client_inodes=(4, 5))
    listed(three, two, one)
    for arguments in (["list", "--json"], ["--json", "list"]):
        assert main(arguments) == 0
        rows = json.loads(capsys.readouterr().out)
        assert [list(row) for row in rows] == [[*SocketInfo._fields, "peer_address"]] * 3
        assert [row["address"] for row in rows] == ["unix:", "unix:/a%0A%FF", "unix:"]
        assert [row["peer_address"] for row in rows] == ["unix:/a%0A%FF", "unix:", None]
        assert (rows[0]["file"], rows[2]["client_inodes"], rows[1]["cookie"]) == ([5, 6], [4, 5], 70)
        assert UnixSocketAddr.from_uri(rows[1]["address"]) == two.address


@needs_it
def test_json_of_real_sockets(socket_path):
    """The command prints JSON that has what the function returns."""
    with UnixListener.bind(socket_path) as listener:
        done = run("--json", socket_path)
        (row,) = json.loads(done.stdout)
        expected = info_of(listener)._asdict()
        expected.update(address=f"unix:{socket_path}", client_inodes=[], file=list(expected["file"]), peer_address=None)
        assert row == expected
        assert (done.stderr, done.returncode) == ("", 0)


def test_json_of_nothing(listed, capsys):
    """No sockets are an empty list, and status 1."""
    listed()
    assert main(["list", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == []


# --- Choosing -----------------------------------------------------------------------------------

CHOICE = [
    PLAIN._replace(inode=1, address=UnixSocketAddr("/run/a/x"), state="listening"),
    PLAIN._replace(inode=2, address=UnixSocketAddr("/run/b"), peer_inode=3),
    PLAIN._replace(inode=3, peer_inode=2),
    PLAIN._replace(inode=4, type="datagram", state="unconnected"),
    PLAIN._replace(inode=5, type="seqpacket", peer_inode=99),
]


@pytest.mark.parametrize(
    ("arguments", "inodes"),
    [
        ([], [1, 2, 3, 4, 5]),
        (["/run/*"], [1, 2, 3]),
        (["/run/b"], [2, 3]),
        (["/RUN/b"], []),
        (["/run/[a-b]"], [2, 3]),
        (["b"], []),
        (["*"], [1, 2, 3]),
        (["unnamed"], []),
        (["--state", "listening"], [1]),
        (["--state", "listening", "--state", "unconnected"], [1, 4]),
        (["--type", "datagram"], [4]),
        (["--type", "datagram", "--type", "seqpacket"], [4, 5]),
        (["--type", "stream", "--state", "established", "/run/*"], [2, 3]),
        (["--type", "datagram", "--state", "listening"], []),
    ],
)
def test_choice(arguments, inodes, listed, capsys):
    """A pattern is for a name, or the peer's; states and types are alternatives; the status tells an empty list."""
    listed(*CHOICE)
    assert main(["list", *arguments]) == (0 if inodes else 1)
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in lines[1:]] == inodes
    assert lines[0].split()[:3] == ["inode", "type", "state"]


@pytest.mark.parametrize("pattern", ["a b", "./a\\x20b", "a*", "./a*"])
def test_choice_by_what_is_shown(pattern, listed, capsys):
    """A name is chosen as it is, and as the table shows it."""
    listed(PLAIN._replace(address=UnixSocketAddr._make("path", b"a b")))
    assert main(["list", pattern]) == 0
    assert main(["list", "b"]) == 1
    assert capsys.readouterr().out.count("./a\\x20b") == 1


@support.needs("abstract_addresses")
def test_choice_of_an_abstract_name(listed, capsys):
    """An abstract name is chosen by its "@"."""
    listed(PLAIN._replace(address=UnixSocketAddr("@name")))
    assert main(["list", "@na*"]) == 0
    assert main(["list", "na*"]) == 1
    assert capsys.readouterr().out.count("@name") == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--state", "closed"], "argument --state: invalid choice: 'closed'"),
        (["--type", "raw"], "argument --type: invalid choice: 'raw'"),
        (["one", "two"], "unrecognized arguments: two"),
    ],
    ids=" ".join,
)
def test_wrong_arguments(arguments, complaint, capsys):
    """Wrong arguments are status 2, with the reason on stderr."""
    with pytest.raises(SystemExit) as caught:
        main(["list", *arguments])
    assert caught.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert complaint in output.err


def test_help(capsys):
    """The help tells the options and the status."""
    with pytest.raises(SystemExit) as caught:
        main(["list", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: python -m uds_cffi list [-h] [--json]")
    assert "The status is 0 when sockets were listed" in text


# --- How it ends --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "Permission denied"), OSError(errno.EBUSY, "it changed")])
def test_errors(error, monkeypatch, capsys):
    """What the kernel refuses is one line on stderr, and status 2."""

    def refuse() -> None:
        raise error

    monkeypatch.setattr(diagnostics, "sockets", refuse)
    assert main(["list"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == f"python -m uds_cffi list: {error.strerror}\n"


@support.lacks("diagnostics")
def test_absent():
    """Where the feature is absent, the command says so, and its status is 2."""
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("python -m uds_cffi list: diagnostics is not available (not built")
