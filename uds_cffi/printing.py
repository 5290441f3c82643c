"""What the commands of ``python -m uds_cffi`` print, and how they end when that cannot be written.

Rule: a reader that has seen what it wanted, as head(1) has, is no error.  Anything else that keeps the text from being
written is one line on stderr, and a status that says so.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PROGRAM = "python -m uds_cffi"
FAILED = 2


def output_encoding() -> str:
    """Return the encoding of the output (str); where there is no output any will do."""
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def complain(command: str, problem: OSError) -> int:
    """Say on stderr what went wrong, and return the exit status (int)."""
    print(f"{command}: {problem.strerror or problem}", file=sys.stderr)
    return FAILED


def print_lines(command: str, lines: Iterable[str]) -> int:
    """Print lines to the last byte and return the exit status (int): 0, or FAILED when they cannot be written."""
    try:
        for line in lines:
            print(line)
        print(end="", flush=True)
    except BrokenPipeError:
        _print_no_more()
    except OSError as problem:
        _print_no_more()
        return complain(command, problem)
    return 0


def _print_no_more() -> None:
    # The interpreter flushes once more at its end, into what takes everything.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
