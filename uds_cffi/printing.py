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


class Printer:
    """Prints lines, each in one write, until that fails; from then on it prints nothing, and keeps the reason.

    It is for programs that have more to do than to print, and whose other errors look like those of an output.
    """

    problem: OSError | None = None

    def line(self, text: str) -> None:
        """Print a line."""
        if self.problem is None:
            try:
                print(f"{text}\n", end="", flush=True)
            except OSError as problem:
                self.problem = problem
                _print_no_more()

    def status(self, command: str) -> int:
        """Say on stderr why lines are missing, if that is an error, and return the exit status (int)."""
        return 0 if self.problem is None else _end(command, self.problem)


def print_lines(command: str, lines: Iterable[str]) -> int:
    """Print lines to the last byte and return the exit status (int): 0, or FAILED when they cannot be written."""
    try:
        for line in lines:
            print(line)
        print(end="", flush=True)
    except OSError as problem:
        _print_no_more()
        return _end(command, problem)
    return 0


def _end(command: str, problem: OSError) -> int:
    return 0 if isinstance(problem, BrokenPipeError) else complain(command, problem)


def _print_no_more() -> None:
    # The interpreter flushes once more at its end, into what takes everything.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
