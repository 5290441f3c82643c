"""The benchmarks of this checkout as a package to import.

Rule: only this one package is found.  With the checkout on sys.path its folder of sources, `uds_cffi`, would be found
too, instead of the installed package.
"""

from __future__ import annotations

import importlib.util
import sys

import support


def load() -> None:
    """Make ``import benchmarks`` work in this process."""
    if "benchmarks" in sys.modules:
        return
    folder = support.ROOT / "benchmarks"
    spec = importlib.util.spec_from_file_location(
        "benchmarks", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmarks"] = module
    spec.loader.exec_module(module)


load()
