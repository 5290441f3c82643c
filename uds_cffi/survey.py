"""A survey of the capability table: what this build has, and what the running kernel does.

Rule: what is supported is found out by a message or a call that carries the thing, because there are kernels that
accept options and ignore them.  Nothing is probed at import.
"""

from __future__ import annotations

from collections import namedtuple

from . import probes
from .capabilities import ROWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class Feature(NamedTuple):
        """One row of the table."""

        name: str
        declared: bool
        supported: bool
        reason: str
        description: str

else:

    class Feature(namedtuple("Feature", "name declared supported reason description")):
        """One row of the table: what a capability is, and whether it is here.

        Attributes:
            name: the name that ``FeatureUnavailable.feature`` uses (str).
            declared: whether this build has it (bool).
            supported: whether a probe that carries the thing worked on this kernel just now (bool).
            reason: "" when supported, else "not built", "kernel", "no security module" or "not permitted" (str).
            description: one sentence (str).
        """

        __slots__ = ()


def features() -> dict[str, Feature]:
    """Return what this build declares and this kernel supports, by name.

    Each call asks the running kernel anew, with messages on sockets of its own and a socket file in the folder for
    temporary files that is gone at once; it takes about a millisecond and leaves nothing behind.

    Raises:
        OSError: EMFILE, this process may open no more descriptors, so nothing can be found out.
    """
    table = {}
    for name, (declared, description) in ROWS.items():
        reason = getattr(probes, name)() if declared else "not built"
        table[name] = Feature(name, declared, not reason, reason, description)
    return table
