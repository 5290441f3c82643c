"""Run a function in a forked process and bring back its result.

Rule: the child never returns into the parent's program, and the parent never waits for a child that cannot end: both
get the terminal's Ctrl-C.
"""

from __future__ import annotations

import os
import pickle
import traceback
from typing import Any, Callable


class ChildError(Exception):
    """The function raised in the child, or the child died; the message says what happened."""


def isolated(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a child of its own and return its result, which must be picklable.

    Raises:
        ChildError: it raised, or the child was killed.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _be_the_child(write, function, arguments)
    os.close(write)
    try:
        with os.fdopen(read, "rb") as pipe:
            report = pipe.read()
    finally:
        _, status = os.waitpid(pid, 0)
    if status or not report:
        ending = f"killed by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "ended without a result"
        raise ChildError(f"the process that measured was {ending}" if not report else pickle.loads(report)[1])
    return pickle.loads(report)[1]


def _be_the_child(write: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    code = 1
    try:
        try:
            report = pickle.dumps((True, function(*arguments)))
            code = 0
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - the parent reports it.
            report = pickle.dumps((False, traceback.format_exc()))
        with os.fdopen(write, "wb") as pipe:
            pipe.write(report)
    finally:
        os._exit(code)
