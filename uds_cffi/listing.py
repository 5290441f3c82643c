"""``python -m uds_cffi list``: the Unix sockets of this network namespace, as a table or as JSON.

Rule: a socket's name is anybody's choice, so no name can make a line, a column or a sequence of the terminal: what is
not printable, blanks and backslashes are escaped.  The JSON has addresses as URIs, which are exact.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

from . import diagnostics
from .diagnostics import STATES, TYPES
from .printing import PROGRAM, complain, output_encoding, print_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator
    from typing import Any

    from .address import UnixSocketAddr
    from .diagnostics import SocketInfo

    Row = tuple[SocketInfo, SocketInfo | None]

COMMAND = f"{PROGRAM} list"
FOUND, NOTHING = 0, 1

_HEADINGS = ("inode", "type", "state", "unread", "unsent", "uid", "peer", "address", "peer's address")
_ON_THE_RIGHT = frozenset(("inode", "unread", "unsent", "uid", "peer"))

DESCRIPTION = """\
List the Unix sockets of this network namespace, of every process and user.
For a listener "unread" shows how many connections wait, and how many may.
The status is 0 when sockets were listed, 1 when there are none, and 2 for an error."""


def add_arguments(parser: ArgumentParser) -> None:
    """Tell the parser of the command line what ``list`` takes."""
    parser.add_argument(
        "pattern",
        nargs="?",
        metavar="PATTERN",
        help="only those whose address, or peer's address, matches, as it is or as it is shown: '/run/*', '@name'",
    )
    parser.add_argument("--state", action="append", choices=STATES, help="only this state; may be repeated")
    parser.add_argument("--type", action="append", choices=TYPES, help="only this type; may be repeated")


def escaped(address: UnixSocketAddr, encoding: str) -> str:
    """Return an address as one word that this encoding has: "@" begins an abstract name, and only that."""
    if address.is_unnamed:
        return "-"
    text = "".join(map(_shown_character, address.name.decode("utf-8", "surrogateescape")))
    if address.is_abstract:
        text = "@" + text
    elif not text.startswith(("/", ".")):
        text = "./" + text
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _shown_character(character: str) -> str:
    if character.isprintable() and character not in " \\":
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # A byte that is no UTF-8.
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else ascii(character)[1:-1]


def choose(options: Namespace) -> list[Row]:
    """Return the sockets that are asked for, in the order of their inodes, each with its peer where it is listed."""
    everything = sorted(diagnostics.sockets(), key=lambda info: info.inode)
    by_inode = {info.inode: info for info in everything}
    rows = []
    for info in everything:
        peer = by_inode.get(info.peer_inode) if info.peer_inode else None
        if (
            (options.state is None or info.state in options.state)
            and (options.type is None or info.type in options.type)
            and (options.pattern is None or any(_matches(one, options.pattern) for one in (info, peer)))
        ):
            rows.append((info, peer))
    return rows


def _matches(info: SocketInfo | None, pattern: str) -> bool:
    """Whether a socket has a name that matches, as it is or as it is shown."""
    if info is None or info.address.is_unnamed:
        return False
    return fnmatchcase(str(info.address), pattern) or fnmatchcase(escaped(info.address, "utf-8"), pattern)


def as_json(rows: list[Row]) -> str:
    """Return the sockets as JSON: a list of objects with the fields of SocketInfo, and the peer's address."""
    return json.dumps([_plain(info, peer) for info, peer in rows], indent=2)


def _plain(info: SocketInfo, peer: SocketInfo | None) -> dict[str, Any]:
    fields = info._asdict()
    fields["address"] = info.address.to_uri()
    fields["peer_address"] = None if peer is None else peer.address.to_uri()
    return fields


def as_lines(rows: list[Row], encoding: str) -> Iterator[str]:
    """Yield the lines of the table."""
    table = [_HEADINGS, *(_cells(info, peer, encoding) for info, peer in rows)]
    widths = [max(map(len, column)) for column in zip(*table)]
    for cells in table:
        line = "  ".join(
            cell.rjust(width) if heading in _ON_THE_RIGHT else cell.ljust(width)
            for cell, width, heading in zip(cells, widths, _HEADINGS)
        )
        yield line.rstrip()


def _cells(info: SocketInfo, peer: SocketInfo | None, encoding: str) -> tuple[str, ...]:
    waiting = f"{info.pending}/{info.backlog}" if info.state == "listening" else _shown(info.unread_bytes)
    return (
        str(info.inode),
        info.type,
        info.state,
        waiting,
        _shown(info.unsent_bytes),
        _shown(info.uid),
        _shown(info.peer_inode),
        escaped(info.address, encoding),
        "-" if peer is None else escaped(peer.address, encoding),
    )


def _shown(number: int | None) -> str:
    return "-" if number is None else str(number)


def run(options: Namespace) -> int:
    """Print what is asked for and return the exit status (int)."""
    try:
        rows = choose(options)
    except OSError as problem:
        return complain(COMMAND, problem)
    lines = [as_json(rows)] if options.json else as_lines(rows, output_encoding())
    return print_lines(COMMAND, lines) or (FOUND if rows else NOTHING)
