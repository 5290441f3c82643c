"""The operations, by theme: importing this package registers them all, in the order of the table."""

from __future__ import annotations

# isort: off
from . import plain
from . import vectored
from . import descriptors
from . import credentials
from . import batches
from . import waiting
from . import lifecycle
from . import processes
from . import scaling
from . import footprint
from . import laws

__all__ = [
    "batches",
    "credentials",
    "descriptors",
    "footprint",
    "laws",
    "lifecycle",
    "plain",
    "processes",
    "scaling",
    "vectored",
    "waiting",
]
