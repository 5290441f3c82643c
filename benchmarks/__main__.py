"""``python -m benchmarks``.

Rule: what is measured is the installed package.  ``-m`` puts the current folder first on the path, and with it the
folder `uds_cffi` of sources, which has no compiled module; so that entry is removed before anything is imported.
"""

from __future__ import annotations

import sys
from pathlib import Path


def run() -> int:
    """Find the installed package, and run the command line."""
    root = Path(__file__).resolve().parent.parent
    if sys.path and Path(sys.path[0]).resolve() == root:
        del sys.path[0]
    if not __package__:
        print("benchmarks: run it as `python -m benchmarks`, from the folder that holds benchmarks/", file=sys.stderr)
        return 2
    try:
        import uds_cffi  # noqa: F401 - only to say what is wrong when it is not there.
    except ImportError as problem:
        print(
            f"benchmarks: the installed uds_cffi cannot be imported ({problem}): run `pip install .` first",
            file=sys.stderr,
        )
        return 1
    from .command import main

    return main()


sys.exit(run())
