"""Say what pyproject.toml cannot: cffi's module, and which Pythons one wheel serves.

The keyword `cffi_modules` has no form in pyproject.toml, and in setup.cfg it is silently ignored.
"""

import sys
import sysconfig

from setuptools import setup

options = {}
if sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED"):
    # cffi compiles against the stable ABI here, so the wheel says so: one for 3.9 and later.
    # PyPy and free-threaded builds have no such ABI, and their wheels are for one version.
    options["bdist_wheel"] = {"py_limited_api": "cp39"}

setup(cffi_modules=["build_ffi.py:ffibuilder"], options=options)
