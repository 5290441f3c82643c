"""Say what pyproject.toml cannot: cffi's module, and which Pythons one wheel serves.

The keyword `cffi_modules` has no form in pyproject.toml, and in setup.cfg it is silently ignored.
"""

import sys
import sysconfig

from setuptools import setup
from setuptools.command.build_ext import get_abi3_suffix


def oldest():
    """Return the oldest CPython that the wheel serves, with all later ones; None if it is for this version alone.

    It is for all of them where cffi compiles against the stable ABI: not on PyPy, not for a debug build, and not for a
    free-threaded one before 3.15, which is the first to have such an ABI (PEP 803). 3.15 is also the first to find a
    module whose name has the system in it, as setuptools may name one there.
    """
    free_threaded = sysconfig.get_config_var("Py_GIL_DISABLED")
    debug = hasattr(sys, "gettotalrefcount")
    if sys.implementation.name != "cpython" or debug or (free_threaded and sys.version_info < (3, 15)):
        return None
    return "cp39" if get_abi3_suffix().startswith(".abi3.") else "cp315"


tag = oldest()
setup(
    cffi_modules=["build_ffi.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": tag}} if tag else {},
)
